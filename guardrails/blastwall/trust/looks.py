"""A file of unknown origin as it may be shown: what hides from its reader is written out."""

import difflib
import re
import unicodedata
from collections.abc import Iterator

from blastwall.lookalikes import LATIN
from blastwall.policy.explain import plain

_LONG = 400
_GAP = 20
_COMPARED = 250_000
"""Pairs of lines that are compared: difflib may take the cube of their number."""

_EUROPE = 0x17F
"""The last of Latin-1 and Latin Extended-A, whose letters words like Größe and Øresund are written in."""

_WORD = re.compile(r"\S+")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ASCII = re.compile(r"[A-Za-z]")
_UNSEEN = ("Cf", "Cc", "Co", "Cn", "Cs", "Zl", "Zp")
_EMPTY = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and signs that show nothing."""


def text_of(content: bytes) -> str:
    """Decode a file; what is no UTF-8 is written out byte by byte."""
    return content.decode("utf-8", "backslashreplace")


def visible(line: str) -> str:
    """Write out what can't be seen, what speaks to the terminal, and letters that pass for Latin ones."""
    return plain(_WORD.sub(_word, "".join(map(_char, line))))


def _char(char: str) -> str:
    """Write out one character, if it does not show; of joined ones, each that joins."""
    if char == "\t":
        return "\\t"
    hidden = char in _EMPTY or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF
    return f"\\u{ord(char):04x}" if hidden or unicodedata.category(char) in _UNSEEN else char


def _word(found: re.Match[str]) -> str:
    """Write out the lookalikes of a word that has true Latin letters as well: not those of Europe's words."""
    word = found.group()
    if word.isascii() or not _ASCII.search(word):
        return word
    return "".join(f"\\u{ord(c):04x}" if ord(c) in LATIN and ord(c) > _EUROPE else c for c in word)


def lines(content: bytes) -> Iterator[str]:
    """Give all lines of a file as they may be shown, each with its number."""
    for number, line in enumerate(text_of(content).removesuffix("\n").split("\n"), 1):
        yield f"{number:>4}  {visible(line)}"


def difference(before: bytes, now: bytes) -> Iterator[str]:
    """Give the unified diff of two contents, as it may be shown."""
    old, new = (text_of(content).split("\n") for content in (before, now))
    for line in _compared(old, new):
        yield visible(line)


def _compared(old: list[str], new: list[str]) -> Iterator[str]:
    """Compare lines; where that could take for ever, all from the first to the last change is shown."""
    head, tail = _alike(old, new), _alike(old[::-1], new[::-1])
    tail = min(tail, len(old) - head, len(new) - head)
    gone, come = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(gone) * len(come) <= _COMPARED:
        yield from difflib.unified_diff(old, new, "trusted", "now", lineterm="")
        return
    yield from ("--- trusted", "+++ now", f"@@ line {head + 1} @@")
    yield from ("-" + line for line in gone)
    yield from ("+" + line for line in come)


def _alike(some: list[str], others: list[str]) -> int:
    """Count the lines that two texts have in common at their beginning."""
    pairs = enumerate(zip(some, others, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(some), len(others)))


def oddities(content: bytes) -> Iterator[str]:
    """Say what a reader of a file could overlook."""
    text = text_of(content)
    written = text.split("\n")
    if b"\0" in content or not _utf8(content):
        yield "it is not UTF-8 text: its bytes are written out"
    hidden = [str(number) for number, line in enumerate(written, 1) if _hides(line.removesuffix("\r"))]
    if hidden:
        more = "" if len(hidden) <= _GAP else f" and {len(hidden) - _GAP} more"
        yield f"hidden or lookalike characters are written out in line {', '.join(hidden[:_GAP])}{more}"
    if _RIGHT_TO_LEFT.search(text):
        yield "it holds right-to-left letters: what stands around them may show in another order"
    if (long := max(map(len, written))) > _LONG:
        yield f"its longest line has {long} characters: scroll to its end"
    if "\n" * _GAP in re.sub(r"[ \t\r]+", "", text):
        yield "it holds a long run of empty lines: something may stand below"


def _hides(line: str) -> bool:
    return visible(line) != line.replace("\t", "\\t")


def _utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
