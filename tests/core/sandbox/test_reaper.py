"""Taking away what is dead, and nothing else."""

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from blastwall.sandbox import _reaper


@pytest.fixture
def run(tmp_path):
    """A run folder of our own."""
    folder = tmp_path / "run"
    for name in ("owners", "workspaces"):
        (folder / name).mkdir(parents=True)
    return folder


def owner(run, folder_name="1-a", /, **entry):
    folder = run / "owners" / folder_name
    folder.mkdir()
    (folder / "lock").touch()
    if entry:
        (folder / "1-0.json").write_text(json.dumps(entry))
    return folder


def locked(path):
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def test_nothing_to_do(run, tmp_path):
    assert _reaper.reap(str(run)) == []
    assert _reaper.reap(str(tmp_path / "missing")) == []


def test_a_dead_owner_is_cleared(run, sleeper, tmp_path):
    group = tmp_path / "group"
    group.mkdir()
    started = _reaper.started(sleeper.pid)
    folder = owner(run, "1-dead", pid=sleeper.pid, started=started, groups=[str(group)])
    assert _reaper.reap(str(run)) == ["?"]
    assert sleeper.wait(10) == -signal.SIGKILL
    assert not folder.exists()
    assert not group.exists()


def test_a_living_owner_is_left_alone(run, sleeper):
    folder = owner(run, pid=sleeper.pid, started=_reaper.started(sleeper.pid))
    lock = locked(folder / "lock")
    try:
        assert _reaper.reap(str(run)) == []
        assert sleeper.poll() is None
        assert (folder / "1-0.json").exists()
    finally:
        os.close(lock)


def test_a_number_that_means_another_process_by_now(run, sleeper):
    owner(run, pid=sleeper.pid, started="12345")
    _reaper.reap(str(run))
    assert sleeper.poll() is None


@pytest.mark.parametrize(
    "entry", [{"pid": 0}, {"pid": 2**22 + 1, "started": ""}, {"pid": 1}, {"started": "x"}]
)
def test_odd_entries_kill_nobody(entry, run, monkeypatch):
    monkeypatch.setattr(_reaper.os, "killpg", lambda *_: pytest.fail("killed"))
    folder = owner(run, **entry)
    _reaper.reap(str(run))
    assert not folder.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "x', "\0" * 50])
def test_an_entry_written_halfway(text, run):
    folder = owner(run)
    (folder / "1-0.json").write_text(text)
    _reaper.reap(str(run))
    assert not folder.exists()


def test_an_owner_killed_before_it_had_a_lock(run):
    (run / "owners" / "1-a").mkdir()
    _reaper.reap(str(run))
    assert list((run / "owners").glob("[!.]*")) == []


def test_an_owner_that_is_just_being_made(run):
    """It makes its folder and takes its lock under the mutex."""
    with _reaper.mutex(str(run / "owners")):
        folder = owner(run)
        reaping = threading.Thread(target=_reaper.reap, args=(str(run),))
        reaping.start()
        time.sleep(0.1)
        lock = locked(folder / "lock")
    reaping.join()
    os.close(lock)
    assert folder.exists()


def test_two_at_once(run):
    for number in range(50):
        owner(run, f"{number}-a", name=str(number))
    found = []
    threads = [threading.Thread(target=lambda: found.extend(_reaper.reap(str(run)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=int) == [str(number) for number in range(50)]
    assert list((run / "owners").glob("[!.]*")) == []


def test_a_group_that_does_not_empty_stays_noted(run, tmp_path, monkeypatch):
    """For the next one to try."""
    monkeypatch.setattr(_reaper, "PATIENCE_S", 0.05)
    group = tmp_path / "group"
    (group / "below").mkdir(parents=True)
    folder = owner(run, groups=[str(group)])
    _reaper.reap(str(run))
    assert (folder / "1-0.json").exists()
    (group / "below").rmdir()
    _reaper.reap(str(run))
    assert not folder.exists()
    assert not group.exists()


def test_what_is_in_a_group_is_killed(run, tmp_path, sleeper, monkeypatch):
    monkeypatch.setattr(_reaper, "PATIENCE_S", 0.05)
    group = tmp_path / "group"
    group.mkdir()
    (group / "cgroup.procs").write_text(f"{sleeper.pid}\n")
    owner(run, groups=[str(group)])
    _reaper.reap(str(run))
    assert sleeper.wait(10) == -signal.SIGKILL


# --- Placeholders ---------------------------------------------------------------------------------------


def stand_in(path, *, folder=False):
    if folder:
        path.mkdir(0o555)
    else:
        path.touch()
    path.chmod(0o555 if folder else 0o444)
    os.utime(path, (_reaper.MARK_S, _reaper.MARK_S))


def noted(run, workspace, *names):
    path = run / "workspaces" / "1-2"
    path.write_text(json.dumps({"workspace": str(workspace), "placeholders": names}))
    return path


def test_stand_ins_of_the_dead_are_removed(run, workspace):
    stand_in(workspace / ".env")
    stand_in(workspace / ".git", folder=True)
    path = noted(run, workspace, ".env", ".git", "missing", "a/b/missing")
    assert _reaper.reap(str(run)) == [f"{workspace}/.env", f"{workspace}/.git"]
    assert list(workspace.iterdir()) == []
    assert not path.exists()


def test_stand_ins_in_use_stay(run, workspace):
    stand_in(workspace / ".env")
    lock = locked(noted(run, workspace, ".env"))
    try:
        assert _reaper.reap(str(run)) == []
    finally:
        os.close(lock)
    assert (workspace / ".env").exists()


def test_what_became_somebodys_own_stays(run, workspace):
    for name in ("filled", "opened"):
        stand_in(workspace / name)
    (workspace / "filled").chmod(0o644)
    (workspace / "filled").write_text("mine")
    (workspace / "filled").chmod(0o444)
    (workspace / "opened").chmod(0o644)
    stand_in(workspace / "folder", folder=True)
    (workspace / "folder").chmod(0o755)
    (workspace / "folder" / ".hidden").touch()
    (workspace / "folder").chmod(0o555)
    (workspace / "link").symlink_to("filled")
    noted(run, workspace, "filled", "opened", "folder", "link")
    assert _reaper.reap(str(run)) == []
    assert sorted(path.name for path in workspace.iterdir()) == ["filled", "folder", "link", "opened"]


def test_no_symlink_leads_to_somebody_elses_empty_file(run, workspace, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    stand_in(outside / "hooks", folder=True)
    stand_in(outside / ".env")
    (workspace / "sub").symlink_to(outside)
    noted(run, workspace, "sub/hooks", "sub/.env")
    assert _reaper.reap(str(run)) == []
    noted(run, workspace / "sub", "hooks", ".env")
    assert _reaper.reap(str(run)) == []
    assert len(list(outside.iterdir())) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"placeholders": []}', '{"workspace": "/nonexistent"}'])
def test_notes_written_halfway(text, run):
    (run / "workspaces" / "1-2").write_text(text)
    assert _reaper.reap(str(run)) == []
    assert list((run / "workspaces").glob("[!.]*")) == []


# --- Waiting --------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(run, sleeper):
    words = ["/usr/bin/python3", "-I", "-S", _reaper.__file__, str(run), str(sleeper.pid)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_it_waits_for_the_end_of_its_owner(run, waiting, sleeper):
    """The kernel closes descriptors one by one: the pipe may be gone before the lock is."""
    folder = owner(run)
    waiting.stdin.close()
    time.sleep(0.5)
    assert folder.exists()
    sleeper.kill()
    assert waiting.wait(10) == 0
    assert not folder.exists()


def test_a_farewell_needs_no_waiting(run, waiting, sleeper):
    folder = owner(run)
    waiting.stdin.write(b"!")
    waiting.stdin.close()
    assert waiting.wait(4) == 0
    assert sleeper.poll() is None
    assert not folder.exists()


def test_it_is_deaf_to_the_keyboard(waiting):
    time.sleep(0.3)  # it has to have said so
    waiting.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert waiting.poll() is None


def test_when_a_process_started():
    assert _reaper.started(os.getpid()).isdigit()
    assert _reaper.started(2**22 + 1) == ""
    assert Path(_reaper.__file__).is_file()
