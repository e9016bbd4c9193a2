"""MCP over HTTP: what was let in goes to the engine, and what comes of it back as its era wants."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from blastwall.guard import Guard
from blastwall_mcp.catalogue.entries import SORTS, Entry, Kind
from blastwall_mcp.engine.clients import Client, Params
from blastwall_mcp.engine.engine import Engine
from blastwall_mcp.fronts.abilities import Abilities, known
from blastwall_mcp.fronts.conversations import Conversation
from blastwall_mcp.fronts.http_body import Message, Receive
from blastwall_mcp.fronts.http_door import Answer, refusal
from blastwall_mcp.fronts.http_gate import Caller
from blastwall_mcp.fronts.http_rules import EVENTS, check_kinds, check_mirror, check_version, takes
from blastwall_mcp.fronts.http_stream import Send, Stopped, Stream
from blastwall_mcp.fronts.limits import Sessions
from blastwall_mcp.fronts.principals import Grants
from blastwall_mcp.fronts.runs import Runs, opened, record
from blastwall_mcp.wire.context import CANCELLED, INITIALIZED, Context, token_of

_USES: Mapping[str, tuple[Kind, str]] = {
    "tools/call": ("tools", "name"),
    "prompts/get": ("prompts", "name"),
    "resources/read": ("resources", "uri"),
    "resources/subscribe": ("resources", "uri"),
}
"""The requests that are about one thing of one server: what kind of thing, and which parameter names it."""

MOST_CLIENTS = 32
"""Clients of one run that are remembered; each is only a version and a set of capabilities."""

REQUEST_CANCELLED = -32800
"""What a legacy client is answered that cancelled a request: its stream must end with something."""

log = logging.getLogger(__name__)


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
        idle_s: float,
    ) -> None:
        """Keep the parts. A session of the legacy era ends when it was not used for `idle_s`."""
        self._guard, self._engine, self._grants = guard, engine, grants
        self._sessions, self._runs, self._abilities = sessions, runs, abilities
        self._idle_s = idle_s
        self._open: dict[str, Conversation] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._held: ContextVar[frozenset[str] | None] = ContextVar("blastwall_held", default=frozenset())

    async def close(self) -> None:
        """End all sessions."""
        for conversation in list(self._open.values()):
            self._expired(conversation)
        while self._ending:
            await asyncio.wait(self._ending)

    # --- What the gate asks -------------------------------------------------------------------------------

    async def wanting(self, caller: Caller) -> str:
        """Give the scope without which a request is not answered; see `Application`."""
        message = caller.message
        if message.method == "initialize" and not caller.modern:
            _check_initialize(message)
            return ""
        if not message.sound or message.params is None:
            return ""  # that is refused later, or about nothing
        if caller.modern:
            await self._of_the_modern_era(caller, message.params.get("_meta"))
        elif conversation := self._open.get(caller.session):
            caller.client = conversation.client
        return await self._lacking(caller, message) if caller.client else ""

    async def stolen(self, caller: Caller) -> None:
        """Record that somebody used another's session; see `Application`."""
        conversation = self._open.get(caller.session)
        if conversation is None:
            return
        client = conversation.client
        log.warning("%s used a session of %s, and was refused", caller.principal.name, client.principal)
        details = {"owner": client.principal, "by": caller.principal.name}
        await record(self._guard, client.session.id, "session-refused", {**details})

    async def _of_the_modern_era(self, caller: Caller, meta: Any) -> None:
        caller.run = run = await self._runs.of(caller.principal)
        meta = meta if isinstance(meta, dict) else {}
        version = meta.get(types.PROTOCOL_VERSION_META_KEY)
        if version not in MODERN_PROTOCOL_VERSIONS:
            return  # that is refused later
        can = known(meta.get(types.CLIENT_CAPABILITIES_META_KEY))
        key = version, self._abilities.use(caller.principal.name, can)
        if key not in run.clients:
            if len(run.clients) > MOST_CLIENTS:
                run.clients.clear()
            run.clients[key] = self._made(Client(caller.principal.name, run.session, version, True, can))
        caller.client = run.clients[key]

    async def _lacking(self, caller: Caller, message: Message) -> str:
        """Give the scope that a request needs and its token lacks."""
        use = _USES.get(message.method)
        named = message.params.get(use[1]) if use else None
        mirrored = caller.modern and message.method == "tools/call"
        if use is None or not isinstance(named, str) or not (mirrored or self._grants.names):
            return ""
        entry = await self._found(caller.client, use[0], named)
        if entry is None:
            return ""  # the engine says that there is no such thing
        caller.schema = entry.schema
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

    # --- What the gate lets in ----------------------------------------------------------------------------

    async def serve(self, caller: Caller, receive: Receive, send: Send) -> None:
        """Serve a request; see `Application`."""
        self._held.set(caller.principal.scopes)
        if caller.modern:
            await self._serve_modern(caller, receive, send)
            return
        conversation = self._open.get(caller.session)
        if conversation is None:
            await self._begin(caller, receive, send)
            return
        with conversation.used():
            match caller.head.method:
                case "POST":
                    await self._serve_legacy(caller, conversation, receive, send)
                case "GET":
                    await self._listen(caller, conversation, receive, send)
                case _:
                    await self._end(conversation)
                    raise Answer(200)

    async def _serve_modern(self, caller: Caller, receive: Receive, send: Send) -> None:
        message = caller.message
        if caller.head.method != "POST":
            raise Answer(405, headers=(("allow", "POST"),))
        check_kinds(caller.head)
        if not message.sound or not message.method:
            raise refusal(400, "Body must be a single JSON-RPC request or notification object")
        if message.tells:
            check_version(caller.head)
            raise Answer(202)  # this era knows no notification of a client that would mean anything
        stream = Stream(receive, send)
        try:
            check_mirror(caller.head, message, caller.schema)
            with self._runs.using(caller.run) if caller.run else nullcontext():
                told = await stream.during(self._told(caller, stream), tied=True)
        except MCPError as error:
            told = _fault(error)
        except Stopped:
            return  # nobody is there any more
        status = ERROR_CODE_HTTP_STATUS.get(told["error"]["code"], 200) if "error" in told else 200
        await stream.answer({"id": message.id, **told}, status)

    async def _serve_legacy(
        self, caller: Caller, conversation: Conversation, receive: Receive, send: Send
    ) -> None:
        message = caller.message
        _check_legacy(caller)
        if not message.asks:
            await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            await self._heard(conversation, message)
            return
        stream = conversation.stream(receive, send)
        if message.method == "initialize":
            told = _fault(MCPError(types.INVALID_REQUEST, "this session is initialized"))
        else:
            caller.client = conversation.client
            try:
                with conversation.answering(message.key, stream):
                    told = await stream.during(self._told(caller, stream), tied=False)
            except Stopped:
                told = _fault(MCPError(REQUEST_CANCELLED, "Request cancelled"))
                await stream.open()  # the SDK's client breaks over JSON that nobody waits for any more
        await stream.answer({"id": message.id, **told})

    async def _told(self, caller: Caller, stream: Stream) -> Params:
        """Give what the engine makes of a request, as it is told the client."""
        message, client = caller.message, caller.client
        context = Context(stream, message.id, token_of(message.params))
        try:
            if client is None or client.principal != caller.principal.name:
                raise MCPError(types.INVALID_REQUEST, "initialize first")
            result = await self._engine.request(client, context, message.method, message.params)
            return {"result": result}
        except MCPError as error:
            return _fault(error)
        except Exception:  # what went wrong inside is nobody's business outside
            log.exception("a request for %.80r broke", message.method)
            return _fault(MCPError(types.INTERNAL_ERROR, "the proxy broke: its stderr says how"))
        finally:
            context.open = False

    async def _heard(self, conversation: Conversation, message: Message) -> None:
        client = conversation.client
        if not message.method:
            conversation.answered(message)
        elif message.method == INITIALIZED:
            await self._engine.opened(client)
        else:
            if message.method == CANCELLED:
                conversation.cancel(message.params)
            await self._engine.notify(client, message.method, message.params)

    # --- Sessions of the legacy era -----------------------------------------------------------------------

    async def _begin(self, caller: Caller, receive: Receive, send: Send) -> None:
        """Open a session. It is its principal's from before anybody hears of it."""
        if caller.session:
            raise refusal(404, "Session not found")
        message = caller.message
        if caller.head.method == "POST":
            _check_legacy(caller)
        if message.method != "initialize" or not message.asks:
            raise refusal(400, "Bad Request: Missing session ID")
        conversation = Conversation(self._idle_s, self._expired)
        self._sessions.opened(conversation.id, caller.principal.name)
        try:
            conversation.client = caller.client = await self._of_the_legacy_era(conversation, caller)
        except BaseException:  # whatever ended it: its place must not stay taken
            self._sessions.closed(conversation.id)
            raise
        self._open[conversation.id] = conversation
        stream = conversation.stream(receive, send)
        with conversation.used():
            told = await stream.during(self._told(caller, stream), tied=False)
            if "error" in told:
                await self._end(conversation)
            await stream.answer({"id": message.id, **told})

    async def _of_the_legacy_era(self, conversation: Conversation, caller: Caller) -> Client:
        params = caller.message.params
        can = known(params.get("capabilities"))
        self._abilities.use(caller.principal.name, can)
        asked = params.get("protocolVersion")
        version = asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        run = await opened(self._guard, caller.principal, "legacy")
        return self._made(Client(caller.principal.name, run, str(version), False, can, conversation.notices))

    async def _listen(self, caller: Caller, conversation: Conversation, receive: Receive, send: Send) -> None:
        """Keep the stream open on which a client is told what is about no request of its own."""
        if not takes(caller.head, EVENTS):
            raise refusal(406, f"Not Acceptable: Client must accept {EVENTS}")
        stream = conversation.stream(receive, send)
        with conversation.listened(stream):
            await stream.open()
            try:
                await stream.during(asyncio.Event().wait(), tied=True)
            except Stopped:
                await stream.end()

    def _expired(self, conversation: Conversation) -> None:
        task = asyncio.get_running_loop().create_task(self._end(conversation))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, conversation: Conversation) -> None:
        """End a session. It is forgotten first: nobody finds it any more while it ends."""
        if self._open.pop(conversation.id, None) is None:
            return
        self._sessions.closed(conversation.id)
        try:
            await conversation.end()
            await self._engine.closed(conversation.client)
        finally:
            conversation.client.session.close()


def _check_initialize(message: Message) -> None:
    """Refuse a handshake that can't succeed before it costs a session."""
    try:
        types.InitializeRequestParams.model_validate(message.params, by_name=False)
    except ValidationError:
        raise refusal(400, "Invalid request parameters", types.INVALID_PARAMS) from None


def _check_legacy(caller: Caller) -> None:
    check_kinds(caller.head)
    if not caller.message.sound:
        raise refusal(400, "the body must be one JSON-RPC message", types.INVALID_PARAMS)


def _fault(error: MCPError) -> Params:
    told: Params = {"code": error.code, "message": error.message}
    return {"error": told if error.data is None else {**told, "data": error.data}}
