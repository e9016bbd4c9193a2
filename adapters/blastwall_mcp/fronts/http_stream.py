"""The way back from one HTTP request: a JSON document, or events once there is more to say than one thing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TypeVar

import mcp_types as types
import msgspec
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError

from blastwall_mcp.engine.clients import Params
from blastwall_mcp.fronts.http_body import Receive
from blastwall_mcp.fronts.http_rules import EVENTS, JSON

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PING_S = 15.0
"""How often a client that waits is sent something, so that nothing in between takes it for gone."""

WATCH_S = 0.02
"""From when on it is seen whether a client is gone. What takes less costs no task that looks."""

T = TypeVar("T")


class Stopped(Exception):
    """What was waited for was ended before its time."""


class Stream:
    """What one HTTP request is answered with, for as long as it is open (mcp's `Outbound`).

    Its handler may say something at any time, from any task: the first word turns the answer into events.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        session: str = "",
        ask: "Callable[[Stream, str, Mapping[str, Any] | None], Awaitable[Params]] | None" = None,
    ) -> None:
        """Have said nothing yet.

        Args:
            receive: Tells when the client is gone. The request's body was read.
            send: The client.
            session: The session that every answer names, if there is one.
            ask: Asks the client something on this stream; without it, nobody may.

        """
        self._receive, self._send, self._ask = receive, send, ask
        self._session = [(b"mcp-session-id", session.encode())] if session else []
        self._turn = asyncio.Lock()
        self._begun = self._over = self._tied = False
        self._limit: asyncio.Timeout | None = None

    # --- What its handler says ----------------------------------------------------------------------------

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Tell the client something."""
        await self.say({"method": method} | ({} if params is None else {"params": params}))

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> Params:
        """Ask the client something, where its era knows that."""
        if self._ask is None:
            raise NoBackChannelError(method)
        return await self._ask(self, method, params)

    async def say(self, message: Params) -> None:
        """Send a message before the answer."""
        await self._event(b"event: message\r\ndata: " + written(message) + b"\r\n\r\n")

    async def open(self) -> None:
        """Begin the events before there is one."""
        await self._event(b"")

    async def answer(self, message: Params, status: int = 200) -> None:
        """Send the last message. Where nothing was said before, its HTTP status may tell something, too."""
        body = _answered(message)
        async with self._turn:
            over, self._over = self._over, True
            if over:
                return
            if self._begun:
                await self._body(b"event: message\r\ndata: " + body + b"\r\n\r\n", more=False)
                return
            kind = (b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))
            await self._start(status, *kind)
            await self._body(body, more=False)

    async def end(self) -> None:
        """End events to which there is no answer."""
        async with self._turn:
            if self._begun and not self._over:
                self._over = True
                await self._body(b"", more=False)

    # --- How long ------------------------------------------------------------------------------------------

    async def during(self, work: Awaitable[T], *, tied: bool) -> T:
        """Wait for work, and ping the client meanwhile. Work that is tied to the client ends when it is gone.

        Raises:
            Stopped: it was ended, by that or by `stop`.

        """
        self._tied = tied
        loop = asyncio.get_running_loop()
        watchers: list[asyncio.Task[None]] = []
        begins = loop.call_later(WATCH_S, lambda: watchers.append(loop.create_task(self._watch())))
        try:
            async with asyncio.timeout(None) as self._limit:
                return await work
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
            raise Stopped from None
        finally:
            self._limit = None
            begins.cancel()
            for watcher in watchers:
                watcher.cancel()

    def stop(self) -> None:
        """End what is waited for."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def gone(self) -> None:
        """Wait until the client is gone."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_S):
                    if (await self._receive())["type"] == "http.disconnect":
                        return
                    continue
            await self._event(b": ping\r\n\r\n")

    async def _watch(self) -> None:
        await self.gone()
        self._lost()

    def _lost(self) -> None:
        self._over = True
        if self._tied:
            self.stop()

    # --- What is sent -------------------------------------------------------------------------------------

    async def _event(self, event: bytes) -> None:
        async with self._turn:
            if self._over:
                return
            try:
                if not self._begun:
                    await self._start(200, *_AS_EVENTS)
                    self._begun = True
                await self._body(event, more=True)
            except TimeoutError:  # it does not read
                self._lost()

    async def _start(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        whole = [*headers, *self._session]
        await self._send({"type": "http.response.start", "status": status, "headers": whole})

    async def _body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


_AS_EVENTS = (
    (b"content-type", EVENTS.encode()),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

_encode = msgspec.json.Encoder().encode


def written(message: Params) -> bytes:
    """Write a message.

    Raises:
        MCPError: it has no form in JSON.

    """
    try:
        return _encode({"jsonrpc": "2.0", **message})
    except (ValueError, TypeError, RecursionError):
        raise MCPError(types.INTERNAL_ERROR, "what would be sent has no form in JSON") from None


def _answered(message: Params) -> bytes:
    """Write an answer: the client is told, too, if it can't be."""
    try:
        return written(message)
    except MCPError as error:
        return written({"id": message["id"], "error": {"code": error.code, "message": error.message}})
