"""One command in a sandbox, from start to end, blocking."""

import os
import selectors
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blastwall.sandbox.growth import Growth
from blastwall.sandbox.launch import launch
from blastwall.sandbox.running import Running
from blastwall.values import Profile

CHUNK = 1 << 16
"""Bytes read at once."""

Launch = Callable[..., AbstractContextManager[Running]]
"""`launch`, or a session's own way of it."""

Take = Callable[[bytes], None]
"""Takes one piece of a stream."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    Attributes:
        returncode: Its exit code; 128 + n when the signal n ended it, and negative when we killed it.
        stdout: What it wrote, up to the profile's `output_kb`.
        stderr: Likewise.
        truncated: Whether some of either was discarded.
        timed_out: Whether it was killed because its time was up.
        duration_s: Seconds from start to end.
        overgrown: Whether it was killed because the workspace grew by more than the profile's `disk_mb`.

    """

    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool
    timed_out: bool
    duration_s: float
    overgrown: bool = False


class Capped:
    """Keeps the first so many bytes of a stream, and drains the rest: a flood costs no memory."""

    def __init__(self, limit: int) -> None:
        """Start empty."""
        self._limit = limit
        self._kept = bytearray()
        self.truncated = False

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        self.truncated = self.truncated or len(data) > room

    @property
    def kept(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)


class Watch:
    """What a running command has written so far, and how long and how large it may still become."""

    def __init__(self, profile: Profile) -> None:
        """Start the clock."""
        self.out, self.err = Capped(profile.output_kb << 10), Capped(profile.output_kb << 10)
        self.timed_out = self.overgrown = False
        self._began = time.monotonic()
        self._deadline = self._began + profile.timeout_s
        self._growth = Growth(profile)

    def pause_s(self) -> float:
        """Give how long one may wait before asking again whether it is over."""
        return max(min(self._deadline - time.monotonic(), self._growth.pause_s()), 0)

    def over(self) -> bool:
        """Say whether it has to be stopped, for its time or for its size."""
        self.timed_out = time.monotonic() >= self._deadline
        self.overgrown = not self.timed_out and self._growth.too_much()
        return self.timed_out or self.overgrown

    def completed(self, running: Running) -> Completed:
        """Wait for the end, and say how it was.

        Raises:
            SandboxUnavailable: when the sandbox never was. Nothing ran.

        """
        if self.timed_out or self.overgrown:
            running.kill()
        code = running.wait()
        running.check(self.err.kept)
        return Completed(
            returncode=code,
            stdout=self.out.kept,
            stderr=self.err.kept,
            truncated=self.out.truncated or self.err.truncated,
            timed_out=self.timed_out,
            duration_s=time.monotonic() - self._began,
            overgrown=self.overgrown,
        )


def run(
    argv: Sequence[str],
    profile: Profile,
    *,
    stdin: bytes = b"",
    read: Iterable[Path] = (),
    launch: Launch = launch,
    **options: Any,
) -> Completed:
    """Run a command in a sandbox of this profile and wait for its end.

    Args:
        argv: The command and its arguments.
        profile: What it may touch.
        stdin: What it may read from its standard input.
        read: More readable host paths.
        launch: How it is started.
        options: More for `launch`.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine. Nothing ran.

    """
    watch = Watch(profile)
    with launch(argv, profile, stdin=stdin, read=read, **options) as running:
        pump(running, watch)
        return watch.completed(running)


def pump(running: Running, watch: Watch, *, out: Take | None = None, err: Take | None = None) -> None:
    """Drain the pipes until both end and the command with them, or until it has to be stopped.

    Args:
        running: The command.
        watch: Its limits, and what is kept of what it writes.
        out: Takes its output, piece by piece, with an empty one at the end; the watch does by default.
        err: Takes its standard error likewise.

    """
    with selectors.DefaultSelector() as selector:
        selector.register(running, selectors.EVENT_READ)
        selector.register(running.stdout, selectors.EVENT_READ, out or watch.out.add)
        selector.register(running.stderr, selectors.EVENT_READ, err or watch.err.add)
        while selector.get_map() and not watch.over():
            for key, _ in selector.select(watch.pause_s()):
                if key.data is None:
                    running.kill()  # whatever it left behind keeps the pipes open no longer
                    selector.unregister(key.fileobj)
                    continue
                data = os.read(key.fd, CHUNK)
                key.data(data)
                if not data:
                    selector.unregister(key.fileobj)
