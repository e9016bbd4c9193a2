"""A workspace that grows too much: whoever fills it is stopped, and nobody else is."""

import asyncio
import os
import shutil
import subprocess
import time
from dataclasses import replace

import pytest

from blastwall import sandbox
from blastwall.sandbox.growth import Growth
from blastwall.values import Profile

PYTHON = "/usr/bin/python3"


@pytest.fixture
def small(profile):
    return replace(profile, disk_mb=8, timeout_s=15)


def filled(profile, code):
    return sandbox.run([PYTHON, "-c", f"import os, time\n{code}\n"], profile)


ATTACKS = {
    "one large file": "f = open('big', 'wb', 0)\nwhile True: f.write(bytes(1 << 20)); time.sleep(0.01)",
    "many files": (
        "for n in range(10**6): open(f'{n}', 'wb').write(bytes(1 << 16)); time.sleep(0.002)"
    ),
    "empty files": "for n in range(10**6): open(f'{n}', 'wb').close()",
    "empty folders": "for n in range(10**6): os.mkdir(f'{n}')",
    "symlinks": "for n in range(10**6): os.symlink('x' * 200, f'{n}')",
    "files without a name": (
        "held = []\n"
        "while True:\n"
        "    held.append(os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o600))\n"
        "    os.write(held[-1], bytes(1 << 20)); time.sleep(0.02)"
    ),
    "removed files": (
        "held = []\n"
        "while True:\n"
        "    held.append(open('f', 'wb', 0)); os.unlink('f')\n"
        "    held[-1].write(bytes(1 << 20)); time.sleep(0.02)"
    ),
    "below a path that is too long": (
        "for n in range(2100): os.mkdir('dd'); os.chdir('dd')\n"
        "for n in range(10**6): open(f'{n}', 'wb').write(bytes(1 << 20)); time.sleep(0.01)"
    ),
    "beside files that come and go": (
        "if os.fork() == 0:\n"
        "    while True: open('x', 'w').close(); os.unlink('x')\n"
        "for n in range(10**6): open(f'{n}', 'wb').write(bytes(1 << 20)); time.sleep(0.01)"
    ),
    "in a closed folder": (
        "os.mkdir('d'); os.chdir('d'); os.chmod('.', 0o300)\n"
        "for n in range(10**6): open(f'{n}', 'wb').write(bytes(1 << 20)); time.sleep(0.01)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_whoever_fills_it_is_stopped(attack, small, workspace):
    before = shutil.disk_usage(workspace).free
    done = filled(small, ATTACKS[attack])
    try:
        assert done.overgrown, done.stderr
        assert not done.timed_out
        assert done.returncode < 0
        assert done.duration_s < 8
        assert before - shutil.disk_usage(workspace).free < 512 << 20
    finally:
        subprocess.run(["rm", "-rf", workspace], check=True)


def test_it_is_stopped_soon(small):
    code = "for n in range(9): open(f'{n}', 'wb').write(bytes(1 << 20))\nprint(time.time(), flush=True)\ntime.sleep(9)"
    done = filled(small, code)
    assert done.overgrown
    assert time.time() - float(done.stdout) < 2


async def test_it_is_stopped_when_awaited(small):
    done = await sandbox.arun(["sh", "-c", "head -c 30M /dev/zero > big; sleep 9"], small)
    assert (done.overgrown, done.timed_out) == (True, False)


@pytest.mark.parametrize(
    "code",
    [
        "open('big', 'wb').write(bytes(6 << 20)); time.sleep(0.5)",
        "for n in range(20): open('big', 'wb').write(bytes(6 << 20)); time.sleep(0.05)",
        "open('/tmp/big', 'wb').write(bytes(20 << 20)); time.sleep(0.5)",
        "f = open('sparse', 'wb'); f.truncate(1 << 27); time.sleep(0.5)",
        "open('old', 'ab').write(b'x'); time.sleep(0.5)",
    ],
)
def test_whoever_stays_below_is_not(code, small, workspace):
    (workspace / "old").write_bytes(bytes(1 << 20))
    if os.geteuid() == 0:
        os.chown(workspace / "old", 65534, 65534)
    done = filled(small, code)
    assert (done.returncode, done.overgrown, done.timed_out) == (0, False, False)


def test_somebody_elses_files_are_not_counted(small, workspace):
    """A full disk is looked into, and nothing of it is found to come from here."""
    watched = Growth(replace(small, disk_mb=1))
    (workspace.parent / "other").write_bytes(bytes(3 << 20))
    time.sleep(0.15)
    assert not watched.too_much()


def test_a_quiet_tree_costs_nothing(small, workspace, monkeypatch):
    watched = Growth(small)
    monkeypatch.setattr(Growth, "_new", lambda _: pytest.fail("it was looked at"))
    time.sleep(0.15)
    assert not watched.too_much()
    assert 0 < watched.pause_s() <= 0.1
    assert not watched.too_much()  # not yet time


def test_without_a_workspace_there_is_nothing_to_watch():
    watched = Growth(Profile("none"))
    assert watched.pause_s() == float("inf")
    assert not watched.too_much()


def test_a_tree_that_takes_long_is_looked_at_more_rarely(small, monkeypatch):
    watched = Growth(replace(small, disk_mb=1))
    monkeypatch.setattr(Growth, "_room", lambda self: -(1 << 30))
    monkeypatch.setattr(Growth, "_new", lambda self: time.sleep(0.05) or 0)
    time.sleep(0.11)
    assert not watched.too_much()
    assert 0.4 < watched.pause_s() < 5


def test_an_old_closed_folder_is_no_growth(small, workspace):
    closed = workspace / "closed"
    closed.mkdir(0o000)
    time.sleep(0.05)
    watched = Growth(replace(small, disk_mb=0))
    assert not watched._hides(str(closed), PermissionError(13, ""))
    closed.chmod(0o100)
    assert watched._hides(str(closed), PermissionError(13, ""))
    assert not watched._hides(str(closed), FileNotFoundError(2, ""))
    assert not watched._hides(str(workspace / "gone"), PermissionError(13, ""))
    closed.chmod(0o700)


def test_cancelling_leaves_nothing(small):
    async def main():
        task = asyncio.create_task(sandbox.arun(["sleep", "9"], small))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert list(small.workspace.iterdir()) == []
