"""The user's own words, read without a model: what they ask to be done, to what, and how often."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from blastwall.provenance.english.ambiguity import Forms, verb_at
from blastwall.provenance.english.clauses import Request, requests
from blastwall.provenance.english.forms import inflections, plural
from blastwall.provenance.english.grammar import KIND
from blastwall.provenance.english.nouns import CARRYING, IMPLIED, MONEY, SHAPES
from blastwall.provenance.english.quantity import PLAIN, Amount, Manner, amount
from blastwall.provenance.english.reading import Text, read
from blastwall.provenance.english.things import ANYTHING, Count, antecedent, at_most, shapes
from blastwall.provenance.english.usage import ADDRESSED, ALL_OF_IT, FILLING, SAYING
from blastwall.provenance.english.verbs import KNOWN


@dataclass(frozen=True, slots=True)
class Intent:
    """What a user has said in a session. Nothing that a tool returned ever gets in here."""

    texts: tuple[str, ...] = ()

    def asked(self, verbs: tuple[str, ...], objects: tuple[str, ...] = ()) -> int | None:
        """Say how many times the user asked for one of `verbs` on one of `objects`.

        0: not at all. None: without a number ("all the mails"). What one text asks for comes on top of what
        those before it asked for; no later text takes anything back.
        """
        return _asked(self.texts, verbs, objects)


@lru_cache(maxsize=1024)
def _asked(texts: tuple[str, ...], verbs: tuple[str, ...], objects: tuple[str, ...]) -> Count:
    forms = _forms(verbs)
    things = _things(objects)
    total = 0
    before: tuple[Text, ...] = ()
    for text in map(read, texts):
        count = _Reading(text, forms, things, before).count()
        if count is None:
            return None
        total += count
        before = (*before, text)
    return total


@lru_cache(maxsize=1024)
def _forms(verbs: tuple[str, ...]) -> Forms:
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for verb in dict.fromkeys(spelling for stated in verbs for spelling in _spellings(stated)):
        for word, form in inflections(verb):
            found[word] = (*found.get(word, ()), (verb, form))
    return found


def _spellings(verb: str) -> Iterator[str]:
    plain = " ".join(verb.lower().replace("_", " ").split())
    if plain and KIND.get(plain) not in _AUXILIARY:
        yield plain
        if "-" in plain:
            yield from (plain.replace("-", ""), " ".join(plain.replace("-", " ").split()) or plain)


_AUXILIARY = frozenset("do be have could can must aux past to and not no det prep".split())
"""Kinds of words that are in every sentence: none of them is a verb that could be asked for."""


@lru_cache(maxsize=1024)
def _things(objects: tuple[str, ...]) -> frozenset[str]:
    singular = {noun.lower().strip() for noun in objects} - {""}
    unshaped = {ANYTHING} if singular and _SHAPED.isdisjoint(singular) else set()
    return frozenset(singular | {plural(noun) for noun in singular} | unshaped)


_SHAPED = frozenset(noun for nouns in SHAPES.values() for noun in nouns)


class _Reading:
    """One text, read for one set of verbs and things."""

    __slots__ = ("_before", "_first", "_forms", "_text", "_things")

    def __init__(self, text: Text, forms: Forms, things: frozenset[str], before: tuple[Text, ...]) -> None:
        self._text = text
        self._forms = forms
        self._things = things
        self._before = before
        self._first: int | None = None

    def count(self) -> Count:
        """Add up what the text asks for, until nothing bounds it."""
        counts: list[int] = []
        last: Amount | None = None
        for start, stop in self._sentences():
            for request in requests(self._text, start, stop, self._forms):
                amount = self._amount(request, stop)
                if amount.count == 0:
                    continue
                if last is not None and self._repeats(request, amount, last):
                    counts[-1] = max(counts[-1], amount.count or 0)
                elif amount.count is None:
                    return None
                else:
                    counts.append(amount.count)
                last = amount
        return sum(counts)

    def _sentences(self) -> Iterator[tuple[int, int]]:
        """Give the sentences that hold one of the forms."""
        starts = self._text.starts
        places = sorted(i for form in self._forms for i in self._text.places.get(form, ()))
        done = -1
        for place in places:
            if place >= done:
                at = bisect_right(starts, place)
                done = starts[at]
                yield starts[at - 1], done

    def _amount(self, request: Request, stop: int) -> Amount:
        """Read how often something is asked for, and of what; a count of 0 where it is not of the things."""

        def verb_here(i: int) -> bool:
            return verb_at(self._text, i, stop, self._forms)

        found = amount(self._text, request.after, stop, verb_here, _manner(request.verb), self._things)
        if request.before is not None:
            front = amount(self._text, self._object_before(request), request.at, verb_here)
            found = _joined(front, found)
        if found.bare and found.count is None:
            found = replace(found, count=antecedent(self._text, request.at))
        if request.verb.split(" ", 1)[0] in ALL_OF_IT and found.count != 0:
            found = replace(found, count=None)
        return self._of_things(request, found)

    def _object_before(self, request: Request) -> int:
        """Find where "have the file sent to Bob" names the file."""
        places = range(request.before or 0, request.at)
        return next((i for i in places if KIND.get(self._text.words[i]) in _OBJECT_STARTS), request.at)

    def _of_things(self, request: Request, found: Amount) -> Amount:
        """Leave the count as it is if what is to be done is done to one of the things."""
        things = self._things
        if not things or not things.isdisjoint(found.nouns) or request.verb in things or found.count == 0:
            return found
        if self._implies(request, found):
            carried = found.reached if found.reached != 0 else 1
            return replace(found, count=carried) if request.verb in CARRYING else found
        pointed = not found.nouns and self._mentioned(request.at)
        return found if pointed else replace(found, count=0)

    def _implies(self, request: Request, found: Amount) -> bool:
        """Say whether the verb means one of the things without naming it."""
        if self._things.isdisjoint(IMPLIED.get(request.verb, ())):
            return False
        if request.verb in CARRYING:
            return MONEY.isdisjoint(found.nouns)
        addressed = found.person or self._text.words[request.after : request.after + 1] == ("to",)
        return addressed or request.verb != "write"

    def _mentioned(self, at: int) -> bool:
        """Say whether one of the things was spoken of before, so that "it" may mean it."""
        if self._first is None:
            earlier = any(self._is_thing(word) for text in self._before for word in text.places)
            places = (i for i, word in enumerate(self._text.words) if self._is_thing(word))
            self._first = -1 if earlier else next(places, len(self._text.words))
        return self._first < at

    def _is_thing(self, word: str) -> bool:
        return word in self._things or (not word.isalpha() and not self._things.isdisjoint(shapes(word)))

    def _repeats(self, request: Request, amount: Amount, last: Amount) -> bool:
        """Say whether this is the last request once more: "write and send it", "write it, then send it"."""
        if request.at < last.end:
            return True
        between = self._text.words[last.end : request.at]
        if request.verb in SAYING and not amount.reached and "." not in between:
            return True
        return amount.bare and all(word in KIND or word in KNOWN or word.endswith("ly") for word in between)


_OBJECT_STARTS = frozenset((None, "det", "it", "that", "me", "no"))


@cache
def _manners() -> dict[str, Manner]:
    """Give the verbs that are not plain."""
    found = {verb: Manner(into=True) for verb in FILLING}
    found |= {verb: Manner(_TO, into=True) for verb in ADDRESSED}
    return found | {"share": Manner(_TO | {"with"}, into=True)}


_TO = frozenset(("to",))


def _manner(verb: str) -> Manner:
    return _manners().get(verb, PLAIN)


def _joined(front: Amount, behind: Amount) -> Amount:
    """Take the object in front of a verb, and whom it goes to from behind it."""
    count = 0 if front.count == 0 else at_most([front.count, behind.count])
    nouns = front.nouns | behind.nouns
    return replace(front, count=count, reached=behind.reached, nouns=nouns, end=behind.end)
