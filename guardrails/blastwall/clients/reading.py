"""Reading a client's file: once, bounded, and with all that is needed to see later that it is another one."""

import os
import stat
from dataclasses import dataclass

from blastwall.errors import BlastwallError
from blastwall.trust.reading import NotReadable, read_untrusted

MAX_BYTES = 1 << 24
"""Largest file of a client that is read. Claude Code keeps its history beside its servers."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW


class Unreadable(BlastwallError):
    """The file can't be read as what it is. The message says why and, where it helps, on which line."""


@dataclass(frozen=True, slots=True)
class File:
    """A client's file as it was read.

    Attributes:
        path: As the client has it.
        real: Where it really is: dotfiles are often links.
        content: The bytes.
        status: What the system says of it, from the descriptor that it was read from.

    """

    path: str
    real: str
    content: bytes
    status: os.stat_result

    @property
    def text(self) -> str:
        """The text, a byte order mark included.

        Raises:
            Unreadable: when it is none.

        """
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            line = self.content[: error.start].count(b"\n") + 1
            raise Unreadable(f"line {line}: this is not UTF-8 text") from None


def read(path: str, project: str = "") -> File | None:
    """Read a file; None where there is none.

    A user's own file may be a link. A project's is read as nobody trusts it: see `read_untrusted`.

    Raises:
        Unreadable: when it can't be read.

    """
    if not os.path.lexists(path):
        return None
    return _of_project(path, project) if project else _own(path)


def _of_project(path: str, project: str) -> File:
    try:
        found = read_untrusted(path, project)
        return File(path, found.where.path, found.content, os.lstat(path))
    except NotReadable as error:
        raise Unreadable(str(error)) from None
    except OSError as error:
        raise Unreadable(f"can't be read: {error.strerror}") from None


def _own(path: str) -> File:
    try:
        real = os.path.realpath(path, strict=True)
        descriptor = os.open(real, _FLAGS)
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is no regular file")
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES >> 20} MiB")
    return File(path, real, content, status)
