"""The index over what an agent has seen: whole values, runs of characters, odd words and phrases."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from blastwall.provenance.mentions import Mentions
from blastwall.provenance.pieces import GLUED
from blastwall.provenance.sightings import Sighting, Sightings, each, keep, newest
from blastwall.values import Integrity, Label

RUN = 15
STEP = 12
FOUND = RUN + STEP - 1
"""Letters and digits in a row, blanks and punctuation between them not counted, that are found wherever they
come from. Runs shorter than `RUN` are taken for chance."""

ODD_VALUE = 16
"""Characters that each odd value counts for."""

_ALIKE = 64
"""Odd values with one beginning that are kept."""

_DIGIT = re.compile(rb"[0-9]")

Found = Iterator[tuple[int, int, Sighting]]
"""Where something begins and ends, and where it was seen."""


K = TypeVar("K", str, bytes)
Alike = tuple[Any, ...]
"""Values with one beginning: each, and after it where it was seen. One flat tuple takes the least memory."""


class Index:
    """One stretch of a session. It only grows; whoever forgets drops all of it."""

    __slots__ = ("_mentions", "_odd", "_runs", "_secrets", "_short", "_titles", "_whole", "size")

    def __init__(self) -> None:
        self.size = 0
        self._whole: dict[str, Sighting | list[Sighting]] = {}
        self._runs: dict[bytes, Sightings] = {}
        self._odd: dict[bytes, Alike] = {}
        self._secrets: dict[bytes, Alike] = {}
        self._short: dict[str, Sightings] = {}
        self._titles: dict[str, Alike] = {}
        self._mentions = Mentions()

    def add_whole(self, key: str, sighting: Sighting) -> None:
        """Add all that a field holds, in its form."""
        self._whole[key] = keep(self._whole.get(key), sighting)

    def add_runs(self, text: bytes, sighting: Sighting) -> None:
        """Add a squeezed text: every twelfth of its runs of fifteen."""
        runs = self._runs
        for run in [text[i : i + RUN] for i in range(0, len(text) - RUN + 1, STEP)]:
            kept = runs.setdefault(run, sighting)
            if kept is not sighting:
                runs[run] = newest(kept, sighting)

    def add_words(self, tokens: list[str], sighting: Sighting) -> None:
        """Add a text, split into words."""
        self._mentions.add(tokens, sighting)

    def add_odd(self, text: bytes, sighting: Sighting) -> None:
        """Add a squeezed value that is found inside of other text, and shorter than what runs would find."""
        if len(text) < FOUND:
            digit = _DIGIT.search(text)
            start = min(digit.start(), len(text) - GLUED) if digit else 0
            _put(self._odd if digit else self._secrets, text[start : start + GLUED], text, sighting)
            self.size += ODD_VALUE

    def add_short(self, word: str, sighting: Sighting) -> None:
        """Add a secret that is but a short word."""
        kept = self._short.get(word)
        self._short[word] = sighting if kept is None else newest(kept, sighting)

    def add_title(self, tokens: list[str], sighting: Sighting) -> None:
        """Add a field of a few words, which are found inside of other text."""
        text = " ".join(tokens)
        if len(text) < 2 * FOUND:
            _put(self._titles, _first_two(tokens), text, sighting)
            self.size += ODD_VALUE

    def whole(self, key: str) -> Sequence[Sighting]:
        """Give where a form was all that a field held."""
        kept = self._whole.get(key, ())
        return (kept,) if isinstance(kept, Sighting) else kept

    def phrase(self, read: list[str], strict: list[str]) -> Iterator[Sighting]:
        """Give the texts that hold a phrase, of each label one.

        Outside texts are compared as they read, all others as they are written.
        """
        if read:
            yield from self._mentions.phrase(read, _is_outside)
        if strict:
            yield from self._mentions.phrase(strict, _is_inside)

    def word(self, word: str) -> Iterator[Sighting]:
        """Give the texts that hold an odd word, of each label one."""
        return self._mentions.word(word)

    def short(self, words: Iterable[str]) -> Iterator[tuple[str, Sighting]]:
        """Give the short secrets among words."""
        for word in self._short.keys() & set(words):
            for sighting in each(self._short[word]):
                yield word, sighting

    def titles(self, tokens: list[str]) -> Iterator[tuple[str, Sighting]]:
        """Give the titles among words."""
        titles = self._titles
        for at, pair in enumerate(pairwise(tokens) if titles else ()):
            for title, sighting in _pairs(titles.get(f"{pair[0]} {pair[1]}", ())):
                if " ".join(tokens[at : at + title.count(" ") + 1]) == title:
                    yield title, sighting

    def runs(self, text: bytes) -> Found:
        """Give the runs inside a squeezed text."""
        runs = self._runs
        for i in [i for i in range(len(text) - RUN + 1) if text[i : i + RUN] in runs]:
            for sighting in each(runs[text[i : i + RUN]]):
                yield i, i + RUN, sighting

    def odd(self, text: bytes) -> Found:
        """Give the odd values inside a squeezed text."""
        if self._odd:
            digits = [found.start() for found in _DIGIT.finditer(text)]
            near = sorted({i for digit in digits for i in range(max(digit - GLUED + 1, 0), digit + 1)})
            yield from _held(self._odd, text, near)
        if self._secrets:
            yield from _held(self._secrets, text, range(len(text) - GLUED + 1))


def _first_two(tokens: list[str]) -> str:
    return " ".join(tokens[:2])


def _put(among: dict[K, Alike], key: K, text: K, sighting: Sighting) -> None:
    """Keep a value under its key, in the place of the same one with its label, or of the oldest of many."""
    others: list[Any] = []
    for other, seen in _pairs(among.get(key, ())):
        if other != text or seen.label != sighting.label:
            others += (other, seen)
    among[key] = tuple([*others, text, sighting][-2 * _ALIKE :])


def _pairs(kept: Alike) -> Iterator[tuple[Any, Sighting]]:
    return zip(kept[::2], kept[1::2], strict=True)


def _held(among: dict[bytes, Alike], text: bytes, positions: Iterable[int]) -> Found:
    for i in [i for i in positions if text[i : i + GLUED] in among]:
        key = text[i : i + GLUED]
        for value, sighting in _pairs(among[key]):
            start = i - value.find(key)
            if start >= 0 and text.startswith(value, start):
                yield start, start + len(value), sighting


def _is_outside(label: Label) -> bool:
    return label.integrity is Integrity.EXTERNAL


def _is_inside(label: Label) -> bool:
    return label.integrity is not Integrity.EXTERNAL
