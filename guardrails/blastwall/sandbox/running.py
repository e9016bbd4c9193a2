"""Something that runs inside a sandbox, whatever kind it is: three pipes, an end to wait for, and a kill."""

from typing import IO, Protocol


class Running(Protocol):
    """One command that was started inside.

    Attributes:
        stdin: Where its input is written, or None when it was given one at its start.
        stdout: What it writes, as it comes.
        stderr: Likewise.

    """

    stdin: IO[bytes] | None
    stdout: IO[bytes]
    stderr: IO[bytes]

    def fileno(self) -> int:
        """Give a descriptor that becomes readable, and stays so, once the command has ended."""
        ...

    def kill(self) -> None:
        """Kill it and everything that it started; harmless when it has ended."""
        ...

    def check(self, complaint: bytes) -> None:
        """Raise when the sandbox never was; `complaint` is what came on stderr. Call it after `wait`.

        Raises:
            SandboxUnavailable: when nothing ran.

        """
        ...

    def wait(self) -> int:
        """Wait for its end and give its exit code.

        128 + n when the signal n ended it inside, negative when we killed it.
        """
        ...
