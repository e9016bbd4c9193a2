"""The sandboxes of one agent run: what its calls share, and what lives longer than one of them."""

import atexit
import contextlib
import os
import select
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
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
from blastwall.sandbox.process import Completed, Launch, run
from blastwall.sandbox.running import Running
from blastwall.values import Credential, Lifetime, Profile, Strength

if TYPE_CHECKING:
    from blastwall.sandbox.gvisor.session import Container
    from blastwall.sandbox.vm import Machine
    from blastwall.sandbox.vm import Pool as Machines

T = TypeVar("T")

_CLOSED = "the session is over: its sandboxes are gone, and no more are made"

_DYING_S = 5.0
"""Longest wait for something that was killed."""


@dataclass(slots=True)
class _Slot:
    """A place for one thing that many share: made once, by whoever comes first, while the others wait."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    made: list[Any] = field(default_factory=list)


class Boxes:
    """The sandboxes of one session. Its gates, ready workers, containers and machines are nobody else's.

    Everything is made when it is first needed, and gone when this is closed. Safe to share between threads.
    A forked child begins with nothing: it makes its own, and closing there leaves the parent's alone.

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
        self._begin()
        _every.add(self)
        atexit.register(self.close)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._slots: dict[tuple[str, Profile], _Slot] = {}
        self._running: set[Running] = set()
        self._closed = False
        self.copies: list[Copy] = []

    def _forked(self) -> None:
        """Forget, in a forked child, what is the parent's: it must not be closed, nor be waited for, here."""
        _parents.append((self._stack, self._slots, self._running))
        closed = self._closed
        self._begin()
        self._closed = closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything, for good. A copy in which something changed stays, to be reviewed.

        What runs is killed, and ends with an error. It waits for what is just being made: from an event
        loop, call it in a thread.
        """
        with self._lock:
            self._closed = True
            slots, running = [*self._slots.values()], [*self._running]
        for one in running:
            one.kill()
        for one in running:  # whoever started it waits too; but what is shared goes only after it
            _await_end(one)
        for slot in slots:
            with slot.lock:  # who makes something there now has done so afterwards, and nobody does again
                slot.made.clear()
        atexit.unregister(self.close)
        self._stack.pop_all().close()

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
        self._check()
        profile = self._located(profile)
        gate = self._gate(profile)
        with self._started(argv, profile, gate, stdin, tuple(read)) as running:
            with self._noted(running):
                yield running

    @contextmanager
    def _noted(self, running: Running) -> Iterator[None]:
        """Let `close` find it; whoever waits for its end is told that it was not its own."""
        with self._lock:
            self._running.add(running)
            if self._closed:
                running.kill()
        try:
            yield
            if self._closed and running.wait() < 0:
                raise BackendError(_CLOSED)
        finally:
            with self._lock:
                self._running.discard(running)

    def _check(self) -> None:
        if self._closed:
            raise BackendError(_CLOSED)

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

        async with self._ahead(profile) as launch:
            return await arun(argv, profile, launch=launch, **options)

    def call(self, function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile) -> Json:
        """Call a Python function; see `sandbox.call`. A worker that is ready answers at once."""
        if _has_workers(profile):
            return self._pool(profile).call(function, arguments)
        return python.call(function, arguments, profile, launch=self.launch)

    async def acall(
        self, function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile
    ) -> Json:
        """Do what `call` does, awaited."""
        async with self._ahead(profile) as launch:
            if _has_workers(profile):
                return await self._pool(profile).acall(function, arguments)
            return await python.acall(function, arguments, profile, launch=launch)

    @asynccontextmanager
    async def _ahead(self, profile: Profile) -> AsyncGenerator[Launch]:
        """Make what takes long in a thread, so that the event loop goes on; give the way to use it.

        Not the sandbox itself, unless it is a machine: the kernel ends it with the thread that started it.
        """
        if _is_quick(profile):
            yield self.launch
            return
        import asyncio  # noqa: PLC0415  # costs 60 ms to import

        stack, over = ExitStack(), threading.Event()

        def make() -> Launch:
            try:
                return self._prepared(profile, stack)
            finally:
                if over.is_set():  # cancelled meanwhile
                    stack.close()

        try:
            yield await asyncio.to_thread(make)
        finally:
            over.set()
            stack.close()

    def _prepared(self, profile: Profile, stack: ExitStack) -> Launch:
        """Make ready for one command what is shared, and a machine that is for it alone."""
        self._check()
        profile = self._located(profile)
        gate = self._gate(profile)
        match profile:
            case Profile(strength=Strength.CONTAINER, lifetime=Lifetime.SESSION):
                self._container(profile, gate)
            case Profile(strength=Strength.VM, lifetime=Lifetime.SESSION):
                self._machine(profile, gate)
            case Profile(strength=Strength.VM):
                machine = stack.enter_context(self._machines(profile, gate).machine())
                return partial(self._in, machine)
            case _:
                pass
        return self.launch

    @contextmanager
    def _in(
        self,
        machine: "Machine",
        argv: Sequence[str],
        profile: Profile,
        *,
        stdin: bytes | None = None,
        read: Iterable[Path] = (),
    ) -> Iterator[Running]:
        """Start a command in a machine that is ready."""
        from blastwall.sandbox.vm.qemu import refuse  # noqa: PLC0415  # for who uses one

        refuse(profile, read)
        with machine.start(argv, stdin=stdin) as running, self._noted(running):
            yield running

    def _once(self, kind: str, profile: Profile, make: Callable[[], T]) -> T:
        """Give what the session has of this kind, for this profile; the first one who asks makes it."""
        with self._lock:
            slot = self._slots.setdefault((kind, profile), _Slot())
        with slot.lock:
            self._check()  # here, so that nothing is made behind the back of `close`
            if not slot.made:
                slot.made.append(make())
            found: T = slot.made[0]
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
            self.copies.append(copy)
            self._stack.callback(self._tidied, copy)
            self._stack.enter_context(copy.running())
            return copy

        # One for all profiles with this workspace: what was done in one of them, the others find.
        made = self._once("copy", Profile("", workspace=workspace, protect=profile.protect), make)
        return replace(profile, copy=False, workspace=made.folder, shown_as=workspace)

    def _tidied(self, copy: Copy) -> None:
        """Throw away a copy in which nothing changed: there is nothing to review."""
        # Whatever can't be told or done: it stays, for a person.
        with contextlib.suppress(BackendError, OSError):
            if not diff(copy):
                of_user().discard(copy.id)
                self.copies.remove(copy)


_every: "weakref.WeakSet[Boxes]" = weakref.WeakSet()
_parents: list[object] = []
"""What a forked child must keep, and not use: to let go of it would be to close it."""


def _forked() -> None:
    for boxes in [*_every]:
        boxes._forked()


os.register_at_fork(after_in_child=_forked)


def _has_workers(profile: Profile) -> bool:
    """Say whether Python waits in sandboxes of its own. Of machines, it is the machines that wait."""
    return profile.warm > 0 and profile.strength is not Strength.VM and profile.lifetime is Lifetime.CALL


def _is_quick(profile: Profile) -> bool:
    """Say whether there is nothing to make but a sandbox that takes milliseconds."""
    alone = profile.strength is not Strength.VM and profile.lifetime is Lifetime.CALL
    return alone and not profile.network and not profile.copy


def _await_end(running: Running) -> None:
    ended = select.poll()  # select() itself knows no descriptor above 1023
    with contextlib.suppress(OSError, ValueError):  # it ended, and its descriptor is closed by now
        ended.register(running, select.POLLIN)
        ended.poll(_DYING_S * 1000)


@contextmanager
def _in_one_of(machines: "Machines", argv: Sequence[str], stdin: bytes | None) -> Iterator[Running]:
    with machines.machine() as machine, machine.start(argv, stdin=stdin) as running:
        yield running
