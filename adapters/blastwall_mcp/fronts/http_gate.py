"""What every HTTP request passes before MCP is spoken: where it came to, from whom, and how much of it."""

import asyncio
import logging
import time
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import mcp_types as types
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from blastwall.errors import BackendError
from blastwall.values import Auth
from blastwall_mcp.fronts.auth import NotProved, Tokens, challenge
from blastwall_mcp.fronts.http_body import Message, Receive, message, read
from blastwall_mcp.fronts.http_door import Answer, Door, Head, Headers, refusal
from blastwall_mcp.fronts.http_stream import Send
from blastwall_mcp.fronts.limits import REQUESTS, RETRY_S, SHARE, STREAMS, Busy, Owned, Pool, Sessions
from blastwall_mcp.fronts.principals import Principal

Scope = MutableMapping[str, Any]

SEND_S = 60.0
"""How long a client may let what it asked for lie."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Caller:
    """One HTTP request that was let in.

    Attributes:
        principal: Who sent it.
        head: Its head.
        modern: Whether it is of the era without handshake, as its header says.
        session: The session of the legacy era that it belongs to; empty for none.
        message: What its body holds, once that was read.
        client: What the application knows of it.
        run: The run of the modern era that it belongs to.
        schema: What the arguments of the tool that it is about look like.

    """

    principal: Principal
    head: Head
    modern: bool = False
    session: str = ""
    message: Message = field(default_factory=Message)
    client: Any = None
    run: Any = None
    schema: Mapping[str, Any] | None = None


class Application(Protocol):
    """MCP's side of the front."""

    async def stolen(self, caller: Caller) -> None:
        """Note that somebody used a session that is somebody else's."""
        ...

    async def wanting(self, caller: Caller) -> str:
        """Give the scope without which a request is not answered; nothing when the token has it."""
        ...

    async def serve(self, caller: Caller, receive: Receive, send: Send) -> None:
        """Serve a request that was let in, and of which the body was read."""
        ...


class Gate:
    """The outermost ASGI application. It answers for itself whatever goes no further."""

    def __init__(
        self,
        application: Application,
        door: Door,
        sessions: Sessions,
        *,
        most: int,
        era: str = "auto",
        auth: Auth | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """Let nothing in yet.

        Args:
            application: Speaks MCP.
            door: Where requests may come to.
            sessions: Whose the sessions are.
            most: Bytes of a body.
            era: The only era that is spoken; `auto` for both.
            auth: What the policy says of tokens; without it, nobody is asked for one.
            tokens: Proves them.

        """
        self._application, self._door, self._sessions = application, door, sessions
        self._most, self._era, self._auth, self._tokens = most, era, auth, tokens
        share = SHARE if auth else 1
        self._requests = Pool(REQUESTS, REQUESTS // share)
        self._streams = Pool(STREAMS, STREAMS // share)
        self._open: set[anyio.CancelScope] = set()
        self._closing = False

    def close(self) -> None:
        """End the streams, which would otherwise last as long as their clients, and let nothing more in."""
        self._closing = True
        for scope in self._open:
            scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        out = _Out(send)
        try:
            head = self._door.head(scope)
            out.headers = self._door.cors(head)
            await self._let_in(head, receive, out)
        except Answer as answer:
            await out.answer(answer)
        except Busy as busy:
            await out.answer(_busy(busy))
        except Exception:  # what went wrong inside is nobody's business outside
            log.exception("a request broke")
            await out.answer(refusal(500, "the proxy broke: its stderr says how", types.INTERNAL_ERROR))

    async def _let_in(self, head: Head, receive: Receive, out: "_Out") -> None:
        if self._closing:
            raise _busy(Busy(mine=False))
        modern = self._modern(head)
        principal = await self._principal(head)
        caller = Caller(principal, head, modern, "" if modern else head.get(b"mcp-session-id"))
        owned = await self._owned(caller)
        with ExitStack() as held:
            if head.method == "GET":
                held.enter_context(self._streams.place(principal.name))
                await self._stream(caller, receive, out)
                return
            held.enter_context(self._requests.place(principal.name))
            if head.method == "POST":
                caller.message = asked = message(await read(head, receive, self._most))
                await self._check_scope(caller)
                if asked.method == "subscriptions/listen" and modern:
                    held.close()
                    held.enter_context(self._streams.place(principal.name))
                    await self._stream(caller, receive, out)
                    return
                self._hold(held, caller, owned)
            await self._application.serve(caller, receive, out)

    def _hold(self, held: ExitStack, caller: Caller, owned: Owned | None) -> None:
        """Hold what a message needs while it is served."""
        asked = caller.message
        if not asked.asks:
            held.close()  # answers must come through, or nothing that waits for them ends
        elif owned is not None:
            held.enter_context(_answering(owned, asked.key))
        elif asked.method == "initialize" and not caller.modern:
            held.enter_context(self._sessions.opening(caller.principal.name))

    async def _stream(self, caller: Caller, receive: Receive, out: "_Out") -> None:
        """Serve what has no end of its own: until its token ends, or we do."""
        left = caller.principal.expires - time.time()
        with anyio.CancelScope(deadline=anyio.current_time() + left) as cancelled:
            self._open.add(cancelled)
            try:
                await self._application.serve(caller, receive, out)
            finally:
                self._open.discard(cancelled)
        if cancelled.cancelled_caught:
            await out.end()

    # --- The checks, in their order ---

    def _modern(self, head: Head) -> bool:
        version = head.get(b"mcp-protocol-version")
        modern = bool(version) and version not in HANDSHAKE_PROTOCOL_VERSIONS
        if self._era == "auto" or modern == (self._era == "modern"):
            return modern
        text = "Unsupported protocol version"
        if modern:  # what a server says that knows nothing of this era, so that clients fall back
            raise refusal(400, text)
        data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": version}
        raise refusal(400, text, types.UNSUPPORTED_PROTOCOL_VERSION, data=data)

    async def _principal(self, head: Head) -> Principal:
        if self._auth is None or self._tokens is None:
            return Principal()
        scheme, _, token = head.get(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise self._denied(401, scope=" ".join(self._auth.required))
        try:
            principal = await self._tokens.principal(token.strip())
        except NotProved as error:
            log.info("a token was refused: %s", error)
            raise self._denied(401, "invalid_token", "the access token is not valid here") from None
        except BackendError as error:
            log.warning("tokens can't be checked: %s", error)
            text = "tokens can't be checked now: try again"
            raise refusal(503, text, types.INTERNAL_ERROR, (("retry-after", "5"),)) from None
        if missing := set(self._auth.required) - (principal.scopes or frozenset()):
            log.info("a token lacks the scopes %s", sorted(missing))
            raise self._insufficient(principal, " ".join(self._auth.required))
        return principal

    async def _owned(self, caller: Caller) -> Owned | None:
        if not caller.session:
            return None
        owned = self._sessions.of(caller.session, caller.principal.name)
        if owned is None:
            if self._sessions.stolen(caller.session, caller.principal.name):
                await self._application.stolen(caller)
            raise refusal(404, "Session not found")  # the same whether it is open or not
        return owned

    async def _check_scope(self, caller: Caller) -> None:
        if caller.message.asks and (wanting := await self._application.wanting(caller)):
            raise self._insufficient(caller.principal, wanting)

    def _insufficient(self, principal: Principal, wanting: str) -> Answer:
        """Say which scopes would do: what the token has, of what counts here, and what it lacks."""
        assert self._auth is not None  # noqa: S101  # only who was asked for a token can lack a scope
        held = [s for s in self._auth.scopes if s in (principal.scopes or ())]
        scope = " ".join(dict.fromkeys((*self._auth.required, *held, *wanting.split())))
        return self._denied(403, "insufficient_scope", "the access token does not reach this", scope)

    def _denied(self, status: int, error: str = "", description: str = "", scope: str = "") -> Answer:
        assert self._auth is not None  # noqa: S101  # only tokens are denied
        told = challenge(self._auth, error=error, description=description, scope=scope)
        body = {"error": error or "unauthorized", "error_description": description or "a token is needed"}
        return Answer(status, body, (("www-authenticate", told),))


class _Out:
    """The way back: bounded in time, and with the headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers: Headers = ()
        self._started = self._streams = self._ended = False

    async def __call__(self, event: MutableMapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            self._started = True
            event["headers"] = [*event.get("headers", ()), *_ALWAYS, *_bytes(self.headers)]
        else:
            self._ended = not event.get("more_body")
            if self._streams or not self._ended:
                self._streams = True
                async with asyncio.timeout(SEND_S):
                    await self._send(event)
                return
        await self._send(event)  # what is sent at once is never waited for

    async def answer(self, answer: Answer) -> None:
        """Answer in HTTP's own words, unless something else was begun."""
        if self._started:
            await self.end()
            return
        kind = (("content-type", "application/json"),) if answer.body else ()
        length = (("content-length", str(len(answer.body))),) if answer.status != 204 else ()
        # A body that was not read is not waited for either.
        close = (("connection", "close"),) if answer.status >= 400 else ()
        headers = _bytes((*kind, *length, *close, *answer.headers))
        await self({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self({"type": "http.response.body", "body": answer.body})

    async def end(self) -> None:
        """End what was begun."""
        if self._started and not self._ended:
            await self({"type": "http.response.body", "body": b""})


_ALWAYS = [(b"x-content-type-options", b"nosniff")]


def _bytes(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


@contextmanager
def _answering(owned: Owned, key: str) -> Generator[None]:
    """Answer one request of a session; of two with the same id nobody could tell which is cancelled."""
    if key in owned.answering:
        raise refusal(400, "a request with this id is being answered")
    owned.answering.add(key)
    try:
        yield
    finally:
        owned.answering.discard(key)


def _busy(busy: Busy) -> Answer:
    status = 429 if busy.mine else 503
    return refusal(status, str(busy), types.INTERNAL_ERROR, (("retry-after", str(RETRY_S)),))
