"""Runs attacks inside a sandbox, and for the tests outside as their control. Standard library only.

It reads {"aims": {...}, "attacks": [...], "control": bool} from its standard input. One attack runs in this
very process, as the sandbox's own command; of several each runs in a child, and the answers are JSON lines.

An attack says one of: ESCAPED, it got out. HELD, it was refused. DONE, it did what it wanted, and whether
that changed anything of the host is for the host to say. WORKS, for what must not be broken. Anything else
means that the attack itself is broken.
"""

import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import os
import platform
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

CLASSES = {
    "absent": "ENOENT ENOTDIR ENXIO ENODEV",
    "refused": "EPERM EACCES EROFS",
    "gone": "ESRCH",
    "apart": "EXDEV",
    "busy": "EBUSY",
    "unreachable": "ECONNREFUSED ENETUNREACH EHOSTUNREACH ENETDOWN EADDRNOTAVAIL",
    "unknown": "ENOSYS EAFNOSUPPORT ESOCKTNOSUPPORT EPROTONOSUPPORT EOPNOTSUPP ENOTTY",
    "limited": "EAGAIN ENOMEM ENOSPC EMFILE EFBIG EDQUOT",
}
"""What kinds of errors mean that a wall held; an attack names those that it may meet, and no others count."""

NUMBERS = {
    "x86_64": {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438,
        "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "setns": 308, "open_by_handle_at": 304, "name_to_handle_at": 303, "personality": 135, "quotactl": 179,
        "mount": 165, "umount2": 166, "pivot_root": 155, "move_mount": 429, "open_tree": 428, "fsopen": 430,
        "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "unshare": 272, "chroot": 161,
        "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313,
        "delete_module": 176, "reboot": 169, "swapon": 167, "acct": 163, "settimeofday": 164,
        "clock_settime": 227, "adjtimex": 159, "syslog": 103, "fanotify_init": 300, "clone": 56,
        "clone3": 435, "ioctl": 16, "socket": 41, "iopl": 172, "process_madvise": 440, "pidfd_open": 434,
        "pidfd_send_signal": 424, "rt_sigqueueinfo": 129, "tgkill": 234, "ioprio_set": 251,
        "sched_setaffinity": 203, "migrate_pages": 256, "seccomp": 317,
    },
    "aarch64": {
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "pidfd_getfd": 438,
        "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "setns": 268, "open_by_handle_at": 265, "name_to_handle_at": 264, "personality": 92, "quotactl": 60,
        "mount": 40, "umount2": 39, "pivot_root": 41, "move_mount": 429, "open_tree": 428, "fsopen": 430,
        "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "unshare": 97, "chroot": 51,
        "kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273,
        "delete_module": 106, "reboot": 142, "swapon": 224, "acct": 89, "settimeofday": 170,
        "clock_settime": 112, "adjtimex": 171, "syslog": 116, "fanotify_init": 262, "clone": 220,
        "clone3": 435, "ioctl": 29, "socket": 198, "process_madvise": 440, "pidfd_open": 434,
        "pidfd_send_signal": 424, "rt_sigqueueinfo": 138, "tgkill": 131, "ioprio_set": 30,
        "sched_setaffinity": 122, "migrate_pages": 238, "seccomp": 277,
    },
}  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)
A = SimpleNamespace()
"""What to aim at."""


def say(kind: str, why: str = "") -> NoReturn:
    """Give the answer, and end."""
    sys.stdout.flush()
    os.write(1, f"\n{kind} {why}\n".encode(errors="replace"))
    os._exit(0)


def call(name: str, *arguments: Any) -> int:
    """Make a system call. Raises OSError, and LookupError where the machine has no such call."""
    ctypes.set_errno(0)
    number = NUMBERS[platform.machine()][name]
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    found: int = libc.syscall(ctypes.c_long(number), *words)
    if found == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def kernel_answers(name: str, *arguments: Any) -> NoReturn:
    """Make a system call with senseless arguments: any answer but a refusal came from the kernel itself."""
    try:
        call(name, *arguments)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
        say("ESCAPED", f"the kernel answers {errno.errorcode.get(error.errno or 0)}")
    say("ESCAPED", "it worked")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount something, by the old call."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def proxied(*parts: str | bytes, seconds: float = 1.0) -> bytes:
    """Send to the gate part after part, each after the answer to the one before; give all that comes back."""
    said = b""
    # Closed, reset or silent: what arrived where is for the other end to say.
    with socket.create_connection(tuple(A.proxy), 10) as line, contextlib.suppress(OSError):
        for number, part in enumerate(parts):
            line.settimeout(seconds)
            line.sendall(part if isinstance(part, bytes) else part.encode())
            if number < len(parts) - 1:
                said += line.recv(65536)
        line.settimeout(seconds / 2)
        while data := line.recv(65536):
            said += data
    return said


def see_the_gate() -> None:
    """Make sure that there is a way out to misuse.

    Raises:
        LookupError: when there is none, so that nothing is shown by not getting through.

    """
    host = f"allowed.test:{A.allowed}"
    said = proxied(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", seconds=20)
    if b" 200 " not in said[:20]:
        raise LookupError(f"the gate lets nothing through: {said[:300]!r}")


def processes() -> list[int]:
    """Give the ids of all processes that can be seen, but for this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def first(attempts: Iterable[Callable[[], Any]]) -> Any:
    """Make the first attempt that does not fail; the last failure counts where all fail."""
    last = OSError(errno.ENOENT, "nothing to attempt")
    for attempt in attempts:
        try:
            return attempt()
        except OSError as error:
            last = error
    raise last


def scope(aims: Mapping[str, Any]) -> dict[str, Any]:
    """Give the names that attacks may use."""
    A.__dict__.update(aims)
    words: dict[str, Any] = {
        "A": A, "proxied": proxied, "libc": libc, "call": call, "kernel_answers": kernel_answers,
        "mount": mount, "processes": processes, "first": first,
        "escaped": lambda why="": say("ESCAPED", why), "held": lambda why="": say("HELD", why),
        "done": lambda: say("DONE"), "works": lambda: say("WORKS"),
    }  # fmt: skip
    modules = (ctypes, errno, fcntl, glob, json, os, platform, select, signal, socket, stat, struct)
    words |= {module.__name__: module for module in (*modules, subprocess, sys, time)}
    return words


def numbers(names: Iterable[str]) -> set[int]:
    """Give the error numbers of a list of classes and names."""
    return {getattr(errno, name) for word in names for name in CLASSES.get(word, word).split()}


def attempt(attack: Mapping[str, Any], aims: Mapping[str, Any], control: bool) -> NoReturn:
    """Run one attack in this process, to its answer."""
    names = scope(aims)
    try:
        if "proxy" in aims:
            see_the_gate()
        if control and attack["outside"]:
            exec(compile(attack["outside"], "outside", "exec"), names)  # noqa: S102  # what it is for
        exec(compile(attack["python"], attack["key"], "exec"), names)  # noqa: S102
    except OSError as error:
        if error.errno in numbers(attack["held"]):
            say("HELD", errno.errorcode.get(error.errno or 0, ""))
        traceback.print_exc()
    except BaseException:  # noqa: BLE001  # whatever it is, it is told
        traceback.print_exc()
    sys.stderr.flush()
    say("BROKEN", "see its standard error")


def one_of_many(attack: Mapping[str, Any], aims: Mapping[str, Any], control: bool) -> str:
    """Run one attack in a child and give what it said, whatever becomes of the child."""
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(its, 1)
        os.dup2(its, 2)
        os.closerange(3, 64)
        attempt(attack, aims, control)
    os.close(its)
    said, end = b"", time.monotonic() + attack["timeout"]
    while select.select([ours], [], [], max(end - time.monotonic(), 0))[0]:
        data = os.read(ours, 65536)
        said = (said + data)[-65536:]
        if not data:
            break
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    os.close(ours)
    os.waitpid(child, 0)
    return said.decode(errors="replace")


def main() -> None:
    """Run what was asked for."""
    asked = json.loads(sys.stdin.buffer.read())
    aims = asked["aims"] | {
        "here": os.getcwd(),
        "own": os.path.join(os.getcwd(), "own"),
        "control": asked["control"],
    }
    if len(asked["attacks"]) == 1:
        attempt(asked["attacks"][0], aims, asked["control"])
    for attack in asked["attacks"]:
        line = [attack["key"], one_of_many(attack, aims, asked["control"])]
        print(json.dumps(line), flush=True)  # noqa: T201  # its answer


if __name__ == "__main__":
    main()
