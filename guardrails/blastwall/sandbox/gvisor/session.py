"""One container for a whole session: it serves many commands, and ends with everything in it."""

import os
import select
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.gvisor import outer
from blastwall.sandbox.gvisor.contained import Contained, contained, counted
from blastwall.sandbox.gvisor.inside import Inside, inside
from blastwall.sandbox.gvisor.outer import Plan
from blastwall.sandbox.gvisor.platforms import PATIENCE_S, chosen
from blastwall.sandbox.lease import lease
from blastwall.sandbox.mounts import mounts
from blastwall.sandbox.running import Running
from blastwall.values import Profile

if TYPE_CHECKING:
    from blastwall.egress import Gate


class Container:
    """The container of one session. Use it in a `with` block.

    What one command leaves in /tmp the next one finds, and nobody else. What it leaves running dies with it.
    A container that ended (its memory was full, somebody killed it) is not replaced in secret: from then on
    it refuses commands.
    """

    def __init__(self, profile: Profile, *, read: Iterable[Path] = (), gate: "Gate | None" = None) -> None:
        """Plan it; entering starts it."""
        self._profile, self._read, self._gate = profile, tuple(read), gate
        self._up, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"container {profile.name}", daemon=True)
        self._inside: Inside | None = None
        self._problem: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        if self._problem is not None:
            raise self._problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and everything in it."""
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    @contextmanager
    def start(
        self, argv: Sequence[str], *, stdin: bytes | None = None, read: Iterable[Path] = ()
    ) -> Iterator[Running]:
        """Start a command in it; at the end of the block the command is dead, and the container lives on.

        Args:
            argv: The command and its arguments, as seen inside.
            stdin: Its whole input, or None for a pipe.
            read: Host paths that it needs; only those that the container was started with can be had.

        Raises:
            SandboxUnavailable: when the container has ended. Nothing ran.
            BackendError: when the command needs more than the container shows.

        """
        outer.checked(argv)
        missing = {*read} - {*self._read}
        if missing:
            raise BackendError(f"the session's container was started without {min(missing)}: end the session")
        found = self._inside
        if found is None or self._over.is_set() or found.dead():
            raise SandboxUnavailable("no sandbox: the session's container has ended; start another session")
        with found.command(argv, stdin) as command:
            yield command

    def _live(self) -> None:
        """Start it, and keep it until it is closed.

        In a thread of its own, since the kernel ends a sandbox with the thread that started it.
        """
        try:
            mounts(self._profile, self._read)  # a workspace that may not be one is not touched
            with ExitStack() as stack:
                held = stack.enter_context(lease(counted(self._profile)))
                plan = Plan(None, self._profile, chosen(), self._read, held.guarded, self._gate)
                running = stack.enter_context(contained(plan, held, b""))
                _wait_for(running)
                self._inside = stack.enter_context(inside(plan, running, self._over.set))
                self._up.set()
                self._over.wait()
        except BaseException as error:  # noqa: BLE001  # raised again by who entered
            self._problem = error
        finally:
            self._up.set()


def _wait_for(running: Contained) -> None:
    """Wait until the container says that it is up.

    Raises:
        SandboxUnavailable: when it does not.

    """
    ready = select.poll()
    ready.register(running.stdout, select.POLLIN)
    if ready.poll(PATIENCE_S * 1000) and os.read(running.stdout.fileno(), 1):
        return
    running.kill()
    running.wait()
    running.check(running.stderr.read())
    raise SandboxUnavailable(f"no sandbox: gVisor's container did not start in {PATIENCE_S:g} s; try again")
