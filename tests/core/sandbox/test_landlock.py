"""The second wall stands on its own: what leads around the first one still meets the kernel's list."""

import errno
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import uuid
from dataclasses import replace

import pytest

from blastwall import sandbox
from blastwall.sandbox import landlock
from blastwall.sandbox.launch import confined
from blastwall.sandbox.lease import lease
from blastwall.values import Profile

PYTHON = "/usr/bin/python3"
PROFILE = Profile("landlock", timeout_s=30)


@pytest.fixture
def wall(monkeypatch):
    """Takes the second wall away, to see that it was the one that held."""
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    return lambda: monkeypatch.setattr(landlock, "version", lambda: 0)


@pytest.fixture
def outside(tmp_path):
    """A folder of the host that everybody may read and write."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("CANARY")
    (folder / "secret").chmod(0o666)
    folder.chmod(0o777)
    return folder


ATTEMPTS = """
import os, sys
hole = int(sys.argv[1])
def attempt(name, action):
    try:
        action()
    except OSError as error:
        print(name, error.errno)
    else:
        print(name, 'did it')
at = dict(dir_fd=hole)
attempt('read', lambda: os.open('secret', os.O_RDONLY, **at))
attempt('list', lambda: os.open('.', os.O_RDONLY | os.O_DIRECTORY, **at))
attempt('write', lambda: os.open('secret', os.O_WRONLY, **at))
attempt('truncate', lambda: os.open('secret', os.O_WRONLY | os.O_TRUNC, **at))
attempt('make', lambda: os.open('new', os.O_CREAT | os.O_WRONLY, **at))
attempt('mkdir', lambda: os.mkdir('folder', **at))
attempt('symlink', lambda: os.symlink('/', 'link', **at))
attempt('fifo', lambda: os.mkfifo('pipe', **at))
attempt('link', lambda: os.link('secret', 'copy', src_dir_fd=hole, dst_dir_fd=hole))
attempt('rename', lambda: os.rename('secret', 'away', src_dir_fd=hole, dst_dir_fd=hole))
attempt('reopen', lambda: os.open(f'/proc/self/fd/{hole}/secret', os.O_WRONLY))
attempt('remove', lambda: os.unlink('secret', **at))
"""


def through(hole, profile, code=ATTEMPTS):
    """Run with a descriptor that leads out of the sandbox kept open."""
    with confined([PYTHON, "-c", code, str(hole)], profile, stdin=b"", keep=(hole,)) as running:
        answers = running.stdout.read().decode().splitlines()
        errors = running.stderr.read()
        running.wait()
        running.check(errors)
    return dict(answer.split(" ", 1) for answer in answers)


def test_a_descriptor_that_leads_out(outside, workspace, profile, wall):
    hole = os.open(outside, os.O_PATH | os.O_DIRECTORY)
    try:
        refused = through(hole, profile)
        assert len(refused) == 12
        assert set(refused.values()) <= {str(errno.EACCES), str(errno.EXDEV)}
        assert [path.name for path in outside.iterdir()] == ["secret"]
        wall()
        done = through(hole, profile)
        assert {name for name, answer in done.items() if answer == "did it"} >= {
            "write",
            "make",
            "read",
            "mkdir",
        }
    finally:
        os.close(hole)


def test_a_kept_descriptor_is_all_that_comes_in(outside, profile):
    hole = os.open(outside / "secret", os.O_RDONLY)
    other = os.open(outside / "secret", os.O_RDONLY)
    os.set_inheritable(other, True)
    code = (
        "import os\nfor n in range(3, 400):\n  try: os.fstat(n); print(n, 'open')\n  except OSError: pass\n"
    )
    try:
        assert through(hole, profile, code) == {str(hole): "open"}
    finally:
        os.close(hole)
        os.close(other)


def test_abstract_sockets(profile, wall):
    """Of the host, were the network namespace shared."""
    assert landlock.words([])[0].endswith("0300000000000000") == (landlock.version() >= 6)


def test_signals_reach_nobody_outside(profile, wall):
    """Not even by a pidfd that leads there."""
    if landlock.version() < 6:
        pytest.skip("this Landlock knows no scopes")
    with subprocess.Popen(["sleep", "60"], user=profile.workspace.stat().st_uid) as sleeper:
        hole = os.pidfd_open(sleeper.pid)
        code = (
            "import signal, sys\n"
            "try: signal.pidfd_send_signal(int(sys.argv[1]), signal.SIGUSR1); print('did it')\n"
            "except OSError as error: print('errno', error.errno)\n"
        )
        try:
            assert through(hole, profile, code) in ({"errno": str(errno.EPERM)}, {"errno": str(errno.EINVAL)})
            assert sleeper.poll() is None
        finally:
            os.close(hole)
            sleeper.kill()


def test_among_themselves_processes_may_signal(profile):
    done = sandbox.run(["sh", "-c", "sleep 60 & kill -TERM $!; wait $!; echo $?"], profile)
    assert done.stdout == b"%d\n" % (128 + signal.SIGTERM)


# --- Ordinary programs keep working --------------------------------------------------------------------

COMMANDS = [
    "echo x > /dev/null && echo y > /dev/zero && head -c 3 /dev/urandom | wc -c | grep -q 3",
    "echo x > /dev/stdout | grep -q x",
    "echo x > /proc/self/fd/1",
    "cat /proc/self/status > /dev/null && cat /proc/meminfo > /dev/null && ls /proc/self/fd > /dev/null",
    "exec 3<> file && echo x >&3 && cat /proc/self/fd/3 | grep -q x",
    "mkdir a b && echo x > a/x && mv a/x b/x && ln b/x a/y && mv a c && rm -r b c",
    "mkdir -p a/b/c && touch a/b/c/x && mv a/b/c . && mv c a && find a -name x | grep -q x",
    "echo x > x && cp x /tmp/x && mv /tmp/x y && cmp x y && mv y /dev/shm/z && cat /dev/shm/z",
    "seq 1000 > x && tar czf t.tgz x && mkdir u && tar xzf t.tgz -C u && cmp x u/x",
    "mkfifo p && (echo x > p &) && grep -q x p",
    "printf '#!/bin/sh\\necho ran\\n' > s && chmod +x s && ./s | grep -q ran && cp s /tmp/s && /tmp/s",
    "seq 3 | sort -r | awk '{print $1}' | sed s/1/one/ | xargs echo | grep -q one",
    "truncate -s 5 f && stat -c %s f | grep -q 5 && dd if=/dev/zero of=f bs=1 count=1 conv=notrunc 2>/dev/null",
    "cat <<E\nhere\nE\necho $(( 1 + 2 )) | grep -q 3",
    "python3 -c 'import tempfile, multiprocessing.pool as m; m.ThreadPool(2).map(print, [1])'",
    "python3 -c 'import mmap; mmap.mmap(-1, 4096); import sqlite3; sqlite3.connect(\"d\").execute(\"create table t(x)\")'",
    "python3 -c 'import socket; a, b = socket.socketpair(); socket.create_server((\"127.0.0.1\", 0))'",
    "perl -e 'print 1' | grep -q 1",
    "touch -d yesterday f && ls -l f && du -s . && df . > /dev/null",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_ordinary_commands(command, profile):
    done = sandbox.run(["bash", "-c", f"set -e -o pipefail; {command}"], profile)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(shutil.which("git", path="/usr/bin") is None, reason="git is not installed")
def test_git(profile):
    command = "git init -q p && cd p && echo x > x && git add x && git -c user.name=a -c user.email=b commit -q -m x"
    assert sandbox.run(["sh", "-c", command + " && git clone -q . ../q && git log"], profile).returncode == 0


@pytest.mark.skipif(shutil.which("node", path="/usr/bin") is None, reason="node is not installed")
def test_node(profile):
    code = "const fs = require('fs'); fs.writeFileSync('x', 'y'); fs.renameSync('x', 'z'); console.log(fs.readFileSync('z') + '')"
    assert sandbox.run(["node", "-e", code], replace(profile, memory_mb=2048)).stdout == b"y\n"


def test_a_virtual_environment(profile, workspace):
    made = sandbox.run([PYTHON, "-m", "venv", "--without-pip", "v"], replace(profile, timeout_s=60))
    assert made.returncode == 0, made.stderr
    (workspace / "module.py").write_text("print('imported')\n")
    done = sandbox.run(
        ["sh", "-c", "cp module.py $(echo v/lib/python3*/site-packages)/m.py && v/bin/python -c 'import m'"],
        profile,
    )
    assert done.stdout == b"imported\n", done.stderr


def test_without_a_workspace(wall):
    done = sandbox.run(["sh", "-ec", "echo x > x; echo y > /tmp/y; mv x /run/x; cat /run/x /tmp/y"], PROFILE)
    assert done.stdout == b"x\ny\n", done.stderr


# --- The rules for every kernel ------------------------------------------------------------------------

KERNELS = {
    2: (8, 1 << 13),
    3: (8, 1 << 14),
    4: (16, 1 << 14),
    5: (16, 1 << 15),
    6: (24, 1 << 15),
    7: (24, 1 << 15),
}


@pytest.mark.parametrize("version", KERNELS)
def test_a_kernel_is_told_only_what_it_knows(version, monkeypatch):
    length, newest = KERNELS[version]
    monkeypatch.setattr(landlock, "version", lambda: version)
    attributes, count, *rules = landlock.words(["/workspace"])
    numbers = struct.unpack(f"={length // 8}Q", bytes.fromhex(attributes))
    assert numbers[0] == 2 * newest - 1
    assert numbers[1:] == ((0, 3) if version >= 6 else (0,) if version >= 4 else ())
    assert int(count) * 2 == len(rules) == 6
    access = dict(zip(rules[1::2], map(int, rules[::2]), strict=True))
    assert set(access) == {"/", "/dev", "/workspace"}
    assert all(wanted & ~numbers[0] == 0 for wanted in access.values())
    assert access["/"] == 0b1101
    assert access["/dev"] & 0b1111 == 0b1111
    assert access["/workspace"] == numbers[0] & ~(1 << 15)


@pytest.mark.parametrize("version", [2, 3, 4, 5, 6])
def test_older_rules_work_on_this_kernel(version, monkeypatch, profile, wall):
    if version > landlock.version():
        pytest.skip("this kernel is older")
    monkeypatch.setattr(landlock, "version", lambda: version)
    done = sandbox.run(["sh", "-ec", "echo x > x; mkdir d; mv x d/x; cat d/x; echo y > /dev/null"], profile)
    assert done.stdout == b"x\n", done.stderr


@pytest.mark.parametrize(("answer", "version"), [(-1, 0), (1, 0), (2, 2), (7, 7), (99, 99)])
def test_the_version(answer, version, monkeypatch):
    class Kernel:
        def syscall(self, *_):
            return answer

    landlock.version.cache_clear()
    monkeypatch.setattr(landlock.ctypes, "CDLL", lambda _: Kernel())
    assert landlock.version() == version
    monkeypatch.undo()
    landlock.version.cache_clear()


def test_unix_sockets_by_name_stay_closed(profile, workspace):
    """The filter's business; said here because no version of Landlock counts them among files."""
    name = f"\0blastwall-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
        assert sandbox.run([PYTHON, "-c", code], profile).returncode != 0


def test_the_lease_is_what_holds_the_rest(profile):
    with lease(profile) as held:
        assert held.guarded.missing
    assert sys.platform == "linux"
