"""What a verb is asked to be done to, and how many times."""

from collections.abc import Iterator
from dataclasses import dataclass

from blastwall.provenance.english.forms import number
from blastwall.provenance.english.phrases import UNBOUNDED, Phrase, VerbAt, cut, is_name
from blastwall.provenance.english.reading import Text
from blastwall.provenance.english.things import (
    EVERYTHING,
    MANY,
    ONE,
    UNITS,
    Count,
    at_most,
    heads,
    is_somebody,
    number_in,
    part_times,
    parts_of,
    times,
    total,
)

_MEANS = frozenset("by via through over per".split())
_HOLDERS = frozenset("in into as on to of".split())
_PLACES = frozenset("to from in on at across".split())
_POINTING = (ONE | MANY) - {"one", "ones"}


@dataclass(frozen=True, slots=True)
class Amount:
    """How many times something is asked, and of what.

    Attributes:
        count: The times, by what it is to be done to.
        reached: The times, by whom it goes to alone: "send Bob the notes" is one mail.
        nouns: What it is to be done to may be called.
        bare: Whether that is nothing but a pronoun, or left out.
        person: Whether it names somebody, as "write to Bob" does.
        end: The position behind it.

    """

    count: Count
    reached: Count
    nouns: frozenset[str]
    bare: bool
    person: bool
    end: int


@dataclass(frozen=True, slots=True)
class Manner:
    """What is special about a verb.

    Attributes:
        to: The prepositions that name whom it goes to, for verbs that go to somebody.
        into: Whether it does something to what it puts a thing into.

    """

    to: frozenset[str] = frozenset()
    into: bool = False


PLAIN = Manner()


def amount(
    text: Text,
    start: int,
    stop: int,
    verb_at: VerbAt,
    manner: Manner = PLAIN,
    wanted: frozenset[str] = frozenset(),
) -> Amount:
    """Read the phrases behind a verb.

    Args:
        text: The text.
        start: Where they begin.
        stop: Where the sentence ends.
        verb_at: Tells the next order from the next thing.
        manner: What is special about the verb.
        wanted: What is looked for: "write it down in a file" is about the file.

    """
    phrases, end = cut(text, start, stop, verb_at)
    nouns, counted = _about(text, phrases, manner, wanted)
    reached = _recipients(text, phrases, manner.to)
    again = _repetitions(text.words[start:end])
    first = [i for thing in phrases[0].things for i in thing]
    return Amount(
        count=_multiplied(_count(text, phrases, counted.things, manner, reached), again),
        reached=_multiplied(total(reached or list(_given(text, phrases[0]))), again),
        nouns=nouns,
        bare=all(text.words[i] in _POINTING for i in first),
        person=bool(first) and (is_somebody(text, first[0]) or bool(reached)),
        end=end,
    )


def _about(
    text: Text, phrases: list[Phrase], manner: Manner, wanted: frozenset[str]
) -> tuple[frozenset[str], Phrase]:
    """Give what the phrases are about, and whose things are counted: the object, or what that goes into."""
    nouns = _nouns(text, phrases[:1], owners=manner.into)
    if any(text.words[i] in EVERYTHING for thing in phrases[0].things for i in thing):
        return (nouns or _nouns(text, phrases)), phrases[0]
    if not wanted.isdisjoint(nouns) or not (manner.to or manner.into):
        return nouns, phrases[0]
    nouns |= _nouns(text, [phrase for phrase in phrases if phrase.preposition in _MEANS])
    for phrase in phrases[1:]:
        if phrase.preposition in _HOLDERS and not wanted.isdisjoint(_nouns(text, [phrase])):
            return nouns | _nouns(text, [phrase]), phrase
    return nouns, phrases[0]


def _nouns(text: Text, phrases: list[Phrase], *, owners: bool = False) -> frozenset[str]:
    things = (thing for phrase in phrases for thing in phrase.things)
    return frozenset(noun for thing in things for noun in heads(text, thing, owners=owners))


# --- Counting ----------------------------------------------------------------------------------------


def _count(
    text: Text, phrases: list[Phrase], things: list[list[int]], manner: Manner, reached: list[Count]
) -> Count:
    """Count the things, or whom they go to if those are more; "one mail to all" stays one."""
    count = _listed(text, things, goes=bool(manner.to)) if things else 1
    exact = bool(things) and text.words[things[0][0]] in ("one", "1")
    if reached and count != 0 and not (exact and None in reached):
        count = at_most([count, total(reached)])
    if any(_is_everywhere(text, phrase, manner.to) for phrase in phrases[1:]):
        return None
    return count


def _listed(text: Text, things: list[list[int]], *, goes: bool) -> Count:
    """Add up a list; "the two files a.txt and b.txt" are two, and 100 that goes to somebody is money."""
    words = [text.words[i] for i in things[0]]
    if goes and len(things) == len(words) == 1 and number(words[0]) is not None:
        return 1
    said = number_in(words) or 1
    if said > 1 and len(words) > 1 and is_name(text, things[0][-1]):
        return max(said, len(things))
    if said > 1 and len(things) > 1 and all(text.words[thing[0]] == "one" for thing in things[1:]):
        return said  # "two events, one on Monday and one on Tuesday"
    named = is_name(text, things[0][-1])
    return total([times(text, things[0]), *(_further(text, thing, named=named) for thing in things[1:])])


def _further(text: Text, thing: list[int], *, named: bool) -> Count:
    """Count one more thing of a list: a sum is none, and a lone number may be a name ("rows 3 and 4")."""
    if text.words[thing[-1]] in UNITS:
        return 0
    lone = len(thing) == 1 and number(text.words[thing[0]]) is not None
    return 1 if lone and named else times(text, thing)


def _recipients(text: Text, phrases: list[Phrase], to: frozenset[str]) -> list[Count]:
    """Count those whom something goes to."""
    return [
        times(text, thing)
        for phrase in phrases[1:]
        if phrase.preposition in to or (to and phrase.preposition in _PLACES and _is_channels(text, phrase))
        for thing in phrase.things
    ]


def _is_channels(text: Text, phrase: Phrase) -> bool:
    return all(text.words[thing[-1]][0] in "#@" for thing in phrase.things)


def _given(text: Text, phrase: Phrase) -> Iterator[Count]:
    """Count those who stand before what they get: "send Bob and my friends the notes"."""
    for thing in phrase.things:
        first, *rest = parts_of(text, thing)
        if rest or is_somebody(text, first[0]):
            yield part_times(text, first)


def _is_everywhere(text: Text, phrase: Phrase, to: frozenset[str]) -> bool:
    """Say whether a place or a time is every one of its kind: "from all channels", "on each Monday"."""
    if phrase.preposition not in _PLACES or phrase.preposition in to:
        return False
    return any(not UNBOUNDED.isdisjoint(text.words[i] for i in thing) for thing in phrase.things)


def _repetitions(words: tuple[str, ...]) -> int:
    if "twice" in words:
        return 2
    at = words.index("times") if "times" in words else 0
    return (number(words[at - 1]) or 1) if at else 1


def _multiplied(count: Count, by: int) -> Count:
    return None if count is None else count * by
