"""OAuth towards servers: a person logs in with a browser once, and the proxy renews what came of it."""

import asyncio
import base64
import time
import webbrowser
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import httpx2
import msgspec
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.client.auth.utils import extract_field_from_www_auth
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import AnyUrl, ValidationError

from blastwall.errors import BackendError
from blastwall.values import OAuth, Server
from blastwall_mcp.upstreams.addresses import Route
from blastwall_mcp.upstreams.callback import Callback
from blastwall_mcp.upstreams.exchanges import Exchanges
from blastwall_mcp.upstreams.logins import Login, load, save
from blastwall_mcp.wire.channel import Closed
from blastwall_mcp.wire.places import is_loopback, place

LARGEST = 512 * 1024
"""Bytes of an answer that are read."""

ANSWER_S = 15.0
"""How long one answer may take."""

PERSON_S = 300.0
"""How long a person may take to log in."""

MOST_ASKED = 30
"""Requests that one login may take."""

EARLY_S = 30.0
"""How long before its end a token is renewed."""

BASIC = "client_secret_basic"
"""How authorization servers call it that a client proves itself in a header."""

Visit = Callable[[str], Awaitable[None]]


class Authorized:
    """The token of a login, renewed when it ends (a `Bearer`). It never opens a browser."""

    def __init__(self, connector: str, server: Server) -> None:
        """Read nothing yet."""
        self._connector = connector
        self._server = server
        self._login: Login | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Give a token that holds."""
        login = self._login
        if login is None or _ended(login):
            login = await self._valid(login)
        return login.access

    async def refused(self, status: int, challenge: str) -> bool:
        """Get another token, if the login is good for one."""
        if status == 403:
            return self._stepped_up(challenge)
        before = self._login
        self._login = await self._valid(before)
        return before is None or self._login.access != before.access

    async def _valid(self, spent: Login | None) -> Login:
        """Get a token other than the one that is spent: one that somebody renewed, or a new one."""
        async with self._lock:
            stored = await load(self._connector, self._server)
            if stored is None:
                raise self._lacking("there is no login for it")
            if _ended(stored) or (spent is not None and stored.access == spent.access):
                stored = await self._renewed(stored)
            self._login = stored
            return stored

    async def _renewed(self, login: Login) -> Login:
        if not login.refresh or not login.endpoint:
            raise self._lacking("its login has ended")
        answer = await _sent(self._server, _renewal(login))
        try:
            if answer.status_code != 200:
                raise BackendError("refused")
            fresh = login.renewed(msgspec.json.decode(answer.content, type=dict), time.time())
        except (BackendError, msgspec.MsgspecError, ValueError):
            raise self._lacking("its login has ended") from None
        await save(self._connector, fresh)
        return fresh

    def _stepped_up(self, challenge: str) -> bool:
        answer = httpx2.Response(403, headers={"www-authenticate": challenge})
        if extract_field_from_www_auth(answer, "error") == "insufficient_scope":
            scope = _scope(extract_field_from_www_auth(answer, "scope") or "")
            more = f' --scope "{scope}"' if scope else ""
            raise self._lacking("its login is not good for this", more)
        return False

    def _lacking(self, why: str, more: str = "") -> BackendError:
        name = self._connector
        return BackendError(
            f"the server of connector {name} needs a login, and {why}: run `blastwall login {name}{more}`"
        )


async def login(connector: str, server: Server, visit: Visit | None = None, scope: str = "") -> Login:
    """Let a person log in at a server, and keep what comes of it in the keyring.

    Args:
        connector: Whose server.
        server: Where it is.
        visit: Leads the person to a page; the browser unless a test gives another.
        scope: What is asked for, instead of what the policy or the server says.

    Raises:
        BackendError: it did not work; says why.

    """
    oauth = server.oauth or OAuth()
    await load(connector, server)  # a keyring that can't be used is told before anybody logs in
    async with Callback() as callback:
        provider = _provider(server, oauth, callback, visit or _browse)
        try:
            async with asyncio.timeout(PERSON_S):
                await _drive(server, provider, scope or " ".join(oauth.scopes))
        except TimeoutError:
            raise BackendError(f"nobody logged in within {PERSON_S:g} s") from None
        except (OAuthFlowError, OAuthRegistrationError, OAuthTokenError, ValidationError) as error:
            raise BackendError(
                f"the login at the server of connector {connector} failed ({type(error).__name__}): it does"
                " not do OAuth as MCP wants it, or refused; `--debug` shows more"
            ) from None
    done = _done(server, provider)
    await save(connector, done)
    return done


def _provider(server: Server, oauth: OAuth, callback: Callback, visit: Visit) -> OAuthClientProvider:
    metadata = OAuthClientMetadata(
        client_name="blastwall",
        redirect_uris=[AnyUrl(callback.url)],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",  # noqa: S106  # the name of a method
    )
    document = oauth.client_id if oauth.client_id.startswith("https://") else None
    known = None
    if oauth.client_id and document is None:
        known = OAuthClientInformationFull(
            client_id=oauth.client_id,
            redirect_uris=[AnyUrl(callback.url)],
            token_endpoint_auth_method="none",  # noqa: S106  # the name of a method
        )

    async def lead(url: str) -> None:
        _check_page(server, provider, url)
        await visit(url)

    provider = OAuthClientProvider(
        server.url, metadata, _Forgetful(known), lead, callback.result, client_metadata_url=document
    )
    return provider


class _Forgetful:
    """Keeps nothing of a login that is under way (mcp's `TokenStorage`)."""

    def __init__(self, known: OAuthClientInformationFull | None) -> None:
        self._known = known

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        pass

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._known

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._known = client_info


async def _drive(server: Server, provider: OAuthClientProvider, scope: str) -> None:
    """Let mcp's own client run the flow, but send what it asks for only to where that may be sent."""
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": LATEST_HANDSHAKE_VERSION,
            "capabilities": {},
            "clientInfo": {"name": "blastwall", "version": "1"},
        },
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": LATEST_HANDSHAKE_VERSION,
    }
    first = httpx2.Request("POST", server.url, json=hello, headers=headers)
    flow = provider.async_auth_flow(first)
    request = await anext(flow)
    for _ in range(MOST_ASKED):
        answer = await _sent(server, request)
        if request is first and answer.status_code != 401 and provider.context.current_tokens is None:
            raise BackendError(
                f"the server wants no login (HTTP status {answer.status_code}): take `oauth` out of the"
                " policy"
            )
        if request is first and scope:
            _ask_for(answer, scope)
        try:
            request = await flow.asend(answer)
        except StopAsyncIteration:
            return
    raise BackendError("the login does not come to an end")


def _ask_for(answer: httpx2.Response, scope: str) -> None:
    """Let the flow ask for our scope, whatever the server would like."""
    where = extract_field_from_www_auth(answer, "resource_metadata")
    more = f', resource_metadata="{where}"' if where else ""
    answer.headers["www-authenticate"] = f'Bearer scope="{_scope(scope)}"{more}'


async def _sent(server: Server, request: httpx2.Request) -> httpx2.Response:
    """Send one request; only a server on this machine, or a private one, may lead to such places."""
    where = place(str(request.url))
    inside = server.private or is_loopback(place(server.url).host)
    if is_loopback(where.host) and not inside:
        raise BackendError(f"the server leads to {where.host}, which is this machine: that is refused")
    exchanges = Exchanges(Route(where, private=server.private))
    headers = [
        (k, v) for k, v in request.headers.items() if k not in ("host", "content-length", "connection")
    ]
    headers = [("host", where.authority), *((k, v) for k, v in headers if k != "accept-encoding")]
    try:
        async with (
            asyncio.timeout(ANSWER_S),
            exchanges.ask(request.method, where.target, headers, await request.aread()) as response,
        ):
            body = await response.body(LARGEST) if response.kind != "text/event-stream" else b""
            kept = [("content-type", response.kind), ("location", response.header("location"))]
            kept.append(("www-authenticate", response.header("www-authenticate")))
            told = [(name, text) for name, text in kept if text]
            return httpx2.Response(response.status, headers=told, content=body, request=request)
    except TimeoutError:
        raise BackendError(f"{where.host} gave no answer within {ANSWER_S:g} s") from None
    except Closed as error:
        raise BackendError(f"{where.host} gave no answer: {error.why}") from None
    finally:
        exchanges.close()


def _check_page(server: Server, provider: OAuthClientProvider, url: str) -> None:
    """Refuse to lead a person to what is no page of a server that does OAuth safely."""
    where, about = place(url), provider.context.oauth_metadata
    if where.scheme != "https" and not (is_loopback(where.host) and is_loopback(place(server.url).host)):
        raise BackendError("the server sends people to a page that is not encrypted: that is refused")
    if about is None or "S256" not in (about.code_challenge_methods_supported or ()):
        raise BackendError("the authorization server does not say that it supports PKCE: that is refused")


def _done(server: Server, provider: OAuthClientProvider) -> Login:
    context = provider.context
    if context.current_tokens is None or context.client_info is None or context.oauth_metadata is None:
        raise BackendError("the login came to its end without a token")
    made = Login(
        server.url,
        "",
        endpoint=str(context.oauth_metadata.token_endpoint),
        resource=context.get_resource_url(),
        client_id=context.client_info.client_id or "",
        client_secret=context.client_info.client_secret or "",
        proof=context.client_info.token_endpoint_auth_method or "",
        scope=context.current_tokens.scope or "",
    )
    return made.renewed(context.current_tokens.model_dump(), time.time())


async def _browse(url: str) -> None:
    await asyncio.to_thread(webbrowser.open, url)


def _renewal(login: Login) -> httpx2.Request:
    """Ask for a new token, and prove who asks in the way that we were registered with (RFC 6749, 2.3.1)."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": login.refresh,
        "client_id": login.client_id,
        "resource": login.resource,
    }
    headers = {"accept": "application/json"}
    if login.proof == BASIC:
        pair = f"{quote(login.client_id, safe='')}:{quote(login.client_secret, safe='')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form["client_secret"] = login.client_secret
    told = {name: value for name, value in form.items() if value}
    return httpx2.Request("POST", login.endpoint, data=told, headers=headers)


def _ended(login: Login) -> bool:
    return bool(login.expires) and login.expires - EARLY_S <= time.time()


def _scope(text: str) -> str:
    """Keep of a scope what a scope may be, for it comes from outside."""
    return "".join(c for c in text[:300] if c.isascii() and (c.isalnum() or c in " :._/-"))
