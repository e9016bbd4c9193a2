"""Encoded runs in a text and what they say: decoded once, never twice."""

import binascii
import re
from collections.abc import Callable, Iterator, Set
from html import unescape
from urllib.parse import unquote_plus

from blastwall.screening import engine

_RUN = r"[A-Za-z0-9+/_\r\n-]{32,}"
_PERCENT_RUN = r"[^\s\"'<>]*%[0-9A-F]{2}[^\s\"'<>]*"
_NOT_HEX = re.compile(r"[^0-9A-Fa-f]+")
_TO_STANDARD = str.maketrans("-_", "+/", "\r\n")
_PAIRS = r"(?:[0-9A-F]{2}[ :,-]){15,}[0-9A-F]{2}"
_BYTE_ESCAPES = r"(?:\\x[0-9A-F]{2}){8,}"
_UNIT_ESCAPES = r"(?:\\u[0-9A-F]{4}){8,}"
_ENTITIES = r"(?:&#x?[0-9A-F]{2,6};){8,}"
_SPACED = r"(?:[a-z][ ._*|-]{1,3}){9,}[a-z]"

Span = tuple[int, int]
Decoded = tuple[int, int, str]


def spoken(text: str, candidates: Set[str]) -> Iterator[Span]:
    """Go through the spans whose decoded text is an instruction.

    `candidates` names the encodings worth trying, as `engine.candidates` found them.
    """
    for name in candidates:
        speaks = engine.speaks_squeezed if name == "spaced" else engine.speaks
        found = list(_DECODERS[name](text))
        if found and speaks("\n".join([decoded for _, _, decoded in found])):
            yield from ((start, end) for start, end, decoded in found if speaks(decoded))


def _runs(text: str) -> Iterator[Decoded]:
    return _each(_RUN, text, _from_base64_or_hex)


def _percent(text: str) -> Iterator[Decoded]:
    return _each(_PERCENT_RUN, text, _from_percent)


def _pairs(text: str) -> Iterator[Decoded]:
    return _each(_PAIRS, text, _from_pairs)


def _escapes(text: str) -> Iterator[Decoded]:
    yield from _each(_BYTE_ESCAPES, text, _from_pairs)
    yield from _each(_UNIT_ESCAPES, text, _from_units)
    yield from _each(_ENTITIES, text, unescape)


def _spaced(text: str) -> Iterator[Decoded]:
    return _each(_SPACED, text, _squeeze)


def _each(regex: str, text: str, decode: Callable[[str], str]) -> Iterator[Decoded]:
    for start, end in engine.spans(regex, text):
        yield start, end, decode(text[start:end])


def _from_base64_or_hex(run: str) -> str:
    return "\n".join(_readings(run.translate(_TO_STANDARD)))


def _from_percent(run: str) -> str:
    return unquote_plus(run, errors="ignore")


def _readings(run: str) -> Iterator[str]:
    """Read a run as hexadecimal if it has no other character, else as base64 from each of four starts."""
    if _NOT_HEX.search(run) is None:
        yield _as_text(bytes.fromhex(run[: len(run) // 2 * 2]))
        return
    for offset in range(4):
        yield _as_text(binascii.a2b_base64(run[offset : offset + (len(run) - offset) // 4 * 4]))


def _as_text(octets: bytes) -> str:
    """Read bytes as UTF-8 or, because zeros are dropped, as UTF-16 that holds ASCII."""
    return octets.replace(b"\0", b"").decode("utf-8", "ignore")


def _from_pairs(run: str) -> str:
    return _as_text(bytes.fromhex(_NOT_HEX.sub("", run)))


def _from_units(run: str) -> str:
    return bytes.fromhex(_NOT_HEX.sub("", run)).decode("utf-16-be", "ignore")


def _squeeze(run: str) -> str:
    return "".join([char for char in run if char.isalpha()])


_DECODERS: dict[str, Callable[[str], Iterator[Decoded]]] = {
    "runs": _runs,
    "percent": _percent,
    "pairs": _pairs,
    "escapes": _escapes,
    "spaced": _spaced,
}
