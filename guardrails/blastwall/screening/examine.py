"""One text under the glass: every marker in it, as a family and a span of the original."""

from collections.abc import Iterable, Iterator
from itertools import islice

from blastwall.screening import decode, engine, hidden, links
from blastwall.screening.fold import View

MOST_SPANS = 20
"""Most spans listed of one pattern that cuts nothing. What is cut is always found completely."""

CUT = frozenset(("ansi", "hidden-html", "image-exfil", "script-link"))
"""Families of form that patterns find: it can be cut out, and means nothing in a decoded text."""

_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb\u201e"
_ESCAPE = "\x1b"

Mark = tuple[str, int, int]
"""A family and where: start and end in the original text."""


def is_suspicious(text: str, data: bytes) -> bool:
    """Say whether `examine` might find something; `data` is `text` in UTF-8. Never wrong when it says no.

    A text made of several leaves joined by newlines answers for all of them.
    """
    if engine.hits(data):
        return True
    if text.isascii():
        return False
    return next(hidden.runs(text), None) is not None or bool(
        engine.hits(View(text, hidden.all_runs(text)).text.encode())
    )


def examine(text: str) -> list[Mark]:
    """Find every marker in a text: as it stands, unfolded, and decoded."""
    marks = list(_as_it_stands(text))
    if not text.isascii() or _ESCAPE in text:
        marks += _invisible(text)
        marks += _folded(text, [(start, end) for family, start, end in marks if family == "ansi"])
    return sorted(set(marks), key=lambda mark: (mark[1], mark[2], mark[0]))


def _as_it_stands(text: str) -> Iterator[Mark]:
    numbers = engine.hits(text.encode())
    yield from _matched(text, engine.findings(numbers))
    for start, end in decode.spoken(text, engine.candidates(numbers)):
        yield "encoded", start, end


def _invisible(text: str) -> Iterator[Mark]:
    for start, end, family in hidden.runs(text):
        yield family, start, end
    for start, end in hidden.all_runs(text):
        if engine.speaks(hidden.message(text[start:end])):
            yield "encoded", start, end


def _folded(text: str, escapes: Iterable[tuple[int, int]]) -> Iterator[Mark]:
    view = View(text, sorted([*hidden.all_runs(text), *escapes]))
    for family, start, end in _as_it_stands(view.text):
        yield family, *view.origin(start, end)


def _matched(text: str, numbers: Iterable[int]) -> Iterator[Mark]:
    for number in numbers:
        pattern = engine.pattern(number)
        most = None if pattern.family in CUT else MOST_SPANS
        for start, end in islice(engine.spans(pattern.regex, text), most):
            family = _family(pattern.family, text, start, end)
            if family is not None:
                yield family, start, end


def _family(family: str, text: str, start: int, end: int) -> str | None:
    """Name the family of a match once its surroundings are seen, or None if it is harmless there."""
    if family == "override" and _is_only_quoted(text, start, end):
        return "override-mention"
    if family == "image-exfil" and links.is_presentation(text[start:end]):
        return None
    return family


def _is_only_quoted(text: str, start: int, end: int) -> bool:
    """Tell a phrase that stands in quotes by itself, as texts about injection show it, from an order."""
    if start == 0 or text[start - 1] not in _QUOTES:
        return False
    rest = text[end : end + 4].lstrip(".!,…")
    return rest != "" and rest[0] in _QUOTES
