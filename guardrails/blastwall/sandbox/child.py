"""A sandbox as a child process: bubblewrap's, which holds everything inside."""

import contextlib
import fcntl
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import enter
from blastwall.sandbox.bubblewrap import Prepared
from blastwall.sandbox.complaint import unavailable
from blastwall.sandbox.lease import Lease

_DYING_S = 5.0
"""Longest wait for killed processes to be gone."""

_KILLED = 128
"""Exit codes above it are of something that a signal ended."""

_MOST_SAID = 1 << 16
"""Bytes of bubblewrap's own report that are read."""


class Child:
    """One started sandbox process; see `Running`."""

    def __init__(self, process: subprocess.Popen[bytes], status: int) -> None:
        """Take over a process that was started with pipes, in a session of its own."""
        self.process = process
        self.stdin: IO[bytes] | None = process.stdin
        self.stdout, self.stderr = _pipe(process.stdout), _pipe(process.stderr)
        self._status = status
        self._ended = os.pidfd_open(process.pid)

    def fileno(self) -> int:
        """Give a descriptor that is readable once it has ended."""
        return self._ended

    def kill(self) -> None:
        """Kill it: the first process inside dies, and so does everything else there."""
        if self.process.returncode is None:  # or its number may be somebody else's by now
            kill(self.process.pid)

    def wait(self) -> int:
        """Wait for its end, and until the last process inside is dead."""
        if self.process.returncode is None:
            ended = select.poll()  # which leaves its number to it, and so to its group
            ended.register(self._ended, select.POLLIN)
            ended.poll()
            self.kill()  # killed while it started, it may have left behind one that waits for it forever
        code = self.process.wait()
        _bury(self._status)
        return code

    def check(self, complaint: bytes) -> None:
        """Tell a command that failed from a sandbox that never was.

        bubblewrap ends with 1 either way, but it reports the command's exit code only if there was one, and
        where the command can't write; so does the last step into the sandbox.

        Raises:
            SandboxUnavailable: when it never was.

        """
        if self.process.returncode <= 0 or self.process.returncode > _KILLED:
            return  # killed, by us or for its memory: it may well have run
        said = _said(self._status)
        if enter.REFUSED in said:
            why = said.split(enter.REFUSED, 1)[1].split(b"\n")[0].decode(errors="replace")
            raise SandboxUnavailable(f"no sandbox: the last step into it failed; {why}")
        if b'"exit-code"' not in said:
            raise unavailable(complaint)

    def close(self) -> None:
        """Make sure that nothing of it is left."""
        if self.process.poll() is None:
            self.kill()
        try:
            self.wait()
        finally:
            os.close(self._ended)
            os.close(self._status)
            if self.stdin is not None:
                with contextlib.suppress(OSError):  # what it did not read is nobody's any more
                    self.stdin.close()


def kill(pid: int) -> None:
    """Kill a sandbox that was started in a session of its own: its init dies, and so does all inside."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def started(
    preparing: AbstractContextManager[Prepared], lease: Lease, stdin: bytes | None
) -> Iterator[Child]:
    """Start it with pipes for its outputs; at the end of the block it and everything inside is dead.

    An input that is known is a file that nobody can change, so that nothing has to feed it. Without one,
    there is a pipe.
    """
    with contextlib.ExitStack() as stack:
        prepared = stack.enter_context(preparing)
        argv = lease.argv(prepared.argv)
        try:
            process = subprocess.Popen(
                argv,
                env=prepared.env,
                pass_fds=prepared.pass_fds,
                stdin=subprocess.PIPE if stdin is None else stack.enter_context(sealed(stdin)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                umask=0o022,
            )
        except OSError as error:
            raise SandboxUnavailable(f"no sandbox: {argv[0]} can't be started; {error.strerror}") from error
        status = os.dup(prepared.status)
    with process:
        child = Child(process, status)
        try:
            lease.runs(process.pid)
            for pipe in (child.stdout, child.stderr):
                os.fchmod(pipe.fileno(), 0o666)  # or another user could not open /dev/stderr
            yield child
        finally:
            child.close()


@contextlib.contextmanager
def sealed(data: bytes) -> Iterator[int]:
    """Give a file that holds this and that nobody can change."""
    with os.fdopen(os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb") as file:
        file.write(data)
        file.flush()
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
        file.seek(0)
        yield file.fileno()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101  # a pipe, as started
    return stream


def _said(status: int) -> bytes:
    return os.pread(status, _MOST_SAID, 0)


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
