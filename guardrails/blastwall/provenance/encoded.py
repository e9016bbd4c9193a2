"""What the encoded runs inside a text say: base64, base32, hexadecimal and percent, one inside the other."""

import base64
import binascii
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import unquote

DEEPEST = 3
"""Encodings inside encodings that are looked through."""

SHORTEST = 6
"""Shorter runs hold less than four characters."""

_RUN = re.compile(r"[A-Za-z0-9+/_-]{6,}+(?:[ \t]*+[\r\n]++[ \t]*+[A-Za-z0-9+/_-]{6,}+)*+")
_LINE = re.compile(r"[A-Za-z0-9+/_-]{6,}+")
_PAIRS = re.compile(r"(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ :,;-]{0,2}){4,}")
_UNSHOWN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_NOT_HEX = re.compile(r"\\x|0x|[^0-9A-Fa-f]")
_UNITS = re.compile(r"\\u[0-9A-Fa-f]{4}")
_TO_STANDARD = str.maketrans("-_", "+/")


def decoded(text: str, shortest: int = SHORTEST) -> list[str]:
    """Give what the encoded runs of a text say, each once; a run has at least `shortest` characters.

    What is no text is left out.
    """
    found: dict[str, None] = {}
    level = [text]
    for _ in range(DEEPEST):
        level = [said for item in level for said in _readings(item, shortest) if said not in found]
        found.update(dict.fromkeys(level))
    return list(found)


def _readings(text: str, shortest: int) -> Iterator[str]:
    if "%" in text:
        yield from _changed(text, unquote(text, errors="ignore"))
    if "&" in text:
        yield from _changed(text, unescape(text))
    if "\\u" in text:
        yield from _changed(text, _UNITS.sub(_unit, text))
    yield from _runs(text, shortest)
    for run in _PAIRS.findall(text):
        if len(run) >= shortest:
            yield from _as_text(_octets(_NOT_HEX.sub("", run)))


def _unit(found: re.Match[str]) -> str:
    return chr(int(found.group()[2:], 16))


def _runs(text: str, shortest: int) -> Iterator[str]:
    for run in _RUN.findall(text):
        lines = _LINE.findall(run)
        for line in lines if len(lines) == 1 else (*lines, "".join(lines)):
            if len(line) >= shortest and not _is_word(line):
                yield from _from_run(line.translate(_TO_STANDARD))


def _is_word(run: str) -> bool:
    """Say whether a run is a word, which no code of some length looks like."""
    return run.isdecimal() or (run.isalpha() and run[1:].islower() and len(run) < 24)


def _changed(text: str, said: str) -> Iterator[str]:
    if said != text:
        yield said


def _from_run(run: str) -> Iterator[str]:
    """Read a run in each alphabet that it fits, base64 from each of four starts."""
    if _HEX.fullmatch(run):
        yield from _as_text(_octets(run))
    for start in range(min(4, len(run) - SHORTEST + 1)):
        yield from _as_text(_from_base64(run[start:]))
    if run.isupper():
        yield from _as_text(_from_base32(run))


def _octets(digits: str) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _from_base64(run: str) -> bytes:
    left = len(run) % 4
    padded = run[:-1] if left == 1 else run + "=" * (-len(run) % 4)
    return binascii.a2b_base64(padded)


def _from_base32(run: str) -> bytes:
    try:
        return base64.b32decode(run + "=" * (-len(run) % 8))
    except binascii.Error:
        return b""


def _as_text(octets: bytes) -> Iterator[str]:
    """Read bytes as UTF-8, or without zeros as UTF-16 that holds ASCII; what is mostly no text is none."""
    shown = octets.replace(b"\0", b"")
    said = shown.decode("utf-8", "ignore")
    if len(said) >= 4 and 8 * len(_UNSHOWN.sub("", said).encode()) >= 7 * len(shown):
        yield said
