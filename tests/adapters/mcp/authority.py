"""A real authorization server on loopback: mcp's own routes, a page to consent on, signed tokens, introspection."""

import base64
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx2
import jwt
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    AuthorizeError,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.adapters.mcp.http_rig import keys, token

ASKER = "proxy:the proxy's secret"
"""What proves the proxy where it asks about tokens."""


@dataclass
class Authority:
    """Gives tokens to clients that registered, for what a person agreed to.

    Attributes:
        scopes: All that can be asked for.
        resources: All that tokens can be for.
        method: How clients prove themselves, instead of what they ask for.
        lasts: Seconds that an access token lasts.
        asked: What people were asked for.
        origin: Its issuer.

    """

    scopes: tuple[str, ...] = ("mcp", "read", "write")
    resources: set[str] = field(default_factory=set)
    method: str = ""
    lasts: int = 3600
    asked: list[AuthorizationParams] = field(default_factory=list)
    origin: str = ""
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    _tickets: dict[str, tuple[str, AuthorizationParams]] = field(default_factory=dict)
    _codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    _refreshing: dict[str, RefreshToken] = field(default_factory=dict)
    _given: dict[str, AccessToken] = field(default_factory=dict)

    def app(self, port: int) -> Starlette:
        """Build the application for its port."""
        self.origin = f"http://127.0.0.1:{port}"
        ours: Any = self
        issuer: Any = self.origin
        routes = create_auth_routes(
            ours,
            AuthSettings(issuer_url=issuer, resource_server_url=None).issuer_url,
            client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=[*self.scopes]),
            revocation_options=RevocationOptions(enabled=True),
        )
        own = [
            Route("/consent", self._consent, methods=["GET", "POST"]),
            Route("/introspect", self._introspect, methods=["POST"]),
            Route("/keys", self._keys),
        ]
        return Starlette(routes=[*routes, *own])

    def issue(self, resource: str, *scopes: str, client: str = "editor", **other: Any) -> AccessToken:
        """Sign an access token; `other` are claims instead of the honest ones."""
        now = int(time.time())
        told: dict[str, Any] = {
            "iss": self.origin,
            "aud": resource,
            "scope": " ".join(scopes),
            "client_id": client,
        }
        told |= {"exp": now + self.lasts, "iat": now, "sub": "ann", "jti": secrets.token_hex(8)} | other
        signed = token(**told)
        self._given[signed] = AccessToken(
            token=signed,
            client_id=client,
            scopes=[*scopes],
            expires_at=told["exp"],
            resource=resource,
            subject=told["sub"],
            claims=told,
        )
        return self._given[signed]

    def revoke_all(self) -> None:
        """Let no token be good for anything any more."""
        self._given.clear()
        self._refreshing.clear()

    # --- What mcp's routes ask (an `OAuthAuthorizationServerProvider`) ---

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client: OAuthClientInformationFull) -> None:
        client.scope = " ".join(self.scopes)  # what a client may ask for at most
        if self.method:
            client.token_endpoint_auth_method = self.method
            client.client_secret = secrets.token_hex(16)
        self.clients[client.client_id or ""] = client

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        if params.resource not in self.resources:
            raise AuthorizeError("invalid_target", "there is no such resource")
        self.asked.append(params)
        ticket = secrets.token_hex(8)
        self._tickets[ticket] = client.client_id or "", params
        return f"{self.origin}/consent?ticket={ticket}"

    async def load_authorization_code(self, _client: Any, code: str) -> AuthorizationCode | None:
        return self._codes.get(code)

    async def exchange_authorization_code(self, _client: Any, code: AuthorizationCode) -> OAuthToken:
        del self._codes[code.code]
        return self._tokens(code.client_id, code.resource or "", code.scopes)

    async def load_refresh_token(self, _client: Any, text: str) -> RefreshToken | None:
        return self._refreshing.get(text)

    async def exchange_refresh_token(self, _client: Any, old: RefreshToken, scopes: list[str]) -> OAuthToken:
        del self._refreshing[old.token]
        return self._tokens(old.client_id, old.resource or "", scopes)

    async def load_access_token(self, text: str) -> AccessToken | None:
        return self._given.get(text)

    async def revoke_token(self, revoked: AccessToken | RefreshToken) -> None:
        self._given.pop(revoked.token, None)
        self._refreshing.pop(revoked.token, None)

    def _tokens(self, client: str, resource: str, scopes: list[str]) -> OAuthToken:
        access, again = self.issue(resource, *scopes, client=client), secrets.token_hex(16)
        self._refreshing[again] = RefreshToken(
            token=again, client_id=client, scopes=scopes, resource=resource
        )
        return OAuthToken(
            access_token=access.token, refresh_token=again, expires_in=self.lasts, scope=" ".join(scopes)
        )

    # --- Its own pages ---

    async def _consent(self, request: Request) -> Response:
        if request.method == "GET":
            ticket = request.query_params["ticket"]
            return HTMLResponse(f'<form method="post"><input name="ticket" value="{ticket}"></form>')
        form = parse_qs((await request.body()).decode())
        client, params = self._tickets.pop(form["ticket"][0])
        code = secrets.token_urlsafe(32)
        self._codes[code] = AuthorizationCode(
            code=code,
            client_id=client,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=True,
            resource=params.resource,
        )
        back = construct_redirect_uri(
            str(params.redirect_uri), code=code, state=params.state, iss=self.origin
        )
        return RedirectResponse(back, 302)

    async def _introspect(self, request: Request) -> Response:
        """Say of a token what is true of it now (RFC 7662)."""
        if request.headers.get("authorization") != f"Basic {base64.b64encode(_quoted(ASKER)).decode()}":
            return JSONResponse({"error": "invalid_client"}, 401)
        form = parse_qs((await request.body()).decode())
        found = self._given.get(form["token"][0])
        if found is None or (found.expires_at or 0) <= time.time():
            return JSONResponse({"active": False})
        claims = jwt.decode(found.token, options={"verify_signature": False})
        return JSONResponse({"active": True, "token_type": "Bearer", **claims})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse(keys())


def _quoted(pair: str) -> bytes:
    client, _, secret = pair.partition(":")
    return f"{client}:{secret.replace(' ', '+').replace(chr(39), '%27')}".encode()


async def agree(url: str) -> str:
    """Be a person who agrees to everything in a browser, and give where it is led then."""
    async with httpx2.AsyncClient() as browser:
        page = await browser.get(url, follow_redirects=True)
        ticket = re.search(r'value="(\w+)"', page.text)
        assert ticket, page.text
        return (await browser.post(page.url, data={"ticket": ticket[1]})).headers["location"]
