"""Links and addresses inside a text, as whoever shows the text would make them clickable."""

import re

import re2

from blastwall.provenance.normal import address

MOST_LINKS = 256
"""Links of one text that are looked at one by one."""

_END = r"\s<>\"`{}|\\^\x00-\x1f"
_DOMAINS = (
    "com|org|net|info|biz|io|co|dev|app|xyz|top|site|online|shop|club|live|link|click|page|web|cloud|tech|store|"
    "website|space|fun|icu|cn|ru|de|uk|fr|eu|us|ca|jp|in|br|nl|ch|at|pl|tk|ml|ga|cf|gq|me|tv|ai|gg|to|ly"
)
_CHAR = r"[^\x00-,/:-@\[-^`{-\x7f\s]"
"""What a host's name may be made of: letters, digits, `-`, `.` and `_`, and all outside ASCII."""

_LINK = re2.compile(
    rf"(?i)(?:[a-z][a-z0-9+.-]+://|www\.|(?:mailto|tel|sms|data|javascript|vbscript|file):)[^{_END}]+"
    rf"|[^{_END},;:()\[\]@/?#=&]+@{_CHAR}+\.{_CHAR}+"
    rf"|{_CHAR}+\.[a-z]+(?::[0-9]+)?/[^{_END}]*"
    rf"|{_CHAR}+\.(?:{_DOMAINS})\b"
)
_GOES_ON = re.compile(r"[._-]\w")
_TRAILING = ".,;:!?'\")]}*_~>\u201d\u2019\u00bb"
_OPENING = {")": "(", "]": "["}
_HINT = re.compile(r"@|:[^\s\d]|[^\W\d]\.[^\W\d]|\.[A-Za-z]+[:/]")


def links(text: str) -> tuple[str, ...]:
    """Give the links inside a text as they stand there, first to last.

    Links are what has a scheme or begins with `www.`, mail addresses, and hosts that have a path or end as
    many do; targets of Markdown and HTML links are among them. Behind `MOST_LINKS` the rest is given as one.
    """
    if _HINT.search(text) is None:
        return ()
    found: list[str] = []
    text = text.replace("](", "] (")  # the text of a Markdown link and its target, which may both be links
    for match in _LINK.finditer(text):
        if _GOES_ON.match(text, match.end()):
            continue
        if len(found) == MOST_LINKS:
            found.append(text[match.start() :])
            break
        found.append(_trimmed(match.group()))
    return tuple(found)


def _trimmed(link: str) -> str:
    """Cut what belongs to the sentence around a link, as a closing bracket that was not opened in it."""
    while link[-1] in _TRAILING:
        opening = _OPENING.get(link[-1])
        if opening and link.count(opening) >= link.count(link[-1]):
            break
        link = link[:-1]
    return link


def forms(text: str) -> list[str]:
    """Give the forms of the links inside a text, each once."""
    return list(dict.fromkeys(form(link) for link in links(text)))


def form(link: str) -> str:
    """Give the form in which equal links are equal; a host alone counts as one, for it is clickable."""
    return address(link) or address(f"http://{link}") or link
