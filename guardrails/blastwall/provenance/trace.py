"""One call traced: where each of its values, every piece of them and each link in them was seen."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, pairwise, product

from blastwall.frozen import FrozenDict, Json
from blastwall.provenance import pieces
from blastwall.provenance.arguments import leaves, names
from blastwall.provenance.encoded import decoded
from blastwall.provenance.heard import Heard
from blastwall.provenance.index import FOUND, Found, Index
from blastwall.provenance.links import form, links
from blastwall.provenance.mentions import LONGEST
from blastwall.provenance.normal import LINK, address, folded, looked_up, plain, squeezed, text_of, tokens
from blastwall.provenance.origins import How, Link, Origin, Path, Traced
from blastwall.provenance.sightings import Sighting, fewest
from blastwall.values import Confidentiality, Integrity, Label

TRACED = 1 << 17
"""Characters of one call's arguments that are traced; what is beyond counts as everything that was seen."""

MOST_WORDS = 256
"""Odd words of one call that are looked for one by one; what is beyond counts as everything that was seen."""

EVERYTHING = "everything seen"
"""Stands for a tool where arguments are too long to be traced."""

_STRETCH = 24
_READS = 2
_ENGLISH = re.compile(rb"th|he|nd|ng|in|st|ou|to|of|ed")
_ENCODED = re.compile(r"[A-Za-z0-9+/_=%-]{8,}+")
_WORDS = Origin("", 0, "$", Label(Integrity.PROMPT, Confidentiality.PUBLIC))
_ROT13 = bytes.maketrans(b"abcdefghijklmnopqrstuvwxyz", b"nopqrstuvwxyzabcdefghijklm")


@dataclass(slots=True, eq=False)
class _Piece:
    """One scalar on its way, and what was found of it."""

    path: Path
    value: Json
    text: str
    parts: list[Origin] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    is_name: bool = False


class Trace:
    """Traces calls against what was heard and seen; made anew for each call."""

    __slots__ = ("_heard", "_indexes", "_known", "_level", "_words")

    def __init__(self, heard: Heard, indexes: Iterable[Index], level: Confidentiality) -> None:
        """Take what was heard, what was seen, and the highest confidentiality of all that was."""
        self._heard = heard
        self._indexes = tuple(indexes)
        self._level = level
        self._known: dict[tuple[type, Json], tuple[Origin, ...]] = {}
        self._words = MOST_WORDS

    def call(self, arguments: FrozenDict) -> tuple[Traced, ...]:
        """Trace every scalar of the arguments, and those of their keys in which something is found."""
        found = list(self._pieces(arguments))
        self._inside(found)
        for piece in found:
            self._alone(piece)
        self._across([piece for piece in found if piece.text])
        return tuple(self._traced(piece) for piece in found if piece.parts or not piece.is_name)

    def _pieces(self, arguments: FrozenDict) -> Iterator[_Piece]:
        room = TRACED
        for path, value in leaves(arguments):
            yield self._piece(path, value, room)
            room = max(0, room - len(text_of(value)))
        for path, name in names(arguments):
            piece = self._piece(path, name, room)
            piece.is_name = True
            room = max(0, room - len(name))
            yield piece

    def _piece(self, path: Path, value: Json, room: int) -> _Piece:
        text = text_of(value) if value is not None else ""
        piece = _Piece(path, value, text[:room])
        if len(text) > room:
            piece.parts.append(self._everything())
        return piece

    def _everything(self) -> Origin:
        """Give the origin of what can't be traced: it may be as confidential as anything that was seen."""
        return Origin(EVERYTHING, 0, "$", Label(Integrity.EXTERNAL, self._level), How.PART)

    # --- Runs of characters, over all values in a row

    def _inside(self, found: list[_Piece]) -> None:
        """Find runs and odd values in the squeezed values: as they are, backwards, and by 13 letters off."""
        texts = [squeezed(folded(piece.text)) for piece in found]
        ends = list(accumulate(map(len, texts)))
        joined = b"".join(texts)
        for start, end, sighting in self._held(joined):
            _give(found, ends, start, end, sighting.origin(How.PART))
        for first, last in _disguised(joined):
            part = joined[first:last]
            for start, end, sighting in self._held(part[::-1]):
                _give(found, ends, last - end, last - start, sighting.origin(How.DECODED))
            for start, end, sighting in self._held(part.translate(_ROT13)):
                _give(found, ends, first + start, first + end, sighting.origin(How.DECODED))

    def _held(self, text: bytes) -> Found:
        """Find what the user did not write himself; a long run of one text is told of but now and then."""
        for found in (find(text) for index in self._indexes for find in (index.runs, index.odd)):
            told: dict[Sighting, int] = {}
            for start, end, sighting in found:
                if start >= told.get(sighting, 0) and not self._heard.holds_run(text[start:end]):
                    told[sighting] = end
                    yield start, end, sighting

    # --- Words, and what is encoded, in one value

    def _alone(self, piece: _Piece) -> None:
        """Find the odd words and the titles of a value, and all that its encoded runs say."""
        piece.parts.extend(self._words_of(piece.text, How.PART))
        piece.views = decoded(piece.text)
        for view in piece.views:
            piece.parts.extend(self._view(view))

    def _view(self, text: str) -> Iterator[Origin]:
        """Find anything in a text that was encoded."""
        for _, _, sighting in self._held(squeezed(folded(text))):
            yield sighting.origin(How.DECODED)
        yield from self._words_of(text, How.DECODED)
        if not self._heard.holds(text):
            for sighting in self._fields(text):
                yield sighting.origin(How.DECODED)

    def _words_of(self, text: str, how: How) -> Iterator[Origin]:
        read = tokens(folded(text))
        if pieces.has_digit(text):
            words = dict.fromkeys(pieces.words(read), how)
            for group in pieces.joined(read):
                words.setdefault(group, How.JOINED)
            for word, found_as in words.items():
                yield from self._odd_word(word, found_as)
        for index in self._indexes:
            for said, sighting in chain(index.short(read), index.titles(read)):
                if not self._heard.holds(said):
                    yield sighting.origin(how)

    def _odd_word(self, word: str, how: How) -> Iterator[Origin]:
        """Find an odd word that the user did not write; behind `MOST_WORDS`, it may be from anywhere."""
        if word in self._heard.odd:
            return
        if self._words == 0:
            yield self._everything()
            return
        self._words -= 1
        for index in self._indexes:
            for sighting in chain(index.word(word), index.whole(word)):
                yield sighting.origin(how)

    # --- What is cut over several values

    def _across(self, found: list[_Piece]) -> None:
        """Find what is encoded over several values, and short values that were cut in two."""
        origins: list[Origin] = []
        for run in _crossing([piece.text for piece in found]):
            for view in decoded(run):
                origins.extend(self._view(view))
        for before, after in pairwise(found):
            both = before.text + after.text
            if pieces.ODD <= len(both) <= LONGEST and pieces.has_digit(both) and not self._heard.holds(both):
                origins.extend(s.origin(How.JOINED) for s in self._fields(both))
                for word in pieces.words(tokens(folded(both))):
                    origins.extend(self._odd_word(word, How.JOINED))
        for piece, origin in product(found, fewest(origins)):
            piece.parts.append(origin)

    # --- Whole values

    def _traced(self, piece: _Piece) -> Traced:
        whole = () if piece.value is None else self._whole(piece.value)
        found = dict.fromkeys(links(piece.text)) if isinstance(piece.value, str) else {}
        for view in piece.views:
            found.update(dict.fromkeys(links(view)))
        return Traced(
            piece.path,
            piece.value,
            whole,
            fewest(piece.parts),
            tuple(Link(link, self._link(link)) for link in found),
        )

    def _whole(self, value: Json) -> tuple[Origin, ...]:
        key = (type(value), value)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = fewest(self._origins(value))
        return known

    def _origins(self, value: Json) -> Iterator[Origin]:
        if self._heard.holds(value):
            yield _WORDS
        text = text_of(value)
        for sighting in self._fields(value):
            how = How.EXACT if sighting.written == text else How.NORMALISED
            yield sighting.origin(how, bound=self._bound(sighting, text))
        if len(text) <= LONGEST:
            read, strict = tokens(folded(text)), tokens(plain(text))
            if " ".join(strict) != plain(text):
                strict = []  # marks between words are not kept, so no inside text can vouch for them
            for index in self._indexes:
                for sighting in index.phrase(read, strict):
                    yield sighting.origin(How.PART, prose=True)
        place = address(text)
        if place:
            yield from self._in_prose(place)

    def _fields(self, value: Json) -> Iterator[Sighting]:
        for key in looked_up(value):
            for index in self._indexes:
                yield from index.whole(key)

    def _bound(self, sighting: Sighting, text: str) -> bool:
        if sighting.label.integrity is not Integrity.TYPED:
            return False
        return self._heard.names(text) or any(map(self._heard.names, sighting.record.typed))

    def _link(self, link: str) -> tuple[Origin, ...]:
        origins = list(self._whole(link))
        place = form(link)
        if self._heard.holds_link(place):
            origins.append(_WORDS)
        origins.extend(self._in_prose(place))
        return fewest(origins)

    def _in_prose(self, place: str) -> Iterator[Origin]:
        for index in self._indexes:
            for sighting in index.whole(LINK + place):
                yield sighting.origin(How.LINK, prose=True)


def _give(found: list[_Piece], ends: list[int], start: int, end: int, origin: Origin) -> None:
    """Tell all the values that a finding lies in."""
    first, last = bisect_right(ends, start), bisect_right(ends, end - 1)
    if first < last and origin.how is How.PART:
        origin = replace(origin, how=How.JOINED)
    for piece in found[first : last + 1]:
        piece.parts.append(origin)


def _disguised(text: bytes) -> Iterator[tuple[int, int]]:
    """Give the stretches of a squeezed text that do not read like English, with some of what is around them.

    Text turned around or turned by 13 letters reads like nothing, so that English is spared two more looks.
    Of such text, some fifty letters in a row are what is found most of the time.
    """
    start = end = -1
    for at in range(0, len(text), _STRETCH):
        if len(_ENGLISH.findall(text, at, at + _STRETCH)) >= _READS:
            continue
        if at > end:
            if end >= 0:
                yield start, end
            start = max(at - FOUND, 0)
        end = at + _STRETCH + FOUND
    if end >= 0:
        yield start, min(end, len(text))


def _crossing(texts: list[str]) -> Iterator[str]:
    """Give the runs that may be encoded and lie in several texts, put together."""
    joined = "".join(texts)
    ends = list(accumulate(map(len, texts)))
    for run in _ENCODED.finditer(joined):
        if bisect_right(ends, run.start()) < bisect_right(ends, run.end() - 1):
            yield run.group()
