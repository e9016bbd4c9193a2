"""Runs inside the sandbox: tries to get out, and says for each way whether the wall held."""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PTRACE_SEIZE = 0x4206  # attaches without stopping it
_KEYCTL, _IO_URING_SETUP = (250, 425) if os.uname().machine == "x86_64" else (219, 425)


def attempts(canary: str, port: int, pid: int) -> dict[str, Callable[[], object]]:
    """Give the ways out; each raises OSError when the wall holds."""
    libc = ctypes.CDLL(None, use_errno=True)

    def system_call(*arguments: int) -> None:
        if libc.syscall(*arguments) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def become_root_of_a_namespace() -> None:
        if libc.unshare(_CLONE_NEWUSER) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def attach_to_init() -> None:
        if libc.ptrace(_PTRACE_SEIZE, 1, 0, 0) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return {
        "read a file outside": lambda: Path(canary).read_text(encoding="utf-8"),
        "write a file outside": lambda: Path(canary).write_text("changed", encoding="utf-8"),
        "read /etc/shadow": lambda: Path("/etc/shadow").read_text(encoding="utf-8"),
        "write the system's programs": lambda: Path("/usr/bin/blastwall-canary").write_text(
            "", encoding="utf-8"
        ),
        "reach a listener on the host's loopback": lambda: socket.create_connection(("127.0.0.1", port), 2),
        "reach the internet": lambda: socket.create_connection(("192.0.2.1", 80), 2),
        "ask a name server": lambda: socket.getaddrinfo("example.com", 80),
        "open a Unix socket": lambda: socket.socket(socket.AF_UNIX),
        "signal a process of the host": lambda: _signal(pid),
        "make a user namespace": become_root_of_a_namespace,
        "trace another process": attach_to_init,
        "read the kernel's keyring": lambda: system_call(_KEYCTL, 0, -3, 1),
        "set up io_uring": lambda: system_call(_IO_URING_SETUP, 1, 0),
        "mount a file system": lambda: _mount(libc),
        "raise a resource limit": _raise_limit,
        "use a descriptor that leaked in": _leaked,
        "see the caller's environment": _environment,
        "find a profile's secret in a command line": _command_lines,
    }


def _signal(pid: int) -> None:
    if pid not in (os.getpid(), os.getppid(), 1):
        os.kill(pid, 0)
    else:
        raise ProcessLookupError(3, "the number means a process inside")


def _mount(libc: ctypes.CDLL) -> None:
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _raise_limit() -> None:
    import resource  # noqa: PLC0415  # only here

    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    try:
        resource.setrlimit(resource.RLIMIT_NPROC, (hard + 1, hard + 1))
    except ValueError:
        raise OSError(1, "not allowed to raise the maximum limit") from None


def _leaked() -> None:
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    found = {int(name) for name in os.listdir(listing)} - {0, 1, 2, listing}
    os.close(listing)
    alive = [number for number in found if os.path.exists(f"/proc/self/fd/{number}")]
    if not alive:
        raise OSError(9, "there is none")


def _environment() -> None:
    own = {"PATH", "HOME", "LANG", "TMPDIR", "PWD", "LC_CTYPE", "BLASTWALL_CANARY"}
    if not (set(json.load(sys.stdin)) & set(os.environ)) - own:
        raise OSError(2, "nothing of it is there")


def _command_lines() -> None:
    secret = os.environ["BLASTWALL_CANARY"].encode()
    if not any(secret in line.read_bytes() for line in Path("/proc").glob("[0-9]*/cmdline")):
        raise OSError(2, "it is in none")


def main() -> None:
    """Try every way, and print what came of it."""
    found = []
    for name, attempt in attempts(**json.loads(sys.argv[1])).items():
        try:
            attempt()
        except OSError as error:
            found.append([name, True, error.strerror or str(error)])
        else:
            found.append([name, False, "it worked"])
    print(json.dumps(found))  # noqa: T201  # its answer


if __name__ == "__main__":
    main()
