"""A recording: what a user said, which tools were called and what they gave back, as a YAML file."""

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blastwall.errors import PolicyError, Problem
from blastwall.frozen import FrozenDict, Json, NotJson, freeze
from blastwall.policy.source import Loc, Mistake, Source, read

MAX_BYTES = 1 << 20
"""Largest recording, in bytes: reading YAML with its positions costs seconds per megabyte."""

EXPECTED = ("allow", "ask", "deny", "sandbox")

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


class RecordingError(PolicyError):
    """You wrote a recording wrong, or it can't be read. Every problem at once."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user said."""

    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Called:
    """One tool call, and what it gave back.

    Attributes:
        connector, tool, arguments: The call.
        answered: Whether an output was recorded. Without one, a call that a person must allow was not.
        output: What the tool gave back.
        error: Whether it reported a failure.
        hints: The tool's MCP annotations.
        expect: The verdict that a test expects: one of `EXPECTED`, or empty.
        rule: The rule that is expected to decide, or empty.
        line: Where it stands in its file.

    """

    connector: str
    tool: str
    arguments: FrozenDict
    answered: bool = False
    output: Json = None
    error: bool = False
    hints: FrozenDict = field(default_factory=FrozenDict)
    expect: str = ""
    rule: str = ""
    line: int = 0

    @property
    def name(self) -> str:
        """`connector.tool`."""
        return f"{self.connector}.{self.tool}"


Step = Prompt | Called


def load(path: str | os.PathLike[str]) -> tuple[Step, ...]:
    """Read a recording.

    Raises:
        RecordingError: when it can't be read, or for every mistake in it at once.

    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecordingError([Problem(str(path), 0, 0, "", f"can't be read: {error.strerror}")]) from None
    return parse(content, str(path))


def parse(content: bytes, file: str) -> tuple[Step, ...]:
    """Read the bytes of a recording.

    Raises:
        RecordingError: for every mistake in it at once.

    """
    source = _read(content)
    mistakes = source.mistakes or list(_mistakes(source.data))
    if mistakes:
        places = [(m.place or source.place(m.loc), m) for m in mistakes]
        raise RecordingError(
            [Problem(file, *at, ".".join(map(str, m.loc)), m.message) for at, m in sorted(places, key=_first)]
        )
    return tuple(_step(item, source.place((i,))[0]) for i, item in enumerate(source.data))


def _first(placed: tuple[tuple[int, int], Mistake]) -> tuple[int, int]:
    return placed[0]


def _read(content: bytes) -> Source:
    if len(content) > MAX_BYTES:
        return Source(mistakes=[Mistake((), f"larger than {MAX_BYTES} bytes: record a shorter story")])
    try:
        return read(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Source(mistakes=[Mistake((), "this is not UTF-8 text")])


def _step(item: dict[str, Any], line: int) -> Step:
    if "prompt" in item:
        return Prompt(item["prompt"], line)
    connector, _, tool = item["tool"].partition(".")
    return Called(
        connector,
        tool,
        _frozen(item.get("args", {})),
        answered="output" in item,
        output=freeze(item.get("output")),
        error=item.get("error", False),
        hints=_frozen(item.get("annotations", {})),
        expect=item.get("expect", ""),
        rule=item.get("rule", ""),
        line=line,
    )


def _frozen(value: dict[str, Any]) -> FrozenDict:
    frozen = freeze(value)
    return frozen if isinstance(frozen, FrozenDict) else FrozenDict()


def _mistakes(data: Any) -> Iterator[Mistake]:
    if not isinstance(data, list) or not data:
        yield Mistake((), "a recording is a list of steps: `- prompt: TEXT` and `- tool: connector.tool`")
        return
    for i, item in enumerate(data):
        if not isinstance(item, dict) or not {"prompt", "tool"} & item.keys():
            yield Mistake((i,), "a step is a block with `prompt` or with `tool` in it")
        elif "prompt" in item:
            yield from _wrong((i,), item, _PROMPT)
        else:
            yield from _wrong((i,), item, _CALLED)


def _wrong(loc: Loc, item: dict[str, Any], shape: dict[str, str]) -> Iterator[Mistake]:
    for key, value in item.items():
        if key not in shape:
            meant = difflib.get_close_matches(key, shape, n=1)
            hint = f"; did you mean {meant[0]!r}?" if meant else f" (there are {', '.join(shape)})"
            yield Mistake((*loc, key), f"unknown key {key!r}{hint}")
        elif message := _KINDS[shape[key]](value):
            yield Mistake((*loc, key), message)


_PROMPT = {"prompt": "text"}
_CALLED = {
    "tool": "call",
    "args": "block",
    "output": "any",
    "error": "bool",
    "annotations": "hints",
    "expect": "verdict",
    "rule": "rule",
}


def _any(value: Any) -> str:
    try:
        freeze(value)
    except NotJson as error:
        return str(error)
    return ""


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else "must be text"


def _call(value: Any) -> str:
    if isinstance(value, str) and all(value.partition(".")):
        return ""
    return "must be `connector.tool`"


def _object(value: Any) -> str:
    return _any(value) if isinstance(value, dict) else "must be a block of `name: value` lines"


def _bool(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _hints(value: Any) -> str:
    if isinstance(value, dict) and all(k in _HINTS and isinstance(v, bool) for k, v in value.items()):
        return ""
    return f"must be a block of {', '.join(_HINTS)}, each true or false"


def _verdict(value: Any) -> str:
    return "" if value in EXPECTED else f"must be {', '.join(EXPECTED[:-1])} or {EXPECTED[-1]}"


_KINDS = {
    "any": _any,
    "text": _text,
    "call": _call,
    "block": _object,
    "bool": _bool,
    "hints": _hints,
    "verdict": _verdict,
    "rule": _call,
}
