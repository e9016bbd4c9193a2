"""JSON as people write it, comments and trailing commas included, with the place of everything in it."""

import json
import json.decoder
import re
from typing import Any, NoReturn

from blastwall.policy.source import MAX_DEPTH, Loc, Mistake, Place, Source

_SPACE = re.compile(r"(?:[ \t\r\n\f\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False, "null": None}


def read(text: str) -> Source:
    """Read one JSON document. What is wrong with it is in `mistakes`; there is then no data."""
    source = Source()
    reader = _Reader(text, source)
    try:
        source.data = reader.document()
    except _Wrong as wrong:
        source.mistakes.append(Mistake((), wrong.message, reader.place(wrong.at)))
    return source


class _Wrong(Exception):  # a way out of the recursion, no error of anybody's
    def __init__(self, message: str, at: int) -> None:
        self.message = message
        self.at = at


class _Reader:
    __slots__ = ("_at", "_source", "_starts", "_text")

    def __init__(self, text: str, source: Source) -> None:
        self._text = text
        self._source = source
        self._at = 0
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, at: int) -> Place:
        line = _last(self._starts, at)
        return line + 1, at - self._starts[line] + 1

    def document(self) -> Any:
        self._space()
        if self._at == len(self._text):
            self._wrong("the file is empty")
        value = self._value((), MAX_DEPTH)
        self._space()
        if self._at < len(self._text):
            self._wrong("there is something after the end of the data")
        return value

    def _wrong(self, message: str, at: int | None = None) -> NoReturn:
        raise _Wrong(message, self._at if at is None else at)

    def _space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _value(self, loc: Loc, depth: int) -> Any:
        if depth == 0:
            self._wrong(f"nested deeper than {MAX_DEPTH} levels")
        self._source.values[loc] = self.place(self._at)
        match self._next():
            case "{":
                return self._object(loc, depth)
            case "[":
                return self._array(loc, depth)
            case '"':
                return self._string()
            case _:
                return self._scalar()

    def _scalar(self) -> Any:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            self._wrong(
                "this is not JSON: a value must stand here" if self._next() else "the file ends early"
            )
        self._at = found.end()
        return json.loads(found[0])

    def _string(self) -> str:
        start = self._at
        try:
            text, self._at = json.decoder.scanstring(self._text, start + 1, True)  # type: ignore[attr-defined]  # typeshed has it not
            text.encode()
        except json.JSONDecodeError as error:
            unclosed = "Unterminated" in error.msg or "control character" in error.msg
            message = "this quote is never closed" if unclosed else "this is no escape of JSON"
            self._wrong(message, start if unclosed else error.pos)
        except UnicodeEncodeError:
            self._wrong("text with a lone surrogate is not valid Unicode", start)
        return str(text)

    def _object(self, loc: Loc, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        start = self._open()
        while self._next() != "}":
            if self._next() != '"':
                self._wrong(
                    "a key in quotes must stand here" if self._next() else "this bracket is never closed",
                    None if self._next() else start,
                )
            at = self._at
            key = self._string()
            if key in data:
                self._wrong(f"this key stands twice, first on line {self._source.keys[(*loc, key)][0]}", at)
            self._source.keys[(*loc, key)] = self.place(at)
            self._space()
            if self._next() != ":":
                self._wrong("a `:` must stand here")
            self._at += 1
            self._space()
            data[key] = self._value((*loc, key), depth - 1)
            self._comma("}", start)
        self._at += 1
        return data

    def _array(self, loc: Loc, depth: int) -> list[Any]:
        data: list[Any] = []
        start = self._open()
        while self._next() != "]":
            if not self._next():
                self._wrong("this bracket is never closed", start)
            data.append(self._value((*loc, len(data)), depth - 1))
            self._comma("]", start)
        self._at += 1
        return data

    def _open(self) -> int:
        start = self._at
        self._at += 1
        self._space()
        return start

    def _comma(self, closing: str, start: int) -> None:
        self._space()
        if self._next() == ",":
            self._at += 1
            self._space()
        elif not self._next():
            self._wrong("this bracket is never closed", start)
        elif self._next() != closing:
            self._wrong(f"a `,` or `{closing}` must stand here")


def _last(starts: list[int], at: int) -> int:
    """Give the line that a position is on."""
    low, high = 0, len(starts)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if starts[middle] <= at else (low, middle)
    return low
