"""What a session has seen and heard: where each value of a call comes from."""

from collections.abc import Iterable
from dataclasses import replace

from blastwall.frozen import FrozenDict, Json
from blastwall.provenance import pieces
from blastwall.provenance.encoded import decoded
from blastwall.provenance.heard import Heard
from blastwall.provenance.index import RUN, Index
from blastwall.provenance.intent import Intent
from blastwall.provenance.labels import Labels, Leaf, strictest
from blastwall.provenance.links import form, links
from blastwall.provenance.normal import LINK, address, folded, keys, plain, squeezed, text_of, tokens
from blastwall.provenance.origins import Context
from blastwall.provenance.places import accounts
from blastwall.provenance.sightings import Sighting
from blastwall.provenance.trace import Trace
from blastwall.values import Confidentiality, Integrity, Label

STRETCHES = 2
"""What is kept is forgotten a half at a time, the older one first: fewer stretches make quicker looks."""

LEAF = 32
"""Characters that each value counts for beside its own."""

_ENCODED = 24
_SHORT = 64
_NOTHING = Label(Integrity.PROMPT, Confidentiality.PUBLIC)


class Memory:
    """All that one session has seen and heard.

    Outputs are kept up to `limit` characters, every value counting for 32 more than its own, and every code,
    number or title that is found inside of other text for 16; beyond that, the older half is forgotten.
    What is forgotten can't be traced any more: it is nobody's word, and the context says that something was
    forgotten, so that unknown content may be as confidential as anything seen. The user's own words are never
    forgotten. A character that counts takes about a dozen bytes.
    """

    def __init__(self, limit: int = 32 << 20) -> None:
        """Start with nothing seen and nothing heard."""
        self._stretch = limit // STRETCHES
        self._heard = Heard()
        self._indexes = [Index()]
        self._turn = 0
        self._seen = _NOTHING
        self._forgotten = False

    def begin(self, prompt: str) -> None:
        """Hear the user's own words.

        Raises:
            ValueError: when they are too long to be kept in mind.

        """
        self._heard.hear(prompt)
        self._turn += 1

    def remember(self, tool: str, output: Json, labels: Labels) -> Label:
        """Keep an output in mind that was shown to the agent, and give the strictest label in it."""
        self._turn += 1
        seen: set[Label] = set()
        for leaf in labels.leaves(output):
            seen.add(leaf.label)
            self._keep(tool, leaf)
        label = strictest(seen) if seen else labels.default
        self._seen = strictest((self._seen, label))
        return label

    def remember_all(self, tool: str, outputs: Iterable[Json], labels: Labels) -> Label:
        """Keep several outputs of one call in mind, and give the strictest label in them."""
        return strictest([self.remember(tool, output, labels) for output in outputs])

    def recall(self, arguments: FrozenDict) -> Context:
        """Trace every scalar of a call's arguments to what was seen and heard."""
        trace = Trace(self._heard, reversed(self._indexes), self._seen.confidentiality)
        return Context(
            trace.call(arguments),
            Intent(self._heard.texts),
            self._seen.integrity,
            self._seen.confidentiality,
            self._forgotten,
        )

    def _keep(self, tool: str, leaf: Leaf) -> None:
        if leaf.value is None or leaf.value == "":
            return
        text = text_of(leaf.value)
        written = text if len(text) <= _SHORT else ""
        sighting = Sighting(tool, self._turn, leaf.label, leaf.place, leaf.step, leaf.record, written)
        index = self._room(len(text) + LEAF)
        if leaf.raw:
            index.add_runs(squeezed(folded(text)), sighting)
            return
        for key in keys(leaf.value):
            index.add_whole(key, sighting)
        add(index, text, sighting)
        if len(text) >= _ENCODED:
            hidden = replace(sighting, encoded=True)
            for said in decoded(text, _ENCODED):
                add(self._room(len(said) + LEAF), said, hidden)

    def _room(self, size: int) -> Index:
        """Give the stretch that something is kept in, and forget the oldest if there are too many."""
        newest = self._indexes[-1]
        if newest.size and newest.size + size > self._stretch:
            newest = Index()
            self._indexes.append(newest)
            if len(self._indexes) > STRETCHES:
                del self._indexes[0]
                self._forgotten = True
        newest.size += size
        return newest


def add(index: Index, text: str, sighting: Sighting) -> None:
    """Add what may be found of a text: its runs, its words, what is odd in it, its links."""
    read = folded(text)
    words = tokens(read)
    bare = squeezed(read)
    if len(bare) >= RUN:
        index.add_runs(bare, sighting)
    if len(bare) >= pieces.ODD:
        _odd(index, bare, words, sighting)
    if sighting.label.integrity is not Integrity.TYPED:
        _mentions(index, text, words, sighting)


def _mentions(index: Index, text: str, words: list[str], sighting: Sighting) -> None:
    """Add what a text mentions. A part of a typed value is no typed value."""
    if len(words) > 1:
        outside = sighting.label.integrity is Integrity.EXTERNAL
        index.add_words(words if outside else tokens(plain(text)), sighting)
    for link in links(text):
        if link != text:
            index.add_whole(LINK + form(link), sighting)
    for place in accounts(text):
        if place != address(text):
            index.add_whole(LINK + place, sighting)


def _odd(index: Index, bare: bytes, words: list[str], sighting: Sighting) -> None:
    if pieces.has_digit(" ".join(words)):
        for odd in set(pieces.glued(words)):
            index.add_odd(odd, sighting)
    if sighting.label.confidentiality is Confidentiality.SECRET:
        if len(bare) >= pieces.GLUED:
            index.add_odd(bare, sighting)
        elif len(words) == 1 and len(bare) >= pieces.ODD:
            index.add_short(words[0], sighting)
    if pieces.is_title(bare, words):
        index.add_title(words, sighting)
