"""JSON-RPC messages, one a line: framing and reading that survive whatever the other side writes."""

import json
from dataclasses import dataclass
from typing import Any, TypeGuard

import mcp_types as types
import msgspec

MAX_LINE = 16 * 1024 * 1024
"""Longest message in bytes. The same bound as an MCP client's own read buffers need for a 12 MiB image."""

Id = int | str

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class TooLong(Exception):
    """A line that passes `MAX_LINE`."""


@dataclass(frozen=True, slots=True)
class Request:
    """The other side asks for something."""

    id: Id
    method: str
    params: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Notice:
    """The other side tells something."""

    method: str
    params: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The other side answers a request."""

    id: Id
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """The other side refuses a request, or its answer can't be read."""

    id: Id
    code: int
    message: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A request that can't be read, but says whom to tell."""

    id: Id


Message = Request | Notice | Answer | Failure | Broken


class Splitter:
    """Cuts what arrives into lines."""

    def __init__(self) -> None:
        """Have nothing yet."""
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Give the lines that end in this piece.

        Raises:
            TooLong: one passes the limit. Nothing more can be read then.

        """
        *whole, rest = data.split(b"\n")
        if whole and self._begun:
            whole[0] = b"".join((*self._begun, whole[0]))
            self._begun, self._size = [], 0
        if rest:
            self._begun.append(rest)
            self._size += len(rest)
        if self._size > MAX_LINE or any(len(line) > MAX_LINE for line in whole):
            raise TooLong
        return whole


def message(line: bytes) -> Message | None:
    """Read a line; None if it is no message."""
    try:
        return _message(_decode(line))
    except (ValueError, RecursionError):  # not JSON, or JSON that could not be passed on
        return _salvaged(line)


def refusal(body: bytes, number: Id) -> Failure | None:
    """Read an error over HTTP, which may have been written before the id of the request was read."""
    try:
        value = _decode(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("id") not in (None, number, str(number)):
        return None
    found = _answer(value, number)
    return found if isinstance(found, Failure) and isinstance(value.get("error"), dict) else None


def line(value: dict[str, Any]) -> bytes:
    """Write a message.

    Raises:
        ValueError, TypeError, RecursionError: it is no JSON.

    """
    return _encode(value) + b"\n"


def _message(value: Any) -> Message | None:
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        return None
    number = value.get("id")
    if "method" not in value:
        return _answer(value, number) if is_id(number) else None
    method, params = value["method"], value.get("params")
    readable = isinstance(method, str) and (params is None or isinstance(params, dict))
    if "id" not in value:
        return Notice(method, params) if readable else None
    if not is_id(number):
        return None
    return Request(number, method, params) if readable else Broken(number)


def _answer(value: dict[str, Any], number: Id) -> Message:
    result, error = value.get("result"), value.get("error")
    if isinstance(result, dict) and "error" not in value:
        return Answer(number, result)
    if not isinstance(error, dict) or "result" in value:
        return _malformed(number)
    code, text = error.get("code"), error.get("message")
    if not isinstance(code, int) or not isinstance(text, str):
        return _malformed(number)
    return Failure(number, code, text, error.get("data"))


def _salvaged(line: bytes) -> Message | None:
    """Find out what broken JSON answers: its caller need not wait."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    number = value.get("id") if isinstance(value, dict) else None
    if not is_id(number):
        return None
    return Broken(number) if "method" in value else _malformed(number)


def _malformed(number: Id) -> Failure:
    return Failure(number, types.INTERNAL_ERROR, "malformed answer")


def is_id(value: Any) -> TypeGuard[Id]:
    """Say whether this is the id of a request: a truth value, which equals a number in Python, is none."""
    return isinstance(value, int | str) and not isinstance(value, bool)
