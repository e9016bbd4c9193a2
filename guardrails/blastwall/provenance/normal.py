"""The forms in which values are compared: a strict one that may earn trust, and loose ones that never do."""

import re
import unicodedata
from decimal import Decimal

from blastwall.frozen import Json, digest
from blastwall.lookalikes import LATIN
from blastwall.provenance.places import account, mail_address, web_address

LONGEST_FORM = 2048
"""Longer texts are no address, whatever they look like."""

LINK = "\0@"
"""Goes before the form of a link that stands inside a text, to tell it from a whole value."""

_SPACE = re.compile(r"[ \t\r\n\f\v]++")
_TOKEN = re.compile(r"\w++(?:(?:[-./\\@+]++|(?<=\d)[:,'](?=\d))\w++)*+")
_PART = re.compile(r"[\w\-./\\@+:,']")
_WORD = re.compile(r"\w")
_REACH = 256
_NOT_WORD = re.compile(r"[\W_]++")
_WIDE = re.compile("([\u2e80-\uffff\U00010000-\U0010ffff]++)")
_DROPPED = bytes(byte for byte in range(128) if not chr(byte).isalnum())
LONGEST_KEY = 128
"""Longer values are kept by their digest."""

_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)\.\d+")
_LONGEST_NUMBER = 16
_SPACES = " \t\r\n\f\v"


def text_of(value: Json) -> str:
    """Give a scalar as text. Numbers that are equal read alike: `11.0` is `11`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return (
            str(int(value))
            if value.is_integer() and abs(value) < _EXACT
            else format(Decimal(repr(value)), "f")
        )
    return str(value)


_EXACT = 2.0**53


def plain(text: str) -> str:
    """Give the strict form of a text: letters' case and runs of blanks do not matter, nothing else is equal.

    Characters count as equal only where Unicode calls them canonically equivalent (NFC). A look-alike, a
    full-width letter, a ligature, a no-break space or an invisible character makes another text: whoever
    receives it may see another name. Lower case, not case folding, which would make `ß` equal to `ss`.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    form = _SPACE.sub(" ", text).strip(_SPACES).lower()
    return text if form == text else form


def normalised(text: str) -> str:
    """Give the form in which equal values are equal: mail addresses, web addresses and accounts in theirs.

    Two texts with one form may stand for each other anywhere, so that one may be trusted for the other.
    """
    return address(text) or plain(text)


def _key(text: str) -> str:
    """Give the form of a text to be kept; of a long one a digest."""
    form = normalised(text)
    if len(form) <= LONGEST_KEY and not form.startswith("\0"):
        return form
    return f"\0:{digest(form)}"


def keys(value: Json) -> list[str]:
    """Give the forms under which a scalar is kept. A number and a text that writes it find each other."""
    text = text_of(value)
    if isinstance(value, str):
        number = _number(text)
        return [_key(text), f"\0={number}"] if number else [_key(text)]
    return [text, f"\0#{text}"]


def looked_up(value: Json) -> list[str]:
    """Give the forms under which a scalar is looked for: the number 98.7 is also the text `98.70`."""
    text = text_of(value)
    if isinstance(value, str):
        number = _number(text)
        return [_key(text), f"\0#{number}"] if number else [_key(text)]
    return [text, f"\0={text}"]


def _number(text: str) -> str | None:
    return text_of(float(text)) if len(text) <= _LONGEST_NUMBER and _DECIMAL.fullmatch(text) else None


def address(text: str) -> str | None:
    """Give the form of a mail address, a web address or an IBAN; None for any other text."""
    if len(text) > LONGEST_FORM:
        return None
    text = text.strip(_SPACES)
    if "@" in text and (found := mail_address(text)):
        return found
    if "." in text or "//" in text:
        return web_address(text)
    return account(text) if text[2:4].isdigit() else None


def folded(text: str) -> str:
    """Give a text as it reads: look-alikes as Latin letters, without accents and invisible characters.

    Different texts may read alike, so this form finds what to be wary of and never earns trust.
    """
    if text.isascii():
        return text.lower()
    text = text.lower()
    changes = {}
    for char in set(text):
        if not char.isascii():
            parts = unicodedata.normalize("NFKD", char).lower().translate(LATIN)
            changes[ord(char)] = "".join([p for p in parts if unicodedata.category(p) not in _UNSEEN])
    return text.translate(changes).lower()


_UNSEEN = frozenset(("Mn", "Me", "Cf"))


def tokens(text: str) -> list[str]:
    """Split folded text into words as readers see them: an address, a date or a file's name is one word."""
    return _TOKEN.findall(text)


def squeezed(text: str) -> bytes:
    """Give the letters and digits of a folded text alone, one byte for each, three for those of East Asia.

    What is spaced out, dotted or broken into lines is the same here.
    """
    if text.isascii():
        return text.encode().translate(None, _DROPPED)
    kept = _NOT_WORD.sub("", text)
    parts = _WIDE.split(kept)
    return b"".join([p.encode() if i % 2 else p.encode("utf-16-le")[::2] for i, p in enumerate(parts)])


def inside_word(text: str, at: int) -> bool:
    """Say whether a position lies inside a word of `text`, as `tokens` splits it."""
    if not 0 < at < len(text):
        return False
    if _WORD.match(text, at - 1) and _WORD.match(text, at):
        return True
    start, end = at, at
    while start > max(at - _REACH, 0) and _PART.match(text, start - 1):
        start -= 1
    while end < min(at + _REACH, len(text)) and _PART.match(text, end):
        end += 1
    return any(word.start() < at < word.end() for word in _TOKEN.finditer(text, start, end))
