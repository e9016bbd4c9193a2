"""One command in a sandbox, from start to end, blocking."""

import contextlib
import fcntl
import os
import re
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.bubblewrap import Prepared, prepare
from blastwall.sandbox.complaint import unavailable
from blastwall.values import Profile

CHUNK = 1 << 16
"""Bytes read at once."""

_DYING_S = 5.0
"""Longest wait for killed processes to be gone."""


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
    out, err = Capped(profile.output_kb << 10), Capped(profile.output_kb << 10)
    with prepare(argv, profile, read=read) as prepared:
        with started(prepared, stdin) as process:
            timed_out = not _pump(process, out, err, began + profile.timeout_s)
        check_ran(prepared, process, err)
    return Completed(
        returncode=process.returncode,
        stdout=out.kept,
        stderr=err.kept,
        truncated=out.truncated or err.truncated,
        timed_out=timed_out,
        duration_s=time.monotonic() - began,
    )


def check_ran(prepared: Prepared, process: subprocess.Popen[bytes], err: Capped) -> None:
    """Tell a command that failed from a sandbox that never was.

    bubblewrap ends with 1 either way, but it reports the command's exit code only if there was one, and
    where the command can't write.

    Raises:
        SandboxUnavailable: when it never was.

    """
    if process.returncode > 0 and b'"exit-code"' not in _said(prepared.status):
        raise unavailable(err.kept)


def kill(pid: int) -> None:
    """Kill a sandbox that was started in a session of its own: its init dies, and so does all inside."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def started(prepared: Prepared, stdin: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Start it with pipes for its outputs; at the end of the block it and everything inside is dead.

    The input is a file that nobody can change, so that nothing has to feed it, and no socket or pipe
    leads from inside to this process.
    """
    with _sealed(stdin) as source:
        try:
            process = subprocess.Popen(
                prepared.argv,
                env=prepared.env,
                pass_fds=prepared.pass_fds,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                umask=0o022,
            )
        except OSError as error:
            raise SandboxUnavailable(
                f"no sandbox: {prepared.argv[0]} can't be started; {error.strerror}"
            ) from error
    with process:
        try:
            for pipe in outputs(process):
                os.fchmod(pipe.fileno(), 0o666)  # or another user could not open /dev/stderr
            yield process
        finally:
            if process.poll() is None:
                kill(process.pid)
            process.wait()
            _bury(prepared.status)


@contextlib.contextmanager
def _sealed(data: bytes) -> Iterator[int]:
    with os.fdopen(os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb") as file:
        file.write(data)
        file.flush()
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
        file.seek(0)
        yield file.fileno()


def outputs(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Give both output pipes."""
    assert process.stdout is not None  # noqa: S101  # a pipe, as started
    assert process.stderr is not None  # noqa: S101
    return process.stdout, process.stderr


def _said(status: int) -> bytes:
    return os.pread(status, CHUNK, 0)


def _bury(status: int) -> None:
    """Wait until the last process inside is dead, for whoever then reads the workspace.

    bubblewrap ends with its command, and the kernel kills the others a moment later. One that was killed
    while it started may even have left its first process behind.

    Raises:
        BackendError: when something inside can't be killed.

    """
    told = re.search(rb'"child-pid": (\d+)', _said(status))
    if told is None:
        return
    pid = int(told[1])
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        first = os.pidfd_open(pid)
        try:
            # Unless it is the first of its own namespace, the number belongs to somebody else by now.
            if re.search(rb"^NSpid:\t.*\t1$", Path(f"/proc/{pid}/status").read_bytes(), re.MULTILINE):
                signal.pidfd_send_signal(first, signal.SIGKILL)
                dead = select.poll()  # select() itself knows no descriptor above 1023
                dead.register(first, select.POLLIN)
                if not dead.poll(_DYING_S * 1000):
                    raise BackendError("something in the sandbox can't be killed: it hangs in the kernel")
        finally:
            os.close(first)


def _pump(process: subprocess.Popen[bytes], out: Capped, err: Capped, deadline: float) -> bool:
    """Drain the pipes until both end and the process with them; False when the time is up first."""
    with selectors.DefaultSelector() as selector:
        for pipe, into in zip(outputs(process), (out, err), strict=True):
            selector.register(pipe, selectors.EVENT_READ, into)
        while selector.get_map():
            for key, _ in selector.select(max(deadline - time.monotonic(), 0)):
                data = os.read(key.fd, CHUNK)
                key.data.add(data)
                if not data:
                    selector.unregister(key.fileobj)
            if time.monotonic() >= deadline:
                return False
    try:
        process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return False
    return True
