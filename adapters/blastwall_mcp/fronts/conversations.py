"""The sessions of the legacy era: what is being answered in each, what its client was asked, and its end."""

import asyncio
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import mcp_types as types
from mcp.shared.dispatcher import CallOptions, coerce_request_id
from mcp.shared.exceptions import MCPError

from blastwall_mcp.engine.clients import Client, Params
from blastwall_mcp.fronts.http_body import Message, Receive, fault
from blastwall_mcp.fronts.http_door import refusal
from blastwall_mcp.fronts.http_stream import Send, Stream
from blastwall_mcp.fronts.notices import Notices
from blastwall_mcp.wire.context import CANCELLED

ENDING_S = 5.0
"""How long what is answered in a session that ends may take to notice."""


class Conversation:
    """One session. Whoever uses it was found to be its owner before.

    Attributes:
        id: Its name, which nobody can guess.
        client: Who speaks in it, from the handshake on.
        notices: A way to tell its client something outside of its requests.
        ended: Whether it is over.

    """

    client: Client

    def __init__(self, idle_s: float, expired: "Callable[[Conversation], None]") -> None:
        """Begin. `expired` is called when it was not used for so long."""
        self.id = secrets.token_hex(16)
        self.notices = Notices(self)
        self.ended = False
        self._idle_s, self._expired = idle_s, expired
        self._idle: asyncio.TimerHandle | None = None
        self._users = 0
        self._answering: dict[str, Stream] = {}
        self._alone: Stream | None = None
        self._asked: dict[int | str, asyncio.Future[Params]] = {}
        self._last_id = 0
        self._free = asyncio.Event()

    # --- Its requests ---------------------------------------------------------------------------------------

    def stream(self, receive: Receive, send: Send) -> Stream:
        """Give the way back from one of its requests."""
        return Stream(receive, send, session=self.id, ask=self._ask)

    @contextmanager
    def used(self) -> Generator[None]:
        """Keep it from expiring for a while."""
        self._users += 1
        if self._idle is not None:
            self._idle.cancel()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users and not self.ended:
                self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._expired, self)

    @contextmanager
    def answering(self, key: str, stream: Stream) -> Generator[None]:
        """Answer a request; its client can cancel it."""
        self._answering[key] = stream
        try:
            yield
        finally:
            del self._answering[key]
            if not self._answering:
                self._free.set()

    @contextmanager
    def listened(self, stream: Stream) -> Generator[None]:
        """Have a stream for what is about no request: one at a time."""
        if self._alone is not None:
            raise refusal(409, "Conflict: Only one SSE stream is allowed per session")
        self._alone = stream
        try:
            yield
        finally:
            self._alone = None

    def cancel(self, params: Any) -> None:
        """Hear that its client does not want an answer any more."""
        request_id = params.get("requestId") if isinstance(params, dict) else None
        if isinstance(request_id, int | str) and (stream := self._answering.get(str(request_id))):
            stream.stop()

    # --- What its client is asked ---------------------------------------------------------------------------

    def answered(self, message: Message) -> None:
        """Hear an answer. One to nothing that was asked is of no interest."""
        future = self._asked.get(coerce_request_id(message.id))
        if future is None or future.done():
            return
        if isinstance(message.result, dict):
            future.set_result(message.result)
        elif (error := fault(message.error)) is not None:
            future.set_exception(error)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Tell it something outside of its requests, if it listens."""
        if self._alone is not None:
            await self._alone.notify(method, params)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> Params:
        """Ask it something outside of its requests; raises `MCPError`."""
        if self._alone is None:
            raise MCPError(types.CONNECTION_CLOSED, "the client does not listen")
        try:
            async with asyncio.timeout((opts or {}).get("timeout")):
                return await self._ask(self._alone, method, params)
        except TimeoutError:
            raise MCPError(types.REQUEST_TIMEOUT, f"Request {method!r} timed out") from None

    async def _ask(self, stream: Stream, method: str, params: Mapping[str, Any] | None) -> Params:
        if self.ended:
            raise MCPError(types.CONNECTION_CLOSED, "Connection closed")
        self._last_id += 1
        number = self._last_id
        future: asyncio.Future[Params] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            await stream.say(
                {"id": number, "method": method} | ({} if params is None else {"params": params})
            )
            return await future
        except asyncio.CancelledError:
            with suppress(MCPError):
                await stream.notify(CANCELLED, {"requestId": number, "reason": "no longer needed"})
            raise
        finally:
            del self._asked[number]

    # --- Its end --------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """End what goes on in it."""
        self.ended = True
        self.notices.close()
        if self._idle is not None:
            self._idle.cancel()
        for stream in (*self._answering.values(), *filter(None, [self._alone])):
            stream.stop()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(MCPError(types.CONNECTION_CLOSED, "Connection closed"))
        if self._answering:
            self._free.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._free.wait(), ENDING_S)
