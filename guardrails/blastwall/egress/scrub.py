"""Placeholders for real values, on the way back, wherever a stream is cut and however it is spelled. Pure."""

import base64
import functools
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from blastwall.egress.placeholders import Held

_OPTIONS = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1
_OPTIONS.longest_match = True
_OPTIONS.max_mem = 64 << 20
_SHORTEST_CORE = 8
"""Letters of base64 that are worth to be looked for."""


class Scrubber:
    """Replaces real values in a stream. It holds back only what may become one with the bytes that follow."""

    def __init__(self, held: Sequence[Held]) -> None:
        """Look for these values."""
        self._held = tuple(held)
        self._forms = tuple(form for one in held for form in _forms(one.value))
        self._pattern = _pattern(tuple(one.value for one in held))
        first = bytes(sorted({code for form in self._forms for code in form.first}))
        self._first = re.compile(b"[" + re.escape(first) + b"]" if first else b"(?!)")
        self._longest = max((form.longest for form in self._forms), default=0)
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, and give what is safe to pass on."""
        data = self._tail + data
        ready, rest = self._cleaned(data, self._open(data))
        self._tail = data[rest:]
        return ready

    def end(self) -> bytes:
        """Give the rest."""
        data, self._tail = self._tail, b""
        return self._cleaned(data, len(data))[0]

    def finds(self, data: bytes) -> bool:
        """Take the next piece of a stream that can't be changed, and say whether a value ends in it."""
        data = self._tail + data
        self._tail = data[self._open(data) :]
        return self._pattern.search(data) is not None

    def _cleaned(self, data: bytes, until: int) -> tuple[bytes, int]:
        """Replace what begins before `until`; give where the rest begins too."""
        pieces, at = [], 0
        for found in self._pattern.finditer(data):
            if found.start() >= until:
                break
            pieces += [data[at : found.start()], self._name(found.group())]
            at = found.end()
        until = max(until, at)
        return b"".join((*pieces, data[at:until])), until

    def _name(self, found: bytes) -> bytes:
        for one in self._held:
            if _pattern((one.value,)).fullmatch(found):
                return one.placeholder
        return b""

    def _open(self, data: bytes) -> int:
        """Give where the first thing begins that the bytes to come may complete."""
        start = max(len(data) - self._longest, 0)
        tail = data[start:].lower()
        places = (found.start() for found in self._first.finditer(tail))
        return next((start + at for at in places if self._begins(tail, at)), len(data))

    def _begins(self, tail: bytes, at: int) -> bool:
        return any(tail[at] in form.first and form.is_cut(tail, at) for form in self._forms)


def scrubbed(held: Sequence[Held], data: bytes) -> bytes:
    """Replace real values in something whole."""
    scrubber = Scrubber(held)
    return scrubber.feed(data) + scrubber.end()


@dataclass(frozen=True, slots=True)
class _Form:
    """A sequence of places, each with its possible spellings in lower case."""

    places: tuple[tuple[bytes, ...], ...]
    first: frozenset[int]
    longest: int

    @classmethod
    def of(cls, places: Iterable[tuple[bytes, ...]]) -> "_Form":
        lower = tuple(tuple({text.lower() for text in spellings}) for spellings in places)
        first = frozenset(text[0] for text in lower[0])
        return cls(lower, first, sum(max(map(len, spellings)) for spellings in lower))

    def is_cut(self, tail: bytes, at: int) -> bool:
        """Say whether a spelling of this may begin here and go on beyond the end."""
        ends = {at}
        for spellings in self.places:
            if len(tail) in ends or any(text.startswith(tail[end:]) for end in ends for text in spellings):
                return True
            ends = {end + len(text) for end in ends for text in spellings if tail.startswith(text, end)}
            if not ends:
                return False
        return False


@functools.lru_cache(maxsize=256)
def _forms(value: bytes) -> tuple[_Form, ...]:
    letters = _Form.of(_spellings(code) for code in value)
    digits = _Form.of((bytes([code]),) for code in value.hex().encode())
    return (letters, digits, *(_Form.of((bytes([code]),) for code in core) for core in _cores(value)))


@functools.lru_cache(maxsize=256)
def _pattern(values: tuple[bytes, ...]) -> Any:
    """Match any of these values in every spelling that a server gives it without meaning to hide it.

    As it is, percent-encoded, escaped for JSON or HTML (letter by letter, so mixtures too), in base64 at
    any offset, in hexadecimal.
    """
    parts: list[bytes] = []
    for value in values:
        parts.append(b"".join(map(_place, value)))
        parts.append(b"(?i:" + value.hex().encode() + b")")
        parts += map(re2.escape, _cores(value))
    return re2.compile(b"|".join(dict.fromkeys(parts)), _OPTIONS)


def _place(code: int) -> bytes:
    exact, *spelled = _spellings(code)
    escaped: list[bytes] = list(map(re2.escape, (exact, *spelled)))
    return b"(?:" + escaped[0] + b"|(?i:" + b"|".join(escaped[1:]) + b"))"


@functools.cache
def _spellings(code: int) -> tuple[bytes, ...]:
    letter, digits = chr(code), f"{code:02x}"
    spelled = [f"%{digits}", f"\\u00{digits}"]
    for zeros in range(5):
        spelled += [f"&#x{'0' * zeros}{digits};", f"&#{'0' * zeros}{code};"]
    if not letter.isalnum():
        spelled += [f"\\{letter}", html.escape(letter)]
    if letter == " ":
        spelled.append("+")
    return tuple(dict.fromkeys(text.encode("latin-1") for text in (letter, *spelled)))


def _cores(value: bytes) -> Iterator[bytes]:
    """Give what the base64 of anything with this value in it holds, per offset and alphabet."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value)
        core = encoded[(offset * 8 + 5) // 6 : (offset + len(value)) * 8 // 6]
        if len(core) >= _SHORTEST_CORE:
            yield core
            if core != (url_safe := core.translate(bytes.maketrans(b"+/", b"-_"))):
                yield url_safe
