"""Verbs that are as often nouns ("order", "schedule", "reply"): what follows them tells which they are."""

from collections.abc import Mapping

from blastwall.provenance.english.forms import BASE, is_plural, number
from blastwall.provenance.english.grammar import KIND
from blastwall.provenance.english.reading import QUOTE, Text
from blastwall.provenance.english.usage import NOUNS_TOO, PREPOSITIONS_OF, RARELY_NOUNS
from blastwall.provenance.english.verbs import KNOWN
from blastwall.provenance.everyday import COMMON

Forms = Mapping[str, tuple[tuple[str, str], ...]]
"""For each form of the verbs' first words: which verb, and which form of it."""

_VERBAL = frozenset("do let's let make get have go try help ensure instrument forget feel".split())
_POINTING = frozenset("det me us it that anyone".split())
_BEHIND_NOUNS = frozenset(("of", "from"))
_FINITE = frozenset("aux past must could can needs".split())


def verb_at(text: Text, i: int, stop: int, forms: Forms) -> bool:
    """Say whether a verb stands at `i`, in its base form and with what it needs behind it."""
    if i >= stop:
        return False
    word = text.words[i]
    kind = KIND.get(word)
    if kind is not None:
        return kind in _VERBAL
    if word in KNOWN or any(form == BASE for _, form in forms.get(word, ())):
        return word not in NOUNS_TOO or has_object(text, i, stop)
    if not word.isalpha() or text.raw[i][0].isupper():
        return False
    return i + 1 < stop and KIND.get(text.words[i + 1]) in ("det", "me", "it")


def has_object(text: Text, i: int, stop: int) -> bool:
    """Say whether something follows that only a verb has: an article, a name, a number of things."""
    ahead = past_adverbs(text, i + 1, stop)
    if ahead >= stop:
        return text.words[i] in RARELY_NOUNS
    after = text.words[ahead]
    kind = KIND.get(after)
    if kind == "end" and text.words[i] in RARELY_NOUNS:
        return True
    if after in (QUOTE, "one") or kind in _POINTING or after in PREPOSITIONS_OF.get(text.words[i], ("to",)):
        return True
    if number(after) is not None:
        return ahead + 1 < stop and KIND.get(text.words[ahead + 1]) is None
    if kind is not None:
        return False
    if text.words[i] in RARELY_NOUNS and after not in COMMON:
        return not _is_paired(text, i)
    return not after.isalpha() or text.raw[ahead][0].isupper() or is_plural(after)


def _is_paired(text: Text, i: int) -> bool:
    """Tell "the stop and restart procedure" from "read it and restart haproxy", a name written small."""
    return i > 1 and text.words[i - 1] == "and" and text.words[i - 2] in NOUNS_TOO


def is_subject(text: Text, i: int, stop: int) -> bool:
    """Recognise "Order 12 is late", "Email: bob@b.example", "Search of it", not "Sell 5 shares of it"."""
    noun = text.words[i] in NOUNS_TOO
    counts = i + 2 < stop and number(text.words[i + 1]) is not None and is_plural(text.words[i + 2])
    for ahead in range(i + 1, min(i + 5, stop)):
        word = text.words[ahead]
        kind = KIND.get(word)
        if kind in _FINITE or (noun and (kind == "colon" or (word in _BEHIND_NOUNS and not counts))):
            return True
        if kind is not None:
            return False
    return False


def past_adverbs(text: Text, i: int, stop: int) -> int:
    """Give the position of the next word that is no adverb."""
    while i < stop and KIND.get(text.words[i]) in ("skip", "please", "not"):
        i += 1
    return i
