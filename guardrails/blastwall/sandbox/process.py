"""One command in a sandbox, from start to end, blocking."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from blastwall.sandbox.bubblewrap import Prepared, prepare
from blastwall.values import Profile

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    Attributes:
        returncode: Its exit code; negative is the signal that killed it.
        stdout: What it wrote, up to the profile's `output_kb`.
        stderr: Likewise.
        truncated: Whether some of either was discarded.
        timed_out: Whether it was killed because its time was up.
        duration_s: Seconds from start to end.

    """

    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool
    timed_out: bool
    duration_s: float


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


def run(argv: Sequence[str], profile: Profile, *, stdin: bytes = b"", read: Iterable[Path] = ()) -> Completed:
    """Run a command in a sandbox of this profile and wait for its end.

    Args:
        argv: The command and its arguments.
        profile: What it may touch.
        stdin: What it may read from its standard input.
        read: More readable host paths.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine. Nothing ran.

    """
    began = time.monotonic()
    with prepare(argv, profile, read=read) as prepared, _started(prepared) as process:
        out, err = Capped(profile.output_kb << 10), Capped(profile.output_kb << 10)
        timed_out = not _pump(process, stdin, out, err, began + profile.timeout_s)
        if timed_out:
            kill(process.pid)
        returncode = process.wait()
    return Completed(
        returncode=returncode,
        stdout=out.kept,
        stderr=err.kept,
        truncated=out.truncated or err.truncated,
        timed_out=timed_out,
        duration_s=time.monotonic() - began,
    )


def kill(pid: int) -> None:
    """Kill a sandbox that was started in a session of its own: its init dies, and so does all inside."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def _started(prepared: Prepared) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        prepared.argv,
        env=prepared.env,
        pass_fds=prepared.pass_fds,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                kill(process.pid)


def _pump(process: subprocess.Popen[bytes], stdin: bytes, out: Capped, err: Capped, deadline: float) -> bool:
    """Feed and drain the pipes until both outputs end; False when the time is up first."""
    assert process.stdin is not None  # noqa: S101  # a pipe, as started
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    with selectors.DefaultSelector() as selector:
        waiting = memoryview(stdin)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ, out)
        selector.register(process.stderr, selectors.EVENT_READ, err)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                if key.fileobj is process.stdin:
                    waiting = _feed(process.stdin, waiting)
                    ended = not waiting
                else:
                    data = os.read(key.fd, _CHUNK)
                    key.data.add(data)
                    ended = not data
                if ended:
                    selector.unregister(key.fileobj)
                    _close(key.fileobj)
    try:
        process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return False
    return True


def _feed(pipe: IO[bytes], waiting: memoryview) -> memoryview:
    try:
        return waiting[os.write(pipe.fileno(), waiting[:_CHUNK]) :]
    except BlockingIOError:
        return waiting
    except BrokenPipeError:
        return waiting[:0]


def _close(pipe: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        pipe.close()  # type: ignore[attr-defined]
