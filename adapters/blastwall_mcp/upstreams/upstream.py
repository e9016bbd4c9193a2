"""One upstream server: what is asked of it, what it asks and tells, and what that means for both sides."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError

from blastwall.errors import BackendError
from blastwall.values import Server
from blastwall_mcp.upstreams.flights import Asker, Flight, Improper, OnMessage, Round, nobody, severity
from blastwall_mcp.upstreams.hooks import Hooks, Key, UpstreamError
from blastwall_mcp.upstreams.keeper import Keeper, Live, Tenant
from blastwall_mcp.upstreams.listening import LIST_CHANGES, unmarked
from blastwall_mcp.upstreams.offered import Offered
from blastwall_mcp.upstreams.pages import Listing, followed
from blastwall_mcp.wire.channel import Closed, Options, SessionLost

__all__ = ["Hooks", "Key", "Offered", "Upstream", "UpstreamError"]

MAX_ROUNDS = 16
"""How often a server may want more input for one request."""

NEXT_ROUND_S = 0.05
LONGEST_ROUND_S = 0.25
"""How long a server is left alone that only says that it is not done: it doubles with each further time."""

_NOTICES = LIST_CHANGES | {
    "notifications/message",
    "notifications/resources/updated",
    "notifications/elicitation/complete",
}
"""What a server may tell of its own accord, besides what is about single requests."""


class Upstream:
    """The server of one connector, for one principal and capability set, inside one profile.

    It is started when needed, again after it broke, and ended when nobody needed it for a while.

    Attributes:
        key: Which one it is.
        version: Grows whenever any of its lists may have changed: at every start, and when it says so.

    """

    def __init__(self, key: Key, server: Server, keeper: Keeper, hooks: Hooks) -> None:
        """Start nothing yet."""
        self.key = key
        self.version = 0
        self._server = server
        self._keeper = keeper
        self._hooks = hooks
        self._flights: dict[Flight, None] = {}
        self._uris: dict[str, int] = {}
        self._level = ""
        keeper.serve(Tenant(self._asked, self._told, self._started, self._changed, self._busy))

    def __str__(self) -> str:
        return str(self._keeper)

    @property
    def connector(self) -> str:
        """Whose server it is."""
        return self.key.connector

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it said at its last start that it can do, as it came."""
        return self._keeper.hello.capabilities

    @property
    def instructions(self) -> str:
        """What it said to models."""
        return self._keeper.hello.instructions

    @property
    def info(self) -> Mapping[str, Any]:
        """Its name and version, as it said them."""
        return self._keeper.hello.info

    @property
    def protocol(self) -> str:
        """The protocol version that it speaks."""
        return self._keeper.hello.version

    @property
    def modern(self) -> bool:
        """Whether it is of the modern era."""
        return self._keeper.hello.modern

    @property
    def up(self) -> bool:
        """Whether it answers now, or may soon."""
        return self._keeper.up

    # --- What it is asked ---------------------------------------------------------------------------------

    async def ensure(self) -> None:
        """Start the server unless it runs.

        Raises:
            BackendError: it can't be started, or not in time.
            SandboxUnavailable: it can't be confined as the policy says.

        """
        await self._keeper.live()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        on_progress: ProgressFnT | None = None,
        on_message: OnMessage | None = None,
        asker: Asker | None = None,
        limit_s: float | None = None,
    ) -> dict[str, Any]:
        """Ask the server something and give its result as it came. A cancelled caller cancels its work too.

        Args:
            method: What to ask.
            params: With what. A `_meta` in it is replaced.
            meta: What goes along, nothing of it about the connection but perhaps a log level.
            on_progress: Hears how far it is.
            on_message: Hears its log messages meanwhile; else they are notices like others.
            asker: Answers what it asks meanwhile.
            limit_s: How long it may take; `call_s` of the policy unless said.

        Raises:
            BackendError: there is no answer; the message names the connector and says what to do.
            UpstreamError: it refuses.

        """
        live = await self._keeper.live()
        meta = dict(meta or {})
        level = meta.pop(types.LOG_LEVEL_META_KEY, "") or self._level
        limit = (limit_s, "start_s") if limit_s else (self._server.call_s, "call_s")
        flight = Flight(asker, on_progress, on_message, level, *limit)
        self._flights[flight] = None
        try:
            await self._heed(live, level)
            asked = {**(params or {}), "_meta": meta}
            try:
                return await self._rounds(live, flight, method, asked)
            except SessionLost:  # it was not seen, so it may be asked again
                return await self._rounds(await self._keeper.live(), flight, method, asked)
        except SessionLost as error:
            raise BackendError(self._keeper.stopped(live.channel, error.why)) from None
        finally:
            flight.land()
            del self._flights[flight]
            self._keeper.used = monotonic()

    async def pages(self, method: str, key: str) -> list[Any]:
        """Fetch a whole list, as it came; raises like `listing`."""
        return (await self.listing(method, key)).items

    async def listing(self, method: str, key: str) -> Listing:
        """Fetch a whole list, as it came, and how long it may be taken for fresh.

        Raises:
            BackendError: it does not answer properly.
            UpstreamError: it refuses.

        """
        limit_s = self._server.start_s
        try:
            async with asyncio.timeout(limit_s):
                found = await followed(self, partial(self.request, method, limit_s=limit_s), key)
        except TimeoutError:
            raise BackendError(
                f"{self} did not give all of its {key} within {limit_s:g} s: raise `start_s` in the policy"
            ) from None
        if method == "tools/list":
            (await self._keeper.live()).headers.learn(found.items)
        return found if self.modern else replace(found, ttl_ms=0)  # the legacy era knows no such promise

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Tell the server something, if it runs."""
        if (live := self._keeper.running()) is not None:
            told = {**(params or {}), "_meta": live.hello.envelope} if live.hello.envelope else params
            await live.channel.notify(method, told, {"headers": live.headers.of(method, {})})

    async def subscribe(self, uri: str) -> None:
        """Let the server say when a resource changes; raises like `request`."""
        self._uris[uri] = self._uris.get(uri, 0) + 1
        if self._uris[uri] > 1:
            return
        try:
            live = await self._keeper.live()
            if live.hello.modern:
                await self._listen(live)
            else:
                await self.request("resources/subscribe", {"uri": uri})
        except BaseException:
            self._uris.pop(uri, None)
            raise
        if live.hello.modern and uri not in live.listening.honored:
            await self.unsubscribe(uri)
            raise UpstreamError(types.INVALID_PARAMS, "the server takes no subscription to this resource")

    async def unsubscribe(self, uri: str) -> None:
        """Let the server no longer say so, once nobody wants it; raises like `request`."""
        live = self._keeper.running()
        if not self._forget(uri) or live is None:
            return
        if live.hello.modern:
            await self._listen(live)
        else:
            await self.request("resources/unsubscribe", {"uri": uri})

    async def set_level(self, level: str) -> None:
        """Set from which level on log messages are wanted; raises like `request`."""
        live = await self._keeper.live()
        self._level = ""
        if not live.hello.modern:
            await self.request("logging/setLevel", {"level": level})
        self._level = level

    async def aclose(self) -> None:
        """End it for good."""
        await self._keeper.aclose()

    # --- How it is asked ----------------------------------------------------------------------------------

    async def _rounds(
        self, live: Live, flight: Flight, method: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        pause_s = NEXT_ROUND_S
        more: dict[str, Any] = {}
        for _ in range(MAX_ROUNDS):
            result = await self._exchange(live, flight, method, params | more)
            kind = result.get("resultType", "complete")
            if kind == "complete":
                self._keeper.recovered()
                return result
            if kind != "input_required" or not live.hello.modern:
                raise BackendError(f"{self} answered with a kind of result that blastwall does not know")
            wanted = self._wanted(result)
            if not wanted.questions:
                await anyio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_ROUND_S)
            more = await self._answers(wanted, flight)
        raise BackendError(f"{self} asked for input more than {MAX_ROUNDS} times in the middle of one call")

    def _wanted(self, result: Mapping[str, Any]) -> Round:
        try:
            return Round.of(result, self.key.offered)
        except Improper as error:
            raise BackendError(f"{self} {error}: give all that it needs in the arguments") from None

    async def _answers(self, wanted: Round, flight: Flight) -> dict[str, Any]:
        try:
            return await wanted.answered(flight.asker or nobody)
        except MCPError as error:
            raise BackendError(
                f"{self} asked for more input in the middle of the call, and got none ({error.message}):"
                " give all that it needs in the arguments"
            ) from None

    async def _exchange(
        self, live: Live, flight: Flight, method: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        """Send one request. What is wrong with the answer is said in words of ours."""
        if live.channel.headed and live.headers.lacking(method):
            await self.pages("tools/list", "tools")
        meta = {**params.pop("_meta", {}), **live.hello.envelope}
        if flight.level and live.hello.modern:
            meta[types.LOG_LEVEL_META_KEY] = flight.level
        if meta:
            params["_meta"] = meta
        try:
            # Not mcp's own time limit: that one starts when the request is written, and a server that
            # does not read its stdin would never let it start.
            async with flight.clock():
                return await live.channel.send_raw_request(
                    method, params, self._options(live, flight, method, params)
                )
        except TimeoutError:
            raise BackendError(
                f"{self} gave no answer within {flight.limit_s:g} s:"
                f" ask for less at once, or raise `{flight.setting}` in the policy"
            ) from None
        except SessionLost:
            raise
        except Closed as error:
            raise BackendError(self._keeper.stopped(live.channel, error.why)) from None
        except MCPError as error:
            raise UpstreamError(error.code, error.message, error.data) from None

    def _options(self, live: Live, flight: Flight, method: str, params: Mapping[str, Any]) -> Options:
        options: Options = {"on_progress": flight.on_progress} if flight.on_progress else {}
        if live.channel.headed:
            options["headers"] = live.headers.of(method, params)
            options["on_request"] = partial(self._asked, flight=flight)
            options["on_notify"] = partial(self._told, flight=flight)
        return options

    async def _heed(self, live: Live, level: str) -> None:
        """Tell a legacy server of a level that a request wants: it knows none of single requests."""
        told = bool(self._level) and severity(level) >= severity(self._level)
        if not level or told or live.hello.modern or "logging" not in live.hello.capabilities:
            return
        self._level = level
        with suppress(UpstreamError):  # what was asked for is not its log
            await self.request("logging/setLevel", {"level": level})

    async def _listen(self, live: Live) -> None:
        """Let a modern server speak of the resources that are wanted now."""
        try:
            with anyio.fail_after(self._server.start_s):
                await live.listening.want(frozenset(self._uris))
        except TimeoutError:
            raise BackendError(
                f"{self} did not confirm a subscription within {self._server.start_s:g} s"
            ) from None
        except Closed as error:
            raise BackendError(self._keeper.stopped(live.channel, error.why)) from None
        except MCPError as error:
            raise UpstreamError(error.code, error.message, error.data) from None

    def _forget(self, uri: str) -> bool:
        """Take back one wish to hear of a resource; say whether nobody has it any more."""
        left = self._uris.pop(uri, 0) - 1
        if left > 0:
            self._uris[uri] = left
        return left == 0

    # --- What it says of its own accord -------------------------------------------------------------------

    async def _started(self, live: Live) -> None:
        """Tell a server that was started again what the one before it was told."""
        self._hooks.on_start(self)
        if live.hello.modern:
            live.listening.expect(frozenset(self._uris))
            return
        told = [("resources/subscribe", {"uri": uri}) for uri in self._uris]
        told += [("logging/setLevel", {"level": self._level})] if self._level else []
        for method, params in told:
            with suppress(MCPError):
                await live.channel.send_raw_request(
                    method,
                    params,
                    {"headers": live.headers.of(method, params), "timeout": self._server.start_s},
                )

    def _changed(self) -> None:
        self.version += 1

    def _busy(self) -> bool:
        return bool(self._flights or self._uris)

    async def _asked(
        self, _context: Any, method: str, params: Mapping[str, Any] | None, *, flight: Flight | None = None
    ) -> dict[str, Any]:
        """Answer what the server asks: only what it was offered, and for the request that it is about."""
        if method == "ping":
            return {}
        asked = dict(params or {})
        if self.modern or not self.key.offered.covers(method, asked):
            self._hooks.on_unknown(self.connector, method)
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
        flight = flight or next((one for one in reversed(self._flights) if one.asker), None)
        if flight is not None:
            return await flight.push(method, asked)
        return await self._hooks.on_push(self, method, asked)

    async def _told(
        self, _context: Any, method: str, params: Mapping[str, Any] | None, *, flight: Flight | None = None
    ) -> None:
        """Pass on what the server tells, if it may and somebody wants it."""
        told, of = unmarked(params or {})
        if of is not None and (live := self._keeper.running()) and not live.listening.current(of):
            return  # a subscription that was replaced says it once more
        if method not in _NOTICES:
            self._hooks.on_unknown(self.connector, method)
        elif method == "notifications/message" and (listener := self._listener(flight)):
            await listener.log(told)
        elif method != "notifications/resources/updated" or self._uris:
            self.version += method in LIST_CHANGES
            await self._hooks.on_notice(self, method, told)

    def _listener(self, flight: Flight | None) -> Flight | None:
        if flight is not None:
            return flight if flight.on_message else None
        return next((one for one in reversed(self._flights) if one.on_message), None)
