"""Characters that a person does not see: which have an honest use where they stand, and what they say."""

import re
import unicodedata
from collections.abc import Iterator

_TAGS = "\U000e0000-\U000e007f"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_ZERO_WIDTH = "\u115f\u1160\u180e\u200b-\u200d\u2060-\u2064\u3164\ufeff\uffa0"
_BIDI = "\u202a-\u202e\u2066-\u2069"
_ANY = re.compile(f"[{_TAGS}{_SELECTORS}{_ZERO_WIDTH}{_BIDI}]+")
_KIND = re.compile(f"[{_TAGS}]+|[{_SELECTORS}]+|[{_ZERO_WIDTH}]+|[{_BIDI}]+")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_BIDI_CHARACTERS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_OVERRIDES = frozenset("\u202d\u202e")
_ENDS_EMOJI = frozenset("\ufe0f\U000e007f")
_FLAG = "\U0001f3f4"
_TAG_OFFSET = 0xE0000
_CANCEL_TAG = "\U000e007f"

Run = tuple[int, int, str]
"""Start, end and family of a run of invisible characters."""


def runs(text: str) -> Iterator[Run]:
    """Go through the runs of invisible characters that have no honest use where they stand."""
    line_end = -1
    right_to_left = False
    for start, end in all_runs(text):
        if text[start] not in _BIDI_CHARACTERS:
            if not _is_honest(text, start, end):
                yield start, end, "hidden-unicode"
            continue
        if start > line_end:  # one look at each line, or a line of isolates would cost its square
            line_end, right_to_left = _line(text, start)
        if not right_to_left or not _OVERRIDES.isdisjoint(text[start:end]):
            yield start, end, "bidi"


def all_runs(text: str) -> list[tuple[int, int]]:
    """Give the spans of every run of invisible characters of one kind, honest or not."""
    return [
        run.span() for run_of_any in _ANY.finditer(text) for run in _KIND.finditer(text, *run_of_any.span())
    ]


def message(run: str) -> str:
    """Read what a run of tag characters or variation selectors spells; nothing for other runs.

    Tags mirror ASCII at U+E0000 (Unicode, chapter 23.9). Selectors carry one byte each: the first 16
    stand at U+FE00, the other 240 at U+E0100.
    """
    first = ord(run[0])
    if _TAG_OFFSET <= first <= ord(_CANCEL_TAG):
        return "".join([chr(ord(char) - _TAG_OFFSET) for char in run])
    if first >= 0xE0100 or 0xFE00 <= first <= 0xFE0F:
        octets = [ord(char) - (0xE00F0 if ord(char) >= 0xE0100 else 0xFE00) for char in run]
        return bytes(octets).decode("utf-8", "ignore")
    return ""


def _line(text: str, position: int) -> tuple[int, bool]:
    """Say where the line at `position` ends, and whether it has right-to-left letters.

    Isolates and embeddings have their use there; overrides have none anywhere.
    """
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end, _RIGHT_TO_LEFT.search(text, text.rfind("\n", 0, position) + 1, end) is not None


def _is_honest(text: str, start: int, end: int) -> bool:
    before = text[start - 1] if start else ""
    after = text[end : end + 1]
    char = text[start]
    if "\U000e0000" <= char <= _CANCEL_TAG:
        return before == _FLAG and _is_flag(text[start:end])
    if end - start > 1:
        return False
    if char in "\ufe0e\ufe0f":
        return before != "" and not before.isspace() and not (before.isascii() and before.isalpha())
    if "\ufe00" <= char <= "\ufe0d" or char >= "\U000e0100":
        return before != "" and unicodedata.category(before) in {"Lo", "Nl", "Sm"}
    return _joins(char, before, after) or (char == "\ufeff" and start == 0)


def _is_flag(tags: str) -> bool:
    """Recognise a subdivision flag (UTS 51, ED-14a).

    A country's two letters, one to three letters or digits more, then the cancel tag.
    """
    code = message(tags)[:-1]
    return (
        tags.endswith(_CANCEL_TAG)
        and 3 <= len(code) <= 5
        and code.isalnum()
        and code.islower()
        and code[:2].isalpha()
    )


def _joins(char: str, before: str, after: str) -> bool:
    """Say whether this one character shapes the text: emoji sequences, Arabic, Indic, South-East Asian."""
    if char == "\u200d" and _is_emoji(before) and _is_emoji(after):
        return True
    return char in "\u180e\u200b\u200c\u200d\u2060" and (_is_complex(before) or _is_complex(after))


def _is_emoji(char: str) -> bool:
    """Recognise symbols, modifiers, what ends an emoji, and emoji newer than this Python's tables."""
    if "\U0001f000" <= char <= "\U0001fbff" or char in _ENDS_EMOJI:
        return True
    return char >= "\u2190" and unicodedata.category(char) in {"So", "Sk", "Sm"}


def _is_complex(char: str) -> bool:
    """Scripts of which joiners and word breaks are part: Hebrew to Mongolian, and the later Indic blocks."""
    return "\u0590" <= char <= "\u18af" or "\u1900" <= char <= "\u1cff" or "\ua800" <= char <= "\uabff"
