"""Paths of URLs, read so strictly that a server can't read them differently, and globs over them."""

import re

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")
_AMBIGUOUS = re.compile(
    r"//|\\|%(?![0-9A-Fa-f]{2})|%(?:2e|2f|5c|25|3b|[01][0-9a-f]|7f)|/\.{1,2}(?:[/;]|$)", re.I
)
_PATH = re.compile(r"/[!-~]*")


def path(text: str) -> str | None:
    """Give a path in the form that rules are held against, or None when servers read it in several ways.

    Those are: dot segments, empty segments, backslashes, encoded slashes, dots, semicolons, percent signs and
    controls. Letters that are encoded for no reason are decoded.
    """
    if not _PATH.fullmatch(text) or _AMBIGUOUS.search(text):
        return None
    return _ENCODED.sub(_plain, text)


def _plain(found: re.Match[str]) -> str:
    letter = chr(int(found[1], 16))
    return letter if letter in _UNRESERVED else found[0].upper()


def glob(text: str) -> re.Pattern[str]:
    """Compile a path glob: `*` stays within a segment, `**` does not, `?` is one character.

    Raises:
        ValueError: when it is none.

    """
    if path(text.replace("*", "x").replace("?", "x")) is None:
        raise ValueError(f"{text!r} is no path of a URL: it starts with `/` and has one spelling only")
    parts = re.split(r"(\*\*|\*|\?)", text)
    wild = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(part) or re.escape(part) for part in parts))
