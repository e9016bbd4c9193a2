"""The requests in a sentence: the grammar's table, walked once from its first word to its last."""

from collections.abc import Iterator
from dataclasses import dataclass

from blastwall.provenance.english.ambiguity import Forms, has_object, is_subject, past_adverbs, verb_at
from blastwall.provenance.english.forms import BASE, NOUN, PAST, THIRD, number, plural
from blastwall.provenance.english.grammar import ASKING, DENIED, EXPECTING, FOREIGN, KIND, OPEN, TABLE, WEAK
from blastwall.provenance.english.reading import Text
from blastwall.provenance.english.things import shapes
from blastwall.provenance.english.usage import LIGHT, NOUNS_TOO, PHRASES, SAYING
from blastwall.provenance.english.verbs import KNOWN

_REACH = 6
"""Most words between the parts of one verb ("turn the light in the hall off")."""

_ANOTHER = frozenset("not prep rel".split())
_CLAUSES = frozenset("start next ger_next rel sub".split())
_AFTER_LIGHT = frozenset(("busy", "make", "do"))
_ADJACENT = frozenset(("to", "me"))
_DIVIDING = frozenset(("and", "comma", "but"))
_IN_A_NOUN = frozenset((None, "prep", "det", "to", "about", "with", "by"))
_HERE = frozenset("my in with briefly this : .".split())
_FRONT = frozenset("start next ger_next so".split())
_OLD = frozenset(
    "by from on yesterday earlier recently ago already before after since between during".split()
)
_PEOPLE = frozenset("i he she they we you".split())


@dataclass(frozen=True, slots=True)
class Request:
    """A verb that the user asks for.

    Attributes:
        at: Where it stands.
        verb: Which of the verbs it is.
        after: Where what it is done to starts.
        before: For "have the file deleted", where the clause starts that names the file in front of the verb.

    """

    at: int
    verb: str
    after: int
    before: int | None = None


def requests(text: Text, start: int, stop: int, forms: Forms) -> Iterator[Request]:
    """Go through the requests of one sentence for the verbs that `forms` knows."""
    return _Walk(text, start, stop, forms).requests()


def _is_part(word: str, part: str) -> bool:
    """Say whether a word is the one that belongs to a verb: "send money" is said in any currency."""
    return word in (part, plural(part)) or (part == "money" and "money" in shapes(word))


class _Walk:
    """One walk through one sentence: the state, the mood, and what a light verb ("make a ...") waits for."""

    __slots__ = (
        "_clause",
        "_floor",
        "_forms",
        "_light",
        "_mood",
        "_start",
        "_state",
        "_stop",
        "_text",
    )

    def __init__(self, text: Text, start: int, stop: int, forms: Forms) -> None:
        self._text = text
        self._start = start
        self._stop = stop
        self._forms = forms
        self._state = "start"
        self._mood = self._floor = OPEN
        self._clause = start
        self._light: int | None = None

    def requests(self) -> Iterator[Request]:
        for i in range(self._start, self._stop):
            word = self._text.words[i]
            if word in self._forms and (found := self._request(i, word)) is not None:
                yield found
            self._step(i, word)

    # --- The table ---

    def _step(self, i: int, word: str) -> None:
        kind = self._kind(i, word)
        if kind in ("colon", "item"):
            self._divide(kind)
            return
        if word in LIGHT and self._state in ASKING[BASE]:
            self._light = i
        if kind == "comma" and self._mood == WEAK:
            self._mood = OPEN
        if kind == "please" and self._mood == DENIED and self._state == "next":
            self._mood = OPEN
        row = TABLE[self._state]
        state, mood = row.get(kind) or row["*"]
        if state not in _AFTER_LIGHT:
            self._light = None
        if state in _CLAUSES:
            self._clause = i + 1
        self._state = state
        self._mood = mood or self._mood

    def _divide(self, kind: str) -> None:
        """Keep for a list's items what its heading says: "never do these: ..."."""
        if kind == "colon":
            self._floor = DENIED if self._mood in (DENIED, FOREIGN) else OPEN
        self._state, self._mood, self._light = "start", self._floor, None

    def _kind(self, i: int, word: str) -> str:
        kind = KIND.get(word)
        if kind == "to":
            return "inf" if self._state in EXPECTING or self._verb_follows(i) else "prep"
        if kind is not None and kind != "skip":
            return kind
        if word in self._forms and any(form == BASE for _, form in self._forms[word]):
            return "verb"
        if kind is None and word in KNOWN:
            return "verb" if word not in NOUNS_TOO or self._is_order(i, word) else "word"
        if kind is None and word.endswith("ly") and len(word) > 4:
            return "skip"
        return kind or "word"

    def _verb_follows(self, i: int) -> bool:
        ahead = past_adverbs(self._text, i + 1, self._stop)
        return verb_at(self._text, ahead, self._stop, self._forms)

    # --- Requests ---

    def _request(self, i: int, word: str) -> Request | None:
        """Give the request that a form of one of the verbs makes where it stands."""
        for verb, form in self._forms[word]:
            after = self._rest(i, verb)
            if after is None or self._is_idle(i, verb) or self._mood != OPEN:
                continue
            if self._is_asked(i, word, verb, form):
                return Request(i, verb, after, self._clause if form == PAST else None)
            if form in (BASE, THIRD, NOUN) and (start := self._named(i, word)) is not None:
                return Request(i, verb, start)
        return None

    def _is_asked(self, i: int, word: str, verb: str, form: str) -> bool:
        if self._state not in ASKING.get(form, ()):
            return False
        if form == PAST:
            return self._is_wished(i)
        return verb != word or self._is_order(i, word)

    def _is_idle(self, i: int, verb: str) -> bool:
        """Recognise "tell me", which asks for an answer here, and "set out", which is another verb."""
        ahead = self._text.words[i + 1] if i + 1 < self._stop else ""
        if verb in SAYING and (ahead in ("me", "us") or (verb == "answer" and ahead in _HERE)):
            return True
        return f"{verb} {ahead}" in PHRASES

    def _rest(self, i: int, verb: str) -> int | None:
        """Find the rest of a verb of several words; give where its object may start."""
        words = self._text.words
        at = after = i + 1
        for word in verb.split(" ")[1:]:
            reach = 1 if KIND.get(word) in _ADJACENT else _REACH
            ahead = range(at, min(at + reach, self._stop))
            here = (k for k in ahead if _is_part(words[k], word) or KIND.get(words[k]) in _DIVIDING)
            found = next(here, None)
            if found is None or not _is_part(words[found], word):
                return None
            after = found + 1 if found == after else after
            at = found + 1
        return i + 1 if KIND.get(words[after - 1]) in _ADJACENT else after

    def _named(self, i: int, word: str) -> int | None:
        """Find "make a transfer" and "a reply should go to Bob": where what is asked for starts."""
        if self._light is not None:
            between = self._text.words[self._light + 1 : i]
            fits = word in (LIGHT[self._text.words[self._light]] or (word,))
            made = word.endswith("s") or any(KIND.get(w) == "det" or number(w) is not None for w in between)
            if fits and made and not self._of_another(i, between):
                return self._light + 1
        elif self._state in ("det", "subj") and self._shall_be(i):
            return i + 1
        return None

    def _of_another(self, i: int, between: tuple[str, ...]) -> bool:
        """Recognise "give me their email addresses" and "do what is in the email": another thing is meant."""
        ahead = self._text.words[i + 1] if i + 1 < self._stop else ""
        if ahead.isalpha() and KIND.get(ahead) is None and ahead not in KNOWN:
            return True
        return any(word in ("me", "us") or KIND.get(word) in _ANOTHER for word in between)

    def _shall_be(self, i: int) -> bool:
        ahead = self._text.words[i + 1 : min(i + 1 + _REACH, self._stop)]
        kinds = [KIND.get(word) for word in ahead]
        if "must" not in kinds:
            return False
        at = kinds.index("must")
        then = ahead[at + 1] if at + 1 < len(ahead) else ""
        return then in ("go", "be") and all(kind in _IN_A_NOUN for kind in kinds[:at])

    def _is_wished(self, i: int) -> bool:
        """Tell "I want it deleted" from "I want the file Bob deleted" and "get the mails sent by Bob"."""
        if self._state in ("passive", "sure_be"):
            return True
        before = self._text.words[i - 1]
        after = self._text.words[i + 1] if i + 1 < self._stop else ""
        if before in _PEOPLE or KIND.get(before) == "det" or after in _OLD:
            return False
        named = self._text.raw[i - 1][0].isupper() and KIND.get(self._text.words[i - 2]) not in (
            "prep",
            "by",
            "with",
        )
        return not named

    def _is_order(self, i: int, word: str) -> bool:
        """Say whether a verb that may be a noun is a verb here."""
        if self._state == "start":
            return not is_subject(self._text, i, self._stop)
        if word not in NOUNS_TOO or self._state not in _FRONT:
            return True
        return has_object(self._text, i, self._stop)
