"""Canaries in the memory that processes of one machine share: by file, of System V, and in message queues.

Each is made only where there was none of its name, so that what is taken away at the end is ours.
"""

import contextlib
import ctypes
import errno
import os
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108  # that it is everybody's is the point
_CREATE, _EXCLUSIVE, _REMOVE = 0o1000, 0o2000, 0
_SIZE = 4096
_TRIES = 16


def file(stack: ExitStack, name: str, word: str) -> Path:
    """Leave a word in a file in memory."""
    path = _FOLDER / name
    with contextlib.suppress(OSError), open(path, "x", encoding="utf-8") as made:
        stack.callback(path.unlink, missing_ok=True)
        made.write(word)
        os.fchmod(made.fileno(), 0o666)
    return path


def system_v(stack: ExitStack, word: str) -> int:
    """Leave a word in a segment, and a queue beside it; give the key of both, or 0 where none can be."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    for _ in range(_TRIES):
        key = secrets.randbelow((1 << 31) - 1) + 1
        segment = libc.shmget(key, _SIZE, _CREATE | _EXCLUSIVE | 0o666)
        if segment == -1 and ctypes.get_errno() == errno.EEXIST:
            continue  # somebody else's
        if segment == -1:
            return 0
        stack.callback(libc.shmctl, segment, _REMOVE, None)
        _write(libc, segment, word.encode())
        queue = libc.msgget(key, _CREATE | _EXCLUSIVE | 0o666)
        if queue != -1:
            stack.callback(libc.msgctl, queue, _REMOVE, None)
            return key
        if ctypes.get_errno() != errno.EEXIST:
            return key
    return 0


def _write(libc: ctypes.CDLL, segment: int, data: bytes) -> None:
    address = libc.shmat(segment, None, 0)
    if address not in (None, (1 << 8 * ctypes.sizeof(ctypes.c_void_p)) - 1):  # (void *) -1
        ctypes.memmove(address, data, len(data))
        libc.shmdt(ctypes.c_void_p(address))


def queue(stack: ExitStack, name: str) -> None:
    """Leave a message queue of POSIX, where the C library and the kernel have them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform != "linux" or not hasattr(libc, "mq_open"):
        return
    path = f"/{name}".encode()
    made = libc.mq_open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666, None)
    if made >= 0:
        stack.callback(libc.mq_unlink, path)
        os.fchmod(made, 0o666)
        os.close(made)
