"""Where things stand in JSON that was read already: found by passing over what is not looked for."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_REMARK = r"//[^\n]*|/\*.*?\*/"
_GAP = re.compile(rf"(?:[\s\ufeff,:]+|{_REMARK})*", re.DOTALL)
_KEY = re.compile(_STRING, re.DOTALL)
_TOKEN = re.compile(rf'{_STRING}|{_REMARK}|[\[{{]|[\]}}]|[^"/\[\]{{}}]+|/', re.DOTALL)
_SCALAR = re.compile(rf'{_STRING}|[^\s,\]}}/"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a member of an object stands: its key, its value and the end of that."""

    name: str
    start: int
    value: int
    end: int


class Positions:
    """Where the members of a text's objects stand. Each object is looked through once."""

    def __init__(self, text: str) -> None:
        """Look at nothing yet. The text was read, so it is JSON."""
        self._text = text
        self._known: dict[tuple[str, ...], dict[str, Position]] = {}

    def members(self, keys: Sequence[str]) -> Mapping[str, Position]:
        """Give the members of the object under these keys; none where there is no such object."""
        found = self._known.get(tuple(keys))
        if found is None:
            start = self.opened(keys)
            found = {} if start is None else {one.name: one for one in _members(self._text, start)}
            self._known[tuple(keys)] = found
        return found

    def opened(self, keys: Sequence[str]) -> int | None:
        """Give the place of an object's first bracket."""
        if keys:
            outer = self.members(keys[:-1]).get(keys[-1])
            at = outer.value if outer else len(self._text)
        else:
            at = _past_gap(self._text, 0)
        return at if self._text[at : at + 1] == "{" else None


def line(text: str, position: int) -> int:
    """Give the line of a position."""
    return text.count("\n", 0, position) + 1


def _members(text: str, at: int) -> Iterator[Position]:
    at += 1
    while key := _KEY.match(text, _past_gap(text, at)):
        value = _past_gap(text, key.end())
        at = _end(text, value)
        yield Position(json.loads(key[0], strict=False), key.start(), value, at)


def _past_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


def _end(text: str, start: int) -> int:
    """Give the end of a value; the text was read, so there is one."""
    if text[start] not in "[{":
        found = _SCALAR.match(text, start)
        return found.end() if found else start
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if depth == 0:
            return token.end()
    return len(text)
