"""The escape suite as a package: what it reads, what it makes and takes away, and what it makes of an answer."""

import ctypes
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall.errors import BackendError
from blastwall.sandbox import Completed
from blastwall.sandbox.cgroups import Hierarchy
from blastwall.sandbox.escape import attacks, attempt, project, shared, verdicts, world
from blastwall.sandbox.escape.attacks import Attack
from blastwall.sandbox.escape.receiver import Receiver
from blastwall.sandbox.escape.verdicts import Answer, Verdict, answers, judged, said, settled
from blastwall.sandbox.escape.world import USER, World

LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.close()


# --- The attacks ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(attacks, "FOLDER", tmp_path)
    return tmp_path


def read():
    return attacks.attacks.__wrapped__()


def test_they_are_read_by_number(folder):
    (folder / "b.yaml").write_text("- {item: 2, name: two, python: held()}\n")
    (folder / "a.yaml").write_text("- {item: 3, name: three, python: held(), held: [refused]}\n")
    (folder / "phishing.yaml").write_text("- no attack\n")
    assert [(each.item, each.group, each.held) for each in read()] == [(2, "b", ()), (3, "a", ("refused",))]


def test_none_is_an_error(folder):
    with pytest.raises(FileNotFoundError, match="install blastwall anew"):
        read()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{item: 1, name: x, python: '', hold: []}", "unknown keys"),
        ("{item: 1, name: x, python: '', control: nobody}", "no such control"),
        ("{item: 1, name: x, python: '', expect: {os: fine}}", "no such control or expectation"),
        ("{item: 1, name: x, python: '', expect: {docker: own}}", "no such backend"),
    ],
)
def test_what_is_no_attack(folder, entry, says):
    (folder / "a.yaml").write_text(f"- {entry}\n")
    with pytest.raises(ValueError, match=says):
        read()


def test_what_needs_a_sandbox_of_its_own():
    plain = Attack(1, "x", "files", "")
    assert not plain.single
    for changes in (
        {"alone": True},
        {"killed": True},
        {"profile": {"open_files": 9}},
        {"expect": {"vm": "open: so it is"}},
    ):
        assert replace(plain, **changes).single


# --- The world ------------------------------------------------------------------------------------------


def traces(made):
    """Give what of a world can be seen from outside."""
    return [
        made.top.exists(),
        Path("/dev/shm", made.token).exists(),
        LIBC.shmget(made.shm_key, 0, 0) != -1,
        LIBC.msgget(made.shm_key, 0) != -1,
        LIBC.mq_open(f"/{made.token}".encode(), os.O_RDONLY) != -1,
        os.environ.get("BLASTWALL_TEST") == made.word,
    ]


def test_nothing_is_left_behind(receiver):
    before, listed = dict(os.environ), set(os.listdir("/proc/self/fd"))
    with World(receiver) as made:
        assert traces(made) == [True] * 6
        assert made.changed() == []
    assert traces(made) == [False] * 6
    assert made.sleeper.poll() is not None
    assert dict(os.environ) == before
    assert len(set(os.listdir("/proc/self/fd")) - listed) <= 1  # the control's own queue


def test_not_even_when_it_breaks_half_way(receiver, monkeypatch):
    made = World(receiver)

    def broken(self):
        raise OSError(28, "No space left on device", "/tmp/x")

    monkeypatch.setattr(World, "_look", broken)
    before = dict(os.environ)
    with pytest.raises(BackendError, match="can't be made: /tmp/x No space left"), made:
        pass
    assert traces(made) == [False] * 6
    assert made.sleeper.poll() is not None
    assert dict(os.environ) == before


def test_folders_that_were_closed_go_too(tmp_path):
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").touch()
    for path in (top / "a" / "b", top / "a", top):
        path.chmod(0)
    project.remove(top)
    assert not top.exists()


def test_what_an_escape_left_among_the_systems_files_goes_too(receiver, tmp_path, monkeypatch):
    monkeypatch.setattr(world, "_SYSTEM", (tmp_path,))
    with World(receiver) as made:
        (tmp_path / made.token).touch()
        (tmp_path / "other").touch()
        assert made.changed() == [str(tmp_path / made.token)]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_no_other_user_of_the_machine_is_tempted(receiver):
    """Sockets that anybody may write to, a disk, a program that makes root: behind a door for one user."""
    with World(receiver) as made:
        status = made.top.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (USER, 0o700)


def test_a_program_with_many_faces_is_not_made_roots(tmp_path, monkeypatch):
    many = tmp_path / "busybox"
    many.write_text("#!/bin/sh\n")
    many.chmod(0o755)
    for name in ("id", "cat"):
        (tmp_path / name).symlink_to(many)
    monkeypatch.setenv("PATH", str(tmp_path))
    project.leave_a_way_to_root(tmp_path / "become")
    assert not (tmp_path / "become").exists()


def test_a_segment_of_somebody_else_is_neither_used_nor_removed(monkeypatch):
    theirs = LIBC.shmget(0x42570001, 4096, 0o3600)
    assert theirs != -1
    try:
        keys = iter([0x42570000, 0x42570001, 0x42570001])
        monkeypatch.setattr(shared.secrets, "randbelow", lambda _: next(keys))
        with shared.ExitStack() as stack:
            assert shared.system_v(stack, "word") == 0x42570002
        assert LIBC.shmget(0x42570001, 0, 0) == theirs
    finally:
        LIBC.shmctl(theirs, 0, None)


def test_a_file_of_somebody_else_is_neither_used_nor_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "_FOLDER", tmp_path)
    (tmp_path / "name").write_text("theirs")
    with shared.ExitStack() as stack:
        shared.file(stack, "name", "word")
    assert (tmp_path / "name").read_text() == "theirs"


CHANGES = {
    "a file is written": lambda made: (made.outside / "canary").write_text("x"),
    "a file is gone": lambda made: (made.home / ".netrc").unlink(),
    "a file cannot be read": lambda made: (made.readable / "notes").chmod(0),
    "a file is new": lambda made: (made.workspace / ".codex").touch(),
    "a file is a symlink": lambda made: (
        (made.home / "notes").unlink(),
        (made.home / "notes").symlink_to("/x"),
    ),
    "memory that is shared is gone": lambda made: Path("/dev/shm", made.token).unlink(),
    "a process is gone": lambda made: made.sleeper.kill() or made.sleeper.wait(),
    "a process has another priority": lambda made: os.setpriority(os.PRIO_PROCESS, made.sleeper.pid, 19),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(change, receiver):
    with World(receiver) as made:
        change(made)
        assert made.changed()


def test_what_the_sandbox_writes_of_its_own_is_no_change(receiver):
    with World(receiver) as made:
        (made.workspace / "own" / "anything").write_text("x")
        os.utime(made.workspace)
        assert made.changed() == []


def test_what_arrives_is_seen(receiver):
    with World(receiver) as made:
        subprocess.run(
            ["bash", "-c", f"echo hello > /dev/tcp/127.0.0.1/{receiver.port}"], check=True, timeout=10
        )
        assert made.changed() == [f"received {b'hello' + bytes([10])!r}"]


def test_a_machine_without_ipv6(monkeypatch):
    listen = Receiver._listen

    def without(self, family, kind, host):
        if ":" in host:
            raise OSError(99, "Cannot assign requested address")
        return listen(self, family, kind, host)

    monkeypatch.setattr(Receiver, "_listen", without)
    found = Receiver()
    found.close()
    assert found.port6 == 9


# --- What was said, and what it means -------------------------------------------------------------------

ONE = Attack(1, "one", "files", "")
TWO = Attack(2, "two", "files", "")


def ended(stdout, returncode=0, **options):
    return Completed(returncode, stdout, b"its words", options.get("truncated", False), False, 0.0)


def test_what_one_says():
    assert said("noise\nHELD EPERM\n") == Answer("HELD", "EPERM")
    assert said("ESCAPED a\nHELD b\n") == Answer("HELD", "b")
    assert said("nothing of the kind").kind == "BROKEN"
    assert said("HELD\nBROKEN see its standard error\n").kind == "BROKEN"


def test_what_several_say():
    lines = b'["1-one", "\\nHELD x\\n"]\nnoise\n["2-two", "\\nDONE\\n'
    found = answers([ONE, TWO], ended(lines, 137), ())
    assert found["1-one"] == Answer("HELD", "x")
    assert found["2-two"].kind == "BROKEN"
    assert "ended with 137: its words" in found["2-two"].why


def test_to_be_killed_is_to_be_held_where_it_says_so():
    killed = replace(ONE, killed=True)
    assert answers([killed], ended(b"", 137), ())["1-one"].kind == "HELD"
    assert answers([ONE], ended(b"", 137), ())["1-one"].kind == "BROKEN"
    assert answers([killed], ended(b"", 1), ())["1-one"].kind == "BROKEN"


@pytest.mark.parametrize("shared", [True, False])
def test_the_host_has_the_last_word(shared):
    assert settled(Answer("DONE"), (), shared=shared).kind == "HELD"
    assert settled(Answer("DONE"), ("x",), shared=shared).kind == "ESCAPED"
    assert settled(Answer("HELD"), ("x",), shared=shared).kind == ("HELD" if shared else "ESCAPED")
    assert settled(Answer("HELD"), ("x",), shared=shared).changed == ("x",)


@pytest.mark.parametrize(
    ("kind", "expected", "changed", "verdict"),
    [
        ("HELD", "stopped", (), Verdict.STOPPED),
        ("ESCAPED", "stopped", (), Verdict.ESCAPED),
        ("ESCAPED", "own", (), Verdict.OWN),
        ("ESCAPED", "own", ("x",), Verdict.ESCAPED),
        ("HELD", "own", (), Verdict.STOPPED),
        ("ESCAPED", "open", ("x",), Verdict.OPEN),
        ("HELD", "open", (), Verdict.STOPPED),
        ("WORKS", "works", (), Verdict.WORKS),
        ("HELD", "works", (), Verdict.BROKEN),
        ("WORKS", "stopped", (), Verdict.BROKEN),
        ("BROKEN", "stopped", (), Verdict.BROKEN),
        ("BROKEN", "open", (), Verdict.BROKEN),
    ],
)
def test_what_an_answer_means(kind, expected, changed, verdict):
    assert judged(Answer(kind, "", changed), expected) is verdict
    assert verdict.expected == (verdict not in (Verdict.ESCAPED, Verdict.BROKEN))


def test_a_long_answer_is_cut():
    assert len(said("x" * 10**6).why) == verdicts._MOST_TOLD


# --- What is to come of it here -------------------------------------------------------------------------


def test_what_takes_control_groups_is_known_to_get_through_without(monkeypatch):
    found = [each for each in attacks.attacks() if each.name in attempt.COUNTED]
    assert len(found) == len(attempt.COUNTED)
    monkeypatch.setattr(attempt.cgroups, "hierarchy", lambda: Hierarchy(0))
    for attack in found:
        assert [attempt.expected(attack, name)[0] for name in ("os", "container", "vm")] == [
            "open",
            "open",
            "stopped",
        ]
    plain = next(each for each in attacks.attacks() if each.name == "fill the memory")
    assert attempt.expected(plain, "os")[0] == "stopped"
    monkeypatch.setattr(attempt.cgroups, "hierarchy", lambda: Hierarchy(2, ("/x",)))
    assert {attempt.expected(attack, "os")[0] for attack in found} == {"stopped"}
