"""The matcher: one RE2 set says which patterns occur, the pattern itself then says where. Linear time."""

from collections.abc import Iterator
from functools import cache

import re2

from blastwall.screening.patterns import CANDIDATES, PATTERNS, SPOKEN, SQUEEZED, Pattern

_MAX_MEM = 256 * 1024 * 1024
"""RE2's ceiling in bytes, far above what any text was seen to need."""

_ALWAYS = ""
"""A pattern that every text matches. A set that runs out of memory reports no match at all: without this
one, that would look like a clean text."""


_ALWAYS_NUMBERS = frozenset((len(PATTERNS) + len(CANDIDATES),))


def hits(data: bytes) -> frozenset[int]:
    """Give the numbers of the patterns and candidates that occur in this UTF-8 text.

    Raises:
        MemoryError: the matcher could not finish, so nothing is known about the text.

    """
    found = _set().Match(data)
    if not found:
        raise MemoryError("the screening patterns ran out of memory: this output can't be screened")
    return frozenset(found) - _ALWAYS_NUMBERS


def pattern(number: int) -> Pattern:
    """Give the pattern of a hit; only for hits that are no candidates."""
    return PATTERNS[number]


def candidates(numbers: frozenset[int]) -> frozenset[str]:
    """Give the names of the candidates among the hits."""
    names = tuple(CANDIDATES)
    return frozenset(names[number - len(PATTERNS)] for number in numbers if number >= len(PATTERNS))


def findings(numbers: frozenset[int]) -> list[int]:
    """Give the hits that are patterns, in order."""
    return sorted(number for number in numbers if number < len(PATTERNS))


def spans(regex: str, text: str) -> Iterator[tuple[int, int]]:
    """Go through the matches of one expression, as character spans."""
    return (match.span() for match in _compiled(regex).finditer(text))


def speaks(text: str) -> bool:
    """Say whether a decoded text is an instruction, by any family of `SPOKEN`."""
    return any(PATTERNS[number].family in SPOKEN for number in findings(hits(text.encode("utf-8", "ignore"))))


def speaks_squeezed(text: str) -> bool:
    """Say whether a text without spaces holds an override phrase."""
    return _compiled(SQUEEZED).search(text) is not None


@cache
def _set() -> re2.Set:
    """Compile every pattern into one set, once a process."""
    made = re2.Set.SearchSet(_options())
    for regex in (*(pattern.regex for pattern in PATTERNS), *CANDIDATES.values(), _ALWAYS):
        made.Add(regex)
    made.Compile()
    return made


@cache
def _compiled(regex: str) -> "re2._Regexp":
    return re2.compile(regex, _options())


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = _MAX_MEM
    options.log_errors = False
    return options
