"""JSON-RPC over two pipes, one message a line: framing that survives whatever the other side writes."""

import asyncio
import json
import logging
import os
import stat
from types import TracebackType
from typing import IO, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

MAX_LINE = 16 * 1024 * 1024
"""Longest message in bytes. The same bound as an MCP client's own read buffers need for a 12 MiB image."""

MAX_NOISE = 1000
"""Lines in a row that are no message, such as stray prints, before the connection is given up."""

log = logging.getLogger(__name__)


class Reader:
    """The messages that arrive on a pipe (mcp's `ReadStream`). A line that is none is skipped.

    Attributes:
        ended: Set when nothing more will come.
        fault: Why it ended, when the other side broke the framing rather than closing the pipe.

    """

    def __init__(self, lines: asyncio.StreamReader, transport: asyncio.BaseTransport, peer: str) -> None:
        """Read `lines`; `peer` names the other side in the log."""
        self.ended = anyio.Event()
        self.fault = ""
        self._lines = lines
        self._transport = transport
        self._peer = peer
        self._noise = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        while not self.ended.is_set():
            line = await self._line()
            if not line:
                self.ended.set()
            elif message := _message(line):
                self._noise = 0
                return SessionMessage(message)
            else:
                self._skip()
        raise StopAsyncIteration

    async def receive(self) -> SessionMessage | Exception:
        """Give the next message, or raise `anyio.EndOfStream`."""
        try:
            return await anext(self)
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def aclose(self) -> None:
        """Stop reading."""
        self.ended.set()
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _line(self) -> bytes:
        try:
            return await self._lines.readline()
        except ValueError:  # how asyncio says that its limit was passed
            self.fault = f"it sent a message of more than {MAX_LINE >> 20} MiB"
        except OSError:
            pass
        return b""

    def _skip(self) -> None:
        if self._noise == 0:
            log.warning("%s wrote a line that is no JSON-RPC message; such lines are skipped", self._peer)
        self._noise += 1
        if self._noise > MAX_NOISE:
            self.fault = f"it wrote {MAX_NOISE} lines in a row that are no JSON-RPC messages"
            self.ended.set()


class Writer:
    """The messages that leave on a pipe (mcp's `WriteStream`)."""

    def __init__(self, out: asyncio.StreamWriter) -> None:
        """Write to `out`."""
        self._out = out

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message; wait while the pipe is full.

        Raises:
            anyio.BrokenResourceError: the other side is gone.

        """
        if self._out.is_closing():
            raise anyio.ClosedResourceError
        self._out.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
        try:
            await self._out.drain()
        except OSError:
            raise anyio.BrokenResourceError from None

    async def aclose(self) -> None:
        """Close the pipe once what was written is through."""
        self._out.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def reading(source: IO[bytes], limit: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    """Read a pipe in the running event loop."""
    lines = asyncio.StreamReader(limit=limit)
    protocol = asyncio.StreamReaderProtocol(lines)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, source)
    return lines, transport


async def connect(source: IO[bytes], sink: IO[bytes], peer: str) -> tuple[Reader, Writer]:
    """Speak JSON-RPC over a pair of pipes, without a thread in between."""
    loop = asyncio.get_running_loop()
    lines, transport = await reading(source, MAX_LINE)
    # asyncio has no public name for "a protocol that knows flow control and nothing else".
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    out, _ = await loop.connect_write_pipe(lambda: protocol, sink)
    return Reader(lines, transport, peer), Writer(asyncio.StreamWriter(out, protocol, None, loop))


def is_pipe(descriptor: int) -> bool:
    """Say whether the event loop can wait for this descriptor: a pipe, or a socket as Node uses for one."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _message(line: bytes) -> types.JSONRPCMessage | None:
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError:
        return _malformed_answer(line)


def _malformed_answer(line: bytes) -> types.JSONRPCError | None:
    """Turn a broken answer that still says what it answers into an error: its caller need not wait."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match answer:
        case {"id": int() | str() as number} if "method" not in answer and number is not True:
            data = types.ErrorData(code=types.INTERNAL_ERROR, message="malformed answer")
            return types.JSONRPCError(jsonrpc="2.0", id=number, error=data)
        case _:
            return None
