"""What servers tell on their own, and which clients hear of it: who may, who wants to, nothing poisoned."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, get_args

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import methods

from blastwall.errors import BackendError
from blastwall.frozen import NotJson, freeze, thaw
from blastwall.policy import Layered, Policy
from blastwall.values import Action, ToolCall, ToolOutput
from blastwall_mcp.catalogue.entries import SORTS, Kind
from blastwall_mcp.engine.asks import Asks
from blastwall_mcp.engine.calm import Calm
from blastwall_mcp.engine.clients import Channel, Client, Errand, Params, Unprompted
from blastwall_mcp.engine.listeners import CHANGES, UPDATED, Listener
from blastwall_mcp.engine.unknowns import Unknowns
from blastwall_mcp.upstreams.flights import OnMessage
from blastwall_mcp.upstreams.upstream import Upstream, UpstreamError

LEVELS: tuple[str, ...] = get_args(types.LoggingLevel)
"""All log levels, the most talkative first."""

READY_S = 5.0
"""How long a server that asks something on its own waits for a client that can be asked."""

MESSAGE = "notifications/message"
COMPLETE = "notifications/elicitation/complete"

_HOP = (
    "progressToken",
    types.PROTOCOL_VERSION_META_KEY,
    types.CLIENT_INFO_META_KEY,
    types.CLIENT_CAPABILITIES_META_KEY,
    types.LOG_LEVEL_META_KEY,
)
"""What a request's `_meta` says of this connection and not of the call."""


class Pushes:
    """Knows who is there to be told something."""

    def __init__(self, unknowns: Unknowns) -> None:
        """Know nobody yet."""
        self._unknowns = unknowns
        self._clients: set[Client] = set()
        self._listeners: set[Listener] = set()
        self._coming = asyncio.Event()
        self._changes = Calm(self._changed)

    # --- Who is there -------------------------------------------------------------------------------------

    def opened(self, client: Client) -> None:
        """Tell a client from now on what it wants to hear."""
        self._clients.add(client)
        self._coming.set()
        self._coming.clear()

    async def closed(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)
        for uri in list(client.watched):
            await self.unwatch(client, uri)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Tell a listener, for a while."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    # --- What servers are told that somebody wants to hear ------------------------------------------------

    async def watch(self, client: Client, upstream: Upstream, uri: str) -> None:
        """Subscribe a client to a resource; raises like `Upstream.subscribe`."""
        if uri not in client.watched:
            await upstream.subscribe(uri)
            client.watched[uri] = upstream

    async def unwatch(self, client: Client, uri: str) -> None:
        """Take a subscription back. A server that can't be told so is heard by nobody."""
        if upstream := client.watched.pop(uri, None):
            with suppress(BackendError, UpstreamError):
                await upstream.unsubscribe(uri)

    async def set_level(self, client: Client, upstream: Upstream, level: str) -> None:
        """Let a server log what a client wants to hear, and all others; raises like `Upstream.set_level`."""
        others = [c.level for c in self._clients if c is not client and c.level and sees(c, upstream)]
        await upstream.set_level(min((level, *others), key=LEVELS.index))

    # --- What they tell in the middle of a call -----------------------------------------------------------

    def forwarded(self, upstream: Upstream, errand: Errand) -> Params:
        """Give the `_meta` that goes to a server with a request: what it says of the call."""
        meta = {key: value for key, value in errand.meta.items() if key not in _HOP}
        level = errand.meta.get(types.LOG_LEVEL_META_KEY) if errand.client.modern else None
        if level in LEVELS and permits(errand.client, upstream, MESSAGE):
            meta[types.LOG_LEVEL_META_KEY] = level
        return meta

    def logging(self, upstream: Upstream, errand: Errand) -> OnMessage:
        """Give who hears what a server logs while it works on an errand."""

        async def hear(params: Params) -> None:
            if _wants(errand.client, errand.meta, params.get("level")):
                await _log(errand.client, errand.context, upstream, params)

        return hear

    # --- What they tell on their own ----------------------------------------------------------------------

    async def notice(self, upstream: Upstream, method: str, params: Params) -> None:
        """Pass on what a server tells."""
        if method in CHANGES:
            await self._changes.want((method, upstream))
        elif method == UPDATED:
            await self._updated(upstream, params)
        elif method == MESSAGE:
            await self._logged(upstream, params)
        elif method == COMPLETE:
            await self._completed(upstream, params)

    async def asked(self, upstream: Upstream, method: str, params: Params) -> Params:
        """Put what a legacy server asks while nothing is in flight to it to a client that it works for.

        Only the roots: servers look for them as soon as they are started. Why a person or a model should be
        asked something, nobody could tell then.

        Raises:
            MCPError: there is none, or it is refused.

        """
        if method != "roots/list":
            self._unknowns.heard(upstream.connector, method)
            raise MCPError(types.INVALID_REQUEST, "nothing is in flight that this could be asked for")
        if (client := self._askable(upstream)) is None:
            with suppress(TimeoutError):  # some ask as soon as they are started, before a client is ready
                await asyncio.wait_for(self._coming.wait(), READY_S)
            client = self._askable(upstream)
        if client is None or client.channel is None:
            raise MCPError(types.INVALID_REQUEST, "there is nobody to be asked now")
        errand = Errand(client, Unprompted(client.channel), method, params)
        return await Asks(errand, upstream.connector, self._unknowns).ask(method, params)

    def _askable(self, upstream: Upstream) -> Client | None:
        able = (c for c in self._clients if not c.modern and c.channel and sees(c, upstream))
        return next(able, None)

    def changed(self) -> None:
        """Tell everybody that all lists may have changed: the policy did."""
        for method in CHANGES:
            self._changes.later((method, None))

    def other(self, upstream: Upstream, kind: Kind) -> None:
        """Tell who was shown a list that it is another one now, though the server said nothing."""
        self._changes.later((f"notifications/{SORTS[kind].capability}/list_changed", upstream))

    async def _changed(self, change: tuple[str, Upstream | None]) -> None:
        method, upstream = change
        for client in (*self._clients, *(listener.client for listener in self._listeners)):
            if client.view is not None and (upstream is None or sees(client, upstream)):
                for kind in (kind for kind, sort in SORTS.items() if sort.capability in method):
                    client.view[1].catalogue.told(kind)
        for listener in self._listeners:
            if listener.hears(method) and (upstream is None or sees(listener.client, upstream)):
                listener.hear(method)
        await self._tell(method, None, upstream)

    async def _updated(self, upstream: Upstream, params: Params) -> None:
        uri = params.get("uri")
        if not isinstance(uri, str):
            return
        for listener in self._listeners:
            if listener.client.watched.get(uri) is upstream:
                listener.hear(UPDATED, uri)
        for client in list(self._clients):
            if client.channel and not client.modern and client.watched.get(uri) is upstream:
                await client.channel.notify(UPDATED, {"uri": uri})

    async def _completed(self, upstream: Upstream, params: Params) -> None:
        elicitation = params.get("elicitationId")
        if isinstance(elicitation, str):
            told = {"elicitationId": elicitation}
            await self._tell(COMPLETE, told, upstream, "elicitation/create")

    async def _tell(
        self, method: str, params: Params | None, upstream: Upstream | None, permitted: str = ""
    ) -> None:
        """Tell all clients with a handshake whose version knows this; the others hear what they listen to."""
        for client in list(self._clients):
            if client.channel is None or (method, client.version) not in methods.SERVER_NOTIFICATIONS:
                continue
            if client.modern or (upstream is not None and not sees(client, upstream)):
                continue
            if permitted and upstream is not None and not permits(client, upstream, permitted):
                continue
            await client.channel.notify(method, params)

    async def _logged(self, upstream: Upstream, params: Params) -> None:
        """Pass on what a server logs while nothing is asked of it, to clients with a handshake."""
        for client in list(self._clients):
            way = None if client.modern else client.channel
            if way is not None and sees(client, upstream) and _wants(client, {}, params.get("level")):
                await _log(client, way, upstream, params)


async def _log(client: Client, way: Channel, upstream: Upstream, params: Params) -> None:
    words: Params = {key: params[key] for key in ("level", "logger", "data", "_meta") if key in params}
    if permits(client, upstream, MESSAGE):
        if (shown := _screened(client.session.guard.policy, upstream, words)) is not None:
            await way.notify(MESSAGE, shown)


def _wants(client: Client, meta: Mapping[str, Any], level: Any) -> bool:
    least = meta.get(types.LOG_LEVEL_META_KEY) if client.modern else client.level or LEVELS[0]
    return least in LEVELS and level in LEVELS and LEVELS.index(level) >= LEVELS.index(least)


def sees(client: Client, upstream: Upstream) -> bool:
    """Say whether this very instance of a server works for a client."""
    return client.view is not None and client.view[1].upstreams.get(upstream.connector) is upstream


def permits(client: Client, upstream: Upstream, method: str) -> bool:
    """Say whether the policy could let a message pass."""
    return client.session.guard.policy.permits(upstream.connector, f"mcp:{method}")


def _screened(policy: Policy | Layered, upstream: Upstream, words: Params) -> Params | None:
    call = ToolCall.of(upstream.connector, f"mcp:{MESSAGE}", {})
    try:
        screened = policy.screen(call, ToolOutput(freeze(words)))
    except (NotJson, KeyError):
        return None
    return None if screened.action is Action.QUARANTINE else dict(thaw(screened.value))
