"""Looks at a file or a process, to say later whether it still is as it was."""

import ctypes
import os
import stat
from pathlib import Path
from typing import Any


def seen(path: Path) -> tuple[object, ...]:
    """Look at a path: what it is, whose, and what it holds."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return ("symlink", os.readlink(path))
        common = (status.st_mode, status.st_uid, status.st_gid)
        if not stat.S_ISREG(status.st_mode):
            return common
        attributes = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
        return (*common, status.st_nlink, status.st_mtime_ns, path.read_bytes(), attributes)
    except OSError as error:
        return ("error", error.errno)


def content(path: Path) -> bytes | None:
    """Read a file, if there is one that may be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def process(pid: int, address: int, length: int) -> tuple[object, ...]:
    """Look at a process: its memory, its priority, where it may run."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            word = memory.read(length)
        return word, os.getpriority(os.PRIO_PROCESS, pid), sorted(os.sched_getaffinity(pid))
    except OSError:
        return (None,)


class _Handle(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128))


def handle(path: Path) -> list[Any]:
    """Give a file's handle, by which whoever has the privilege opens it without its path."""
    found, mount = _Handle(128, 0), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(found), ctypes.byref(mount), 0):
        return []
    return [found.kind, bytes(found.bytes[: found.size]).hex()]
