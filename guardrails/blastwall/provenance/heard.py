"""The user's own words: what they hold, and which records they name."""

import re

from blastwall.frozen import Json
from blastwall.provenance import pieces
from blastwall.provenance.everyday import COMMON
from blastwall.provenance.links import forms
from blastwall.provenance.normal import address, folded, inside_word, plain, squeezed, text_of, tokens
from blastwall.provenance.places import accounts

LONGEST_PROMPT = 1 << 20
"""Characters that the user may write in one message."""

MOST_HEARD = 1 << 22
"""Characters that the user may write in one session: they are never forgotten."""

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,18}(?:\.\d{1,12})?")
_ENUMERATOR = re.compile(r"(^|[.!?:;]\s|\n)[ \t]*\(?\d{1,2}[.)]\s+(?=\w)")
"""The `1.` before a point of a list: it counts the user's wishes, and is no value."""

_QUOTES = re.compile(r"(?<!\w)['\u2018\u2019](?=\w)|(?<=\w)['\u2018\u2019](?!\w)")
"""Single quotes around a word; an apostrophe inside of one is a part of it."""

_QUOTED = re.compile(
    r"(?<!\w)['\"\u2018\u201c\u00ab]([^'\"\u2019\u201d\u00bb\n]{2,80})['\"\u2019\u201d\u00bb](?!\w)"
)
"""What the user writes in quotes is a name, however common its words."""

_PAIR = re.compile(r"(?<![\w./-])([a-z][\w-]*)/([a-z][\w-]*)(?![\w./-])")
"""`acme/app`: an owner and what it owns stand for themselves too."""

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_MONTH = rf"(?:{_MONTHS})\.?"
_DAY = re.compile(
    rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b|\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?!\w)"
)
"""The day of a month is a part of a date, and no value."""

_SUFFIX = re.compile(r"(.+)\.[a-z][a-z0-9]{1,4}")
_PARTS = re.compile(r"[^\W_]+")
_DISTINCT = 3
_MOST_PLACES = 1000


class Heard:
    """All that the user has said in a session."""

    __slots__ = (
        "_forms",
        "_named",
        "_numbers",
        "_plain",
        "_quoted",
        "_size",
        "_squeezed",
        "_undated",
        "_words",
        "odd",
        "texts",
    )

    def __init__(self) -> None:
        self.texts: tuple[str, ...] = ()
        self.odd: set[str] = set()
        self._plain: list[str] = []
        self._words: list[str] = []
        self._forms: set[str] = set()
        self._numbers: set[str] = set()
        self._squeezed = b""
        self._named: dict[str, bool] = {}
        self._quoted: set[str] = set()
        self._undated: list[str] = []
        self._size = 0

    def hear(self, text: str) -> None:
        """Add one message.

        Raises:
            ValueError: when it is too long to be kept in mind.

        """
        if len(text) > LONGEST_PROMPT or self._size + len(text) > MOST_HEARD:
            raise ValueError(
                f"a prompt may have {LONGEST_PROMPT:,} characters, and all of a session {MOST_HEARD:,}:"
                " put long texts where a tool reads them, or begin a new session"
            )
        self._size += len(text)
        self.texts += (text,)
        self._named.clear()
        self._quoted.update(plain(found) for found in _QUOTED.findall(text))
        text = _QUOTES.sub(" ", _ENUMERATOR.sub(r"\1", text))
        strict, read = plain(text), folded(text)
        said = tokens(strict)
        self._plain.append(strict)
        self._plain.extend(f"{owner} {name}" for owner, name in _PAIR.findall(strict))
        undated = _DAY.sub(" ", strict)
        self._undated.append(undated)
        self._words.append(f" {' '.join(_PARTS.findall(strict))} ")
        self._forms.update(forms(text), _hosts(said))
        self._forms.update(accounts(text))
        self._numbers.update(
            text_of(float(n.replace(",", ""))) for n in tokens(undated) if _NUMBER.fullmatch(n)
        )
        self.odd.update(pieces.words(tokens(read)))
        self._squeezed += b" " + squeezed(read)

    def holds(self, value: Json) -> bool:
        """Say whether the user's words hold all of a value, set off from what is around it."""
        if isinstance(value, int | float) and text_of(value) in self._numbers:
            return True
        text = text_of(value)
        form = address(text)
        if form:
            return form in self._forms
        strict = plain(text)
        texts = self._undated if strict.isdigit() else self._plain
        return any(map(str.isalnum, strict)) and any(_holds(heard, strict) for heard in texts)

    def holds_link(self, form: str) -> bool:
        """Say whether the user's words hold a link, given in its form."""
        return form in self._forms

    def holds_run(self, text: bytes) -> bool:
        """Say whether the user wrote a squeezed text."""
        return text in self._squeezed

    def names(self, text: str) -> bool:
        """Say whether the user's words name what has this value in one of its typed fields.

        They hold all of it, and it is distinctive; of a mail address its local part, of a file's name what
        comes before the suffix will do, as consecutive words. Whoever picks such a value himself can pick one
        that the user is likely to say: this ties a record to the user's words, not to who wrote it.
        """
        known = self._named.get(text)
        if known is None:
            known = self._named[text] = self._names(text)
        return known

    def _names(self, text: str) -> bool:
        form = address(text)
        if form:
            local = form.partition("@")[0] if "@" in form else ""
            rare = any(len(word) >= _DISTINCT and word not in COMMON for word in _PARTS.findall(local))
            return form in self._forms or (rare and self._said_apart(local, 2))
        strict = plain(text)
        if strict in self._quoted:
            return True
        if _distinctive(_PARTS.findall(strict)) and any(_holds(heard, strict) for heard in self._plain):
            return True
        stem = _SUFFIX.fullmatch(strict)
        return stem is not None and self._said_apart(stem.group(1), 1)

    def _said_apart(self, text: str, least: int) -> bool:
        """Say whether the words inside of a name stand in the user's, one after the other."""
        words = _PARTS.findall(text)
        if len(words) < least or not _distinctive(words):
            return False
        return any(f" {' '.join(words)} " in heard for heard in self._words)


def _holds(heard: str, text: str) -> bool:
    """Look for a text that stands apart, at the first places where it occurs."""
    at = heard.find(text)
    for _ in range(_MOST_PLACES):
        if at < 0:
            return False
        if not inside_word(heard, at) and not inside_word(heard, at + len(text)):
            return True
        at = heard.find(text, at + 1)
    return False


def _hosts(said: list[str]) -> set[str]:
    """Give the forms of words that may be hosts, such as `shop.example`."""
    found = (address(f"http://{word}") for word in said if "." in word)
    return {form for form in found if form}


def _distinctive(words: list[str]) -> bool:
    """Say whether the words name something: one is no everyday word, or a number of three digits or more.

    So do two and more longer words together, however common each: `grocery list`.
    """
    if len(words) > 1 and all(len(word) > _DISTINCT and word.isalpha() for word in words):
        return True
    return any(len(word) >= _DISTINCT and word not in COMMON and _is_read(word) for word in words)


def _is_read(word: str) -> bool:
    return word.isdigit() or any(map(str.isalpha, word))
