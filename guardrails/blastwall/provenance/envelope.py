"""The values inside an output: documents in strings, and what an MCP server wraps around them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from blastwall.frozen import Json

LARGEST = 1 << 24
"""Longest string that is read as a document."""

_MOST_NESTED = 64
_OPENING = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Part:
    """One value of an output that stands for itself.

    Attributes:
        path: Where it is.
        value: The value; the patterns of fields begin at it.
        raw: The text that it was read from, or empty.

    """

    path: str
    value: Json
    raw: str = ""


def parts(output: Json) -> Iterator[Part]:
    """Give the values of an output: of an MCP result its texts and its structured content, read.

    What is around them is given too, without them, for it may hold text as well.
    """
    if isinstance(output, str):
        yield _text("$", output)
    elif isinstance(output, Mapping) and _is_result(output):
        yield from _result(output)
    elif isinstance(output, tuple | list) and output and all(map(_is_block, output)):
        yield from _blocks("$", output)
    else:
        yield Part("$", output)


def _is_result(output: Mapping[str, Json]) -> bool:
    """Tell an MCP result, `{"content": [{"type": "text", ...}], "structuredContent": ...}`, from others."""
    content = output.get("content")
    if not isinstance(content, tuple | list) or not all(map(_is_block, content)):
        return False
    return bool(content) or "structuredContent" in output


def _is_block(block: Json) -> bool:
    return isinstance(block, Mapping) and block.get("type") in _BLOCKS


_BLOCKS = ("text", "image", "audio", "resource", "resource_link")


def _result(output: Mapping[str, Json]) -> Iterator[Part]:
    content = output["content"]
    yield from _blocks("$.content", content if isinstance(content, tuple | list) else ())
    rest = {key: value for key, value in output.items() if key not in ("content", "structuredContent")}
    if "structuredContent" in output:
        yield Part("$.structuredContent", _unwrapped(output["structuredContent"]))
    if rest:
        yield Part("$", rest)


def _blocks(path: str, blocks: Sequence[Json]) -> Iterator[Part]:
    for position, block in enumerate([dict(block) for block in blocks if isinstance(block, Mapping)]):
        yield from _block(f"{path}[{position}]", block)


def _unwrapped(value: Json) -> Json:
    """Take off the `{"result": ...}` that a server puts around what is no object."""
    if isinstance(value, Mapping) and list(value) == ["result"]:
        inner: Json = value["result"]
        return inner
    return value


def _block(path: str, rest: dict[str, Json]) -> Iterator[Part]:
    text = rest.get("text")
    if isinstance(text, str):
        del rest["text"]
        yield _text(f"{path}.text", text)
    inner = rest.get("resource")
    if isinstance(inner, Mapping) and isinstance(inner.get("text"), str):
        rest["resource"] = {key: value for key, value in inner.items() if key != "text"}
        yield _text(f"{path}.resource.text", str(inner["text"]))
    if rest.pop("type") != "text" or rest:
        yield Part(path, rest)


def _text(path: str, text: str) -> Part:
    """Read a text as a document if it is one as a whole; else it is prose."""
    trimmed = text.strip()
    if len(text) <= LARGEST and trimmed and _OPENING.get(trimmed[0]) == trimmed[-1]:
        try:
            value = msgspec.json.decode(trimmed)
        except (msgspec.DecodeError, RecursionError):
            return Part(path, text)
        if not _deep(value, _MOST_NESTED):
            return Part(path, value, text)
    return Part(path, text)


def _deep(value: Json, left: int) -> bool:
    """Say whether a value is nested deeper than what a call or an output may be."""
    if left == 0:
        return True
    if isinstance(value, Mapping):
        return any(_deep(item, left - 1) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_deep(item, left - 1) for item in value)
    return False
