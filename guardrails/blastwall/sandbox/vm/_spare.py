"""Runs inside the guest: processes that wait, as root, to become a command of the ordinary user."""

import json
import os
import resource
import signal
from typing import Any

from blastwall.sandbox.vm._furnish import CGROUPS, drop, libc, write

_PR_SET_NO_NEW_PRIVS = 38


class Spare:
    """A process that has everything but its command line: forked ahead, since a command must not wait."""

    _count = 0

    def __init__(self, config: dict[str, Any]) -> None:
        Spare._count += 1
        self.group = f"{CGROUPS}/commands/{Spare._count}"
        os.mkdir(self.group)
        pipes = [os.pipe() for _ in range(4)]
        inside = (pipes[0][0], pipes[1][1], pipes[2][1], pipes[3][0])
        self.stdin, self.stdout, self.stderr = pipes[0][1], pipes[1][0], pipes[2][0]
        self._request = pipes[3][1]
        for end in inside[:3]:
            os.fchown(end, config["uid"], config["gid"])  # or it could not open its own /dev/stderr
        self.pid = os.fork()
        if self.pid == 0:
            _become(config, inside)
        for end in inside:
            os.close(end)
        for end in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(end, False)
        write(f"{self.group}/cgroup.procs", str(self.pid))

    def start(self, request: bytes) -> None:
        """Tell it what to run."""
        with os.fdopen(self._request, "wb") as pipe:
            pipe.write(request)


def _become(config: dict[str, Any], inside: tuple[int, int, int, int]) -> None:
    """Turn this fresh process into the command that it is told. It never returns."""
    try:
        os.setsid()
        for signum in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
        for number, end in enumerate(inside[:3]):
            os.dup2(end, number)
        request = os.dup2(inside[3], 3)
        os.closerange(4, 1 << 12)
        for name, limit in config["limits"].items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), tuple(limit))
        os.umask(0o022)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            os._exit(126)
        with os.fdopen(request, "rb") as pipe:
            asked = json.load(pipe)
        drop(config["uid"], config["gid"])
        _run(asked)
    finally:
        os._exit(126)


def _run(asked: dict[str, Any]) -> None:
    program = asked["argv"][0]
    try:
        os.chdir(asked["cwd"])
        os.execvpe(program, asked["argv"], asked["env"])  # noqa: S606  # the agent's command, as its user
    except OSError as error:
        os.write(2, f"{program}: {error.strerror}\n".encode(errors="replace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
