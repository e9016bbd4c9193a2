"""Machines that are booted ahead of the calls that they will serve."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from blastwall.errors import BackendError
from blastwall.sandbox.vm.machine import Machine
from blastwall.values import Profile

if TYPE_CHECKING:
    from blastwall.egress import Gate


class Pool:
    """Keeps `profile.warm` machines of one session ready; each serves one call and is destroyed.

    A machine that was given out never comes back, so that no call finds anything of another in it.
    """

    def __init__(
        self, profile: Profile, gate: "Gate | None" = None, make: Callable[..., Machine] = Machine
    ) -> None:
        """Start with nothing: `fill` boots.

        Args:
            profile: What the machines may touch.
            gate: The only way to a network.
            make: How a machine is made.

        """
        self._profile, self._gate, self._make = profile, gate, make
        self._ready: deque[Machine] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "Pool":
        self.fill()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fill(self) -> None:
        """Begin to boot what is missing, without waiting."""
        with self._lock:
            while not self._closed and len(self._ready) < self._profile.warm:
                machine = self._make(self._profile, self._gate)
                machine.boot()
                self._ready.append(machine)

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """Give a machine for the block, booted ahead where possible, and boot its successor after that.

        Raises:
            SandboxUnavailable: when it does not boot.

        """
        machine = self._taken()
        try:
            machine.ready()
            yield machine
        finally:
            with suppress(BackendError):  # whoever needs the next one is told
                self.fill()
            machine.close()

    def _taken(self) -> Machine:
        with self._lock:
            if self._closed:
                raise BackendError("the pool of virtual machines is closed")
            if self._ready:
                return self._ready.popleft()
        machine = self._make(self._profile, self._gate)
        machine.boot()
        return machine

    def close(self) -> None:
        """Destroy every machine that waits."""
        with self._lock:
            self._closed = True
            waiting = list(self._ready)
            self._ready.clear()
        for machine in waiting:
            machine.close()
