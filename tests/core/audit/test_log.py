"""The log: what `write` acknowledged is there, whole, whatever happens to writers, disks and files."""

import errno
import gc
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.core.audit.logs import CALL, written

from blastwall.audit import AuditLog, verify
from blastwall.audit.log import LARGEST_ARGUMENTS, head_path
from blastwall.errors import AuditError
from blastwall.values import ToolCall

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "audit.jsonl"


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(log, number=0, event="result"):
    log.write("session", event, CALL, {"number": number})


def numbers(path):
    return [record["details"]["number"] for record in records(path)]


# --- what a record holds ------------------------------------------------------------------------------


def test_a_record_says_when_who_what_and_under_which_policy(path):
    log = AuditLog(path, policy="p" * 64)
    log.write("s-1", "decision", CALL, {"verdict": "allow"})
    log.close()
    (record,) = records(path)
    moment = datetime.fromisoformat(record.pop("time"))
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert moment.utcoffset() == timedelta(0)
    assert record.pop("hash")
    assert record == {
        "n": 1,
        "prev": "0" * 64,
        "session": "s-1",
        "event": "decision",
        "connector": "files",
        "tool": "read",
        "call": CALL.digest,
        "policy": "p" * 64,
        "details": {"verdict": "allow"},
        "arguments": {"path": "a.txt"},
    }


def test_a_record_names_the_policy_that_decided_and_not_the_one_that_the_log_began_with(path):
    log = AuditLog(path, policy="old")
    log.write("s", "decision", CALL, {}, "new")
    log.write("s", "result", CALL, {}, policy="new")
    log.write("s", "decision", CALL, {})
    log.close()
    assert [record["policy"] for record in records(path)] == ["new", "new", "old"]
    assert verify(path).ok


def test_arguments_stand_in_the_decision_only(path):
    assert [("arguments" in record) for record in records(written(path, 4))] == [True, False, True, False]


def test_arguments_can_be_left_out(path):
    written(path, 2, arguments="digest")
    assert all("a.txt" not in line for line in path.read_text().splitlines())
    assert records(path)[0]["call"] == CALL.digest


def test_large_arguments_are_recorded_by_their_size(path):
    log = AuditLog(path)
    fits = ToolCall.of("f", "t", {"a": "x" * (LARGEST_ARGUMENTS - 60)})
    large = ToolCall.of("f", "t", {"a": "x" * LARGEST_ARGUMENTS})
    log.write("s", "decision", fits, {})
    log.write("s", "decision", large, {})
    log.close()
    first, second = records(path)
    assert first["arguments"] == fits.arguments
    assert second["arguments"] == f"{len(large.canonical)} characters, not recorded"
    assert second["call"] == large.digest


def test_a_line_break_in_an_argument_makes_no_second_line(path):
    log = AuditLog(path)
    log.write("s", "decision", ToolCall.of("f", "t\n", {"a": '\n{"n":2}\r\n\u2028'}), {"b": "\n"})
    log.close()
    assert path.read_bytes().count(b"\n") == 1
    assert verify(path).ok


# --- files --------------------------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_record(path):
    AuditLog(path)
    assert not path.parent.exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folder_and_files_are_the_owner_s_alone(path, umask):
    before = os.umask(umask)
    try:
        written(path, 1)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(file.stat().st_mode) for file in (path.parent, path, head_path(path))]
    assert modes == [0o700, 0o600, 0o600]


@pytest.mark.parametrize("which", ["log", "head"])
def test_a_link_in_place_of_a_file_is_not_written_through(path, which, tmp_path):
    path.parent.mkdir()
    target = tmp_path / "target"
    target.write_text("canary")
    (path if which == "log" else head_path(path)).symlink_to(target)
    log = AuditLog(path)
    for _ in range(2):
        with pytest.raises(AuditError, match="can't be written: Too many levels of symbolic links"):
            write(log)
    assert target.read_text() == "canary"
    assert not path.is_symlink() or not path.exists() or path.samefile(target)
    log.close()


def test_a_folder_that_can_not_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="can't be written: (Not a directory|File exists)"):
        write(AuditLog(tmp_path / "file" / "audit.jsonl"))


def test_a_folder_in_place_of_the_log_says_so(path):
    path.mkdir(parents=True)
    with pytest.raises(AuditError, match="can't be written: Is a directory"):
        write(AuditLog(path))


def test_a_file_that_may_not_be_written_says_so(path, monkeypatch):
    """root may write every file, so the kernel's answer is made by hand."""

    def denied(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(AuditError, match="can't be written: Permission denied"):
        write(AuditLog(path))


def test_a_closed_log_can_be_written_to_again(path):
    log = AuditLog(path)
    write(log, 0)
    log.close()
    log.close()
    write(log, 1)
    log.close()
    assert numbers(path) == [0, 1]
    assert verify(path).ok


@pytest.mark.parametrize("gone", [lambda path: None, lambda path: path.rename(path.with_suffix(".1"))])
def test_no_descriptor_is_lost(path, gone):
    log = AuditLog(path)
    write(log)
    before = os.listdir("/proc/self/fd")
    for i in range(5):
        gone(path)
        gone(head_path(path))
        write(log, i)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    log.close()
    assert len(os.listdir("/proc/self/fd")) == len(before) - 2


# --- other writers ------------------------------------------------------------------------------------


def test_many_threads_with_one_log_keep_one_chain(path):
    log = AuditLog(path)

    def work(first):
        for i in range(100):
            write(log, first + i)

    threads = [threading.Thread(target=work, args=(i * 100,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert verify(path).ok
    assert sorted(numbers(path)) == list(range(800))


def test_two_logs_of_one_file_take_turns(path):
    one, other = AuditLog(path), AuditLog(path)
    for i in range(20):
        write((one, other)[i % 2], i)
    one.close()
    other.close()
    assert verify(path).ok
    assert numbers(path) == list(range(20))


WRITER = """
import sys
from pathlib import Path
from tests.core.audit.test_log import write
from blastwall.audit import AuditLog
log = AuditLog(Path(sys.argv[1]))
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    write(log, i)
    print(i, flush=True)
"""


def writer(path, start, stop, **options):
    command = [sys.executable, "-c", WRITER, str(path), str(start), str(stop)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def test_processes_keep_one_chain(path):
    """Each in several threads would prove no more: the lock is the file's."""
    others = [writer(path, i * 100, i * 100 + 100) for i in range(3)]
    log = AuditLog(path)
    for i in range(300, 400):
        write(log, i)
    log.close()
    assert [other.communicate()[1] for other in others] == [None] * 3
    assert [other.returncode for other in others] == [0] * 3
    assert verify(path).ok
    assert sorted(numbers(path)) == list(range(400))


def test_a_forked_child_does_not_share_its_parent_s_lock(path):
    """flock belongs to the open file, which a fork shares: both would be let in at once."""
    log = AuditLog(path)
    write(log, 0)
    children = []
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for i in range(50):
                    write(log, 1 + child * 50 + i)
            finally:
                os._exit(0)
        children.append(pid)
    for i in range(50):
        write(log, 201 + i)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    log.close()
    assert verify(path).ok
    assert sorted(numbers(path)) == list(range(251))


# --- death --------------------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_kill_9(path):
    acknowledged = []
    for round_ in range(6):
        victim = writer(path, round_ * 10_000, round_ * 10_000 + 9_999)
        acknowledged += [int(victim.stdout.readline()) for _ in range(30 + 7 * round_)]
        victim.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in victim.stdout.read().split("\n")[:-1]]
        victim.wait()
        victim.stdout.close()
    log = AuditLog(path)
    write(log, -1)
    log.close()
    assert verify(path).ok
    assert set(acknowledged) <= set(numbers(path))
    assert numbers(path)[-1] == -1


@pytest.mark.parametrize("behind", [0, 1, 3])
def test_a_death_between_log_and_head_is_made_good(path, behind):
    """`behind` records are there; one more gets into the log and not into its head."""
    written(path, behind) if behind else path.parent.mkdir()
    old = head_path(path).read_bytes() if behind else b""
    written(path, 1)
    head_path(path).write_bytes(old)
    written(path, 2)
    assert verify(path).ok
    assert verify(path).records == behind + 3


@pytest.mark.parametrize("behind", [0, 1, 3])
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("torn", [b"{", b'{"hash":"0', b"\0" * 5000, b"x" * 100_000])
def test_a_death_in_the_middle_of_a_record_is_made_good(path, behind, ahead, torn):
    """Nobody was told that the torn one is durable, so it goes; every whole one stays."""
    written(path, behind) if behind else path.parent.mkdir()
    head_path(path).touch()
    old = head_path(path).read_bytes()
    if ahead:
        written(path, 1)
        head_path(path).write_bytes(old)
    with path.open("ab") as log:
        log.write(torn)
    assert not verify(path).ok
    written(path, 2)
    assert verify(path).ok
    assert verify(path).records == behind + ahead + 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-50]),
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1])),
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:2])),
        lambda path: path.write_text(""),
        lambda path: path.write_text("garbage\n" + path.read_text()[:100]),
        lambda path: path.write_bytes(path.read_bytes() + b"garbage\n"),
        lambda path: path.write_bytes(path.read_bytes() + b"[" * 100_000 + b"\n"),
        lambda path: path.write_bytes(path.read_bytes() + b'{"n":6,"hash":"x"}\n'),
        lambda path: path.unlink(),
        lambda path: head_path(path).unlink(),
        lambda path: head_path(path).write_text(""),
        lambda path: head_path(path).write_text("garbage"),
        lambda path: head_path(path).write_text(head_path(path).read_text() + "\n"),
        lambda path: head_path(path).write_text(head_path(path).read_text().replace("5 ", "3 ")),
        lambda path: head_path(path).write_text(f"{4:020d} {'a' * 64}\n"),
        lambda path: head_path(path).write_text(f"{'٣' * 20} {'a' * 64}\n"),
    ],
)
def test_nothing_is_written_behind_an_end_that_is_not_what_was_left(path, spoil):
    written(path, 5)
    spoil(path)
    before = path.read_bytes() if path.exists() else b""
    with pytest.raises(AuditError, match="blastwall audit verify"):
        write(AuditLog(path))
    assert path.read_bytes() == before


def test_what_another_writer_spoils_meanwhile_is_noticed_too(path):
    log = AuditLog(path)
    write(log)
    with path.open("ab") as other:
        other.write(b"garbage\n")
    for _ in range(2):
        with pytest.raises(AuditError, match="does not end as its head file says|not a JSON record"):
            write(log)
    log.close()


def test_a_log_that_is_moved_away_with_its_head_starts_anew(path):
    log = AuditLog(path)
    write(log, 0)
    for file in (path, head_path(path)):
        file.rename(file.parent / f"old-{file.name}")
    write(log, 1)
    log.close()
    assert numbers(path) == [1]
    assert numbers(path.parent / "old-audit.jsonl") == [0]
    assert verify(path).ok
    assert verify(path.parent / "old-audit.jsonl").ok


@pytest.mark.parametrize(
    "away", [lambda path: path.unlink(), lambda path: path.rename(path.with_suffix(".1"))]
)
def test_a_log_that_disappears_alone_is_not_written_on(path, away):
    """Written to the old file, a record would be acknowledged and lost."""
    log = AuditLog(path)
    write(log)
    away(path)
    with pytest.raises(AuditError, match="does not end as its head file says"):
        write(log)
    log.close()


def test_a_long_last_record_is_found_again(path):
    log = AuditLog(path)
    for _ in range(3):
        log.write("s", "result", CALL, {"text": "x" * 200_000})
    log.close()
    written(path, 1)
    assert verify(path).ok
    assert verify(path).records == 4


# --- full disks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing", [lambda real, fd, data: real(fd, data[: len(data) // 2]), lambda real, fd, data: real(fd, b"")]
)
def test_a_record_that_is_written_in_part_is_taken_back(path, monkeypatch, failing):
    log, real = AuditLog(path), os.write
    write(log, 0)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: failing(real, fd, data))
        with pytest.raises(AuditError, match="no space left for a whole record"):
            write(log, 1)
    assert path.read_bytes() == before
    write(log, 2)
    log.close()
    assert numbers(path) == [0, 2]
    assert verify(path).ok


@pytest.mark.parametrize("call", ["write", "pwrite", "fsync"])
@pytest.mark.parametrize("records", [0, 1, 4])
def test_a_full_disk_refuses_and_the_next_write_goes_on(path, monkeypatch, call, records):
    log = AuditLog(path, durability="power-loss")
    for i in range(records):
        write(log, i)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        for _ in range(4):
            with pytest.raises(AuditError, match="can't be written: No space left on device"):
                write(log, 100)
    write(log, 200)
    log.close()
    assert verify(path).ok
    assert [n for n in numbers(path) if n != 100] == [*range(records), 200]


LIMITED = """
import resource, sys
from pathlib import Path
from blastwall.audit import AuditLog, verify
from blastwall.errors import AuditError
from tests.core.audit.test_log import write
path = Path(sys.argv[1])
log, written, refused = AuditLog(path), 0, 0
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
while refused < 3:
    try:
        write(log, written)
        written += 1
    except AuditError:
        refused += 1
assert verify(path).records == written, verify(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
write(log, written)
assert verify(path).ok
print(written)
"""


def test_a_real_limit_of_the_kernel_leaves_the_log_whole(path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert numbers(path) == list(range(int(done.stdout) + 1))


def test_what_has_no_json_form_is_not_written(path):
    log = AuditLog(path)
    with pytest.raises((TypeError, ValueError)):
        log.write("s", "result", CALL, {"a": object()})
    write(log, 0)
    log.close()
    assert numbers(path) == [0]


# --- durability ---------------------------------------------------------------------------------------


def order(monkeypatch, log):
    """Write one record and name the calls to the kernel, in order."""
    seen = []
    for name in ("write", "pwrite", "fsync"):
        real = getattr(os, name)

        def spy(fd, *args, name=name, real=real):
            which = "log" if fd == log._log else "head" if fd == log._headfile else "folder"
            seen.append(f"{name} {which}")
            return real(fd, *args)

        monkeypatch.setattr(os, name, spy)
    write(log)
    monkeypatch.undo()
    return seen


def test_after_a_power_loss_the_head_is_never_ahead_of_the_log(path, monkeypatch):
    log = AuditLog(path, durability="power-loss")
    assert log.waits
    waited = ["write log", "fsync log", "pwrite head", "fsync head"]
    assert order(monkeypatch, log) == ["fsync folder", *waited]
    assert order(monkeypatch, log) == waited
    log.close()


def test_without_it_nobody_waits_for_the_disk(path, monkeypatch):
    log = AuditLog(path)
    assert not log.waits
    assert order(monkeypatch, log) == ["write log", "pwrite head"]
    log.close()


def test_a_folder_that_is_gone_is_made_again(path):
    log = AuditLog(path)
    write(log)
    path.parent.rename(path.parent.with_name("old"))
    path.parent.write_text("in the way")
    with pytest.raises(AuditError, match="can't be written"):
        write(log)
    path.parent.unlink()
    write(log, 5)
    log.close()
    assert numbers(path) == [5]


def test_the_lock_is_given_back_when_a_write_fails(path, monkeypatch):
    log = AuditLog(path)
    write(log)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: 0)
        with pytest.raises(AuditError):
            write(log)
    other = AuditLog(path)
    write(other, 5)
    other.close()
    log.close()
    assert numbers(path) == [0, 5]


def test_a_log_that_nobody_holds_keeps_no_file_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        AuditLog(tmp_path / f"{number}.jsonl").write("s", "decision", CALL, {})
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
