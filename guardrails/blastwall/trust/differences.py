"""A change of what is pinned, for a person's eyes: a diff in which nothing hides."""

import json
import re
from difflib import unified_diff

from blastwall.frozen import Json, canonical, digest, thaw
from blastwall.lookalikes import LATIN
from blastwall.trust.looks import visible
from blastwall.trust.pins import Change

_LINE = re.compile(r"^( *)(.*)$", re.MULTILINE)
_BREAK = re.compile(r"(?<!\\)((?:\\\\)*\\n)")
_WORD = re.compile(r"\w+")


def name_of(change: Change) -> str:
    """Name what changed, as it may be shown."""
    return visible(f"{change.kind} {change.name}".strip())


def shown(change: Change) -> list[str]:
    """Give a change as a unified diff over canonical JSON, one member a line and one line of text a line."""
    before, after = _lines(change.before), _lines(change.after)
    name = name_of(change)
    return list(unified_diff(before, after, f"pinned {name}", f"now {name}", lineterm=""))


def digest_of(changes: tuple[Change, ...]) -> str:
    """Give one digest for exactly these changes, whatever their order."""
    told = sorted((c.connector, c.offered, c.kind, c.name, c.fingerprint) for c in changes)
    return digest(canonical(tuple(told)))


def _lines(definition: Json) -> list[str]:
    if definition is None:
        return []
    text = json.dumps(thaw(definition), indent=2, sort_keys=True, ensure_ascii=False)
    return [visible(_WORD.sub(_spelt, line)) for line in _LINE.sub(_broken, text).split("\n")]


def _broken(line: re.Match[str]) -> str:
    """Break a line where the text in it breaks."""
    margin, text = line.groups()
    return margin + _BREAK.sub(rf"\1\n{margin}    ", text)


def _spelt(word: re.Match[str]) -> str:
    """Write out the lookalikes of a word that could be read as a Latin one."""
    text = word.group()
    if text.isascii() or not all(char.isascii() or ord(char) in LATIN for char in text):
        return text
    return "".join(f"\\u{ord(char):04x}" if ord(char) in LATIN else char for char in text)
