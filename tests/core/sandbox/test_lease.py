"""What a sandbox holds of the host, while it runs and afterwards."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from blastwall import sandbox
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import _reaper, cgroups, child, lease
from blastwall.values import Profile

PROFILE = Profile("leased", timeout_s=20)


def entries():
    """Give the notes of this process's sandboxes."""
    return [_reaper.read(str(path)) for path in Path(lease._owner()).glob("*.json")]


# --- Entries --------------------------------------------------------------------------------------------


def test_an_entry_is_there_while_it_runs(workspace, profile):
    with sandbox.launch(["sleep", "60"], profile) as running:
        (entry,) = entries()
        pid = running.process.pid
        assert entry | {"since": 0, "groups": []} == {
            "name": "test",
            "strength": "os",
            "workspace": str(workspace),
            "owner": os.getpid(),
            "since": 0,
            "groups": [],
            "pid": pid,
            "started": _reaper.started(pid),
        }
        assert abs(entry["since"] - time.time()) < 30
        assert all(os.path.isdir(group) for group in entry["groups"])
    assert entries() == []
    assert not any(os.path.exists(group) for group in entry["groups"])


@pytest.mark.parametrize("end", ["exit 3", "kill -9 $$", "sleep 60"])
def test_it_vanishes_however_it_ends(end, profile):
    with contextlib.suppress(SandboxUnavailable):
        sandbox.run(["sh", "-c", end], replace(profile, timeout_s=1))
    assert entries() == []
    assert list(profile.workspace.iterdir()) == []


def test_it_vanishes_when_nothing_can_be_started(profile, monkeypatch):
    def refused(*_, **__):
        raise OSError(12, "no memory")

    lease._owner()  # its reaper is started by Popen too
    monkeypatch.setattr(child, "subprocess", SimpleNamespace(Popen=refused, PIPE=-1))
    with pytest.raises(SandboxUnavailable, match="can't be started"):
        sandbox.run(["true"], profile)
    assert entries() == []
    assert list(profile.workspace.iterdir()) == []


def test_it_vanishes_when_groups_cant_be_made(profile, monkeypatch):
    monkeypatch.setattr(cgroups, "paths", lambda name: (f"/nonexistent/{name}",))
    with pytest.raises(SandboxUnavailable, match="no sandbox: its control group can't be made; No such file"):
        sandbox.run(["true"], profile)
    assert entries() == []
    assert list(profile.workspace.iterdir()) == []


def test_half_of_the_groups_is_taken_back(profile, monkeypatch, tmp_path):
    monkeypatch.setattr(cgroups, "paths", lambda name: (f"{tmp_path}/{name}", f"/nonexistent/{name}"))
    monkeypatch.setattr(cgroups, "_MIB", 1 << 20)
    with pytest.raises(SandboxUnavailable):
        sandbox.run(["true"], profile)
    assert list(tmp_path.glob("blastwall-*")) == []


def test_many_quick_ones_leave_nothing(profile):
    for _ in range(40):
        assert sandbox.run(["true"], profile).returncode == 0
    assert entries() == []
    assert list(profile.workspace.iterdir()) == []


def test_twenty_threads(profile):
    failures = []

    def work():
        try:
            for _ in range(3):
                assert sandbox.run(["true"], profile).returncode == 0
        except (AssertionError, BackendError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert entries() == []
    assert list(profile.workspace.iterdir()) == []


def test_a_descriptor_is_never_left_open(profile):
    sandbox.run(["true"], profile)
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        sandbox.run(["true"], profile)
        with pytest.raises(BackendError):
            sandbox.run(["true"], replace(profile, protect=("..",)))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_rewritten_entry_is_never_longer_than_what_it_says(tmp_path):
    path = f"{tmp_path}/entry.json"
    lease._write(path, {"name": "x" * 100})
    lease._write(path, {"name": "y"})
    assert json.loads(Path(path).read_text()) == {"name": "y"}


# --- The run folder -------------------------------------------------------------------------------------


@pytest.fixture
def ordinary(monkeypatch, tmp_path):
    """Makes the choice of the folder that of an ordinary user, whose number is still ours."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    real = os.geteuid()

    class Os:
        def __getattr__(self, name):
            return getattr(os, name)

        asked = 0

        def geteuid(self):
            self.asked += 1
            return 4321 if self.asked == 1 and real == 0 else real  # only the question whether it is root

    monkeypatch.setattr(lease, "os", Os())
    return runtime


def test_the_folder_of_an_ordinary_user(ordinary):
    found = lease.folder()
    assert found == ordinary / "blastwall"
    assert found.stat().st_mode & 0o777 == 0o700


def test_roots_folder():
    if os.geteuid() == 0:
        assert lease.folder() == Path("/run/blastwall")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707, 0o711])
def test_a_folder_that_others_may_enter_is_refused(mode, ordinary):
    (ordinary / "blastwall").mkdir()
    (ordinary / "blastwall").chmod(mode)
    with pytest.raises(BackendError, match="is not ours alone: remove it"):
        lease.folder()


def test_a_folder_of_somebody_else_is_refused(ordinary):
    if os.geteuid() != 0:
        pytest.skip("only root can make it")
    (ordinary / "blastwall").mkdir(0o700)
    os.chown(ordinary / "blastwall", 1234, 1234)
    with pytest.raises(BackendError, match="is not ours alone"):
        lease.folder()


def test_a_symlink_is_refused(ordinary, tmp_path):
    (tmp_path / "elsewhere").mkdir(0o700)
    (ordinary / "blastwall").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackendError, match="is not ours alone"):
        lease.folder()


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("/nonexistent/x")])
def test_a_file_in_its_place(make, ordinary):
    make(ordinary / "blastwall")
    with pytest.raises(BackendError, match="can't be made: File exists"):
        lease.folder()


def test_a_folder_that_was_swept_away_is_made_again(profile):
    """systemd-tmpfiles does so to /tmp after ten days."""
    sandbox.run(["true"], profile)
    owner = Path(lease._owner())
    for path in owner.iterdir():
        path.unlink()
    owner.rmdir()
    assert sandbox.run(["echo", "ok"], profile).stdout == b"ok\n"
    assert Path(lease._owner()) != owner
    assert list(profile.workspace.iterdir()) == []


# --- Processes that own ---------------------------------------------------------------------------------


def owner_of(queue):
    sandbox.run(["true"], PROFILE)
    queue.put((lease._owner(), os.getpid()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_owns_its_own(method):
    ours = lease._owner()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=owner_of, args=(queue,))
    child.start()
    theirs, pid = queue.get(timeout=30)
    child.join()
    child.close()
    queue.close()
    queue.join_thread()
    assert theirs != ours
    assert Path(theirs).name.startswith(f"{pid}-")
    assert lease._owner() == ours
    gone(theirs)


def gone(path, within_s=10):
    end = time.monotonic() + within_s
    while os.path.exists(path):
        assert time.monotonic() < end, f"{path} is still there"
        time.sleep(0.01)


@contextlib.contextmanager
def python(code, **options):
    """Run a program of its own, with warnings as errors."""
    words = [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(code)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


HOLD = """
    import os, sys, time
    from pathlib import Path
    from blastwall import sandbox
    from blastwall.sandbox import lease
    from blastwall.values import Profile
    workspace = Path({workspace!r})
    with sandbox.launch(["sh", "-c", "echo ready; exec sleep {mark}"], Profile("held", workspace=workspace)) as running:
        running.stdout.readline()
        print(lease._owner(), lease._own._reaper.pid, flush=True)
        {then}
"""


@pytest.fixture
def held(workspace):
    """Starts a program that holds a sandbox."""

    @contextlib.contextmanager
    def start(then="time.sleep(60)", mark="61"):
        with python(HOLD.format(workspace=str(workspace), then=then, mark=mark)) as process:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            assert len(words) == 2, process.stderr.read()
            yield process, words[0], int(words[1])

    return start


def test_a_program_that_ends_leaves_nothing_and_waits_for_nothing(held, workspace):
    with held("pass") as (process, owner, reaper):
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
        assert not os.path.exists(owner)
        assert not os.path.exists(f"/proc/{reaper}")
    assert list(workspace.iterdir()) == []


def test_a_program_that_is_killed_is_cleaned_up_after(held, workspace, alive):
    mark = str(70_000_000 + os.getpid())
    with held(mark=mark) as (process, owner, reaper):
        assert alive(mark)
        groups = json.loads(next(Path(owner).glob("*.json")).read_text())["groups"]
        process.kill()
        process.wait()
        gone(f"/proc/{reaper}")
    assert not os.path.exists(owner)
    assert alive(mark) == []
    assert not any(map(os.path.exists, groups))
    assert list(workspace.iterdir()) == []


def test_a_reaper_that_was_killed_does_no_harm_to_its_program(held, workspace):
    with held("time.sleep(0.5)") as (process, owner, reaper):
        os.kill(reaper, signal.SIGKILL)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    _reaper.reap(str(lease.folder()))
    assert not os.path.exists(owner)
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("by", ["reap", "next sandbox"])
def test_program_and_reaper_killed_together(by, held, workspace, profile, alive):
    mark = str(71_000_000 + os.getpid())
    with held(mark=mark) as (process, owner, reaper):
        os.kill(reaper, signal.SIGSTOP)
        process.kill()
        os.kill(reaper, signal.SIGKILL)
        process.wait()
        gone(f"/proc/{reaper}")
    # From here on whoever cleans up does it: in a shared folder that may be somebody else's program too.
    if by == "reap":
        _reaper.reap(str(lease.folder()))
        gone(owner)
    else:
        assert sandbox.run(["sh", "-c", "echo evil > .npmrc"], profile).returncode != 0
        _reaper.reap(str(lease.folder()))
    assert alive(mark) == []
    assert list(workspace.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_keep_its_dead_parents_things_alive(held, workspace):
    """It inherits the lock and the reaper's pipe, and lets go of both."""
    then = "child = os.fork()\n        if child == 0: time.sleep(5); os._exit(0)\n        print(child, flush=True); time.sleep(60)"
    with held(then) as (process, owner, reaper):
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            gone(owner, 4)
            gone(f"/proc/{reaper}", 4)
            assert os.path.exists(f"/proc/{child}")
        finally:
            os.kill(child, signal.SIGKILL)
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_to_the_whole_group_leave_the_reaper_its_work(signal_, held, workspace):
    with held() as (process, owner, reaper):
        process.send_signal(signal_)
        process.wait()
        gone(f"/proc/{reaper}")
        assert not os.path.exists(owner)
    assert list(workspace.iterdir()) == []


def test_collecting_never_touches_what_lives(held, workspace, profile):
    with held() as (_, owner, _), sandbox.launch(["sleep", "60"], profile):
        removed = _reaper.reap(str(lease.folder()))
        assert not {path for path in removed if path.startswith(str(workspace))}
        assert os.path.exists(owner)
        assert os.path.exists(lease._owner())
        assert len(entries()) == 1
        assert (workspace / ".git").is_dir()


def test_an_exception_while_it_runs(profile):
    with pytest.raises(KeyError), sandbox.launch(["sleep", "60"], profile):
        raise KeyError
    assert entries() == []
    assert list(profile.workspace.iterdir()) == []


def test_the_command_counts_from_its_first_moment(monkeypatch):
    monkeypatch.setattr(cgroups, "make", lambda *_: None)
    monkeypatch.setattr(cgroups, "paths", lambda name: (f"/x/{name}",))
    with lease.lease(PROFILE) as held:
        words = held.argv(("true",))
    assert words[0] == "/bin/sh"
    assert words[-3].startswith(f"{held.groups[0]}/")
    assert words[-2:] == ("--", "true")
