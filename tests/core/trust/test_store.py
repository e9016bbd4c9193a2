"""What the user has trusted: one content, at one place, for one user, in a store that is theirs alone."""

import base64
import json
import os
import stat
import threading
from dataclasses import replace

import pytest

from blastwall.errors import BackendError
from blastwall.trust import store as module
from blastwall.trust.reading import read_untrusted
from blastwall.trust.store import NotTrusted, Store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path.resolve()))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path.resolve()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def file(home):
    file = home / "project" / "blastwall.yaml"
    file.parent.mkdir()
    file.write_text("version: 1\n")
    return file


def read(file):
    return read_untrusted(file, file.parent)


def record_of(store):
    (record,) = store.directory.iterdir()
    return record


def rewrite(store, **changes):
    """Write something else into the only record."""
    file = record_of(store)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_nothing_is_trusted_at_first_and_nothing_is_made(store, file, home):
    found = read(file)
    assert not store.trusted(found)
    assert store.records() == []
    assert not store.forget(str(file))
    assert not (home / ".local").exists()
    with pytest.raises(NotTrusted) as caught:
        store.require(found)
    assert str(caught.value) == f"{file} is not trusted: look at it, then run `blastwall trust {file}`"


def test_what_is_trusted_is_trusted_by_every_store_of_the_user(store, file):
    found = read(file)
    record = store.add(found)
    assert Store().trusted(found)
    assert Store().require(found) is found.content
    assert store.records() == [record]
    assert record.content == b"version: 1\n"


def test_it_is_the_owner_s_alone(store, file, home):
    before = os.umask(0)
    try:
        store.add(read(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(record_of(store).stat().st_mode) == 0o600
    assert store.directory == home / ".local" / "state" / "blastwall" / "trust"


def test_another_content_is_not_trusted(store, file):
    store.add(read(file))
    file.write_text("version: 1\n#")
    assert "it changed since you trusted it" in store.objection(read(file))
    store.add(read(file))
    assert store.trusted(read(file))
    assert len(store.records()) == 1, "one place, one record"


def test_another_place_is_not_trusted(store, file):
    store.add(read(file))
    file.parent.rename(file.parent.with_name("moved"))
    assert store.objection(read(file.parent.with_name("moved") / file.name)) == "is not trusted"


@pytest.mark.parametrize("field", ["device", "inode"])
def test_another_folder_at_the_same_place_is_not_trusted(store, file, field):
    found = read(file)
    store.add(found)
    where = replace(found.where, **{field: getattr(found.where, field) + 1})
    assert "in another folder" in store.objection(replace(found, where=where))


def test_what_is_forgotten_is_not_trusted(store, file):
    store.add(read(file))
    assert store.forget(str(file))
    assert not store.forget(str(file))
    assert not store.trusted(read(file))


# --- a store that can't be believed ---------------------------------------------------------------------


def test_a_store_of_another_user_trusts_nothing(store, file, monkeypatch):
    found = read(file)
    store.add(found)
    monkeypatch.setattr(module.os, "geteuid", lambda: 4242)
    assert not store.trusted(found)
    with pytest.raises(BackendError, match="belongs to another user"):
        store.records()


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_store_that_others_can_open_trusts_nothing(store, file, mode):
    found = read(file)
    store.add(found)
    store.directory.chmod(mode)
    with pytest.raises(NotTrusted, match="others than its owner can open it: chmod go-rwx"):
        store.require(found)
    with pytest.raises(BackendError, match="can't be believed"):
        store.add(found)


def test_a_store_in_a_folder_that_others_can_write_trusts_nothing(store, file):
    """They could put another one in its place."""
    found = read(file)
    store.add(found)
    store.directory.parent.chmod(0o777)
    assert "everybody can write it" in store.objection(found)


def test_a_record_that_others_can_open_trusts_nothing(store, file):
    found = read(file)
    store.add(found)
    record_of(store).chmod(0o644)
    assert "can't be believed" in store.objection(found)


def test_a_record_that_is_a_link_trusts_nothing(store, file, home):
    found = read(file)
    store.add(found)
    record = record_of(store)
    record.rename(home / "record")
    record.symlink_to(home / "record")
    assert "can't be read: Too many levels of symbolic links" in store.objection(found)


def test_a_record_that_is_a_pipe_keeps_nobody_waiting(store, file):
    found = read(file)
    store.add(found)
    record = record_of(store)
    record.unlink()
    os.mkfifo(record, 0o600)
    assert "is damaged" in store.objection(found)


def test_a_store_that_is_a_link_or_a_file_trusts_nothing(store, file, home):
    found = read(file)
    store.add(found)
    store.directory.rename(home / "elsewhere")
    store.directory.symlink_to(home / "elsewhere")
    assert "is no folder" in store.objection(found)
    store.directory.unlink()
    store.directory.write_text("")
    assert "is no folder" in store.objection(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"content": base64.b64encode(b"another").decode()},
        {"digest": "0" * 64},
        {"user": 4242},
        {"path": "/elsewhere"},
        {"content": 1},
        {"inode": "1"},
    ],
)
def test_a_record_that_was_tampered_with_trusts_nothing(store, file, changes):
    found = read(file)
    store.add(found)
    rewrite(store, **changes)
    assert "is damaged: move it away" in store.objection(found)
    with pytest.raises(BackendError, match="is damaged"):
        store.records()


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b"\xff", b"null", b"[" * 100_000, b"0" * (1 << 20)])
def test_a_record_that_is_none_trusts_nothing(store, file, content):
    found = read(file)
    store.add(found)
    record_of(store).write_bytes(content)
    assert "is damaged" in store.objection(found)


def test_a_record_under_another_name_trusts_nothing(store, file, home):
    """Else trust could be carried from one place to another."""
    other = home / "other.yaml"
    other.write_text("version: 1\n")
    store.add(read(file))
    store.add(read(other))
    first, second = store.directory.iterdir()
    first.replace(second)
    objections = {store.objection(read(file)), store.objection(read(other))}
    assert any("is damaged" in objection for objection in objections)
    assert "" not in objections


def test_a_repository_that_brings_its_own_store_is_not_believed(file, monkeypatch):
    """A home folder that is a checkout: what came with the clone can't know the number of its folder."""
    monkeypatch.setenv("HOME", str(file.parent))
    found = read(file)
    foreign = replace(found, where=replace(found.where, inode=found.where.inode + 1))
    Store().add(foreign)
    assert "in another folder" in Store().objection(found)


def test_what_can_not_be_written_says_so(store, file, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(BackendError, match="can't be written: No space left"):
            store.add(read(file))
    assert list(store.directory.iterdir()) == [], "nothing half"
    store.add(read(file))
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "unlink", full)
        with pytest.raises(BackendError, match="can't be written: No space left"):
            store.forget(str(file))
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "lstat", full)
        with pytest.raises(BackendError, match="can't be read: No space left"):
            store.records()


def test_a_record_that_goes_meanwhile_is_none(store, file, monkeypatch):
    store.add(read(file))
    monkeypatch.setattr(module.os, "listdir", lambda folder: ["gone.json"])
    assert store.records() == []


def test_many_may_write_at_once(store, home):
    files = [home / f"{number}.yaml" for number in range(8)]
    for file in files:
        file.write_text("version: 1\n")

    def work():
        for file in files:
            store.add(read(file))
            assert store.trusted(read(file))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.path for record in store.records()] == sorted(map(str, files))


def test_paths_of_any_bytes_are_places(store, home):
    file = home / os.fsdecode(b"\xff.yaml")
    file.write_text("x")
    with pytest.raises(BackendError, match="no UTF-8"):
        store.add(read(file))
    assert not store.trusted(read(file))
