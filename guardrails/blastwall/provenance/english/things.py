"""One thing that a verb is done to: how many it is, and what it is called."""

from collections.abc import Iterator

from blastwall.provenance.english.forms import is_plural, number
from blastwall.provenance.english.grammar import KIND
from blastwall.provenance.english.nouns import SHAPES
from blastwall.provenance.english.phrases import NONE, QUANTIFIERS, UNBOUNDED, is_name
from blastwall.provenance.english.reading import Text

Count = int | None
"""A number of times; None when nothing bounds it."""

ONE = frozenset("it this that him her me you us myself one".split())
MANY = frozenset("them these those ones they".split())
EVERYTHING = frozenset("all everything anything whatever".split())
PRONOUNS = ONE | MANY | EVERYTHING | {"both", "each", "another"}

_MONEY = frozenset(
    "euro euros eur dollar dollars usd pound pounds gbp chf yen bucks quid franc francs".split()
)
ANYTHING = "\0"
"""Stands among the nouns for an identifier whose shape says nothing: `web-03`, `#12`."""

_ANYTHING = SHAPES["person"] | {ANYTHING}

_FAR, _NEAR = 40, 4
"""Words between "them" and what it points to, and between a noun and its number."""

UNITS = _MONEY | frozenset(
    """
    cent cents percent degree degrees kg g km m cm mm mb gb kb tb kilo kilos gram grams litre litres liter
    liters mile miles minute minutes min mins hour hours day days week weeks month months year years night
    nights second seconds star stars pm am o'clock people persons guests adults times
    """.split()
)
_BEFORE_NUMBERS = frozenset(
    """
    half next last first top newest oldest latest largest biggest smallest other exactly another best bottom
    only these those a recent that
    """.split()
)
"""What may stand before a number that counts; behind a noun, a number is a name ("issue 12")."""


def times(text: Text, thing: list[int]) -> Count:
    """Count one thing: 1 in the singular, a number that stands with it, nothing for a plural without one."""
    shared = len(thing) > 1 and text.words[thing[-1]] == "each"  # "pay Alice and Bob 20 each"
    return at_most([part_times(text, part) for part in parts_of(text, thing[:-1] if shared else thing)])


def parts_of(text: Text, thing: list[int]) -> Iterator[list[int]]:
    """Cut "Bob a mail" and "the mails this week" before their second article or number."""
    part: list[int] = []
    noun = False
    for at, i in enumerate(thing):
        word = text.words[i]
        opens = (KIND.get(word) == "det" and word != "both") or (
            number(word) is not None and at + 1 < len(thing)
        )
        if opens and noun:
            yield part
            part, noun = [], False
        part.append(i)
        noun = noun or not (opens or word in QUANTIFIERS)
    yield part


def part_times(text: Text, part: list[int]) -> Count:
    """Count one noun with what belongs to it."""
    words = [text.words[i] for i in part]
    first, last = words[0], words[-1]
    if first in NONE:
        return 0
    if "both" in words:
        return 2
    if first in ("some", "any") and len(words) > 1 and not is_plural(last):
        return 1
    if not UNBOUNDED.isdisjoint(words) or (first in MANY and len(words) == 1):
        return None
    named = len(words) > 1 and is_name(text, part[-1])
    head = words[-2] if named else last
    amount = number_in(words)
    if amount is not None and (amount == 1 or is_plural(head) or number(head) is not None or head in MANY):
        return amount
    measured = len(words) > 1 and head in UNITS and number(words[-2]) is not None
    return 1 if named or measured or is_name(text, part[-1]) or not is_plural(head) else None


def number_in(words: list[str]) -> Count:
    """Find the number that counts: no amount of money, no duration, no number behind its noun."""
    found: Count = None
    for i, word in enumerate(words):
        value = number(word)
        if value is None:
            continue
        if words[i + 1 : i + 2] and words[i + 1] in UNITS:
            return None
        if found is not None:
            found = found * value if word in ("hundred", "thousand", "dozen") else max(found, value)
        elif i == 0 or KIND.get(words[i - 1]) == "det" or words[i - 1] in _BEFORE_NUMBERS:
            found = 6 if value == 12 and "half" in words else value
    return found


def antecedent(text: Text, at: int) -> Count:
    """Count what "them" points back to: the last plural before, by the number that stands with it."""
    for i in range(at - 1, max(at - _FAR, -1), -1):
        if is_plural(text.words[i]) and text.words[i] not in KIND:
            start = i
            while start > max(i - _NEAR, 0) and KIND.get(text.words[start - 1]) in _WITH_A_NOUN:
                start -= 1
            return number_in(list(text.words[start : i + 1]))
    return None


_WITH_A_NOUN = frozenset((None, "det", "skip", "fine"))


# --- Names -------------------------------------------------------------------------------------------


def heads(text: Text, thing: list[int], *, owners: bool = False) -> Iterator[str]:
    """Give the nouns that a thing may be called by: its last word, what its shape stands for, whose it is."""
    for part in parts_of(text, thing):
        last = part[-1]
        word = text.words[last]
        if word in PRONOUNS:
            continue
        yield word
        yield from shapes(word)
        if text.raw[last][0].isupper():
            yield from SHAPES["person"]
        if len(part) > 1 and is_name(text, last):
            yield text.words[part[-2]]
        if owners:
            yield from (text.words[i][:-2] for i in part if text.words[i].endswith("'s"))


def shapes(word: str) -> frozenset[str]:
    """Give the nouns that the shape of a name stands for."""
    if word[0] == "#" and not word[1:].isdigit():
        return SHAPES["channel"]
    if "://" in word or word.startswith("www."):
        return SHAPES["url"]
    if "@" in word:
        return SHAPES["person"]
    if word[0] in "$€£¥" or word in _MONEY:
        return SHAPES["money"]
    if "/" in word:
        return SHAPES["path"]
    if "." in word[:-1] and not word.replace(".", "").isdigit():
        return SHAPES["file"]
    return _ANYTHING if any(map(str.isdigit, word)) and not word.isdigit() else frozenset()


def is_somebody(text: Text, i: int) -> bool:
    """Say whether a word names a person."""
    word = text.words[i]
    return text.raw[i][0].isupper() or "@" in word or word in ("him", "her", "them", "me", "us")


# --- Sums --------------------------------------------------------------------------------------------


def total(counts: list[Count]) -> Count:
    """Add up; nothing bounds the sum of what nothing bounds."""
    return None if None in counts else sum(count or 0 for count in counts)


def at_most(counts: list[Count]) -> Count:
    """Give the largest."""
    return None if None in counts else max((count or 0 for count in counts), default=0)
