"""The way into a running container: join its outer sandbox, and have runsc start or kill something there."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from blastwall.errors import SandboxUnavailable
from blastwall.sandbox import child
from blastwall.sandbox.bubblewrap import identity
from blastwall.sandbox.child import Child
from blastwall.sandbox.gvisor import bundle, outer
from blastwall.sandbox.gvisor.contained import Contained, blame, file
from blastwall.sandbox.gvisor.outer import Plan

_NAMESPACES = {"user": "user", "mount": "mnt", "pid": "pid", "net": "net"}
"""What has to be joined, as nsenter and as /proc call it. runsc talks to the sentry by an abstract socket,
which belongs to a network namespace."""

_STARTING_S = 2.0
"""How long a command that is to be killed may take to have started."""

_KILLING_S = 5.0


class Inside:
    """A running container, held by its namespaces: no number of a process, which may pass to another."""

    def __init__(self, plan: Plan, running: Contained, end: Callable[[], None], stack: ExitStack) -> None:
        """Hold it as long as the stack."""
        self._plan, self._running, self._end, self._stack = plan, running, end, stack
        self._namespaces: dict[str, int] = {}
        self._environment = outer.environment(plan)

    def join(self, first: int) -> None:
        """Take hold of the namespaces of this process.

        Raises:
            SandboxUnavailable: when it is gone by now.

        """
        for name, known in _NAMESPACES.items():
            try:
                held = os.open(f"/proc/{first}/ns/{known}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise SandboxUnavailable(
                    f"no sandbox: the container ended while it started ({error.strerror}); try again"
                ) from None
            self._stack.callback(os.close, held)
            self._namespaces[name] = held

    @contextmanager
    def command(self, argv: Sequence[str], stdin: bytes | None) -> Iterator["Command"]:
        """Start a command; at the end of the block it is dead, with all that it started."""
        profile = self._plan.profile
        words = bundle.nested(argv, profile, identity(profile), session=True)
        described = json.dumps(bundle.process(words, profile, self._environment)).encode()
        with ExitStack() as stack:
            about, number, log = (file(stack, name) for name in ("process", "number", "log"))
            os.pwrite(about, described, 0)
            run = ("--log-fd", str(log), "--log-format=json", "exec", "--process", path(about))
            line = self._line(*run, "--internal-pid-file", path(number), outer.NAME)
            process = subprocess.Popen(
                line,
                env={},
                pass_fds=(*self._namespaces.values(), about, number, log),
                stdin=subprocess.PIPE if stdin is None else stack.enter_context(child.sealed(stdin)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                umask=0o022,
            )
            with process:
                started = Command(process, os.dup(log), number, self)
                try:
                    for pipe in (started.stdout, started.stderr):
                        os.fchmod(pipe.fileno(), 0o666)  # or another user could not open /dev/stderr
                    yield started
                finally:
                    started.close()

    def kill(self, number: int) -> None:
        """Kill a process inside, which takes along what it started. Where that fails, the container goes."""
        try:
            done = subprocess.run(
                self._line("kill", f"--pid={number}", outer.NAME, "KILL"),
                env={},
                pass_fds=tuple(self._namespaces.values()),
                capture_output=True,
                timeout=_KILLING_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.end()
        else:
            if done.returncode != 0 and b"no such process" not in done.stderr.lower():
                self.end()

    def dead(self) -> bool:
        """Say whether it ended by itself."""
        return self._running.child.process.poll() is not None

    def end(self) -> None:
        """End the container."""
        self._end()

    def _line(self, *words: str) -> list[str]:
        """Give the command line of a runsc that joined the outer sandbox, as the user that is number 0 there.

        Root made some of the namespaces as itself, and has to join those before it becomes the user.
        """
        join = {name: f"--{name}={path(held)}" for name, held in self._namespaces.items()}
        if os.geteuid() != 0:
            all_at_once = [outer.nsenter(), "--preserve-credentials", *join.values(), "--"]
            return [*all_at_once, *outer.runsc_words(), *words]
        first = [outer.nsenter(), join["pid"], join["net"], "--", *outer.become(self._plan.profile)]
        then = [outer.nsenter(), "--preserve-credentials", join["user"], join["mount"], "--"]
        return [*first, *then, *outer.runsc_words(), *words]


class Command(Child):
    """One command in a session's container; see `Running`."""

    def __init__(self, process: subprocess.Popen[bytes], log: int, number: int, container: Inside) -> None:
        """Take over runsc's process, its log, and the file in which it writes the command's number."""
        super().__init__(process, log)
        self._log, self._number, self._container = log, number, container
        self._killed = False

    def kill(self) -> None:
        """Kill it inside, then the process that waits for it here."""
        if self.process.poll() is not None:
            return
        self._killed = True
        number = self._started()
        if number is None:
            self._container.end()  # it may start in a moment, with nobody to stop it
        elif number:
            self._container.kill(number)
        super().kill()

    def wait(self) -> int:
        """Wait for its end."""
        code = self.process.wait()
        return -signal.SIGKILL if self._killed else code

    def check(self, complaint: bytes) -> None:
        """Tell a command that failed from one that never was; see `Contained.check`."""
        if self.process.returncode > 0:
            blame(self._log)

    def _started(self) -> int | None:
        """Give the command's number inside, 0 when it has ended or never was, None when nobody can say."""
        deadline = time.monotonic() + _STARTING_S
        while time.monotonic() < deadline:
            told = os.pread(self._number, 32, 0)
            if told.strip().isdigit():
                return int(told)
            if self.process.poll() is not None:
                return 0
            time.sleep(0.005)
        return None


@contextmanager
def inside(plan: Plan, running: Contained, end: Callable[[], None]) -> Iterator[Inside]:
    """Find the way into a container that is up.

    Raises:
        SandboxUnavailable: when there is none.

    """
    with ExitStack() as stack:
        found = Inside(plan, running, end, stack)
        found.join(_first(running.child.process.pid))
        yield found


def _first(top: int) -> int:
    """Find the first process in runsc's user namespace, below the process that we started."""
    ours, below = os.readlink("/proc/self/ns/user"), _children()
    ahead = [top]
    while ahead:
        pid = ahead.pop(0)
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/user") != ours:
                return pid
        ahead += below.get(pid, [])
    raise SandboxUnavailable(
        "no sandbox: the container can't be found in /proc; see whether /proc hides processes"
    )


def _children() -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                below.setdefault(int(_field(int(name), "PPid")), []).append(int(name))
    return below


def _field(pid: int, name: str) -> str:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return next(
        (line.partition(":")[2].strip() for line in status.splitlines() if line.startswith(f"{name}:")), ""
    )


def path(descriptor: int) -> str:
    """Give a name for an open file."""
    return f"/proc/self/fd/{descriptor}"
