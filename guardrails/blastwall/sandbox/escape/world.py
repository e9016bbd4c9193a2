"""What the attacks aim at: all of our own making, and all open to the user inside but for the sandbox."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from blastwall.errors import BackendError
from blastwall.sandbox.escape import look, project, shared
from blastwall.sandbox.escape.receiver import Receiver

NOBODY = 65534
USER = NOBODY if os.geteuid() == 0 else os.geteuid()
GROUP = NOBODY if os.geteuid() == 0 else os.getegid()

_SLEEPER = """
import ctypes, os, signal, sys, time
user, group = map(int, sys.argv[3:])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
libc = ctypes.CDLL(None)
libc.prctl(4, 1)  # PR_SET_DUMPABLE: like any program of that user
libc.prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
word = ctypes.create_string_buffer(sys.argv[1].encode())
print(ctypes.addressof(word), flush=True)
time.sleep(3600)
"""
"""A process of the same user, with a word in its memory. It ends with us."""

_WAKING_S = 30
"""Longest that it may take to start."""

SOCKETS = {
    "docker": "docker.sock",
    "ssh_agent": "agent.1",
    "dbus": "bus",
    "x11": "X0",
    "gpg_agent": "S.gpg-agent",
}

_SYSTEM = tuple(map(Path, ("/usr/bin", "/etc", "/tmp", "/run")))  # noqa: S108
"""Where an attack would leave a file of the token's name."""

_WATCHED = (Path("/etc/passwd"), Path("/proc/sys/kernel/core_pattern"))
"""What of the system is read before and after."""


class World:
    """One set of canaries. Use it as a context manager, then ask what has `changed`.

    Until its end it changes the environment of this process, and lets two descriptors be inherited.
    """

    def __init__(self, receiver: Receiver) -> None:
        """Nothing is made before the `with` block."""
        self._receiver = receiver
        self._stack = ExitStack()
        self._before: dict[str, object] = {}
        self.token = f"bw{uuid.uuid4().hex[:12]}"
        self.word = f"canary-{uuid.uuid4().hex}"

    def __enter__(self) -> Self:
        try:
            with ExitStack() as stack:
                self._make(stack)
                self._before = self._look()
                self._stack = stack.pop_all()
        except OSError as error:
            raise BackendError(
                f"the canaries that the attacks aim at can't be made: {error.filename or ''} {error.strerror}"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self, stack: ExitStack) -> None:
        # Short, for the paths of sockets; and the user's, so that only the sandbox stands before it.
        self.top = Path(tempfile.mkdtemp(prefix="bwe-", dir="/tmp"))
        stack.callback(project.remove, self.top)
        self.workspace, self.outside = self.top / "workspace", self.top / "outside"
        self.home, self.readable = self.top / "home", self.top / "readable"
        self.disk, self.become = self.readable / "disk", self.readable / "become"
        stack.callback(self._sweep)
        project.make_files(self.top, self.word)
        self._sockets(stack)
        project.give(self.top, USER, GROUP)
        project.leave_a_way_to_root(self.become)
        self._in_memory = shared.file(stack, self.token, self.word)
        if self._in_memory.exists():
            os.chown(self._in_memory, USER, GROUP)
        self.shm_key = shared.system_v(stack, self.word)
        shared.queue(stack, self.token)
        self._sleeper(stack)
        self._leaks(stack)
        self._environment(stack)
        self._receiver.received.clear()

    def _sweep(self) -> None:
        """Take away what an attack that got out left under our name among the system's files."""
        for folder in _SYSTEM:
            with contextlib.suppress(OSError):
                (folder / self.token).unlink()

    def _sockets(self, stack: ExitStack) -> None:
        places = [self.outside / name for name in SOCKETS.values()]
        for path in (*places, self.readable / "socket", self.workspace / "socket"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            path.chmod(0o777)
            listener.listen()
        datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagram.bind(str(self.workspace / "datagram"))
        (self.workspace / "datagram").chmod(0o777)
        for name in (self.token, self._display):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(f"\0{name}")
            listener.listen()

    @property
    def _display(self) -> str:
        return f"/tmp/.X11-unix/{self.token}"  # noqa: S108  # an abstract name, and no file

    def _sleeper(self, stack: ExitStack) -> None:
        words = [sys.executable, "-I", "-S", "-c", _SLEEPER, self.word, self.token, str(USER), str(GROUP)]
        environment = {"BLASTWALL_SLEEPER": self.word}
        self.sleeper = subprocess.Popen(
            words, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        stack.callback(self._end)
        out = self.sleeper.stdout
        ready = out is not None and select.select([out], [], [], _WAKING_S)[0]
        line = out.readline() if out is not None and ready else b""
        if not line:
            raise BackendError(f"the process that the attacks aim at did not start: does {words[0]} run?")
        self.address = int(line)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.sleeper.send_signal(signal.SIGKILL)
        self.sleeper.communicate()

    def _leaks(self, stack: ExitStack) -> None:
        """Have what leaks into every child that does not take care: a folder, and one end of a socket."""
        folder = os.open(self.outside, os.O_RDONLY)
        stack.callback(os.close, folder)
        ours, leaked = socket.socketpair()
        for each in (ours, leaked):
            stack.callback(each.close)
        for number in (folder, leaked.fileno()):
            os.set_inheritable(number, True)

    def _environment(self, stack: ExitStack) -> None:
        # A machine's image is made once.
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        ours = {
            "XDG_CACHE_HOME": cache, "BLASTWALL_TEST": self.word, "HOME": str(self.home),
            "SSH_AUTH_SOCK": f"{self.outside}/agent.1", "DOCKER_HOST": f"unix://{self.outside}/docker.sock",
            "DISPLAY": ":0", "AWS_SECRET_ACCESS_KEY": self.word, "BASH_ENV": f"{self.outside}/canary",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.outside}/bus",
            "GIT_SSH_COMMAND": self.word, "NODE_OPTIONS": "--no-warnings", "BUN_OPTIONS": "--smol",
            "PYTHONSTARTUP": str(self.outside / "canary"), "LD_AUDIT": "/nonexistent-blastwall.so",
        }  # fmt: skip
        stack.callback(_restore, {name: os.environ.get(name) for name in ours})
        os.environ.update(ours)

    @property
    def aims(self) -> dict[str, Any]:
        """What attacks are told."""
        return {
            "token": self.token, "word": self.word, "canary": str(self.outside / "canary"),
            "outside": str(self.outside), "home": str(self.home), "readable": str(self.readable),
            "workspace": str(self.workspace), "disk": str(self.disk), "become": str(self.become),
            "sockets": {kind: str(self.outside / name) for kind, name in SOCKETS.items()},
            "abstract": self.token, "abstract_x11": self._display, "port": self._receiver.port,
            "udp": self._receiver.udp, "port6": self._receiver.port6, "pid": self.sleeper.pid,
            "address": self.address, "shm_key": self.shm_key, "hostname": socket.gethostname(),
            "release": os.uname().release, "passwd": Path("/etc/passwd").read_text(errors="replace"),
            "handle": look.handle(self.outside / "canary"), "uid": USER,
        }  # fmt: skip

    def changed(self) -> list[str]:
        """Say what is not as it was, or has arrived where it should not."""
        self.settle()
        after = self._look()
        names = sorted({*self._before, *after})
        found = [name for name in names if self._before.get(name) != after.get(name)]
        return found + [f"received {data[:80]!r}" for data in self.arrived()]

    def arrived(self) -> list[bytes]:
        """Give what has arrived where nothing should."""
        return list(self._receiver.received)

    def settle(self) -> None:
        """Wait until the listeners have kept whatever came."""
        self._receiver.settle()

    def _look(self) -> dict[str, object]:
        found: dict[str, object] = {str(path): look.seen(path) for path in self._paths()}
        found |= {str(path): os.path.lexists(path) for path in (folder / self.token for folder in _SYSTEM)}
        found |= {str(path): look.content(path) for path in (self._in_memory, *_WATCHED)}
        word = len(self.word)
        found["sleeper"] = (self.sleeper.poll(), *look.process(self.sleeper.pid, self.address, word))
        return found

    def _paths(self) -> Iterator[Path]:
        own = self.workspace / "own"
        for top in (self.outside, self.home, self.readable, self.workspace):
            yield from (path for path in (top, *top.rglob("*")) if own not in (path, *path.parents))


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
