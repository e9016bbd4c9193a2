"""What is odd enough in a text to betray where it came from, however short it is: codes, numbers, titles."""

import re
from collections.abc import Iterable, Iterator

from blastwall.provenance.normal import squeezed

ODD = 4
"""Shortest word with a digit that is looked for as a word."""

GLUED = 6
"""Shortest value that is looked for inside others: glued to letters, spaced out, or in pieces."""

_NUMBER = 8
"""Shortest number of which that is so."""

_TITLE = 10
_LONGEST_PIECE = 5

_DIGIT = re.compile(r"\d")
_WORD = re.compile(r"[^\W_]++")
_TIME = re.compile(
    r"(?:19|20)\d\d(?:[-./](?:0?[1-9]|1[0-2])(?:[-./](?:0?[1-9]|[12]\d|3[01]))?)?(?:t?\d\d:\d\d[\d:.]*(?:[+-]\d\d:?\d\d)?z?)?"
    r"|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d|\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?"
    r"|(?:19|20)\d\d-\d\d-\d\dt\d\d(?:[:.]?\d+)*+(?:[+-]\d\d)?z?"
)


def is_time(token: str) -> bool:
    """Say whether a word is a year, a date or a time of day: everybody's, and so nobody's."""
    return _TIME.fullmatch(token) is not None


def words(tokens: Iterable[str]) -> Iterator[str]:
    """Give the odd words: of at least four characters, one of them a digit."""
    for token in _numbered(tokens):
        for word in _WORD.findall(token):
            if len(word) >= ODD and has_digit(word) and not is_time(word):
                yield word


def glued(tokens: list[str]) -> Iterator[bytes]:
    """Give what is odd enough to be found inside other text, squeezed: codes and long numbers."""
    for token in _numbered(tokens):
        yield from _odd(squeezed(token))
        inner = _WORD.findall(token)
        if len(inner) > 1:
            for word in inner:
                yield from _odd(squeezed(word))
    for group in groups(tokens):
        yield from _odd(squeezed(group))


def groups(tokens: list[str]) -> Iterator[str]:
    """Give what short pieces with digits, one after the other, come to: `DE89 3704 0044`, `1 2 3 4`."""
    done = 0
    for at, token in enumerate(tokens):
        if at < done or token.isalpha() or not _short(token):
            continue
        first = last = at
        while first > done and _joins(tokens[first - 1]):
            first -= 1
        while last + 1 < len(tokens) and _joins(tokens[last + 1]):
            last += 1
        done = last + 1
        if last > first:
            yield "".join(tokens[first:done])


def joined(tokens: list[str]) -> Iterator[str]:
    """Give words that are too short to be odd, put together: with blanks between them, or dots or dashes."""
    for text in (*groups(tokens), *("".join(_WORD.findall(token)) for token in _numbered(tokens))):
        if len(text) >= ODD and not is_time(text):
            yield text


def _short(token: str) -> bool:
    return len(token) <= _LONGEST_PIECE and has_digit(token) and not is_time(token)


def _joins(token: str) -> bool:
    return len(token) == 1 or _short(token)


def _numbered(tokens: Iterable[str]) -> list[str]:
    return [t for t in tokens if not t.isalpha() and has_digit(t) and not is_time(t)]


def is_title(text: bytes, tokens: list[str]) -> bool:
    """Say whether all that a field holds is looked for inside other text: a few words, and no run of them."""
    return len(tokens) > 1 and len(text) >= _TITLE


def _odd(text: bytes) -> Iterator[bytes]:
    digits = sum(48 <= byte <= 57 for byte in text)
    if len(text) >= GLUED and digits and (digits < len(text) or digits >= _NUMBER):
        yield text


def has_digit(text: str) -> bool:
    """Say whether there is a digit in it."""
    return _DIGIT.search(text) is not None
