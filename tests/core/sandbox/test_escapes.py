"""What the `os` sandbox is made of, seen from inside. The ways out, one by one, are in `tests/core/escape`."""

import os
import platform
import signal
import struct
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall import sandbox
from blastwall.errors import SandboxUnavailable
from blastwall.sandbox import seccomp
from blastwall.values import Profile

PYTHON = "/usr/bin/python3"


def test_another_architectures_system_calls_kill():
    """A filter for one architecture says nothing about the numbers of another."""
    if platform.machine() != "x86_64":
        pytest.skip("x86 only")
    by_int80 = (
        "import ctypes, mmap\n"
        "code = mmap.mmap(-1, 4096, prot=7)\n"
        "code.write(bytes.fromhex('53b814000000cd805bc3'))\n"  # push rbx; mov eax, getpid; int 0x80; pop; ret
        "entry = ctypes.addressof(ctypes.c_char.from_buffer(code))\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(entry)() > 0, flush=True)\n"
    )
    by_x32 = (
        "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39)); print(True, flush=True)"
    )
    for code in (by_int80, by_x32):
        assert subprocess.run([PYTHON, "-c", code], capture_output=True, timeout=20).stdout == b"True\n"
        done = sandbox.run([PYTHON, "-c", code], PROFILE)
        assert (done.stdout, done.returncode) == (b"", 128 + signal.SIGSYS)


PROFILE = Profile("throw-away", timeout_s=20)
CALLS = {
    "ptrace": 101, "process_vm_readv": 310, "kcmp": 312, "pidfd_getfd": 438, "keyctl": 250, "add_key": 248,
    "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "setns": 308, "open_by_handle_at": 304,
    "name_to_handle_at": 303, "fsconfig": 431, "personality": 135, "quotactl": 179,
}  # fmt: skip


def test_the_filter_answers_before_the_kernel_does(monkeypatch):
    """The same calls with senseless arguments, once with the filter and once with one that lets all pass."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers are x86-64's")
    code = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for number in map(int, sys.argv[1:]):\n"
        "    ctypes.set_errno(0)\n"
        "    libc.syscall(*map(ctypes.c_long, (number, -1, -1, -1, -1, -1)))\n"
        "    print(ctypes.get_errno())\n"
    )
    command = [PYTHON, "-c", code, *map(str, CALLS.values())]
    refused = sandbox.run(command, PROFILE).stdout.split()
    assert dict(zip(CALLS, refused, strict=True)) == dict.fromkeys(CALLS, b"1")
    monkeypatch.setattr(seccomp, "program", lambda: struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
    passed = sandbox.run(command, PROFILE).stdout.split()
    assert sum(answer != b"1" for answer in passed) > 10


def test_clone3_is_said_to_be_missing():
    """So that the C library falls back to clone, whose flags a filter can read, and threads still work."""
    code = "import threading; t = threading.Thread(target=print, args=['ok']); t.start(); t.join()"
    assert sandbox.run([PYTHON, "-c", code], PROFILE).stdout == b"ok\n"


def test_it_runs_without_any_privilege():
    status = sandbox.run(["cat", "/proc/self/status"], PROFILE).stdout.decode()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    expected = 65534 if os.geteuid() == 0 else os.geteuid()
    assert set(map(int, fields["Uid"].split())) == {expected}
    assert 0 not in map(int, fields["Gid"].split())
    if os.geteuid() == 0:
        assert fields["Groups"].split() == []


def test_a_setuid_program_gains_nothing(workspace, profile):
    """Its owner may mark a file so; inside, the mark means nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a file that would become root")
    program = workspace / "become"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    try:
        plain = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "./become", "-u"],
                               cwd=workspace, capture_output=True)  # fmt: skip
        assert sandbox.run(["./become", "-u"], profile).stdout == b"65534\n"
    finally:
        program.unlink()
    assert plain.stdout == b"0\n"


def test_no_descriptor_of_the_caller_comes_in(tmp_path):
    """Not even one that any child of ours inherits."""
    (tmp_path / "open").write_text("canary")
    with (tmp_path / "open").open() as file:
        os.set_inheritable(file.fileno(), True)
        command = ["/bin/sh", "-c", "ls /proc/self/fd"]
        plain = subprocess.run(command, capture_output=True, close_fds=False)
        assert str(file.fileno()).encode() in plain.stdout.split()
        done = sandbox.run(command, PROFILE)
    assert sorted(done.stdout.split()) == [b"0", b"1", b"2", b"3"]  # 3 is the listing itself


def test_a_profiles_secrets_show_in_no_command_line():
    secret = uuid.uuid4().hex
    code = (
        "import glob, os\n"
        "lines = b''.join(open(p, 'rb').read() for p in glob.glob('/proc/[0-9]*/cmdline'))\n"
        "print(os.environ['TOKEN'], os.environ['TOKEN'].encode() in lines)\n"
    )
    done = sandbox.run([PYTHON, "-c", code], replace(PROFILE, env=(("TOKEN", secret),)))
    assert done.stdout.decode() == f"{secret} False\n"


def test_the_environment_is_ours(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent.so")
    monkeypatch.setenv("PYTHONSTARTUP", "/nonexistent.py")
    found = dict(line.split("=", 1) for line in sandbox.run(["env"], PROFILE).stdout.decode().splitlines())
    assert found.pop("PWD", None) in (None, found["HOME"].replace("home", "workspace"))
    assert set(found) == {"PATH", "HOME", "LANG", "TMPDIR"}
    assert found["PATH"] == "/usr/local/bin:/usr/bin:/bin"


def test_without_libseccomp_nothing_runs(monkeypatch):
    seccomp.program.cache_clear()
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SandboxUnavailable, match="apt-get install libseccomp2"):
        sandbox.run(["true"], PROFILE)
