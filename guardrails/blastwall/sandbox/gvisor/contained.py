"""A container as a child process: runsc's, in its outer sandbox."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.child import Child, started
from blastwall.sandbox.complaint import unavailable
from blastwall.sandbox.gvisor.outer import Plan, prepared
from blastwall.sandbox.lease import Lease
from blastwall.values import Profile

_MOST_SAID = 1 << 16
_OWN_THREADS = 256
"""Most that runsc, its sentry and its gofers use of threads for themselves."""


class Contained:
    """One started container; see `Running`."""

    def __init__(self, child: Child, log: int, made: int) -> None:
        """Take over a child process, and the files in which runsc says why it failed, and that it did not."""
        self.stdin, self.stdout, self.stderr = child.stdin, child.stdout, child.stderr
        self.fileno, self.kill, self.wait = child.fileno, child.kill, child.wait
        self.child = child
        self._log, self._made = log, made

    def check(self, complaint: bytes) -> None:
        """Tell a command that failed from a container that never was.

        runsc ends with 128 when it fails, as a command may too. But it says what it did, where no command can
        write.

        Raises:
            SandboxUnavailable: when it never was.

        """
        self.child.check(complaint)
        blame(self._log)
        if self.child.process.returncode > 0 and not os.pread(self._made, 1, 0):
            raise unavailable(complaint)


def counted(profile: Profile) -> Profile:
    """Give the profile whose numbers the control group of a container gets.

    The host counts gVisor's own threads too, and one more for each of the container's. How many processes
    these are is counted by gVisor.
    """
    return replace(profile, processes=2 * profile.processes + _OWN_THREADS)


def blame(log: int) -> None:
    """Raise what runsc said in its log, if it said anything.

    Raises:
        SandboxUnavailable: when it could not start what it was asked to start.
        BackendError: when it failed later.

    """
    said = os.pread(log, _MOST_SAID, 0)
    if not said:
        return
    try:
        problem = str(json.loads(said.splitlines()[0])["msg"])
    except (ValueError, LookupError, TypeError):
        problem = said.decode(errors="replace")
    if any(part.startswith("waiting") for part in problem.split(": ")[:2]):
        raise BackendError(f"gVisor failed while the command ran: {problem}")
    raise SandboxUnavailable(
        f"no sandbox: gVisor can't start a container: {problem}; see whether"
        " `runsc --rootless --network=none do true` works here"
    )


@contextmanager
def contained(plan: Plan, held: Lease, stdin: bytes | None) -> Iterator[Contained]:
    """Start a container; at the end of the block it is gone with everything in it."""
    with ExitStack() as stack:
        log, made = (file(stack, name) for name in ("log", "made"))
        with started(prepared(plan, log, made), held, stdin) as child:
            yield Contained(child, log, made)


def file(stack: ExitStack, name: str) -> int:
    """Make a file without a place, which lives as long as the stack."""
    held = os.memfd_create(name)
    stack.callback(os.close, held)
    return held
