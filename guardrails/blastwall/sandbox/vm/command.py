"""One command in a guest, as its caller sees it: pipes, an end to wait for, and a kill."""

import os
import threading
from collections.abc import Callable
from typing import IO

from blastwall.errors import BackendError
from blastwall.sandbox.vm.channel import Inlet, Outlet
from blastwall.sandbox.vm.wire import ERRORS, OUTPUT

KILLED = -9


class Command:
    """One started command; see `Running`. It is also a block, at whose end the command is dead."""

    def __init__(self, stream: int, stdin: bytes | None, ask: Callable[["Command"], None]) -> None:
        """Make the pipes.

        Args:
            stream: Its number in the machine.
            stdin: Its whole input, or None for a pipe.
            ask: Has it killed, without waiting.

        """
        self.stream = stream
        outlets = {kind: os.pipe() for kind in (OUTPUT, ERRORS)}
        self.stdout: IO[bytes] = os.fdopen(outlets[OUTPUT][0], "rb")
        self.stderr: IO[bytes] = os.fdopen(outlets[ERRORS][0], "rb")
        self.outlets = {kind: Outlet(kind, write) for kind, (_, write) in outlets.items()}
        self.stdin: IO[bytes] | None = None
        if stdin is None:
            read, write = os.pipe()
            self.inlet = Inlet(b"", read)
            self.stdin = os.fdopen(write, "wb")
        else:
            self.inlet = Inlet(stdin)
        self.killed = False
        self._ask = ask
        self._over = threading.Event()
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._code = KILLED
        self._why: BackendError | None = None

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Give a descriptor that is readable once it has ended."""
        return self._ended

    def kill(self) -> None:
        """Kill it and everything that it started."""
        if not self._over.is_set():
            self.killed = True
            self._ask(self)

    def wait(self) -> int:
        """Wait for its end.

        Raises:
            BackendError: when the machine failed under it.

        """
        self._over.wait()
        if self._why is not None:
            raise self._why
        return self._code

    def check(self, complaint: bytes) -> None:
        """Do nothing: there is no command before its machine has proved to work."""

    def close(self) -> None:
        """Make sure that nothing of it is left."""
        self.kill()
        self._over.wait()
        for stream in (self.stdout, self.stderr):
            stream.close()
        if self.stdin is not None:
            try:
                self.stdin.close()
            except BrokenPipeError:
                pass  # it was never read to its end
        if self._ended >= 0:
            os.close(self._ended)
            self._ended = -1

    def end(self, code: int, why: BackendError | None = None) -> None:
        """Note how it ended. Only the machine's own thread calls this."""
        self.inlet.close()
        for outlet in self.outlets.values():
            outlet.end()
        self._code, self._why = KILLED if self.killed else code, why
        os.eventfd_write(self._ended, 1)
        self._over.set()  # from here on, the descriptor may be closed
