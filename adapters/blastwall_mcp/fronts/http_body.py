"""The body of an HTTP request: bounded in size and time, and one JSON-RPC message."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import mcp_types as types
import msgspec
from mcp.shared.exceptions import MCPError

from blastwall_mcp.fronts.http_door import Head, refusal

BODY_S = 30.0
"""How long a body may take to arrive."""

LONGEST_ID = 256
LARGEST_ID = 1 << 63

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Message(msgspec.Struct):
    """A JSON-RPC message as it came. Of a name that is there twice the last one counts, for everybody."""

    jsonrpc: Any = None
    method: str = ""
    id: Any = msgspec.UNSET
    params: Any = None
    result: Any = msgspec.UNSET
    error: Any = msgspec.UNSET

    @property
    def asks(self) -> bool:
        """Whether it wants an answer."""
        return bool(self.method) and self.id is not msgspec.UNSET

    @property
    def tells(self) -> bool:
        """Whether it is a notification."""
        return bool(self.method) and self.id is msgspec.UNSET

    @property
    def sound(self) -> bool:
        """Whether it may be read on: as a request, as a notification, or else as an answer."""
        if self.jsonrpc != "2.0":
            return False
        if self.method:
            return self.params is None or isinstance(self.params, dict)
        return self.id is not msgspec.UNSET and (
            isinstance(self.result, dict) or fault(self.error) is not None
        )

    @property
    def key(self) -> str:
        """Give the id as ids of requests are compared: 7 is "7"."""
        return str(self.id)


_decoder = msgspec.json.Decoder(Message)


async def read(head: Head, receive: Receive, most: int) -> bytes:
    """Read a body.

    Raises:
        Answer: it is too long, too slow, or ended early.

    """
    length = head.get(b"content-length")
    if length.isdecimal() and int(length[:12]) > most:
        raise refusal(413, "the body is too long")
    try:
        async with asyncio.timeout(BODY_S):
            return await _all(receive, most)
    except TimeoutError:
        raise refusal(408, "the body took too long") from None


async def _all(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        part = await receive()
        if part["type"] != "http.request":
            raise refusal(400, "the body ended early")
        body += part.get("body", b"")
        if len(body) > most:
            raise refusal(413, "the body is too long")
        if not part.get("more_body"):
            return bytes(body)


def message(body: bytes) -> Message:
    """Read a message.

    Raises:
        Answer: it is none.

    """
    try:
        found = _decoder.decode(body)
    except msgspec.ValidationError:
        raise refusal(400, "the body must be one JSON-RPC message") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refusal(400, "the body can't be read as JSON", types.PARSE_ERROR) from None
    if found.id is not msgspec.UNSET and not _fits(found.id):
        raise refusal(400, f"an id is a whole number, or a text of at most {LONGEST_ID} characters")
    return found


def fault(error: Any) -> MCPError | None:
    """Read the error of an answer; None if it is none."""
    if not isinstance(error, dict):
        return None
    code, text = error.get("code"), error.get("message")
    if type(code) is not int or not isinstance(text, str):
        return None
    return MCPError(code, text, error.get("data"))


def _fits(request_id: Any) -> bool:
    if isinstance(request_id, str):
        return len(request_id) <= LONGEST_ID
    return type(request_id) is int and abs(request_id) < LARGEST_ID
