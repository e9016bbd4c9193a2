"""OAuth from end to end on loopback: a real authorization server, the official client, the proxy, a real upstream."""

import asyncio
import json
import socket
import time
import webbrowser
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from tests.adapters.mcp.authority import ASKER, Authority, agree
from tests.adapters.mcp.http_rig import OTHER_RSA_KEY, token
from tests.adapters.mcp.rig import ERAS, call, policy
from tests.adapters.mcp.web_servers import ordinary, served, serving
from typer.testing import CliRunner

from blastwall.cli import app as cli
from blastwall.guard import Guard
from blastwall_mcp import serve_http
from blastwall_mcp.fronts import auth as _auth

SCOPES = {"read": {"it": ["echo"]}, "write": {"it": ["step"]}}


def published(issuer: Authority) -> dict[str, Any]:
    return {"jwks": f"{issuer.origin}/keys"}


def introspected(issuer: Authority) -> dict[str, Any]:
    return {"introspection": f"{issuer.origin}/introspect", "credential": "asker"}


PROOFS = [published, introspected]


pytestmark = pytest.mark.usefixtures("ring")


def held(ring: dict[tuple[str, str], str]) -> dict[str, Any]:
    (text,) = ring.values()
    return dict(json.loads(text))


@dataclass
class Kept:
    """What the official client keeps of its login."""

    tokens: OAuthToken | None = None
    info: OAuthClientInformationFull | None = None
    held: list[str] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.held.append(tokens.access_token)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.info = client_info


@asynccontextmanager
async def authority(**fields: Any) -> AsyncGenerator[Authority]:
    found = Authority(**fields)
    async with serving(found.app):
        yield found


@asynccontextmanager
async def there() -> AsyncGenerator[str]:
    """Run a server that asks for nothing."""
    async with served(ordinary().streamable_http_app()) as origin:
        yield f"{origin}/mcp"


@asynccontextmanager
async def guarded(issuer: Authority) -> AsyncGenerator[tuple[str, set[str]]]:
    """Run mcp's own server with its own OAuth; give its URL, and all tokens that it is sent."""
    seen: set[str] = set()

    def app(port: int) -> Any:
        url: Any = f"http://127.0.0.1:{port}/mcp"
        issuer.resources.add(url)
        verifier: Any = SimpleNamespace(verify_token=issuer.load_access_token)
        origin: Any = issuer.origin
        settings = AuthSettings(
            issuer_url=origin, resource_server_url=url, required_scopes=["mcp"], validate_token_resource=True
        )
        server = MCPServer("guarded", auth=settings, token_verifier=verifier)
        server.add_tool(echo)
        inner = server.streamable_http_app()

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"] == "/mcp":
                sent = dict(scope["headers"]).get(b"authorization", b"")
                seen.add(sent.decode().removeprefix("Bearer "))
            await inner(scope, receive, send)

        return noting

    async with serving(app) as origin:
        yield f"{origin}/mcp", seen


def echo(text: str) -> str:
    """Give the text back."""
    return text


@asynccontextmanager
async def front(folder: Path, issuer: Authority, server: dict[str, Any], **auth: Any) -> AsyncGenerator[str]:
    """Run the proxy for this issuer's tokens, and give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}/mcp"
    issuer.resources.add(url)
    tokens = {"issuer": issuer.origin, "audience": url, "private": True, "required": ["mcp"]}
    tokens |= auth if "introspection" in auth else published(issuer) | auth
    connector = {"server": server, "rules": [{"id": "all", "effect": "allow", "tools": ["*"]}]}
    credentials = {"asker": {"env": "BLASTWALL_TEST_ASKER", "hosts": [urlsplit(issuer.origin).netloc]}}
    file = policy(folder, {"it": connector}, proxy={"http": {"auth": tokens}}, credentials=credentials)
    running = asyncio.create_task(serve_http(Guard.from_file(file), port=port))
    try:
        while not running.done() and not await listens(port):  # noqa: ASYNC110  # it has no event for that
            await asyncio.sleep(0.02)
        yield url
    finally:
        running.cancel()
        await asyncio.wait([running])


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


class Browser:
    """What the official client leads its person with."""

    async def visit(self, url: str) -> None:
        self.back = dict(parse_qsl(urlsplit(await agree(url)).query))

    async def result(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**self.back)


@asynccontextmanager
async def official(url: str, kept: Kept, mode: str = "auto") -> AsyncGenerator[Client]:
    """Connect the official client, which knows the URL and nothing else."""
    browser = Browser()
    about = OAuthClientMetadata(client_name="editor", redirect_uris=[AnyUrl("http://127.0.0.1:1/back")])
    auth = OAuthClientProvider(url, about, kept, browser.visit, browser.result)
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client:
            yield client


async def called(url: str, bearer: str) -> str:
    """Call the upstream's tool with a token, and give what comes of it."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {bearer}"}, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), cache=None) as client:
            try:
                return (await call(client, "it__echo", text="hi"))[1]
            except MCPError as error:
                return error.error.message


async def verb(*words: str) -> str:
    """Run one of blastwall's verbs beside the servers of this loop."""
    done = await asyncio.to_thread(CliRunner().invoke, cli, [*words])
    assert done.exit_code == 0, done.output
    return done.output


async def logged_in(file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run `blastwall login`, and be who agrees in the browser that it opens."""

    def opened(page: str) -> None:
        httpx2.get(asyncio.run(agree(page)))

    monkeypatch.setattr(webbrowser, "open", opened)
    return await verb("login", "it", "--policy", str(file))


async def revoke(issuer: Authority, kept: Kept) -> None:
    """Give a client's token back, as that client may (RFC 7009)."""
    assert kept.info is not None
    form = {
        "token": kept.held[-1],
        "client_id": kept.info.client_id,
        "client_secret": kept.info.client_secret,
    }
    async with httpx2.AsyncClient() as http:
        (await http.post(f"{issuer.origin}/revoke", data=form)).raise_for_status()


async def asked(url: str, bearer: str) -> httpx2.Response:
    """Ask for the tools with a token, by hand."""
    headers = {
        "Authorization": f"Bearer {bearer}".strip(),
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
    }
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    async with httpx2.AsyncClient(timeout=30) as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        return await http.post(url, headers=headers, json=body)


# --- Towards clients --------------------------------------------------------------------------------------


@ERAS
async def test_a_client_finds_its_way_from_the_first_401_to_a_tool_and_on_to_more_scopes(mode, tmp_path):
    async with authority() as issuer, there() as upstream:
        async with front(tmp_path, issuer, {"url": upstream}, scopes=SCOPES) as url:
            async with official(url, Kept(), mode) as client:
                assert await call(client, "it__echo", text="hi") == (False, "hi")
                assert await call(client, "it__step") == (False, "stepped")
                assert {tool.name for tool in (await client.list_tools()).tools} == {"it__echo", "it__step"}
    assert [params.scopes for params in issuer.asked] == [["mcp"], ["mcp", "read"], ["mcp", "read", "write"]]
    assert {params.resource for params in issuer.asked} == {url}
    assert all(params.code_challenge for params in issuer.asked)
    assert len(issuer.clients) == 1


@pytest.mark.parametrize("proof", PROOFS)
async def test_only_this_issuer_s_tokens_for_this_resource_open_it(proof, tmp_path, monkeypatch):
    monkeypatch.setenv("BLASTWALL_TEST_ASKER", ASKER)
    async with authority() as issuer, there() as upstream:
        async with front(tmp_path, issuer, {"url": upstream}, **proof(issuer)) as url:
            good = issuer.issue(url, "mcp").token
            assert (await asked(url, good)).status_code == 200
            bad = {
                "no token": "",
                "another audience": issuer.issue("https://mcp.example/other", "mcp").token,
                "the upstream's": issuer.issue(upstream, "mcp").token,
                "expired": issuer.issue(url, "mcp", exp=int(time.time()) - 120).token,
                "a foreign issuer": issuer.issue(url, "mcp", iss="https://issuer.example").token,
                "a foreign key": token(OTHER_RSA_KEY, iss=issuer.origin, aud=url),
                "a changed token": f"{good[:-8]}AAAAAAAA",
            }
            answers = {name: await asked(url, text) for name, text in bad.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(bad, 401)
    challenges = {name: answer.headers["www-authenticate"] for name, answer in answers.items()}
    assert all("resource_metadata=" in challenge for challenge in challenges.values())
    assert 'scope="mcp"' in challenges.pop("no token")
    assert all('error="invalid_token"' in challenge for challenge in challenges.values())


async def test_a_revoked_token_opens_nothing_and_its_client_may_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("BLASTWALL_TEST_ASKER", ASKER)
    monkeypatch.setattr(_auth, "KEPT_S", 0.0)
    kept = Kept()
    async with authority() as issuer, there() as upstream:
        async with front(tmp_path, issuer, {"url": upstream}, **introspected(issuer)) as url:
            async with official(url, kept) as client:
                assert await call(client, "it__echo", text="a") == (False, "a")
                (first,) = kept.held
                await revoke(issuer, kept)
                assert (await asked(url, first)).status_code == 401
                assert await call(client, "it__echo", text="b") == (False, "b")
    assert len(kept.held) == 2


# --- Towards upstreams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["", "client_secret_basic", "client_secret_post"])
async def test_a_login_at_an_upstream_is_renewed_and_no_client_s_token_gets_there(
    method, tmp_path, ring, monkeypatch
):
    async with authority(method=method, lasts=20) as issuer, guarded(issuer) as (upstream, seen):
        connector = {"url": upstream, "oauth": {}}
        async with front(tmp_path, issuer, connector) as url:
            client_token = issuer.issue(url, "mcp", exp=int(time.time()) + 3600).token
            file = tmp_path / "blastwall.yaml"
            assert "run `blastwall login it`" in await called(url, client_token)
            assert "kept in the keyring" in await logged_in(file, monkeypatch)
            before = held(ring)
            issuer.lasts = 3600
            assert await called(url, client_token) == "hi"
    after = held(ring)
    assert before["resource"] == after["resource"] == upstream
    assert before["access"] != after["access"]
    assert before["refresh"] != after["refresh"]
    assert seen == {"", before["access"], after["access"]}


async def test_a_login_that_was_revoked_is_asked_for_again(tmp_path, ring, monkeypatch):
    async with authority() as issuer, guarded(issuer) as (upstream, _):
        async with front(tmp_path, issuer, {"url": upstream, "oauth": {}}) as url:
            client_token = issuer.issue(url, "mcp").token
            file = tmp_path / "blastwall.yaml"
            await logged_in(file, monkeypatch)
            assert await called(url, client_token) == "hi"
            issuer.revoke_all()
            client_token = issuer.issue(url, "mcp").token
            assert "its login has ended: run `blastwall login it`" in await called(url, client_token)
            await logged_in(file, monkeypatch)
            assert await called(url, client_token) == "hi"
            assert "forgotten" in await verb("login", "it", "--forget", "--policy", str(file))
    assert not ring
