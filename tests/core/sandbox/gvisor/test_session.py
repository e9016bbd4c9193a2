"""A container that serves a session: many commands, one state, one end."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import process
from blastwall.sandbox.gvisor import inside, session
from blastwall.sandbox.gvisor.session import Container
from blastwall.values import Profile, Strength

PROFILE = Profile("session", strength=Strength.CONTAINER, timeout_s=30)
PYTHON = "/usr/bin/python3"


def run(container, argv, profile=PROFILE, **options):
    def launch(argv, profile, *, stdin, read):
        return container.start(argv, stdin=stdin, read=read)

    return process.run(argv, profile, launch=launch, **options)


@pytest.fixture(scope="module")
def box():
    """One container for the tests that leave it as it was."""
    with Container(PROFILE) as container:
        yield container


def test_what_comes_back(box):
    done = run(box, ["sh", "-c", "cat; echo out; echo err >&2; exit 3"], stdin=b"in ")
    assert (done.stdout, done.stderr, done.returncode) == (b"in out\n", b"err\n", 3)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("kill -KILL $$", 128 + signal.SIGKILL),
        ("kill -TERM $$", 128 + signal.SIGTERM),
        ("exit 128", 128),
        ("exec blastwall-no-such-command", 127),
    ],
)
def test_how_it_ended(box, command, code):
    done = run(box, ["sh", "-c", command])
    assert done.returncode == code
    assert done.stderr == (b"" if code != 127 else done.stderr)


def test_a_command_that_does_not_exist(box):
    done = run(box, ["blastwall-no-such-command"])
    assert done.returncode == 127
    assert b"not found" in done.stderr


def test_a_conversation(box):
    with box.start(["cat"]) as running:
        for word in (b"one\n", b"two\n"):
            running.stdin.write(word)
            running.stdin.flush()
            assert running.stdout.readline() == word
        running.stdin.close()
        assert running.wait() == 0
        running.check(b"")


def test_the_next_command_finds_what_the_last_one_left(box):
    assert run(box, ["sh", "-c", "echo left > /tmp/it; echo work > it"]).returncode == 0
    assert run(box, ["cat", "/tmp/it", "it"]).stdout == b"left\nwork\n"


def test_who_it_is(box):
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    done = run(box, ["sh", "-c", "id -u; grep -E 'Cap(Eff|Prm)' /proc/self/status; uname -n; pwd"])
    lines = done.stdout.decode().split("\n")
    assert lines[0] == str(user)
    assert [line.split()[1] for line in lines[1:3]] == ["0" * 16] * 2
    assert lines[3:5] == ["sandbox", "/run/workspace"]


def test_what_a_command_leaves_running_dies_with_it(box):
    code = "(trap '' TERM HUP; setsid sleep 300) >/dev/null 2>&1 & echo begun"
    assert run(box, ["sh", "-c", code]).stdout == b"begun\n"
    assert sleepers(box) == 0


def sleepers(box):
    """Count what sleeps inside, beside the container's own first process."""
    code = (
        "import glob, time\n"
        "def count():\n"
        "    found = 0\n"
        "    for path in glob.glob('/proc/[0-9]*/cmdline'):\n"
        "        try: found += b'sleep\\0300' in open(path, 'rb').read()\n"
        "        except OSError: pass\n"
        "    return found\n"
        "end = time.time() + 5\n"
        "while count() and time.time() < end: time.sleep(0.05)\n"
        "print(count())\n"
    )
    return int(run(box, [PYTHON, "-c", code]).stdout)


@pytest.mark.parametrize("wait_s", [0.0, 0.03, 0.5])
def test_killed(box, wait_s):
    """And the others go on. Whether it has started or not."""
    with box.start(["sh", "-c", "sleep 300 & sleep 300"], stdin=b"") as running:
        time.sleep(wait_s)
        running.kill()
        assert running.wait() < 0
        running.check(b"")
        running.kill()
    assert sleepers(box) == 0


def test_the_time_is_up(box):
    done = run(box, ["sh", "-c", "echo begun; sleep 300"], replace(PROFILE, timeout_s=2))
    assert done.timed_out
    assert (done.stdout, done.returncode) == (b"begun\n", -signal.SIGKILL)
    assert sleepers(box) == 0


def test_several_at_once(box):
    results = []

    def go(number):
        results.append(run(box, ["sh", "-c", f"sleep 0.2; echo {number}"]).stdout)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [b"%d\n" % number for number in range(4)]


def test_limits(box):
    limited = replace(PROFILE, open_files=32, cpu_s=1)
    with Container(limited) as container:
        code = (
            "import os\n"
            "try:\n"
            "    while True: last = os.open('/dev/null', os.O_RDONLY)\n"
            "except OSError as error: print(error.errno, last, flush=True)\n"
            "while True: pass\n"
        )
        done = run(container, [PYTHON, "-c", code])
        assert done.stdout == b"24 31\n"
        assert done.returncode in (137, 152)
        assert run(container, ["echo", "on"]).stdout == b"on\n"


def test_the_workspace(workspace, profile):
    with Container(profile) as container:
        assert run(container, ["sh", "-c", "pwd; echo inside > file"]).stdout == f"{workspace}\n".encode()
        (workspace / "file").write_text("outside")
        assert run(container, ["sh", "-c", "cat file; echo x > .bashrc"]).stdout == b"outside"
        assert (workspace / ".bashrc").stat().st_size == 0
    assert (workspace / "file").stat().st_uid == workspace.stat().st_uid
    assert [path.name for path in workspace.iterdir()] == ["file"]


def test_only_what_it_was_started_with_can_be_read(box, tmp_path):
    with pytest.raises(BackendError, match="without"):
        run(box, ["true"], read=[tmp_path])


@pytest.mark.parametrize("argv", [[], ["a\0b"]])
def test_a_command_that_is_none(box, argv):
    with pytest.raises(BackendError, match="words without NUL"):
        run(box, argv)


class TestEnds:
    def test_closed(self, processes):
        below, gone = processes
        container = Container(PROFILE)
        with container:
            with container.start(["sleep", "300"]):
                inside_it = below(top(container))
                assert {"runsc-sandbox", "runsc-gofer"} <= {found.name for found in inside_it}
                container.close()
            assert gone(inside_it) == []
            with pytest.raises(SandboxUnavailable, match="has ended"):
                run(container, ["true"])

    def test_it_died(self, processes):
        below, gone = processes
        with Container(PROFILE) as container:
            inside_it = below(top(container))
            sentry = next(found for found in inside_it if found.name == "runsc-sandbox")
            os.kill(sentry.pid, signal.SIGKILL)
            assert gone(inside_it) == []
            container._inside._running.wait()
            with pytest.raises(SandboxUnavailable, match="has ended"):
                run(container, ["true"])

    def test_a_kill_that_fails_takes_the_container_along(self, monkeypatch):
        with Container(PROFILE) as container:
            monkeypatch.setattr(inside, "_KILLING_S", 0.0)
            with container.start(["sleep", "300"]) as running:
                time.sleep(0.3)
                running.kill()
                assert running.wait() < 0
            with pytest.raises(SandboxUnavailable, match="has ended"):
                run(container, ["true"])

    def test_a_command_that_never_said_it_started(self, monkeypatch):
        with Container(PROFILE) as container:
            monkeypatch.setattr(inside, "_STARTING_S", 0.0)
            with container.start(["sleep", "300"]) as running:
                running.kill()
            with pytest.raises(SandboxUnavailable, match="has ended"):
                run(container, ["true"])

    def test_the_thread_that_started_it_ends(self):
        made = []
        thread = threading.Thread(target=lambda: made.append(Container(PROFILE).__enter__()))
        thread.start()
        thread.join()
        time.sleep(0.2)
        try:
            assert run(made[0], ["echo", "on"]).stdout == b"on\n"
        finally:
            made[0].close()


def top(container):
    """Give the process that holds everything inside."""
    return container._inside._running.child.process.pid


def test_it_does_not_come_up(monkeypatch):
    monkeypatch.setattr(session.outer, "IDLE", ("/bin/sh", "-c", "sleep 60"))
    monkeypatch.setattr(session, "PATIENCE_S", 1.0)
    with pytest.raises(SandboxUnavailable, match="did not start in 1 s"), Container(PROFILE):
        pass


def test_it_ends_at_once(monkeypatch):
    monkeypatch.setattr(session.outer, "IDLE", ("/bin/sh", "-c", "exit 3"))
    with pytest.raises(SandboxUnavailable), Container(PROFILE):
        pass


def test_it_is_killed_as_soon_as_it_is_up(monkeypatch):
    """The host has found it in /proc by then, and finds its namespaces gone."""
    first = inside._first

    def found_too_late(top):
        pid = first(top)
        os.killpg(top, signal.SIGKILL)
        while Path(f"/proc/{pid}/ns/user").exists():
            time.sleep(0.005)
        return pid

    monkeypatch.setattr(inside, "_first", found_too_late)
    with pytest.raises(SandboxUnavailable, match="ended while it started"), Container(PROFILE):
        pass


def test_a_workspace_that_is_none(tmp_path):
    with (
        pytest.raises(BackendError, match="make it first"),
        Container(replace(PROFILE, workspace=tmp_path / "a")),
    ):
        pass


def test_nothing_is_left_of_it(workspace, profile, processes):
    below, gone = processes
    before = {found.pid for found in below(os.getpid())}
    mounts = Path("/proc/self/mountinfo").read_text()
    with Container(profile) as container:
        run(container, ["true"])
        during = [found for found in below(os.getpid()) if found.pid not in before]
    left = [found for found in gone(during) if "python" not in found.name]  # the reaper lives as long as we
    assert left == []
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert list(workspace.iterdir()) == []
