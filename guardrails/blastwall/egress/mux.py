"""Many connections over one byte channel: how a machine without a network card reaches the gate.

Inside the machine, something listens on 127.0.0.1:3128 and opens one stream for each connection that it
accepts. The gate answers each stream as if it had accepted the connection itself.

**The wire.** Both directions carry frames and nothing else; there is no greeting. A frame is a header of
eight bytes, big-endian, then its payload:

    type     u8     1 OPEN   2 DATA   3 EOF   4 RESET   5 WINDOW
    zero     u8     always 0
    length   u16    bytes of payload, at most 32768
    stream   u32    which stream, never 0

- OPEN (no payload) begins a stream. Only the machine opens. It numbers its streams 1, 2, 3 and so on: each is
  the last one plus 1, and no number is used twice.
- DATA (1 to 32768 bytes) is the next piece of the stream.
- EOF (no payload): the sender will send no more DATA, and can still receive. After an EOF from each side the
  stream is gone.
- RESET (no payload): the stream is gone at once, in both directions. Frames for it that were under way are to
  be ignored.
- WINDOW (u32, at least 1): the receiver of the frame may send that many bytes of DATA more. Each side starts
  with a credit of 262144 bytes in each stream, pays one for each byte that it sends, and must never owe. No
  stream may hold a credit of more than 16777216.

A frame for a number that was used and is gone is ignored. An OPEN beyond 256 living streams is answered by
RESET. Everything else that this page does not allow (an unknown type, a second byte that is not 0, a number
not yet opened, DATA beyond the credit or after an EOF) is malformed: the receiver closes the channel, and all
streams with it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

LARGEST = 32768
"""Longest payload."""

WINDOW = 262144
"""Credit of a new stream, each way."""

MOST_CREDIT = 1 << 24
MOST_STREAMS = 256

_HEADER = struct.Struct("!BBHI")
_CREDIT = struct.Struct("!I")


class Kind(IntEnum):
    """What a frame does."""

    OPEN = 1
    DATA = 2
    EOF = 3
    RESET = 4
    WINDOW = 5


class Malformed(Exception):
    """The other side broke the rules of the wire: close the channel."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was read; a WINDOW's payload is in `credit`."""

    kind: Kind
    stream: int
    data: bytes = b""
    credit: int = 0


def frame(kind: Kind, stream: int, payload: bytes = b"") -> bytes:
    """Spell one frame."""
    return _HEADER.pack(kind, 0, len(payload), stream) + payload


def window(stream: int, credit: int) -> bytes:
    """Spell a WINDOW frame."""
    return frame(Kind.WINDOW, stream, _CREDIT.pack(credit))


class Frames:
    """Cuts bytes into frames."""

    def __init__(self) -> None:
        """Start at the start of a frame."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, and give every frame that is complete.

        Raises:
            Malformed: when they are no frames.

        """
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEADER.size:
                kind, zero, length, stream = _HEADER.unpack_from(self._buffer, at)
                _check(kind, zero, length, stream)
                end = at + _HEADER.size + length
                if len(self._buffer) < end:
                    return
                payload = bytes(self._buffer[at + _HEADER.size : end])
                at = end
                yield _read(Kind(kind), stream, payload)
        finally:
            del self._buffer[:at]


def _check(kind: int, zero: int, length: int, stream: int) -> None:
    """Look at a header alone, so that nothing waits for a payload that could not be right."""
    if kind not in Kind.__members__.values() or zero or not stream:
        raise Malformed("no frame begins like this")
    match Kind(kind):
        case Kind.DATA:
            fits = 1 <= length <= LARGEST
        case Kind.WINDOW:
            fits = length == _CREDIT.size
        case _:
            fits = length == 0
    if not fits:
        raise Malformed(f"a {Kind(kind).name} of {length} bytes")


def _read(kind: Kind, stream: int, payload: bytes) -> Frame:
    if kind is not Kind.WINDOW:
        return Frame(kind, stream, payload)
    (credit,) = _CREDIT.unpack(payload)
    if not 1 <= credit <= MOST_CREDIT:
        raise Malformed("a window that gives nothing, or too much")
    return Frame(kind, stream, credit=credit)


@dataclass(slots=True)
class Stream:
    """How far one stream is.

    Attributes:
        credit: Bytes that may still be sent.
        due: Bytes that the other side may still send.
        said_eof: Whether we have ended our half.
        heard_eof: Whether the other side has ended its half.

    """

    credit: int = WINDOW
    due: int = WINDOW
    said_eof: bool = False
    heard_eof: bool = False


class Streams:
    """The rules of the wire: which frame may come when, and which may go out. No bytes, no waiting.

    One side of a channel has `opens` set: the machine's.
    """

    def __init__(self, *, opens: bool) -> None:
        """Start with no stream."""
        self._opens = opens
        self._last = 0
        self.alive: dict[int, Stream] = {}

    def open(self) -> int:
        """Begin a stream of our own, and give its number: send an OPEN."""
        assert self._opens  # noqa: S101  # only the machine's side does
        self._last += 1
        self.alive[self._last] = Stream()
        return self._last

    def sent(self, stream: int, size: int) -> None:
        """Note DATA that goes out."""
        self.alive[stream].credit -= size
        assert self.alive[stream].credit >= 0  # noqa: S101  # the caller asked what it may send

    def granted(self, stream: int, size: int) -> None:
        """Note a WINDOW that goes out."""
        self.alive[stream].due += size

    def ended(self, stream: int) -> None:
        """Note an EOF that goes out."""
        self.alive[stream].said_eof = True
        self._bury(stream)

    def reset(self, stream: int) -> None:
        """Note a RESET that goes out."""
        self.alive.pop(stream, None)

    def heard(self, frame: Frame) -> bool:
        """Note a frame that came, and say whether it means something; False for one that is to be ignored.

        An OPEN that is one too many is ignored too, and its number is not alive: answer with a RESET.

        Raises:
            Malformed: when it may not come now.

        """
        if frame.kind is Kind.OPEN:
            return self._opened(frame.stream)
        stream = self.alive.get(frame.stream)
        if stream is None:
            if frame.stream > self._last:
                raise Malformed("a stream that nobody opened")
            return False
        match frame.kind:
            case Kind.RESET:
                del self.alive[frame.stream]
            case Kind.WINDOW:
                self._credited(stream, frame.credit)
            case _:
                self._received(frame, stream)
        return True

    def _opened(self, number: int) -> bool:
        if self._opens or number != self._last + 1:
            raise Malformed("an OPEN out of turn")
        self._last = number
        if len(self.alive) >= MOST_STREAMS:
            return False
        self.alive[number] = Stream()
        return True

    def _credited(self, stream: Stream, credit: int) -> None:
        stream.credit += credit
        if stream.credit > MOST_CREDIT:
            raise Malformed("more credit than anybody may have")

    def _received(self, frame: Frame, stream: Stream) -> None:
        stream.due -= len(frame.data)
        if stream.heard_eof or stream.due < 0:
            raise Malformed("DATA that may not come")
        if frame.kind is Kind.EOF:
            stream.heard_eof = True
            self._bury(frame.stream)

    def _bury(self, number: int) -> None:
        stream = self.alive[number]
        if stream.said_eof and stream.heard_eof:
            del self.alive[number]
