"""A person logs in once; from then on the proxy proves itself, and leads nobody anywhere."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from tests.adapters.mcp.pools import pool
from tests.adapters.mcp.rig import policy
from tests.adapters.mcp.test_http_back import call
from tests.adapters.mcp.web_servers import at, ordinary, served
from typer.testing import CliRunner

from blastwall.cli import app as cli
from blastwall.cli.output import Exit
from blastwall.errors import BackendError
from blastwall.values import OAuth, Server
from blastwall_mcp.upstreams import logins as _logins
from blastwall_mcp.upstreams import oauth as _oauth
from blastwall_mcp.upstreams.oauth import login

pytestmark = pytest.mark.usefixtures("ring")


@dataclass
class Authority:
    """A small authorization server, and the MCP server that takes its tokens."""

    methods: list[str] = field(default_factory=lambda: ["S256"])
    good: set[str] = field(default_factory=set)
    forms: list[dict[str, str]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    lasts: int = 3600
    count: int = 0
    challenge: str = 'Bearer resource_metadata="{origin}/.well-known/oauth-protected-resource/mcp"'
    issuer: str = "{origin}"
    page: str = "{origin}/authorize"
    status: int = 401
    origin: str = ""
    lie_state: str = ""
    tokens: list[str] = field(default_factory=list)

    async def resource(self, request: Request) -> Response:
        return JSONResponse(
            {
                "resource": f"{self.origin}/mcp",
                "authorization_servers": [self.told(self.issuer)],
                "scopes_supported": ["all"],
            }
        )

    async def about(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.origin,
                "authorization_endpoint": self.told(self.page),
                "token_endpoint": f"{self.origin}/token",
                "registration_endpoint": f"{self.origin}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": self.methods,
            }
        )

    async def register(self, request: Request) -> Response:
        told = await request.json()
        return JSONResponse({**told, "client_id": "registered"}, 201)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        state = self.lie_state or asked["state"]
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': 'c-1', 'state': state})}")

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.forms.append(form)
        if form["grant_type"] == "refresh_token" and form["refresh_token"] not in self.good:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.count += 1
        access, refresh = f"access-token-{self.count}", f"refresh-token-{self.count}"
        self.good = {access, refresh}
        return JSONResponse(
            {
                "access_token": access,
                "refresh_token": refresh,
                "token_type": "Bearer",
                "expires_in": self.lasts,
            }
        )

    def told(self, text: str) -> str:
        return text.format(origin=self.origin)

    def app(self) -> Starlette:
        inner = ordinary().streamable_http_app()

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            token = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
            self.tokens.append(token)
            if token in self.good:
                await inner(scope, receive, send)
            else:
                challenge = {"www-authenticate": self.told(self.challenge)}
                await Response(status_code=self.status, headers=challenge)(scope, receive, send)

        well = "/.well-known"
        return Starlette(
            routes=[
                Route(f"{well}/oauth-protected-resource/mcp", self.resource),
                Route(f"{well}/oauth-authorization-server", self.about),
                Route("/register", self.register, methods=["POST"]),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Mount("/", guarded),
            ],
            lifespan=inner.router.lifespan_context,
        )


@asynccontextmanager
async def authority(**fields: Any) -> AsyncGenerator[tuple[Authority, Server]]:
    found = Authority(**fields)
    async with served(found.app()) as origin:
        found.origin = origin
        yield found, at(f"{origin}/mcp", era="modern", oauth=OAuth())


async def visit(url: str) -> None:
    """Be a person with a browser who agrees to everything."""

    async def browse() -> None:
        async with httpx2.AsyncClient(follow_redirects=True) as client:
            await client.get(url)

    browsing.add(task := asyncio.create_task(browse()))
    task.add_done_callback(browsing.discard)


browsing: set[asyncio.Task[None]] = set()


async def test_a_login_opens_the_server(ring, caplog):
    async with authority() as (there, server):
        async with pool(it=server) as servers:
            with pytest.raises(BackendError, match="no login for it: run `blastwall login it`"):
                await servers.upstream("it").ensure()
        assert there.tokens == []
        done = await login("it", server, visit)
        assert "access-token-1" not in repr(done)
        async with pool(it=server) as servers:
            assert await call(servers.upstream("it"), "echo", {"text": "hi"}) == "hi"
            assert await call(servers.upstream("it"), "echo", {"text": "my access-token-1"}) == "my [token]"
    (asked,) = there.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["resource"] == f"{there.origin}/mcp"
    assert asked["scope"] == "all"
    assert asked["redirect_uri"].startswith("http://127.0.0.1:")
    assert there.forms[0]["code_verifier"]
    assert list(ring) == [("blastwall mcp login", "it")]
    assert "access-token-1" not in caplog.text


async def test_the_scopes_of_the_policy_count():
    async with authority() as (there, server):
        own = at(server.url, era="modern", oauth=OAuth(scopes=("read", "list"), client_id="known-before"))
        await login("it", own, visit)
        await login("it", own, visit, scope="write")
    assert [asked["scope"] for asked in there.asked] == ["read list", "write"]
    assert {asked["client_id"] for asked in there.asked} == {"known-before"}


async def test_a_token_that_ended_is_renewed_once(ring):
    async with authority(lasts=10) as (there, server):
        await login("it", server, visit)
        there.lasts = 3600
        async with pool(it=server) as servers:
            texts = await asyncio.gather(
                *(call(servers.upstream("it"), "echo", {"text": "a"}) for _ in range(5))
            )
    assert texts == ["a"] * 5
    assert [form["grant_type"] for form in there.forms] == ["authorization_code", "refresh_token"]
    assert there.forms[-1]["resource"] == f"{there.origin}/mcp"
    assert json.loads(ring["blastwall mcp login", "it"])["access"] == "access-token-2"


async def test_a_token_that_is_refused_is_renewed_and_the_request_sent_again():
    async with authority() as (there, server):
        await login("it", server, visit)
        async with pool(it=server) as servers:
            upstream = servers.upstream("it")
            await upstream.ensure()
            there.good = {"refresh-token-1"}
            assert await call(upstream, "echo", {"text": "a"}) == "a"
            there.good = set()
            with pytest.raises(BackendError, match="its login has ended: run `blastwall login it`"):
                await call(upstream, "echo", {"text": "a"})


async def test_a_scope_that_is_lacking_is_named():
    async with authority() as (there, server):
        await login("it", server, visit)
        there.good, there.status = set(), 403
        there.challenge = 'Bearer error="insufficient_scope", scope="files:write `rm`"'
        async with pool(it=server) as servers:
            with pytest.raises(BackendError, match=r'run `blastwall login it --scope "files:write rm"`'):
                await servers.upstream("it").ensure()


async def test_a_login_is_for_its_url_only():
    async with authority() as (there, server):
        await login("it", server, visit)
        async with pool(it=at(f"{there.origin}/other", oauth=OAuth())) as servers:
            with pytest.raises(BackendError, match="there is no login"):
                await servers.upstream("it").ensure()
        assert there.tokens == ["", "access-token-1"]
        await _logins.forget("it")
        await _logins.forget("it")
        assert await _logins.load("it", server) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": []}, "PKCE"),
        ({"page": "http://93.184.215.14/authorize"}, "not encrypted"),
        ({"page": "file:///etc/passwd"}, "PKCE"),
        ({"lie_state": "forged"}, "failed"),
        ({"issuer": "https://169.254.169.254/"}, "not of the public internet"),
        ({"challenge": 'Bearer resource_metadata="https://10.0.0.1/x"'}, "not of the public internet"),
        ({"status": 200}, "wants no login"),
    ],
)
async def test_a_server_that_leads_astray_gets_nobody(fields, words, ring):
    async with authority(**fields) as (_, server):
        with pytest.raises(BackendError, match=words):
            await login("it", server, visit)
    assert not ring


async def test_a_public_server_may_not_lead_to_this_machine():
    server = at("https://mcp.example/mcp", oauth=OAuth())
    with pytest.raises(BackendError, match="is this machine"):
        await _oauth._sent(server, httpx2.Request("GET", "http://127.0.0.1:9/"))


async def test_a_person_may_refuse():
    async def refuse(url: str) -> None:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        async with httpx2.AsyncClient() as client:
            assert (await client.get(back.replace("callback", "favicon.ico"))).status_code == 404
            assert (await client.get(f"{back}?error=access_denied")).status_code == 200

    async with authority() as (_, server):
        with pytest.raises(BackendError, match=r"was refused \(access_denied\)"):
            await login("it", server, refuse)


async def test_nobody_is_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(_oauth, "PERSON_S", 0.3)

    async def idle(url: str) -> None:
        pass

    async with authority() as (_, server):
        with pytest.raises(BackendError, match="nobody logged in"):
            await login("it", server, idle)


@pytest.mark.parametrize("broken", [None, SimpleNamespace()])
async def test_without_a_keyring_there_is_no_login(broken, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", broken)
    async with authority() as (there, server):
        with pytest.raises(BackendError, match="keyring and nowhere else|keyring, which can't be used"):
            await login("it", server, visit)
        async with pool(it=server) as servers:
            with pytest.raises(BackendError, match="keyring"):
                await servers.upstream("it").ensure()
    assert there.tokens == []


async def test_what_the_keyring_holds_may_be_broken(ring):
    server = at("https://mcp.example/mcp", oauth=OAuth())
    for text in ("{", "[]", '{"url": 1}', '{"url": "https://mcp.example/mcp", "access": "a\\nb"}'):
        ring["blastwall mcp login", "it"] = text
        assert await _logins.load("it", server) is None


def test_an_end_that_nobody_told_is_none():
    assert not _oauth._ended(_logins.Login("u", "a"))
    assert _oauth._ended(_logins.Login("u", "a", expires=time.time()))


def test_the_verb_says_what_is_wrong(tmp_path, ring):
    def run(*words: str) -> Any:
        connectors = {
            "it": {
                "server": {"url": "https://mcp.example/mcp", "transport": "http", "oauth": {}},
                "rules": [],
            }
        }
        file = policy(tmp_path, connectors | {"other": {"rules": []}})
        return CliRunner().invoke(cli, ["login", *words, "--policy", str(file)])

    refused = run("other")
    assert refused.exit_code == Exit.FAILED
    assert "has no `server` with `oauth`" in refused.output
    ring["blastwall mcp login", "it"] = "{}"
    assert "forgotten" in run("it", "--forget").output
    assert not ring
