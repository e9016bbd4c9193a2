"""Workers for Python tools that are ready before the call comes. Each serves one call, and is destroyed."""

import atexit
import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from blastwall.errors import BackendError
from blastwall.frozen import Json
from blastwall.sandbox import python
from blastwall.sandbox.launch import launch
from blastwall.sandbox.mounts import mounts, protecting
from blastwall.sandbox.process import Completed, Launch, Watch, pump
from blastwall.sandbox.protect import guarded
from blastwall.sandbox.running import Running
from blastwall.values import Profile

USEFUL = "cloudpickle asyncio pydantic.main pydantic.types pydantic.validate_call_decorator".split()
"""What most functions or their results need inside, and what takes long to import."""

_POLITE_S = 0.05
"""How long a call has the processor before the next worker is started."""

_CLOSED = "the pool of sandbox workers was closed: nothing more runs in it"

_Files = dict[str, tuple[int, int] | None]
"""Paths, and which file each of them is."""


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    """One sandbox in which Python waits for a request."""

    running: Running
    files: _Files
    close: Callable[[], None]

    def ready(self) -> bool:
        return _readable(self.running.stdout.fileno())

    def dead(self) -> bool:
        return _readable(self.running.fileno())


class Pool:
    """Keeps `profile.warm` workers ready. A call that finds none is served by one made for it.

    What a worker waits with is what a sandbox made now would have: when a file is put where one is masked or
    protected, when one of those is replaced, the workers from before are not used any more. A worker may wait
    for ever: its processor time stands still, and its wall-clock time begins with the request. What it has
    imported takes 20 MiB, which count against the profile's `memory_mb`.

    A call that returns has left no process behind; its sandbox is cleared away in the background. Safe to
    share between threads and event loops. Calls in a forked child get sandboxes of their own.

    Args:
        profile: What each worker may touch, how many wait, and what they have imported.
        launch: How their sandboxes are started.

    """

    def __init__(self, profile: Profile, *, launch: Launch = launch) -> None:
        """Begin to start workers."""
        self.profile = profile
        self._launch = launch
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._ready: deque[_Worker] = deque()
        self._spent: deque[_Worker] = deque()
        self._serving: set[Running] = set()
        self._closed = False
        self._may_start, self._not_before = True, 0.0
        # The kernel kills a sandbox when the thread that started it ends: so one thread starts them all.
        self._keeper = threading.Thread(target=self._keep, name=f"pool of {profile.name}", daemon=True)
        self._keeper.start()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Destroy every worker. Calls that are still served end with an error."""
        if self._pid != os.getpid():
            return
        with self._changed:
            self._closed = True
            self._spent += self._ready
            self._ready.clear()
            for running in self._serving:
                running.kill()
            self._changed.notify_all()
        self._keeper.join()
        atexit.unregister(self.close)

    def ready(self) -> int:
        """Say how many workers have imported everything and wait."""
        with self._changed:
            return sum(worker.ready() and not worker.dead() for worker in self._ready)

    def call(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Json:
        """Call `function(**arguments)` in a sandbox of its own; see `sandbox.call` for what it raises."""
        if self._pid != os.getpid():  # a forked child, in which nobody keeps the workers
            return python.call(function, arguments, self.profile, launch=self._launch)
        request = python.request(function, arguments, self.profile)
        with self._served(request) as (running, watch):
            pump(running, watch)
            done = watch.completed(running)
        return self._result(done)

    async def acall(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Json:
        """Do what `call` does, awaited; cancellation kills the sandbox."""
        from blastwall.sandbox.process_async import apump  # noqa: PLC0415  # asyncio costs 60 ms to import

        if self._pid != os.getpid():
            return await python.acall(function, arguments, self.profile, launch=self._launch)
        request = python.request(function, arguments, self.profile)
        with self._served(request) as (running, watch):
            await apump(running, watch)
            done = watch.completed(running)
        return self._result(done)

    def _result(self, done: Completed) -> Json:
        if self._closed and done.returncode < 0 and not (done.timed_out or done.overgrown):
            raise BackendError(_CLOSED)
        return python.result(done, self.profile)

    # --- One call --------------------------------------------------------------------------------------

    @contextmanager
    def _served(self, request: bytes) -> Iterator[tuple[Running, Watch]]:
        """Give what serves this request, and its clock; at the end of the block it is dead."""
        watch = Watch(self.profile)
        worker = self._take(request)
        if worker is None:
            options = {"stdin": request, "read": python.shown(self.profile)}
            with self._launch(python.command(self.profile), self.profile, **options) as running:
                with self._noted(running):
                    yield running, watch
            return
        try:
            with self._noted(worker.running):
                yield worker.running, watch
        except BaseException:
            worker.close()  # now, since it may still run
            raise
        self._retire(worker)

    @contextmanager
    def _noted(self, running: Running) -> Iterator[None]:
        """Let `close` find it."""
        with self._changed:
            if self._closed:
                running.kill()
            self._serving.add(running)
        try:
            yield
        finally:
            with self._changed:
                self._serving.discard(running)

    def _take(self, request: bytes) -> _Worker | None:
        """Give a worker that has got the request, if there is one. No other call ever gets it."""
        files = _files(self.profile)
        while (worker := self._next()) is not None:
            if worker.files == files and not worker.dead() and _fed(worker.running, request):
                return worker
            self._retire(worker)
        return None

    def _next(self) -> _Worker | None:
        with self._changed:
            if self._closed:
                raise BackendError(_CLOSED)
            self._may_start, self._not_before = True, time.monotonic() + _POLITE_S
            self._changed.notify_all()
            return self._ready.popleft() if self._ready else None

    def _retire(self, worker: _Worker) -> None:
        with self._changed:
            if not self._closed:
                self._not_before = 0.0
                self._spent.append(worker)
                self._changed.notify_all()
                return
        worker.close()

    # --- The keeper's thread ---------------------------------------------------------------------------

    def _keep(self) -> None:
        while (work := self._work()) is not None:
            # Nobody is there to be told, and the thread must live: a call meets the same failure itself.
            with contextlib.suppress(Exception):
                work()

    def _work(self) -> Callable[[], None] | None:
        """Wait for something to do; None at the end."""
        with self._changed:
            while not (self._spent or self._closed):
                pause = self._pause_s()
                if pause is not None and pause <= 0:
                    return self._start
                self._changed.wait(pause)
            return self._spent.popleft().close if self._spent else None

    def _pause_s(self) -> float | None:
        """Give how long until a worker should be started; None when there are enough, or it would fail."""
        if not self._may_start or len(self._ready) >= self.profile.warm:
            return None
        return self._not_before - time.monotonic()

    def _start(self) -> None:
        self._may_start = False  # until it worked, or until the next call
        before = _files(self.profile)
        with ExitStack() as stack:
            command = python.command(self.profile, USEFUL)
            running = stack.enter_context(
                self._launch(command, self.profile, stdin=None, read=python.shown(self.profile))
            )
            files = _files(self.profile)  # with what stands in for missing ones, now that it does
            if files.keys() != before.keys() or any(
                before[path] not in (None, files[path]) for path in files
            ):
                files = {}  # something changed while it started: what it shows is anybody's guess
            worker = _Worker(running, files, stack.pop_all().close)
        with self._changed:
            (self._spent if self._closed else self._ready).append(worker)
            self._may_start = True


def _files(profile: Profile) -> _Files:
    """Give what a sandbox that is made now would show and cover.

    Raises:
        BackendError: when there can't be one.

    """
    shown = mounts(profile, python.shown(profile))
    if profile.workspace is not None:
        shown = protecting(shown, profile, guarded(str(profile.workspace), profile.protect))
    return {mount.target: _file(mount.source or mount.target) for mount in shown}


def _file(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _readable(descriptor: int) -> bool:
    poll = select.poll()  # select() itself knows no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _fed(running: Running, request: bytes) -> bool:
    """Write the request, without waiting for who reads it. False when it can't have been read."""
    assert running.stdin is not None  # noqa: S101  # a pipe, as started
    descriptor = os.dup(running.stdin.fileno())
    running.stdin.close()
    os.set_blocking(descriptor, False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        try:
            sent = os.write(descriptor, request)
        except BrokenPipeError:
            os.close(descriptor)
            return False
    if sent == len(request):
        os.close(descriptor)
    else:
        threading.Thread(target=_feed, args=(descriptor, request[sent:]), daemon=True).start()
    return True


def _feed(descriptor: int, rest: bytes) -> None:
    """Write what the pipe had no room for, on a descriptor of our own: it ends with the worker."""
    os.set_blocking(descriptor, True)
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as pipe:
        while rest:
            rest = rest[pipe.write(rest) :]
