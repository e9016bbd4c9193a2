"""The quarantine: withheld outputs are kept whole, for their owner only, and given back by id."""

import json
import os
import stat

import pytest

from blastwall.errors import BackendError
from blastwall.frozen import freeze
from blastwall.state import Kept, Quarantine
from blastwall.values import Action, Finding, ToolCall, ToolOutput

CALL = ToolCall.of("mail", "read", {"id": 7})
FOUND = (Finding("override", "$.body", 3, 9, Action.QUARANTINE), Finding("ansi", "$", 0, 1, Action.REDACT))


@pytest.fixture
def quarantine(tmp_path):
    return Quarantine(tmp_path / "state" / "quarantine")


def keep(quarantine, value="evil"):
    return quarantine.keep(CALL, ToolOutput(freeze(value)), FOUND)


def test_nothing_is_made_before_the_first_output(quarantine):
    assert quarantine.ids() == []
    assert not quarantine.path.exists()


@pytest.mark.parametrize("value", ["evil\n\x1b[2J", {"a": [1, None, "ü\u202e"]}, [], None, 2.5])
def test_an_output_is_given_back_as_it_was(quarantine, value):
    name = keep(quarantine, value)
    kept = quarantine.show(name)
    assert isinstance(kept, Kept)
    assert (kept.id, kept.connector, kept.tool, kept.output) == (name, "mail", "read", value)
    assert kept.findings == (
        {"family": "override", "path": "$.body", "start": 3, "end": 9, "action": "quarantine"},
        {"family": "ansi", "path": "$", "start": 0, "end": 1, "action": "redact"},
    )
    assert kept.time.endswith("+00:00")


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_folder_and_files_are_the_owner_s_alone(quarantine, umask):
    before = os.umask(umask)
    try:
        name = keep(quarantine)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (quarantine.path, quarantine.path / f"{name}.json")]
    assert modes == [0o700, 0o600]


def test_ids_are_unique_and_come_oldest_first(quarantine):
    names = [keep(quarantine) for _ in range(20)]
    assert len(set(names)) == 20
    assert quarantine.ids() == names == sorted(names)


def test_the_oldest_goes_when_there_are_too_many(quarantine, monkeypatch):
    monkeypatch.setattr("blastwall.state.quarantine.KEPT", 3)
    names = [keep(quarantine) for _ in range(5)]
    assert quarantine.ids() == names[2:]


@pytest.mark.parametrize(
    "name", ["", "q-unknown", "../secret", "q-../../secret", "*", "q-*", "/etc/passwd", "q-\0", "notes"]
)
def test_what_is_not_kept_can_not_be_shown(quarantine, name):
    keep(quarantine)
    (quarantine.path / "notes.json").write_text("{}")
    (quarantine.path.parent / "secret.json").write_text("{}")
    with pytest.raises(BackendError, match="nothing is kept under .*: see `blastwall quarantine list`"):
        quarantine.show(name)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"findings": []}', '{"findings": 1, "time": ""}', "\udcff"]
)
def test_a_damaged_file_is_said_to_be_one(quarantine, content):
    name = keep(quarantine)
    (quarantine.path / f"{name}.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(BackendError, match="can't be read"):
        quarantine.show(name)


def test_a_folder_that_can_not_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="the quarantine .* can't be written: "):
        keep(Quarantine(tmp_path / "file" / "quarantine"))


def test_a_full_disk_leaves_nothing_half_kept(quarantine, monkeypatch):
    def full(content, file, **_):
        file.write('{"half')
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(json, "dump", full)
        with pytest.raises(BackendError, match="can't be written: No space left on device"):
            keep(quarantine)
    assert list(quarantine.path.iterdir()) == []
    assert quarantine.ids() == []


def test_a_link_that_waits_for_the_file_is_not_written_through(quarantine, monkeypatch, tmp_path):
    """Ids can't be guessed; were one, the file must still be a new one."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    target = tmp_path / "target"
    target.write_text("canary")
    name = keep(quarantine)
    (quarantine.path / f"{name}.json").unlink()
    real = os.open

    def link_first(path, *rest):
        os.symlink(target, path)
        return real(path, *rest)

    monkeypatch.setattr(os, "open", link_first)
    with pytest.raises(BackendError, match="can't be written: File exists"):
        keep(quarantine)
    assert target.read_text() == "canary"
