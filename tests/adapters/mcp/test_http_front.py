"""The HTTP front as a whole: a real proxy process, real clients and servers, principals and their tokens."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from tests.adapters.mcp.http_rig import token
from tests.adapters.mcp.issuing import asking, process, publishing
from tests.adapters.mcp.rig import (
    ERAS,
    UPSTREAMS,
    alive,
    behind,
    call,
    descendants,
    eventually,
    policy,
    proxy_argv,
)
from tests.conformance.node import needed

from blastwall.errors import BackendError
from blastwall.guard import Guard
from blastwall.values import Auth, Http
from blastwall_mcp import serve_http
from blastwall_mcp.fronts.http_front import door


@contextmanager
def front(folder, connectors, **blocks):
    """Run the proxy over HTTP."""
    argv = [*proxy_argv(policy(folder, connectors, **blocks)), "--http", "127.0.0.1:0"]
    with process(argv, "stderr", folder) as (port, running):
        yield f"http://127.0.0.1:{port}/mcp", running


@asynccontextmanager
async def bearing(url, bearer, mode="auto"):
    """Connect with a token."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {bearer}"}, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client:
            yield client


@pytest.fixture
def published():
    with publishing() as where:
        yield where


def audited(folder):
    return [json.loads(line) for line in (folder / "state" / "audit.jsonl").read_text().splitlines()]


# --- One server for everybody on this machine -------------------------------------------------------------


@ERAS
async def test_a_client_gets_over_http_what_it_gets_over_stdio(mode, tmp_path):
    with front(tmp_path, {"good": behind("good.py", tmp_path)}) as (url, _):
        async with Client(url, mode=mode, cache=None) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert "good__echo" in names
            assert await call(client, "good__echo", text="hi") == (False, "hi")
            failed, text = await call(client, "good__add", a="one", b=2)
            assert failed
            assert "invalid-call" in text
            with pytest.raises(MCPError):
                await call(client, "good__nothing")
    events = [(record["event"], record["tool"]) for record in audited(tmp_path)]
    assert events[0] == ("client", "client")
    assert ("decision", "echo") in events


@ERAS
async def test_progress_and_cancellation_reach_the_other_side(mode, tmp_path):
    steps = []

    async def note(*step):
        steps.append(step)

    with front(tmp_path, {"good": behind("good.py", tmp_path)}) as (url, _):
        async with Client(url, mode=mode, cache=None) as client:
            going = asyncio.create_task(client.session.call_tool("good__slow", {}, progress_callback=note))
            await asyncio.to_thread(eventually, lambda: bool(steps))
            going.cancel()
            await asyncio.to_thread(eventually, (tmp_path / "cancelled").exists)
    assert steps == [(1.0, 2.0, "half of it")]


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_the_end_takes_servers_and_streams_with_it(told, tmp_path):
    with front(tmp_path, {"good": behind("good.py", tmp_path)}) as (url, running):
        async with Client(url, mode="legacy", cache=None) as client:
            await call(client, "good__echo", text="hi")
            below = descendants(running.pid)
            assert below
            running.send_signal(told)
            assert await asyncio.to_thread(running.wait, 15) == 0
    eventually(lambda: not any(map(alive, below)))


# --- Several principals -----------------------------------------------------------------------------------


SCOPES = {"read": {"good": ["echo", "where*"]}, "all": {"*": ["*"]}}


@ERAS
async def test_a_token_lists_and_calls_what_its_scopes_open(mode, tmp_path, published):
    auth = asking(published, scopes=SCOPES)
    with front(tmp_path, {"good": behind("good.py", tmp_path)}, proxy={"http": {"auth": auth}}) as (url, _):
        async with bearing(url, token(scope="mcp read"), mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == {
                "good__echo",
                "good__where",
                "good__where_else",
            }
            assert await call(client, "good__echo", text="hi") == (False, "hi")
        async with bearing(url, token(scope="mcp all"), mode) as client:
            assert len((await client.list_tools()).tools) > 3
        async with bearing(url, token(scope="mcp"), mode) as client:
            assert (await client.list_tools()).tools == []


async def test_a_session_goes_on_with_a_token_that_has_more_scopes(tmp_path, published):
    auth = asking(published, scopes=SCOPES)
    ann = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {token(scope='mcp read')}",
    }
    add = {"name": "good__add", "arguments": {"a": 1, "b": 2}}
    with front(tmp_path, {"good": behind("good.py", tmp_path)}, proxy={"http": {"auth": auth}}) as (url, _):
        async with httpx2.AsyncClient(timeout=30) as http:
            start = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            }
            opened = await http.post(url, headers=ann, json=message(0, "initialize", start))
            ann["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
            lacking = await http.post(url, headers=ann, json=message(1, "tools/call", add))
            ann["Authorization"] = f"Bearer {token(scope='mcp read all')}"
            enough = await http.post(url, headers=ann, json=message(2, "tools/call", add))
            ann["Authorization"] = f"Bearer {token(scope='mcp read')}"
            again = await http.post(url, headers=ann, json=message(3, "tools/call", add))
    assert lacking.status_code == again.status_code == 403
    assert 'error="insufficient_scope"' in lacking.headers["www-authenticate"]
    assert 'scope="mcp read all"' in lacking.headers["www-authenticate"]
    assert '"sum":3' in enough.text


def message(number, method, params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def test_each_principal_has_servers_and_a_run_of_its_own(tmp_path, published):
    proxy = {"http": {"auth": asking(published)}}
    instances = {}
    with front(tmp_path, {"good": behind("good.py", tmp_path)}, proxy=proxy) as (url, _):
        for who, client_id in (("ann", "x"), ("bob", "x"), ("ann", "y"), ("ann", "x")):
            async with bearing(url, token(sub=who, client_id=client_id)) as client:
                result = await client.session.call_tool("good__where", {})
                instances.setdefault((who, client_id), set()).add(result.structured_content["instance"])
    assert [len(found) for found in instances.values()] == [1, 1, 1]
    assert len(set.union(*instances.values())) == 3
    runs = [record for record in audited(tmp_path) if record["event"] == "client"]
    assert [record["details"]["subject"] for record in runs] == ["ann", "bob", "ann"]
    assert len({record["session"] for record in runs}) == 3


async def test_a_budget_is_each_principal_s_own(tmp_path, published):
    rules = [{"id": "few", "effect": "allow", "tools": ["echo"], "budget": {"session": 2}}]
    proxy = {"http": {"auth": asking(published)}}
    with front(tmp_path, {"good": behind("good.py", tmp_path, rules=rules)}, proxy=proxy) as (url, _):
        for who in ("ann", "bob"):
            failed = []
            for _ in range(3):  # each a connection of its own
                async with bearing(url, token(sub=who)) as client:
                    failed.append((await call(client, "good__echo", text="hi"))[0])
            assert failed == [False, False, True]


async def test_a_session_that_is_used_by_another_is_recorded(tmp_path, published):
    proxy = {"http": {"auth": asking(published)}}
    with front(tmp_path, {"good": behind("good.py", tmp_path)}, proxy=proxy) as (url, _):
        async with httpx2.AsyncClient(timeout=30) as http:
            headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token()}"}
            start = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            }
            opened = await http.post(url, headers=headers, json=message(0, "initialize", start))
            taken = {
                **headers,
                "Authorization": f"Bearer {token(sub='bob')}",
                "Mcp-Session-Id": opened.headers["mcp-session-id"],
            }
            refused = await http.post(url, headers=taken, json=message(1, "tools/list", {}))
    assert refused.status_code == 404
    began, stolen = (r for r in audited(tmp_path) if r["event"] in ("client", "session-refused"))
    assert stolen["session"] == began["session"]
    assert "ann" in stolen["details"]["owner"]
    assert "bob" in stolen["details"]["by"]


@ERAS
async def test_no_token_of_a_client_reaches_a_server(mode, tmp_path, published):
    recorded = tmp_path / "headers"
    argv = [sys.executable, str(UPSTREAMS / "recording.py"), str(recorded)]
    bearer = token()
    rules = [{"id": "all", "effect": "allow", "tools": ["*"]}]
    folder = tmp_path / "upstream"
    folder.mkdir()
    with process(argv, "stdout", folder) as (port, _):
        server = {"url": f"http://127.0.0.1:{port}/mcp", "transport": "http", "private": True}
        proxy = {"http": {"auth": asking(published)}}
        with front(tmp_path, {"far": {"server": server, "rules": rules}}, proxy=proxy) as (url, _):
            async with bearing(url, bearer, mode) as client:
                assert await call(client, "far__echo", text="hi") == (False, "hi")
    seen = [json.loads(line) for line in recorded.read_text().splitlines()]
    assert seen
    assert not any("authorization" in headers for headers in seen)
    assert bearer not in recorded.read_text()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_typescript_client_gets_the_same(mode, tmp_path, published):
    node = needed()
    script = Path(__file__).with_name("http_client.mjs")
    auth = asking(published, scopes={"mcp": {"good": ["echo", "slow"]}})
    with front(tmp_path, {"good": behind("good.py", tmp_path)}, proxy={"http": {"auth": auth}}) as (url, _):
        argv = [str(node.binary), str(script), str(node.modules), url, token(), mode]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        eventually((tmp_path / "cancelled").exists)
    assert json.loads(done.stdout) == {
        "tools": ["good__echo", "good__slow"],
        "content": [{"type": "text", "text": "hi"}],
        "steps": 1,
        "stopped": "Request timed out",
        "unknown": -32602,
    }


# --- Where it may listen ----------------------------------------------------------------------------------


AUTH = Auth("https://issuer.example", "https://mcp.example/mcp", jwks="https://issuer.example/keys")


@pytest.mark.parametrize(
    ("http", "host", "words"),
    [
        (Http(), "0.0.0.0", "only the policy may say so"),
        (Http(auth=AUTH), "::", "only the policy may say so"),
        (Http(host="0.0.0.0"), "", "nobody is asked for a token"),
        (Http(host="192.0.2.1", auth=AUTH), "", "can't be listened on"),
        (Http(), "localhost.example", "only the policy may say so"),
    ],
)
async def test_an_address_that_others_reach_must_be_meant(http, host, words, tmp_path, monkeypatch):
    guard = Guard.from_file(policy(tmp_path, {"good": behind("good.py", tmp_path)}))
    front = type(guard.policy.front)(http=http)
    monkeypatch.setattr(type(guard.policy), "front", front)
    with pytest.raises(BackendError, match=words):
        await serve_http(guard, host, 0)


async def test_a_policy_without_servers_has_nothing_to_serve(tmp_path):
    guard = Guard.from_file(
        policy(tmp_path, {"x": {"rules": [{"id": "a", "effect": "allow", "tools": ["b"]}]}})
    )
    with pytest.raises(BackendError, match="no connector of the policy has a `server`"):
        await serve_http(guard)


async def test_a_port_that_is_taken_is_said_so(tmp_path):
    guard = Guard.from_file(policy(tmp_path, {"good": behind("good.py", tmp_path)}))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(BackendError, match="name another port"):
            await serve_http(guard, "127.0.0.1", taken.getsockname()[1])


def test_a_front_is_known_by_its_own_names_and_those_of_the_policy():
    own = door(Http(), "127.0.0.1", 80)
    assert own.hosts >= {"127.0.0.1", "localhost:80", "[::1]"}
    assert own.own >= {"http://localhost:80"}
    public = door(Http(host="0.0.0.0", hosts=("a.example",), auth=AUTH), "0.0.0.0", 8765)
    assert public.hosts == {"a.example", "mcp.example", "0.0.0.0:8765"}
    assert not public.own
    assert set(public.published) == {
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    }


@pytest.mark.parametrize("words", [["127.0.0.1:1"], ["--http", "127.0.0.1"], ["--http", "127.0.0.1:99999"]])
def test_an_address_that_is_none_is_a_mistake_of_the_command_line(words, tmp_path):
    file = policy(tmp_path, {"good": behind("good.py", tmp_path)})
    done = subprocess.run([*proxy_argv(file), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
