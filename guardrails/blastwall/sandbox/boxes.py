"""The sandboxes of one agent run: what its calls share, and what lives longer than one of them."""

import atexit
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from blastwall.egress import Decision, Gate
from blastwall.errors import BackendError
from blastwall.frozen import Json
from blastwall.sandbox import python
from blastwall.sandbox.changes import diff
from blastwall.sandbox.copies import Copy, of_user
from blastwall.sandbox.launch import launch
from blastwall.sandbox.pool import Pool
from blastwall.sandbox.process import Completed, run
from blastwall.sandbox.running import Running
from blastwall.values import Credential, Lifetime, Profile, Strength

if TYPE_CHECKING:
    from blastwall.sandbox.gvisor.session import Container
    from blastwall.sandbox.vm import Machine
    from blastwall.sandbox.vm import Pool as Machines

T = TypeVar("T")


class Boxes:
    """The sandboxes of one session. Its gates, ready workers, containers and machines are nobody else's.

    Everything is made when it is first needed, and gone when this is closed. Safe to share between threads.

    Args:
        credentials: What the profiles' credentials are, by name.
        record: Gets every decision of a gate before it takes effect; when it raises, the answer is no.

    """

    def __init__(
        self,
        credentials: Mapping[str, Credential] | None = None,
        record: Callable[[Decision], None] = lambda _: None,
    ) -> None:
        """Make nothing yet."""
        self._credentials = credentials or {}
        self._record = record
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self._made: dict[tuple[str, Profile], Any] = {}
        self._closed = threading.Event()
        self.copies: list[Copy] = []
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything, for good. A copy in which something changed stays, to be reviewed.

        It waits for what is just being started: from an event loop, call it in a thread.
        """
        self._closed.set()  # whoever starts something now holds the lock, and ends before us
        with self._lock:
            ending = self._stack.pop_all()
        atexit.unregister(self.close)
        ending.close()  # not under the lock: a pool's keeper may want it

    @contextmanager
    def launch(
        self,
        argv: Sequence[str],
        profile: Profile,
        *,
        stdin: bytes | None = None,
        read: Iterable[Path] = (),
    ) -> Iterator[Running]:
        """Start a command; see `sandbox.launch`."""
        profile = self._located(profile)
        gate = self._gate(profile)
        with self._started(argv, profile, gate, stdin, tuple(read)) as running:
            yield running

    def _started(
        self,
        argv: Sequence[str],
        profile: Profile,
        gate: Gate | None,
        stdin: bytes | None,
        read: tuple[Path, ...],
    ) -> AbstractContextManager[Running]:
        match profile:
            case Profile(strength=Strength.VM) if read:
                return launch(argv, profile, stdin=stdin, read=read, gate=gate)  # which refuses it
            case Profile(strength=Strength.CONTAINER, lifetime=Lifetime.SESSION):
                return self._container(profile, gate).start(argv, stdin=stdin, read=read)
            case Profile(strength=Strength.VM, lifetime=Lifetime.SESSION):
                return self._machine(profile, gate).start(argv, stdin=stdin)
            case Profile(strength=Strength.VM, warm=warm) if warm:
                return _in_one_of(self._machines(profile, gate), argv, stdin)
            case _:
                return launch(argv, profile, stdin=stdin, read=read, gate=gate)

    def run(self, argv: Sequence[str], profile: Profile, **options: Any) -> Completed:
        """Run a command; see `sandbox.run`."""
        return run(argv, profile, launch=self.launch, **options)

    async def arun(self, argv: Sequence[str], profile: Profile, **options: Any) -> Completed:
        """Run a command, awaited; see `sandbox.arun`."""
        from blastwall.sandbox.process_async import arun  # noqa: PLC0415  # asyncio costs 60 ms to import

        return await arun(argv, profile, launch=self.launch, **options)

    def call(self, function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile) -> Json:
        """Call a Python function; see `sandbox.call`. A worker that is ready answers at once."""
        if _has_workers(profile):
            return self._pool(profile).call(function, arguments)
        return python.call(function, arguments, profile, launch=self.launch)

    async def acall(
        self, function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile
    ) -> Json:
        """Do what `call` does, awaited."""
        if _has_workers(profile):
            return await self._pool(profile).acall(function, arguments)
        return await python.acall(function, arguments, profile, launch=self.launch)

    def _once(self, kind: str, profile: Profile, make: Callable[[], T]) -> T:
        with self._lock:
            if self._closed.is_set():
                raise BackendError("the session is over: its sandboxes are gone, and no more are made")
            if (kind, profile) not in self._made:
                self._made[kind, profile] = make()
            found: T = self._made[kind, profile]
            return found

    def _gate(self, profile: Profile) -> Gate | None:
        if not profile.network:
            return None
        unknown = [name for name in profile.credentials if name not in self._credentials]
        if unknown:
            raise BackendError(
                f"the sandbox profile {profile.name!r} uses the credential {unknown[0]!r}, which nobody"
                " defined: add it under `credentials` in the policy"
            )
        own = [self._credentials[name] for name in profile.credentials]
        return self._once(
            "gate", profile, lambda: self._stack.enter_context(Gate(profile.network, own, self._record))
        )

    def _pool(self, profile: Profile) -> Pool:
        located = self._located(profile)
        return self._once(
            "pool", located, lambda: self._stack.enter_context(Pool(located, launch=self.launch))
        )

    def _container(self, profile: Profile, gate: Gate | None) -> "Container":
        from blastwall.sandbox.gvisor.session import Container  # noqa: PLC0415  # for who uses one

        shown = python.python_paths()  # a later call may be one of a Python tool
        return self._once(
            "container",
            profile,
            lambda: self._stack.enter_context(Container(profile, read=shown, gate=gate)),
        )

    def _machine(self, profile: Profile, gate: Gate | None) -> "Machine":
        from blastwall.sandbox.vm import Machine  # noqa: PLC0415  # for who uses one

        return self._once("machine", profile, lambda: self._stack.enter_context(Machine(profile, gate)))

    def _machines(self, profile: Profile, gate: Gate | None) -> "Machines":
        from blastwall.sandbox.vm import Pool as Machines  # noqa: PLC0415  # for who uses one

        return self._once("machines", profile, lambda: self._stack.enter_context(Machines(profile, gate)))

    def _located(self, profile: Profile) -> Profile:
        """Put a copy in the place of a workspace that is not to be written itself."""
        if not profile.copy or profile.workspace is None:
            return profile
        workspace = profile.workspace

        def make() -> Copy:
            copy = of_user().make(workspace, protect=profile.protect)
            self._stack.callback(_tidied, copy)
            self._stack.enter_context(copy.running())
            self.copies.append(copy)
            return copy

        made = self._once("copy", profile, make)
        return replace(profile, copy=False, workspace=made.folder, shown_as=workspace)


def _has_workers(profile: Profile) -> bool:
    """Say whether Python waits in sandboxes of its own. Of machines, it is the machines that wait."""
    return profile.warm > 0 and profile.strength is not Strength.VM and profile.lifetime is Lifetime.CALL


@contextmanager
def _in_one_of(machines: "Machines", argv: Sequence[str], stdin: bytes | None) -> Iterator[Running]:
    with machines.machine() as machine, machine.start(argv, stdin=stdin) as running:
        yield running


def _tidied(copy: Copy) -> None:
    """Throw away a copy in which nothing changed: there is nothing to review."""
    with contextlib.suppress(BackendError):  # whatever can't be told or done: the copy stays, for a person
        if not diff(copy):
            of_user().discard(copy.id)
