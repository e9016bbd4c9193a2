"""A text cut into sentences of words. What it quotes, and the body of a message in it, becomes one token."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from blastwall.provenance.english.grammar import COMMUNICATING, GREETINGS, UNFINISHED
from blastwall.provenance.english.verbs import KNOWN

QUOTE = "\u201c\u201d"
"""The token that stands for everything that the text only quotes."""

STOP, LINE, PARAGRAPH, COLON, ITEM = ".", "\n", "\n\n", ":", "\n-"
"""Tokens: the end of a sentence, of a line inside one, of a paragraph; a colon, and what divides its list."""

ENDS = frozenset((STOP, PARAGRAPH))
_DIVIDING = frozenset((STOP, PARAGRAPH, COLON, ITEM))

_TOKEN = re.compile(
    r"[#@~/$€£¥\\.&+\-]{0,8}+\w++(?:[^\s\w,;!?()\[\]{}<>|\u2026\u2014\u2013]++\w++)*+(?:,\d{3}\b)*+%?+"
    r"|\u201c\u201d|[.!?;:,()\u2026\u2014\u2013/&]"
)
"""A word with all that stands inside of it (`don't`, `a@b.example`, `report.pdf`, `1,000`), or a mark.
Quantifiers are possessive or bounded: the engine never goes back far, so the time is linear."""

_BELOW = "below"
_ANNOUNCING = frozenset((COLON, _BELOW))
_MARKS = {
    "!": STOP,
    "?": STOP,
    ";": STOP,
    "\u2026": STOP,
    "(": STOP,
    "\u2014": ",",
    "\u2013": ",",
    ")": ",",
    "/": ",",
    "&": "and",
}
_BULLET = re.compile(r"(?:[-*•‣▪◦·]|\(?\d{1,3}[.)]|\[[ xX]?\])\s++")

_FOLDED = str.maketrans(
    dict.fromkeys("\u2019\u2018\u02bc", "'") | {"\u2010": "-", "\u2011": "-", "\u00ad": "", "\u200b": ""}
)
_OPENING = re.compile(r"```|[\"\u201c\u201e\u00ab\u2039`'\u300c]|<[A-Za-z][\w-]*+>")
_CLOSING = {
    "```": "```",
    '"': '"',
    "\u201c": "\u201d",
    "\u201e": "\u201c",
    "\u00ab": "\u00bb",
    "\u2039": "\u203a",
    "\u300c": "\u300d",
    "`": "`",
}
_RUNS_ON = frozenset(('"', "\u201c", "\u201e", "```"))

_CONTRACTED = {
    "can't": "can not", "cannot": "can not", "cant": "can not", "won't": "will not", "wont": "will not",
    "shan't": "shall not", "dont": "do not", "doesnt": "does not", "didnt": "did not", "lets": "let's",
    "shouldnt": "should not", "it's": "it is", "that's": "that is", "what's": "what is", "who's": "who is",
    "how's": "how is", "where's": "where is", "there's": "there is", "here's": "here is", "im": "i am",
    "ive": "i have", "gonna": "going to", "wanna": "want to", "gotta": "must", "and/or": "or", "y'all": "you",
    "e-mail": "email", "e-mails": "emails", "e-mailed": "emailed", "e-mailing": "emailing", "to-do": "todo",
    "plz": "please", "pls": "please", "u": "you", "d'you": "do you",
}  # fmt: skip
_ENDINGS = {"n't": "not", "'ll": "will", "'d": "would", "'m": "am", "'re": "are", "'ve": "have"}


@dataclass(frozen=True, slots=True)
class Text:
    """One text of the user, read.

    Attributes:
        words: Its tokens in lower case, contractions undone.
        raw: The same as they were written.
        starts: At which tokens its sentences start, and the length of all.
        places: Where each word stands.

    """

    words: tuple[str, ...]
    raw: tuple[str, ...]
    starts: tuple[int, ...]
    places: dict[str, list[int]]


@lru_cache(maxsize=32)
def read(text: str) -> Text:
    """Read a text; the last few are remembered, since every call of a session asks again."""
    tokens = _tokens(_unquoted(_plain(text)))
    raw = tuple(tokens if _ANNOUNCING.isdisjoint(tokens) else _spoken(iter(tokens)))
    words = tuple([token.lower() for token in raw])
    starts = [0]
    places: dict[str, list[int]] = {}
    for i, word in enumerate(words):
        places.setdefault(word, []).append(i)
        if word in ENDS:
            starts.append(i + 1)
    return Text(words, raw, (*starts, len(words)), places)


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_FOLDED)
    return text.replace("**", " ").replace(" - ", " , ").replace(" -- ", " , ")


# --- Quotations --------------------------------------------------------------------------------------


def _unquoted(text: str) -> str:
    """Put one mark for each quotation."""
    pieces: list[str] = []
    done = at = 0
    unclosed: set[str] = set()
    while (opening := _OPENING.search(text, at)) is not None:
        start, at = opening.span()
        end = _end_of_quote(text, start, opening[0], unclosed)
        if end is not None:
            pieces += (text[done:start], f" {QUOTE} ")
            done = at = end
    return "".join((*pieces, text[done:]))


def _end_of_quote(text: str, start: int, mark: str, unclosed: set[str]) -> int | None:
    """Say where a quotation ends that may start here; None if it is an apostrophe, an inch or a lone mark."""
    after = start + len(mark)
    if mark == "'":
        return _end_of_single(text, start, unclosed)
    if mark in unclosed:
        return None
    closing = _CLOSING.get(mark) or f"</{mark[1:]}"
    end = text.find(closing, after)
    if end >= 0:
        return end + len(closing)
    if mark in _RUNS_ON and not text[start - 1 : start].isdigit():
        return len(text)
    unclosed.add(mark)
    return None


def _end_of_single(text: str, start: int, unclosed: set[str]) -> int | None:
    """Tell 'a quotation' from an apostrophe, which stands behind or before a letter inside of one word."""
    if "'" in unclosed or text[start - 1 : start].isalnum() or text[start + 1 : start + 2].isspace():
        return None
    end = text.find("'", start + 1)
    while end >= 0:
        if not text[end + 1 : end + 2].isalnum():
            return end + 1
        end = text.find("'", end + 1)
    unclosed.add("'")
    return None


# --- Tokens ------------------------------------------------------------------------------------------


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    last = PARAGRAPH
    for line in text.split("\n"):
        stripped = line.strip()
        words = [QUOTE] if stripped.startswith(">") else _words(stripped)
        join = _joint(last, stripped, words)
        if join:
            found.append(join)
        found += words
        last = words[-1] if words else join or last
    return found


def _joint(last: str, line: str, words: list[str]) -> str:
    """Give the token between two lines: a wrapped line goes on, a new item stops the one before."""
    if not words:
        return "" if last in (PARAGRAPH, COLON) else PARAGRAPH
    if last in _DIVIDING:
        return ""
    if _BULLET.match(line):
        return STOP
    if last.lower() in UNFINISHED:
        return ""
    return STOP if line[0].isupper() and words[0].lower() in KNOWN else LINE


def _words(line: str) -> list[str]:
    bullet = _BULLET.match(line)
    found: list[str] = []
    for token in _TOKEN.findall(line, bullet.end() if bullet else 0):
        if token.isalpha():
            found += _CONTRACTED[token].split() if token in _CONTRACTED else (token,)
        elif token in _MARKS:
            found.append(_MARKS[token])
        else:
            found += _parts(token)
    return found


def _parts(token: str) -> Iterable[str]:
    """Undo a contraction. Everything else that is more than letters stays as it is."""
    word = token.strip("_") if "_" in token else token
    low = word.lower()
    if low in _CONTRACTED:
        return _CONTRACTED[low].split()
    if "'" in low:
        for ending, meant in _ENDINGS.items():
            if low.endswith(ending) and len(low) > len(ending):
                return word[: -len(ending)], meant
    return (word,) if word else ()


# --- Texts in the text -------------------------------------------------------------------------------


def _spoken(tokens: Iterator[str]) -> Iterator[str]:
    """Leave out what follows a colon behind "write", "tell", "read": that is a text, and no order.

    After any other colon a list follows: what stands before it ("never do these:") holds for its paragraph.
    What stands "below" is a text too, to the end.
    """
    telling = listing = below = False
    last = ""
    for token in tokens:
        low = token.lower()
        if token == COLON and telling:
            yield from (COLON, QUOTE, STOP)
            yield from _after_body(tokens, letter=last == "subject")
        elif token == PARAGRAPH and below:
            return
        else:
            yield ITEM if listing and token == STOP else token
        below = (below or (low == _BELOW and telling)) and token not in (COLON, ITEM)
        listing = token == COLON or (listing and token != PARAGRAPH)
        telling = token not in _DIVIDING and (telling or low in COMMUNICATING)
        last = low


def _after_body(tokens: Iterator[str], *, letter: bool) -> Iterator[str]:
    """Skip to the end of the paragraph; a body with a greeting is a letter, and goes to the end."""
    letter = next(tokens, "").lower() in GREETINGS or letter
    for token in tokens:
        if token == PARAGRAPH and not letter:
            yield token
            return
