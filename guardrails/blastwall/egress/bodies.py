"""What happens to the bodies of responses from hosts that a credential is bound to. Pure."""

import zlib
from collections.abc import Iterator, Sequence

from blastwall.egress.placeholders import Headers, Held
from blastwall.egress.scrub import Scrubber, scrubbed

_PIECE = 1 << 18
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_ASKED_AWAY = frozenset(b"accept-encoding range if-range sec-websocket-extensions".split())


class Unreadable(Exception):
    """A body that can't be searched for secrets. The message is safe for models."""


def asking(headers: Headers) -> Headers:
    """Ask for a response that can be searched: whole, and as it is."""
    return [*((n, v) for n, v in headers if n not in _ASKED_AWAY), (b"accept-encoding", b"identity")]


def cleaned(held: Sequence[Held], headers: Headers) -> Headers:
    """Take real values out of the headers of a response."""
    if not held:
        return headers
    return [(n, scrubbed(held, v)) for n, v in headers if scrubbed(held, n) == n]


def rewritten(headers: Headers) -> Headers:
    """Give the headers of a body whose length may change, and that is decoded."""
    return [(n, v) for n, v in headers if n not in (b"content-length", b"content-encoding", b"digest")]


class Body:
    """Decodes a body and takes real values out of it, piece by piece, in bounded memory."""

    def __init__(self, held: Sequence[Held], headers: Headers) -> None:
        """Begin.

        Raises:
            Unreadable: when it is encoded in another way than gzip or deflate.

        """
        self._scrubber = Scrubber(held)
        encodings = [t.strip().lower() for n, v in headers if n == b"content-encoding" for t in v.split(b",")]
        encodings = [encoding for encoding in encodings if encoding not in (b"", b"identity")]
        if len(encodings) > 1 or (encodings and encodings[0] not in _WINDOWS):
            raise Unreadable("the host's answer is encoded in a way that can't be searched for secrets")
        self._decoder = zlib.decompressobj(_WINDOWS[encodings[0]]) if encodings else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next piece, and give what can be passed on.

        Raises:
            Unreadable: when it is not encoded as it says.

        """
        for piece in self._decoded(data):
            if ready := self._scrubber.feed(piece):
                yield ready

    def end(self) -> bytes:
        """Give the rest."""
        return self._scrubber.end()

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            yield data
            return
        try:
            while data:
                piece = self._decoder.decompress(data, _PIECE)
                data = self._decoder.unconsumed_tail
                yield piece
        except zlib.error:
            raise Unreadable("the host's answer is not encoded as it says") from None
