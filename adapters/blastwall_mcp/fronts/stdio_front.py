"""A client on a pair of pipes: its first request says which protocol era the connection is of, once."""

from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp_types import methods
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from blastwall.session import Session
from blastwall_mcp.engine.asks import offered
from blastwall_mcp.engine.clients import Channel, Client, Context, Params
from blastwall_mcp.engine.engine import Engine
from blastwall_mcp.fronts.abilities import known
from blastwall_mcp.fronts.principals import LOCAL
from blastwall_mcp.upstreams.offered import FEATURES
from blastwall_mcp.wire.context import INITIALIZED

_ONLY_HANDSHAKE = (
    "this connection serves the handshake protocol era;"
    " requests carrying the 2026-07-28 envelope are not accepted on it"
)
_ONLY_MODERN = "connection is serving the 2026-07-28 protocol; the initialize handshake is not accepted"


class StdioFront:
    """Answers one client, as mcp's own `serve_dual_era_loop` does: the same eras, versions and errors."""

    def __init__(self, engine: Engine, session: Session, channel: Channel, era: str = "auto") -> None:
        """Wait for the first request; `era` may say that only one era is served."""
        self._engine, self._session, self._channel, self._era = engine, session, channel, era
        self._modern: bool | None = None
        self._client = self._made(LATEST_HANDSHAKE_VERSION, {}, modern=False)
        self._envelope: Params | None = None
        self._accepted = False
        self._shaking: anyio.Event | None = None

    async def on_request(self, context: Context, method: str, params: Mapping[str, Any] | None) -> Params:
        """Answer a request."""
        if self._modern is None:
            self._decide(method, params)
        if self._modern:
            return await self._of_the_modern_era(context, method, params)
        return await self._of_the_legacy_era(context, method, params)

    async def on_notify(self, _context: Context, method: str, params: Mapping[str, Any] | None) -> None:
        """Hear a notification."""
        if method == INITIALIZED and not self._modern:
            self._accepted = True
            await self._engine.opened(self._client)
        elif self._modern or self._accepted:
            await self._engine.notify(self._client, method, params)

    async def warm(self) -> None:
        """Start the servers, so that the first list need not wait for all of it.

        Those that may ask something of a client are told by the first one what it can do.
        """
        anyone = self._made(
            LATEST_HANDSHAKE_VERSION, {feature: {} for feature in FEATURES.values()}, modern=False
        )
        if not any(offered(anyone, connector) for connector in self._session.guard.policy.servers):
            await self._engine.warm(self._client)

    async def closed(self) -> None:
        """Forget the client, which is gone."""
        await self._engine.closed(self._client)

    def _decide(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Take the era that a request opens, if that one is served."""
        modern = method != "initialize" and _enveloped(params)
        if modern and self._era == "legacy":
            if method == "server/discover":  # how a client finds out; it goes on with the handshake then
                raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
            raise MCPError(types.INVALID_REQUEST, _ONLY_HANDSHAKE)
        if not modern and self._era == "modern":
            raise _modern_only(params)
        self._modern = modern

    async def _of_the_modern_era(
        self, context: Context, method: str, params: Mapping[str, Any] | None
    ) -> Params:
        if method == "initialize":
            raise _modern_only(params)
        meta = params.get("_meta") if params else None
        if meta is None or meta != self._envelope:  # most clients say the same in every request
            self._read_envelope(method, params)
        return await self._engine.request(self._client, context, method, params)

    def _read_envelope(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Take a request's word for what its client is and can."""
        route = classify_inbound_request({"method": method, "params": params})
        if isinstance(route, InboundLadderRejection):
            raise MCPError(route.code, route.message, route.data)
        can, now = known(route.client_capabilities), self._client
        if now.version != route.protocol_version or now.capabilities != can:
            self._client = self._made(route.protocol_version, can, modern=True)
        self._envelope = dict(params["_meta"]) if params else None

    async def _of_the_legacy_era(
        self, context: Context, method: str, params: Mapping[str, Any] | None
    ) -> Params:
        if method == "initialize":
            return await self._initialize(context, params)
        if _enveloped(params):
            raise MCPError(types.INVALID_REQUEST, _ONLY_HANDSHAKE)
        if self._shaking is not None:
            await self._shaking.wait()  # it was sent before the handshake was answered
        if not self._accepted and method != "ping":
            if (method, self._client.version) not in methods.CLIENT_REQUESTS:
                raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
            raise MCPError(types.INVALID_PARAMS, "Invalid request parameters", "")
        return await self._engine.request(self._client, context, method, params)

    async def _initialize(self, context: Context, params: Mapping[str, Any] | None) -> Params:
        asked = dict(params or {})
        version, can = asked.get("protocolVersion"), asked.get("capabilities")
        version = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        client = self._made(str(version), known(can), modern=False)
        self._shaking = shaking = anyio.Event()
        try:
            result = await self._engine.request(client, context, "initialize", asked)
            await self._engine.closed(self._client)
            self._client, self._accepted = client, True
            return result
        finally:
            self._shaking = None
            shaking.set()

    def _made(self, version: str, can: Mapping[str, Any], *, modern: bool) -> Client:
        return Client(LOCAL, self._session, version, modern, can, self._channel)


def _enveloped(params: Mapping[str, Any] | None) -> bool:
    meta = params.get("_meta") if params else None
    return isinstance(meta, Mapping) and types.PROTOCOL_VERSION_META_KEY in meta


def _modern_only(params: Mapping[str, Any] | None) -> MCPError:
    data: dict[str, Any] = {"supported": list(MODERN_PROTOCOL_VERSIONS)}
    requested = (params or {}).get("protocolVersion")
    if isinstance(requested, str):
        data["requested"] = requested
    return MCPError(types.UNSUPPORTED_PROTOCOL_VERSION, _ONLY_MODERN, data)
