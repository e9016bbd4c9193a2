"""No file of a workspace becomes setuid or setgid: outside, the bits would mean something."""

import errno
import os
import platform
import stat
import struct

import pytest

from blastwall import sandbox
from blastwall.sandbox import seccomp

PYTHON = "/usr/bin/python3"

PRELUDE = """
import ctypes, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    if libc.syscall(ctypes.c_long(number), *words) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
os.umask(0)
open('file', 'w').close()
os.mkdir('folder')
directory = os.open('.', os.O_RDONLY)
try:
    {attack}
    print('did it')
except OSError as error:
    print(error.errno)
"""

ATTACKS = {
    "chmod": "call(90, b'file', {bit} | 0o755)",
    "chmod with more bits set": "call(90, b'file', (1 << 40) | {bit} | 0o755)",
    "chmod of a folder": "call(90, b'folder', {bit} | 0o777)",
    "fchmod": "call(91, os.open('file', os.O_RDWR), {bit} | 0o755)",
    "fchmodat": "call(268, directory, b'file', {bit} | 0o755)",
    "creat": "call(85, b'new', {bit} | 0o755)",
    "open": "call(2, b'new', os.O_CREAT | os.O_WRONLY, {bit} | 0o755)",
    "openat": "call(257, directory, b'new', os.O_CREAT | os.O_WRONLY, {bit} | 0o755)",
    "openat of both bits": "call(257, directory, b'new', os.O_CREAT | os.O_WRONLY, 0o6755)",
    "openat without a name": (
        "f = libc.openat(directory, b'.', os.O_TMPFILE | os.O_RDWR, {bit} | 0o755); error = ctypes.get_errno()\n"
        "    if f < 0: raise OSError(error, '')"
    ),
    "mkdir": "call(83, b'new', {bit} | 0o777)",
    "mkdirat": "call(258, directory, b'new', {bit} | 0o777)",
    "mknod": "call(133, b'new', stat.S_IFREG | {bit} | 0o755, 0)",
    "mknod without a kind": "call(133, b'new', {bit} | 0o755, 0)",
    "mknodat": "call(259, directory, b'new', stat.S_IFREG | {bit} | 0o755, 0)",
    "mknod of a pipe": "call(133, b'new', stat.S_IFIFO | {bit} | 0o755, 0)",
}
BITS = {"setuid": stat.S_ISUID, "setgid": stat.S_ISGID}

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are x86-64's")


def marked(folder):
    return [path.name for path in folder.rglob("*") if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]


def inside(code, profile):
    return sandbox.run([PYTHON, "-c", code], profile)


@pytest.fixture
def unfiltered(monkeypatch):
    def switch():
        monkeypatch.setattr(seccomp, "program", lambda: struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))

    return switch


@pytest.mark.parametrize("bit", BITS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_file_is_marked(attack, bit, profile, workspace, unfiltered):
    code = PRELUDE.replace("{attack}", ATTACKS[attack].replace("{bit}", str(BITS[bit])))
    done = inside(code, profile)
    assert done.stdout == b"%d\n" % errno.EPERM, done.stderr
    assert marked(workspace) == []
    for path in workspace.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    unfiltered()
    assert inside(code, profile).stdout == b"did it\n"
    # mkdir itself leaves setuid out, whatever it is asked for.
    assert marked(workspace) or attack == "openat without a name" or attack.startswith("mkdir")


@pytest.mark.parametrize(("name", "number"), [("openat2", 437), ("fchmodat2", 452)])
def test_calls_whose_mode_no_filter_can_read_do_not_exist(name, number, profile, workspace, unfiltered):
    code = PRELUDE.replace("{attack}", f"call({number}, -1, b'file', 0, 0, 0)")
    assert inside(code, profile).stdout == b"%d\n" % errno.ENOSYS
    for path in workspace.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    unfiltered()
    assert inside(code, profile).stdout != b"%d\n" % errno.ENOSYS


def test_a_marked_file_does_not_pass_by_copying_or_unpacking(profile, workspace):
    if os.geteuid() != 0:
        pytest.skip("only root can make it")
    source = workspace / "source"
    source.write_text("#!/bin/sh\n")
    os.chown(source, 65534, 65534)
    source.chmod(0o6755)
    sandbox.run(["sh", "-c", "cp -p source copy; tar cf t source && mkdir x && tar xpf t -C x; cat source > new;"
                             "chmod --reference=source new; install -m 6755 source installed"], profile)  # fmt: skip
    assert marked(workspace) == ["source"]
    source.unlink()


@pytest.mark.parametrize("mode", ["644", "755", "1777", "000", "u+x", "g-s", "a+rwX"])
def test_ordinary_modes_work(mode, profile):
    done = sandbox.run(
        ["sh", "-c", f"touch file && chmod {mode} file && mkdir -m 1777 folder && echo ok"], profile
    )
    assert done.stdout == b"ok\n", done.stderr


def test_ordinary_files_and_temporary_ones_work(profile):
    code = (
        "import os, tempfile\n"
        "f = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o644); os.write(f, b'x')\n"
        "here = os.open('.', os.O_RDONLY)\n"
        "os.link(f'/proc/self/fd/{f}', 'named', src_dir_fd=here, follow_symlinks=True)\n"
        "os.open('x', os.O_CREAT | os.O_RDWR, 0o1644); os.mkfifo('pipe')\n"
        "tempfile.NamedTemporaryFile(dir='.').close(); print(open('named').read())\n"
    )
    done = inside(code, profile)
    assert done.stdout == b"x\n", done.stderr
