"""The user's own files: believed as long as nobody else can have written them."""

import os
from types import SimpleNamespace

import pytest

from blastwall import policyfile
from blastwall.errors import PolicyError
from blastwall.policyfile import AGAIN_S, Watched, load
from blastwall.trust import owners
from blastwall.trust.owners import exposed
from blastwall.trust.projects import ProjectFile, config_directory, user_policy
from blastwall.trust.reading import read_untrusted
from blastwall.trust.store import Store

ONE = "version: 1\nconnectors: {one: {}}\n"
TWO = "version: 1\nconnectors: {two: {}}\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    home = tmp_path.resolve() / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(policyfile, "ORGANISATION", tmp_path / "nowhere")
    return home


@pytest.fixture
def file(tmp_path):
    file = tmp_path.resolve() / "blastwall.yaml"
    file.write_text(ONE)
    return file


def status(mode, uid=1000, gid=1000):
    return SimpleNamespace(st_mode=mode, st_uid=uid, st_gid=gid)


@pytest.fixture
def as_user(monkeypatch):
    """User 1000, called dana, who has a group of the same name; and group 2000, called staff."""
    groups = {1000: ("dana", []), 1001: ("dana", ["eve"]), 2000: ("staff", []), 0: ("root", [])}

    def group(number):
        name, members = groups[number]
        return SimpleNamespace(gr_name=name, gr_mem=members)

    monkeypatch.setattr(owners.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(owners.grp, "getgrgid", group)
    monkeypatch.setattr(owners.pwd, "getpwuid", lambda number: SimpleNamespace(pw_name="dana"))


@pytest.mark.parametrize(
    "fine",
    [
        status(0o100600),
        status(0o100644),
        status(0o100644, uid=0),
        status(0o100664),
        status(0o100664, uid=0, gid=0),
        status(0o041777, uid=0, gid=0),
    ],
)
def test_what_only_the_user_and_root_can_write_is_theirs(as_user, fine):
    assert exposed(fine) == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (status(0o100600, uid=1001), "belongs to another user"),
        (status(0o100646), "everybody can write it"),
        (status(0o040757), "everybody can write it"),
        (status(0o100664, gid=2000), "its group can write it"),
        (status(0o100664, gid=1001), "its group can write it"),
        (status(0o100664, gid=4242), "its group can write it"),
    ],
)
def test_what_others_can_write_is_not(as_user, other, why):
    assert why in exposed(other)


def test_root_believes_a_file_of_any_owner_that_it_names(monkeypatch):
    monkeypatch.setattr(owners.os, "geteuid", lambda: 0)
    assert exposed(status(0o100644, uid=1000)) == ""
    assert exposed(status(0o100646, uid=1000)) != ""


@pytest.mark.parametrize("kind", [load, Watched])
def test_a_policy_that_everybody_can_write_is_refused(file, kind):
    file.chmod(0o666)
    with pytest.raises(PolicyError) as caught:
        kind(file)
    assert str(caught.value) == f"{file}: can't be believed: everybody can write it: chmod o-w"


def test_a_layer_that_everybody_can_write_is_refused(file, tmp_path):
    layer = tmp_path / "layer.yaml"
    layer.write_text(ONE)
    layer.chmod(0o646)
    with pytest.raises(PolicyError, match=r"layer.yaml: can't be believed"):
        load(file, layer)


def test_one_that_is_only_looked_at_may_be_anybody_s(file):
    file.chmod(0o666)
    assert load(ProjectFile(str(file), acts=False)).file == str(file)


@pytest.mark.parametrize(("config", "expected"), [("/etc/dana", "/etc/dana"), ("", None), ("relative", None)])
def test_the_user_s_policy_is_where_the_xdg_specification_says(home, monkeypatch, config, expected):
    monkeypatch.setenv("XDG_CONFIG_HOME", config)
    assert str(user_policy()) == f"{expected or home / '.config'}/blastwall/blastwall.yaml"


def test_no_tool_and_no_sandbox_touches_what_is_trusted_or_the_user_s_settings(file):
    file.write_text("version: 1\nconnectors: {one: {}}\nsandboxes: {box: {}}\n")
    policy = load(file)
    for place in (Store().directory, config_directory()):
        assert f"{place}/" in policy.own
        assert place in policy.profiles["box"].mask


# --- a project's file that changes while it is in use ---------------------------------------------------


class Clock:
    def __init__(self):
        self.passed = 0.0

    def monotonic(self):
        return 1000.0 + self.passed

    def time(self):
        import time

        return time.time() + self.passed


@pytest.fixture
def watched(file, monkeypatch):
    """The project's policy, trusted and in use."""
    clock = Clock()
    monkeypatch.setattr(policyfile, "time", clock)
    Store().add(read_untrusted(file, file.parent))
    watched = Watched(ProjectFile(str(file)))
    problems = []
    watched.on_problem = lambda error: problems.append(str(error))

    def names(seconds=60.0):
        clock.passed += seconds
        return set(watched.current().connectors)

    return SimpleNamespace(names=names, problems=problems, policy=watched)


def test_an_untrusted_one_is_not_loaded(file):
    with pytest.raises(PolicyError) as caught:
        Watched(ProjectFile(str(file)))
    assert str(caught.value) == f"{file}: is not trusted: look at it, then run `blastwall trust {file}`"


def test_a_change_is_not_taken_over_until_it_is_trusted(watched, file, caplog):
    assert watched.names() == {"one"}
    file.write_text(TWO)
    assert watched.names() == {"one"}
    (problem,) = watched.problems
    assert "is not trusted: it changed since you trusted it on" in problem
    assert "stays in force" in caplog.text
    Store().add(read_untrusted(file, file.parent))
    assert watched.names(AGAIN_S) == {"two"}


def to_a_pipe(file):
    file.unlink()
    os.mkfifo(file)


def test_what_clients_see_changes_with_a_restart_only(watched, file):
    changes = []
    watched.policy.on_change = lambda *change: changes.append(change)
    file.write_text(TWO + "proxy: {separator: '-'}\n")
    Store().add(read_untrusted(file, file.parent))
    assert watched.names() == {"two"}
    assert watched.policy.current().front.separator == "__"
    ((_, _, waiting),) = changes
    assert [problem.path for problem in waiting] == ["proxy"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda file: file.unlink(), "can't be read: No such file"),
        (to_a_pipe, "is no regular file"),
        (lambda file: (file.rename(file.parent / "x"), file.symlink_to("x")), "is a symlink"),
        (lambda file: file.write_bytes(b"\0" * (1 << 20)), "larger than"),
    ],
)
def test_what_takes_its_place_is_not_used(watched, file, change, problem):
    change(file)
    assert watched.names() == {"one"}
    assert problem in watched.problems[0]


def test_its_relative_paths_start_where_it_was_read(file, monkeypatch, tmp_path):
    """A link that takes the file's place once it was read leads nothing elsewhere."""
    file.write_text("version: 1\nconnectors: {one: {directory: sub}}\n")
    Store().add(read_untrusted(file, file.parent))
    (tmp_path / "elsewhere").mkdir()
    real = policyfile.read_untrusted

    def raced(*words):
        found = real(*words)
        file.rename(tmp_path / "elsewhere" / "blastwall.yaml")
        file.symlink_to(tmp_path / "elsewhere" / "blastwall.yaml")
        return found

    monkeypatch.setattr(policyfile, "read_untrusted", raced)
    assert load(ProjectFile(str(file))).directory("one") == file.parent / "sub"
