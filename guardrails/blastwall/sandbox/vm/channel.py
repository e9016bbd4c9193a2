"""The host's side of the frames: one machine's commands over one stream of bytes, none of it trusted."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from blastwall.sandbox.vm.wire import (
    CHUNK,
    CODE,
    CREDIT,
    ERRORS,
    EXITED,
    GRANT,
    HEAD,
    INPUT,
    OUTPUT,
    READY,
    TAKEN,
    WINDOW,
)

_LENGTHS = {READY: (0, 0), OUTPUT: (1, CHUNK), ERRORS: (1, CHUNK), EXITED: (4, 4), TAKEN: (4, 4)}
"""All that a guest may say, and how long it may be."""
_MOST_CODE = 255
_CREDIT_AT = CHUNK
"""Credit is given in pieces, so that a command with little output costs no frame for it."""


class Malformed(Exception):
    """The guest said something that it never says: it is not the guest that we started any more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a guest."""

    kind: int
    stream: int
    payload: bytes


def spell(kind: int, stream: int, payload: bytes = b"") -> bytes:
    """Give the bytes of one message to a guest."""
    return HEAD.pack(kind, stream, len(payload)) + payload


class Frames:
    """Cuts bytes into messages. What can't be one is found out by its head, before it is waited for."""

    def __init__(self) -> None:
        """Start at the start of a message."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, and give every message that is complete.

        Raises:
            Malformed: when they are none.

        """
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            kind, stream, length = HEAD.unpack_from(self._buffer)
            least, most = _LENGTHS.get(kind, (1, 0))
            if not least <= length <= most:
                raise Malformed(f"a message of type {kind} and {length} bytes")
            end = HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEAD.size : end])
            del self._buffer[:end]
            yield Frame(kind, stream, payload)


class Outlet:
    """One output of a command, on its way into a pipe that somebody here reads, or does not."""

    def __init__(self, kind: int, pipe: int) -> None:
        """Take over the writing end of a pipe."""
        os.set_blocking(pipe, False)
        self.pipe = pipe
        self._kind = kind
        self._waiting = bytearray()
        self._owed = 0
        self._over = False

    @property
    def full(self) -> bool:
        """Whether the pipe takes no more for now."""
        return self.pipe >= 0 and bool(self._waiting)

    def add(self, data: bytes) -> None:
        """Take what came from the guest.

        Raises:
            Malformed: when it is more than was asked for.

        """
        if self._over or len(self._waiting) + self._owed + len(data) > WINDOW:
            raise Malformed("output that nobody has room for")
        self._waiting += data

    def pour(self) -> bytes:
        """Write what the pipe takes, and give the payload of a CREDIT if one is due."""
        size = 0
        try:
            size = os.write(self.pipe, self._waiting) if self._waiting and self.pipe >= 0 else 0
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.close()
        if self.pipe < 0:  # nobody reads it any more; the command must not wait for that
            size = len(self._waiting)
        del self._waiting[:size]
        self._owed += size
        if self._over and not self._waiting:
            self.close()
        if self._over or self._owed < _CREDIT_AT:
            return b""
        due, self._owed = self._owed, 0
        return GRANT.pack(self._kind, due)

    def end(self) -> None:
        """Note that nothing more comes: the pipe is closed once it took the rest."""
        self._over = True
        self.pour()

    def close(self) -> None:
        """Close the pipe."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1


class Inlet:
    """The input of a command: bytes that are known, or a pipe that somebody here writes."""

    def __init__(self, known: bytes, pipe: int = -1) -> None:
        """Start with all the credit that a guest gives."""
        self.pipe = pipe
        self._known = memoryview(known)
        self._credit = WINDOW
        self._over = False

    @property
    def hungry(self) -> bool:
        """Whether something may be sent."""
        return not self._over and self._credit > 0

    def take(self, stream: int) -> bytes:
        """Give the next message with input; one without bytes is the end."""
        size = min(CHUNK, self._credit)
        if self.pipe >= 0:
            data = os.read(self.pipe, size)
        else:
            data, self._known = bytes(self._known[:size]), self._known[size:]
        self._credit -= len(data)
        if not data:
            self.close()
        return spell(INPUT, stream, data)

    def taken(self, payload: bytes) -> None:
        """Note that the command took some.

        Raises:
            Malformed: when it can't have.

        """
        (size,) = CODE.unpack(payload)
        self._credit += size
        if self._credit > WINDOW:
            raise Malformed("input that was never sent")

    def close(self) -> None:
        """Send no more."""
        self._over = True
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1


def code(payload: bytes) -> int:
    """Read how a command ended.

    Raises:
        Malformed: when no command ends like that.

    """
    (found,) = CODE.unpack(payload)
    if found > _MOST_CODE:
        raise Malformed("an exit code that there is none of")
    return int(found)


def grant(stream: int, payload: bytes) -> bytes:
    """Give the message that lets a command write more."""
    return spell(CREDIT, stream, payload)
