"""The formats of typed fields: each so narrow that a value which has it carries no sentence.

A format says what a value looks like, never who wrote it: whoever names a channel or a file picks a `name`.
Every check takes time that is linear in the value's length, which is bounded.
"""

import re
from collections.abc import Callable, Mapping

from blastwall.frozen import Json
from blastwall.provenance.places import checks, host, mail_address, web_address

_LONGEST = 2048
_WORDS = 6
_MONTHS = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = r"\d{4}-(\d{2})-(\d{2})"
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
_DAYS = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}

_patterns = {
    "identifier": r"<?[A-Za-z0-9][A-Za-z0-9_.:/@=+#$~-]{0,254}>?",
    "handle": r"[@#]?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}",
    "email": r"[A-Za-z0-9_+'=&~-]+(?:\.[A-Za-z0-9_+'=&~-]+)*@[^@\s]+",
    "iban": r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}",
    "number": r"[+-]?(?:0|[1-9]\d{0,17})(?:\.\d{1,12})?",
    "amount": r"(?:[A-Z]{3} ?|[$€£¥] ?)?[+-]?(?:\d{1,12}|\d{1,3}(?:,\d{3}){1,3})(?:\.\d{1,4})?"
    r"(?: ?(?:[A-Z]{3}|[$€£¥]))?",
    "date": _DATE,
    "iso": rf"{_DATE}(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{{1,9}})?)? ?{_ZONE}?)?",
    "mail date": rf"(?:[A-Z][a-z]{{2}}, )?\d{{1,2}} {_MONTHS} \d{{4}} \d{{2}}:\d{{2}}(?::\d{{2}})?"
    r"(?: (?:GMT|UTC|[+-]\d{4})(?: \([A-Z]{1,5}\))?)?",
    "name": r"[^\W_](?:[\w '#&()+-]|\.(?! )|(?<=\b\w)\. |(?<=\bDr|\bMr|\bMs|\bSt|\bJr|\bSr)\. )*"
    r"|[#._][^\W_](?:[\w'-]|\.(?! ))*",
    "path": r"(?:[A-Za-z]:)?[/\\]?(?:[\w .#'()+@~=,&-]{1,128}+[/\\]{1,2}+)*+[\w .#'()+@~=,&-]{0,128}+",
    "digest": r"[0-9a-f]{32,128}|[0-9A-F]{32,128}"
    r"|(?:md5|sha1|sha256|sha384|sha512)[:-][A-Za-z0-9+/]{32,128}={0,2}",
}
_PATTERN = {name: re.compile(pattern) for name, pattern in _patterns.items()}


def _text(
    name: str, also: Callable[[str], bool] = bool, *, longest: int = _LONGEST
) -> Callable[[Json], bool]:
    """Make a format of texts: a pattern for all of it, what a pattern can't say, and how long it may be."""
    pattern = _PATTERN[name]

    def passes(value: Json) -> bool:
        if not isinstance(value, str) or len(value) > longest:
            return False
        return pattern.fullmatch(value) is not None and also(value)

    return passes


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_or(other: Callable[[Json], bool]) -> Callable[[Json], bool]:
    return lambda value: _is_number(value) or other(value)


def _no_address(text: str) -> bool:
    return "://" not in text


def _hostname(value: Json) -> bool:
    return isinstance(value, str) and host(value) is not None


def _url(value: Json) -> bool:
    if not isinstance(value, str) or len(value) > _LONGEST:
        return False
    return value.lower().startswith(("http://", "https://")) and web_address(value) is not None


def _boolean(value: Json) -> bool:
    return isinstance(value, bool) or value in ("true", "false", "True", "False")


def _day(text: str) -> bool:
    """Say whether month and day of `YYYY-MM-DD` exist."""
    month, day = int(text[5:7]), int(text[8:10])
    return 1 <= day <= _DAYS.get(month, 0)


def _few_words(text: str) -> bool:
    """Say whether it is short enough for a name, and no address."""
    return len(text.split()) <= _WORDS and not text.lower().startswith("www.")


def _short_steps(text: str) -> bool:
    """Say whether no part of a path is long enough to tell something."""
    return bool(text) and all(len(step.split()) <= _WORDS for step in re.split(r"[/\\]", text))


_named = _text("identifier", _no_address)
_iso = _text("iso", _day)
_mail_date = _text("mail date")

FORMATS: Mapping[str, Callable[[Json], bool]] = {
    "identifier": lambda value: (isinstance(value, int) and not isinstance(value, bool)) or _named(value),
    "handle": _text("handle"),
    "email": _text("email", lambda text: mail_address(text) is not None, longest=254),
    "hostname": _hostname,
    "url": _url,
    "iban": _text("iban", checks, longest=42),
    "number": _number_or(_text("number")),
    "amount": _number_or(_text("amount")),
    "date": _text("date", _day),
    "datetime": lambda value: _is_number(value) or _iso(value) or _mail_date(value),
    "name": _text("name", _few_words, longest=64),
    "path": _text("path", _short_steps, longest=1024),
    "digest": _text("digest"),
    "boolean": _boolean,
}
"""What a field may be typed as, by name: each says whether a value has the format."""
