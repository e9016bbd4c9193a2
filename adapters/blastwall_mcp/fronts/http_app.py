"""MCP over HTTP by the SDK's server, of which only the transports are used: every message goes to the engine.

The SDK calls its server middleware provisional, and gives a middleware no public way to the raw channel of a
request: whatever leans on either is in this module.
"""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import mcp_types as types
import msgspec
from mcp.server import Server, ServerRequestContext
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from blastwall.guard import Guard
from blastwall_mcp._version import IDENTITY
from blastwall_mcp.catalogue.entries import SORTS, Entry, Kind
from blastwall_mcp.engine.clients import Client
from blastwall_mcp.engine.engine import Engine
from blastwall_mcp.fronts.abilities import Abilities, known
from blastwall_mcp.fronts.http_body import Message, Receive
from blastwall_mcp.fronts.http_door import refusal
from blastwall_mcp.fronts.http_gate import CALLER, App, Caller, Scope, Send
from blastwall_mcp.fronts.limits import Sessions
from blastwall_mcp.fronts.notices import Notices
from blastwall_mcp.fronts.principals import Grants
from blastwall_mcp.fronts.runs import Runs, opened, record

Context = ServerRequestContext[Any, Any]

_USES: Mapping[str, tuple[Kind, str]] = {
    "tools/call": ("tools", "name"),
    "prompts/get": ("prompts", "name"),
    "resources/read": ("resources", "uri"),
    "resources/subscribe": ("resources", "uri"),
}
"""The requests that are about one thing of one server: what kind of thing, and which parameter names it."""

MOST_CLIENTS = 32
"""Clients of one run that are remembered; each is only a version and a set of capabilities."""

log = logging.getLogger(__name__)


class _Params(msgspec.Struct):
    """What is read of a request's parameters to know whose it is and what it is for."""

    name: Any = None
    uri: Any = None
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict, name="_meta")


_params = msgspec.json.Decoder(_Params)


class Front:
    """Hands every message to the engine, and answers what the gate asks about one."""

    def __init__(
        self,
        guard: Guard,
        engine: Engine,
        sessions: Sessions,
        runs: Runs,
        abilities: Abilities,
        grants: Grants,
    ) -> None:
        """Keep the parts."""
        self._guard, self._engine, self._grants = guard, engine, grants
        self._sessions, self._runs, self._abilities = sessions, runs, abilities
        self._clients: dict[str, Client] = {}
        self._held: ContextVar[frozenset[str] | None] = ContextVar("blastwall_held", default=frozenset())
        self._called: ContextVar[Mapping[str, Any] | None] = ContextVar("blastwall_called", default=None)

    def app(self, *, path: str, most: int, sessions: int, idle_s: float) -> App:
        """Build the ASGI application. Host, Origin, path and tokens are the gate's to check."""
        server: Server[Any] = Server(
            IDENTITY.name, version=IDENTITY.version, get_tool_input_schema=self._schema
        )
        messages: ServerMiddleware[Any] = self._message
        server.middleware[:] = [messages]
        whole = server.streamable_http_app(
            streamable_http_path=path,
            max_request_body_size=most,
            max_sessions=sessions,
            session_idle_timeout=idle_s,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        manager = server.session_manager

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # There is one path, and the gate knows it: what is around the manager costs a tenth of a call.
            await (manager.handle_request if scope["type"] == "http" else whole)(scope, receive, send)

        return app

    # --- What the gate asks ---

    async def wanting(self, caller: Caller, message: Message) -> str:
        """Give the scope without which a request is not answered; see `Application`."""
        if message.method == "initialize" and not caller.modern:
            _check_initialize(message)
            return ""
        params = _read(message)
        if params is None:
            return ""  # the SDK says what is wrong with it
        if not caller.modern:
            caller.client = self._clients.get(caller.session)
        else:
            await self._of_the_modern_era(caller, params.meta)
        return await self._lacking(caller, message.method, params) if caller.client else ""

    async def stolen(self, caller: Caller) -> None:
        """Record that somebody used another's session; see `Application`."""
        client = self._clients.get(caller.session)
        if client is None:
            return
        log.warning("%s used a session of %s, and was refused", caller.principal.name, client.principal)
        details = {"owner": client.principal, "by": caller.principal.name}
        await record(self._guard, client.session.id, "session-refused", {**details})

    async def _of_the_modern_era(self, caller: Caller, meta: Mapping[str, Any]) -> None:
        caller.run = run = await self._runs.of(caller.principal)
        version = meta.get(types.PROTOCOL_VERSION_META_KEY)
        if version not in MODERN_PROTOCOL_VERSIONS:
            return  # the SDK says so
        can = known(meta.get(types.CLIENT_CAPABILITIES_META_KEY))
        key = version, self._abilities.use(caller.principal.name, can)
        if key not in run.clients:
            if len(run.clients) > MOST_CLIENTS:
                run.clients.clear()
            run.clients[key] = self._made(Client(caller.principal.name, run.session, version, True, can))
        caller.client = run.clients[key]

    async def _lacking(self, caller: Caller, method: str, params: _Params) -> str:
        """Give the scope that a request needs and its token lacks."""
        use = _USES.get(method)
        named = getattr(params, use[1]) if use else None
        if use is None or not isinstance(named, str):
            return ""
        entry = await self._found(caller.client, use[0], named)
        if entry is None:
            return ""  # the engine says that there is no such thing
        self._called.set(entry.schema)
        name = SORTS[entry.kind].message or entry.name
        if self._grants.reach(caller.principal.scopes, entry.connector, name):
            return ""
        return self._grants.wanting(entry.connector, name)

    async def _found(self, client: Client, kind: Kind, name: str) -> Entry | None:
        """Give what a request is about; what was listed costs no time."""
        listed = self._engine.known(client, name)  # what it sees is known from then on
        if kind == "tools" and listed is not None:
            return listed
        return await client.view[1].catalogue.find(kind, name) if client.view else None

    def _made(self, client: Client) -> Client:
        if self._grants.names:
            client.reaches = self._reaches
        return client

    def _reaches(self, connector: str, tool: str) -> bool:
        """Say whether the token of the very request that is being served may be used for a tool."""
        return self._grants.reach(self._held.get(), connector, tool)

    # --- What the SDK calls ---

    def _schema(self, _name: str) -> Mapping[str, Any] | None:
        """Give the schema that a call's headers are checked by: of the very request that is being served."""
        return self._called.get()

    async def _message(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Be the server's whole middleware: nothing behind it ever runs."""
        assert ctx.request is not None  # noqa: S101  # over HTTP, there always is one
        caller: Caller = ctx.request.scope[CALLER]
        self._held.set(caller.principal.scopes)
        try:
            with self._runs.using(caller.run) if caller.run else nullcontext():
                return await self._answer(ctx, caller)
        except MCPError:
            raise
        except Exception:  # the SDK would tell a legacy client its text
            log.exception("a message of method %s broke", ctx.method)
            raise MCPError(types.INTERNAL_ERROR, "the proxy broke: its stderr says how") from None

    async def _answer(self, ctx: Context, caller: Caller) -> HandlerResult:
        if ctx.method == "initialize" and not caller.modern:
            return await self._initialize(ctx, caller)
        client = caller.client if caller.modern else self._clients.get(caller.session)
        if client is None or client.principal != caller.principal.name:
            raise MCPError(types.INVALID_REQUEST, "initialize first")
        if ctx.request_id is None:
            await self._notified(client, ctx)
            return None
        channel: Any = ctx.session._request_outbound
        return await self._engine.request(client, channel, ctx.method, ctx.params)

    async def _initialize(self, ctx: Context, caller: Caller) -> HandlerResult:
        """Open a session of the legacy era. It is its principal's from before anybody hears of it."""
        connection: Connection = ctx.session._connection
        session = connection.session_id
        if session is None or session in self._clients:
            raise MCPError(types.INVALID_REQUEST, "this session is initialized")
        ends = connection.exit_stack
        self._sessions.opened(session, caller.principal.name)
        ends.callback(self._sessions.closed, session)
        client = await self._of_the_legacy_era(connection, caller, dict(ctx.params or {}))
        self._clients[session] = client
        ends.push_async_callback(self._ended, session, client)
        channel: Any = ctx.session._request_outbound
        return await self._engine.request(client, channel, "initialize", ctx.params)

    async def _notified(self, client: Client, ctx: Context) -> None:
        if ctx.method != "notifications/initialized":
            await self._engine.notify(client, ctx.method, ctx.params)
        elif not client.modern:
            await self._engine.opened(client)

    async def _of_the_legacy_era(
        self, connection: Connection, caller: Caller, params: Mapping[str, Any]
    ) -> Client:
        can = known(params.get("capabilities"))
        self._abilities.use(caller.principal.name, can)
        asked = params.get("protocolVersion")
        version = asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        notices = Notices(connection.outbound)
        connection.exit_stack.callback(notices.close)
        run = await opened(self._guard, caller.principal, "legacy")
        connection.exit_stack.callback(run.close)
        return self._made(Client(caller.principal.name, run, str(version), False, can, notices))

    async def _ended(self, session: str, client: Client) -> None:
        del self._clients[session]
        await self._engine.closed(client)


def _check_initialize(message: Message) -> None:
    """Refuse a handshake that can't succeed before it costs a session."""
    try:
        types.InitializeRequestParams.model_validate_json(bytes(message.params), by_name=False)
    except ValidationError:
        raise refusal(400, "Invalid request parameters", types.INVALID_PARAMS) from None


def _read(message: Message) -> _Params | None:
    try:
        return _params.decode(message.params)
    except (msgspec.DecodeError, RecursionError):
        return None
