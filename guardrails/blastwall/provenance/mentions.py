"""Which texts hold a word or a phrase, without looking through them: signatures of blocks of text."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise

from blastwall.provenance import pieces
from blastwall.provenance.sightings import Sighting
from blastwall.values import Label

BLOCK = 1 << 12
"""Characters of a block."""

LONGEST = 200
"""Longest phrase that is looked for, in characters."""

_ROWS = 1 << 15
_BETWEEN = " \n "


class Mentions:
    """Texts as sequences of words, in blocks of one label each.

    Each word and each pair of neighbours sets the block's bit in two of 32,768 rows (a Bloom filter that is
    kept by its columns), so that the blocks which may hold a phrase come out of a few conjunctions of long
    integers. Every one of them is then looked into.
    """

    __slots__ = ("_labels", "_open", "_rows", "_sealed")

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._sealed: list[_Block] = []
        self._labels: dict[Label, int] = {}
        self._open: dict[Label, _Block] = {}

    def add(self, tokens: list[str], sighting: Sighting) -> None:
        """Add a text, split into words."""
        text = " ".join(tokens)
        for start, end in _cuts(text):
            self._put(text[start:end], sighting)

    def phrase(self, tokens: list[str], among: Callable[[Label], bool]) -> Iterator[Sighting]:
        """Give, of each of some labels, one text that holds these words in this order."""
        items = tokens if len(tokens) == 1 else _pairs(tokens)
        return self._find(items, f" {' '.join(tokens)} ", among)

    def word(self, word: str) -> Iterator[Sighting]:
        """Give, of each label, one text that holds this odd word, be it inside of another."""
        return self._find([f"~{word}"], word, _any)

    def _put(self, text: str, sighting: Sighting) -> None:
        block = self._open.get(sighting.label)
        if block is None:
            block = self._open[sighting.label] = _Block()
            self._labels.setdefault(sighting.label, 0)
        block.put(text, sighting)
        if block.size >= BLOCK:
            del self._open[sighting.label]
            self._seal(block, sighting.label)

    def _seal(self, block: "_Block", label: Label) -> None:
        bit = 1 << len(self._sealed)
        self._sealed.append(block)
        self._labels[label] |= bit
        rows = self._rows = self._rows or [0] * _ROWS
        hashes = list(map(hash, block.items()))
        for row in {h % _ROWS for h in hashes} | {h // _ROWS % _ROWS for h in hashes}:
            rows[row] |= bit

    def _find(self, items: list[str], text: str, among: Callable[[Label], bool]) -> Iterator[Sighting]:
        rows, labels = self._rows, [label for label in self._labels if among(label)]
        blocks = (1 << len(self._sealed)) - 1
        for h in map(hash, items):
            if not blocks:
                break
            blocks &= rows[h % _ROWS] & rows[h // _ROWS % _ROWS]
        for label in labels:
            found = self._open[label].holder(text) if label in self._open else None
            found = found or self._first(blocks & self._labels[label], text)
            if found:
                yield found

    def _first(self, blocks: int, text: str) -> Sighting | None:
        while blocks:
            last = blocks.bit_length() - 1
            found = self._sealed[last].holder(text)
            if found:
                return found
            blocks ^= 1 << last
        return None


def _any(_: Label) -> bool:
    return True


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Cut a long text between words, each part with the end of the one before it.

    A word that is too long for a part is left out: nobody looks for it. The blank of a cut is kept, so that
    no part is taken for a text that is nothing else.
    """
    start = 0
    while len(text) - start > BLOCK:
        end = text.rfind(" ", start, start + BLOCK)
        if end < 0:
            end = text.find(" ", start)
            start = len(text) if end < 0 else end + 1
            continue
        yield start, end + 1
        start = text.find(" ", end - LONGEST if end - start > LONGEST else end) + 1
    if start < len(text):
        yield max(start - 1, 0), len(text)


def _pairs(tokens: list[str]) -> list[str]:
    return [f"{first} {second}" for first, second in pairwise(tokens)]


class _Block:
    """Texts of one label, one after the other."""

    __slots__ = ("_joined", "_sightings", "_starts", "_texts", "size")

    def __init__(self) -> None:
        self.size = 0
        self._texts: list[str] = []
        self._starts: list[int] = []
        self._sightings: list[Sighting] = []
        self._joined: str | None = None

    def put(self, text: str, sighting: Sighting) -> None:
        self._starts.append(self.size)
        self._sightings.append(sighting)
        self._texts.append(text)
        self._joined = None
        self.size += len(text) + len(_BETWEEN)

    def items(self) -> set[str]:
        """Give what the block's bit is set for."""
        found: set[str] = set()
        for text in self._text().split(_BETWEEN):
            tokens = text.split(" ")
            found.update(tokens)
            found.update(_pairs(tokens))
            found.update(f"~{word}" for word in pieces.words(tokens))
        return found

    def holder(self, text: str) -> Sighting | None:
        """Give a text that holds this one: as words if it is set off by blanks, else inside of one.

        A text that is nothing but these words holds no mention of them.
        """
        joined, refused = self._text(), _alone if text[0] == " " else _longer
        at = joined.find(text)
        while at >= 0 and refused(joined, at, at + len(text)):
            at = joined.find(text, at + 1)
        return self._sightings[bisect_right(self._starts, at) - 1] if at >= 0 else None

    def _text(self) -> str:
        """Give all the texts in one, with a blank at either end of each."""
        if self._joined is None:
            self._joined = f" {_BETWEEN.join(self._texts)} "
            self._texts = [self._joined[1:-1]]
        return self._joined


def _alone(joined: str, start: int, end: int) -> bool:
    return joined[max(start - 1, 0) : start] in ("", "\n") and joined[end : end + 1] in ("", "\n")


def _longer(joined: str, start: int, end: int) -> bool:
    return joined[start - 1].isalnum() or joined[end].isalnum()
