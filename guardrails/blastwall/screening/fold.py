"""The folded view of a text: what it reads as once disguises of letters and invisible parts are gone."""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from blastwall.lookalikes import LATIN

_FEW = 12


class View:
    """A text as it reads, with the way back to the original's positions."""

    __slots__ = ("_kept", "_original", "_starts", "text")

    def __init__(self, original: str, cuts: Sequence[tuple[int, int]]) -> None:
        """Fold `original` without its `cuts`, which are sorted and may touch or overlap."""
        self._original = original
        self._kept = _complement(cuts, len(original))
        self._starts: list[int] | None = None
        self.text = "".join([_folded(original[start:end]) for start, end in self._kept])

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Give the span of the original that a non-empty span of the view came from."""
        if self._starts is None:
            self._starts = self._positions()
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        indices = [0, *accumulate(b - a for a, b in self._kept)]
        return self._locate(indices, first), self._locate(indices, last) + 1

    def _positions(self) -> list[int]:
        """Say where in the view each kept character starts."""
        lengths = [len(fold(char)) for a, b in self._kept for char in self._original[a:b]]
        return [0, *accumulate(lengths[:-1])]

    def _locate(self, indices: list[int], kept_index: int) -> int:
        piece = bisect_right(indices, kept_index) - 1
        return self._kept[piece][0] + kept_index - indices[piece]


@lru_cache(maxsize=8192)
def fold(char: str) -> str:
    """Give what one character reads as: compatibility-decomposed, without marks, look-alikes as Latin.

    Format characters (category Cf) read as nothing.
    """
    if char.isascii():
        return char
    decomposed = unicodedata.normalize("NFKD", char).translate(LATIN)
    return "".join([part for part in decomposed if unicodedata.category(part) not in {"Mn", "Cf"}])


def _folded(text: str) -> str:
    if text.isascii():
        return text
    folds = {char: fold(char) for char in set(text)}
    changes = {ord(char): folded for char, folded in folds.items() if folded != char}
    if len(changes) > _FEW:
        return text.translate(changes)
    for code, folded in changes.items():  # several times faster; a fold is its own fold, so in any order
        text = text.replace(chr(code), folded)
    return text


def _complement(cuts: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    kept = []
    position = 0
    for start, end in cuts:
        if start > position:
            kept.append((position, start))
        position = max(position, end)
    if position < length:
        kept.append((position, length))
    return kept
