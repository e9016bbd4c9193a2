"""What stands behind a verb, cut into its phrases: the object, and one phrase for each preposition."""

from collections.abc import Callable
from dataclasses import dataclass, field

from blastwall.provenance.english.forms import is_past, number
from blastwall.provenance.english.grammar import KIND
from blastwall.provenance.english.reading import Text

VerbAt = Callable[[int], bool]
"""Says whether a verb stands at a position, so that what follows "and" is another order."""

LONGEST = 80
"""Most words that are read behind a verb."""

NONE = frozenset("no none nothing nobody neither".split())
UNBOUNDED = frozenset(
    """
    all every each everything everyone everybody anything several some many multiple various numerous few
    most whatever any whichever rest remaining others daily hourly weekly monthly yearly regularly
    """.split()
)
QUANTIFIERS = UNBOUNDED | NONE | frozenset("both couple dozen pair half a the copy first last".split())

_LIMITS = frozenset("more most least less fewer or than".split())
_LIMITING = _LIMITS | {"no", "not"}
_PARTICLES = frozenset("up out down back away along around forward together".split())
_PREPOSITIONS = frozenset(("prep", "to", "with", "by", "about", "between"))
_ADVERBS = frozenset(("skip", "please"))
_SUBJECTS = frozenset("i we he she they you nobody everyone everybody somebody someone".split())
_ENDING = frozenset(
    """
    end but so could can must past aux that wh why if sub rel said then colon item needs want do i we let's
    """.split()
)
"""Kinds of words at which another clause begins."""

_NOUN_ING = frozenset(
    """
    meeting booking listing building setting recording drawing painting string thing evening morning
    training posting pricing billing briefing hearing opening offering rating ranking reading saving
    shipping parking landing writing warning wedding everything something anything nothing king ring spring
    heating lighting housing clothing ceiling filing finding mailing marketing wiring greeting gathering
    outing screening viewing fitting wing swing ping
    """.split()
)


def is_name(text: Text, i: int) -> bool:
    """Say whether a word is a name or an identifier: "a.txt", "#3", "Alice", a quotation."""
    word = text.words[i]
    return not word.replace("'", "").replace("-", "").isalpha() or text.raw[i][0].isupper()


@dataclass(slots=True)
class Phrase:
    """A preposition, or none for the object, and the things behind it.

    Attributes:
        preposition: The word.
        things: The positions of each thing's words.
        joined: Whether an "and" or "or" makes a list of them.

    """

    preposition: str = ""
    things: list[list[int]] = field(default_factory=lambda: [[]])
    joined: bool = False


def cut(text: Text, start: int, stop: int, verb_at: VerbAt) -> tuple[list[Phrase], int]:
    """Give the phrases from `start` on, the object first, and where they end."""
    return _Cut(text, min(stop, start + LONGEST), verb_at).phrases(start)


class _Cut:
    """One pass over the words behind one verb."""

    __slots__ = ("_found", "_stop", "_text", "_verb_at")

    def __init__(self, text: Text, stop: int, verb_at: VerbAt) -> None:
        self._text = text
        self._stop = stop
        self._verb_at = verb_at
        self._found = [Phrase()]

    def phrases(self, start: int) -> tuple[list[Phrase], int]:
        i = start
        while i < self._stop and (width := self._take(i)):
            i += width
        for phrase in self._found:
            phrase.things = [thing for thing in phrase.things if thing]
            if not phrase.joined:  # "write to Bob, my brother" is one: commas alone list only names
                phrase.things[1:] = [thing for thing in phrase.things[1:] if is_name(self._text, thing[-1])]
        return self._found, i

    def _take(self, i: int) -> int:
        """Take in what stands at a position; give how many words that was, and 0 where the phrases end."""
        word = self._text.words[i]
        kind = KIND.get(word)
        thing = self._found[-1].things[-1]
        if word in _LIMITS and all(self._is_quantity(k) for k in thing):
            thing.clear()  # "no more than five", "at most five", "one or two"
        elif kind in ("and", "comma"):
            return self._join(i)
        elif self._ends(i, thing):
            if word == "than" and len(thing) > 1:
                thing.pop()  # "files older than a year"
            return 0
        else:
            self._add(i, word, kind, thing)
        return 1

    def _add(self, i: int, word: str, kind: str | None, thing: list[int]) -> None:
        if word == "of" and all(self._is_quantity(k) for k in thing):
            return  # "two of the files"
        if kind in _PREPOSITIONS or word in _PARTICLES:
            self._turn(word, kind)
        elif kind not in _ADVERBS and not word.endswith("ly"):
            thing.append(i)

    def _turn(self, word: str, kind: str | None) -> None:
        """Begin the phrase of a preposition. The first one, straight behind the verb, belongs to the verb."""
        last = self._found[-1]
        if len(self._found) == 1 and not last.things[0]:
            return
        if last.preposition == word and len(last.things) > 1:
            self._found[0].things.append(last.things.pop())  # "a mail to Alice and one to Bob"
            self._found[0].joined = True
        if kind is not None:
            self._found.append(Phrase(word))

    def _join(self, i: int) -> int:
        """Begin the next thing of a list, unless what follows is the next order."""
        things = self._found[-1].things
        if self._is_next_order(i + 1):
            shared = not things[0] and len(self._found) == 1
            return 2 if shared else 0  # "find and delete the file": the object of both
        if things[-1]:
            things.append([])
        self._found[-1].joined |= KIND.get(self._text.words[i]) == "and"
        return 1

    def _is_next_order(self, i: int) -> bool:
        words = self._text.words
        while i < self._stop and KIND.get(words[i]) in ("and", "comma", "then", "please", "skip"):
            i += 1
        if i >= self._stop:
            return False
        if words[i] == "that":
            return i + 1 < self._stop and KIND.get(words[i + 1]) is not None
        return KIND.get(words[i]) in _ENDING or self._verb_at(i)

    def _is_quantity(self, i: int) -> bool:
        word = self._text.words[i]
        return word in QUANTIFIERS or number(word) is not None

    def _ends(self, i: int, thing: list[int]) -> bool:
        """Say whether the verb's own phrases end here: at another clause, or where a noun is told more of."""
        word = self._text.words[i]
        if word == "am" and thing and number(self._text.words[thing[-1]]) is not None:
            return False  # "my 10 am meeting"
        if KIND.get(word) in _ENDING:
            return bool(thing) or word != "that"
        if not thing or KIND.get(self._text.words[thing[-1]]) == "det":
            return False
        return word in _SUBJECTS or is_past(word) or (word.endswith("ing") and word not in _NOUN_ING)
