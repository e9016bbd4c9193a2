"""What the engine gets of a client over HTTP, and what of its answers the client gets, in both eras."""

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace

import anyio
import httpx
import pytest
from mcp import Client, MCPError
from tests.adapters.mcp.http_rig import serving
from tests.adapters.mcp.rig import ERAS, behind, policy

from blastwall.guard import Guard
from blastwall_mcp.catalogue.entries import Entry
from blastwall_mcp.fronts.abilities import Abilities
from blastwall_mcp.fronts.http_app import Front
from blastwall_mcp.fronts.http_door import Door
from blastwall_mcp.fronts.http_gate import Gate
from blastwall_mcp.fronts.limits import Sessions
from blastwall_mcp.fronts.principals import Grants
from blastwall_mcp.fronts.runs import Runs

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "where": {"type": "string", "x-mcp-header": "Where"}},
}
TOOL = {"name": "echo", "inputSchema": SCHEMA, "vendor": {"kept": [1, None]}}


class Answering:
    """An engine that answers what a test wants, and notes what it was asked."""

    def __init__(self):
        self.asked = []
        self.noted = []
        self.opened_by = []
        self.closed_by = []
        self.cancelled = asyncio.Event()

    async def request(self, client, ctx, method, params):
        self.asked.append((client, method, params))
        match method:
            case "initialize":
                return {
                    "protocolVersion": client.version,
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "blastwall", "version": "1"},
                }
            case "server/discover":
                return {
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {}},
                    "resultType": "complete",
                    "ttlMs": 0,
                    "cacheScope": "private",
                    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "blastwall", "version": "1"}},
                }
            case "tools/list":
                return {"tools": [TOOL], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            case "tools/call":
                return await getattr(self, params["name"])(client, ctx, params)
            case _:
                raise MCPError(-32601, "Method not found")

    async def echo(self, client, ctx, params):
        text = params["arguments"].get("text", "")
        return {"content": [{"type": "text", "text": text}], "vendor": {"n": None}, "resultType": "complete"}

    async def progress(self, client, ctx, params):
        await ctx.progress(1, 2, "half")
        await ctx.notify("notifications/message", {"level": "info", "data": "hello"})
        return await self.echo(client, ctx, params)

    async def ask(self, client, ctx, params):
        given = await ctx.send_raw_request("roots/list", {})
        return {"content": [{"type": "text", "text": json.dumps(given)}], "resultType": "complete"}

    async def wait(self, client, ctx, params):
        try:
            await asyncio.sleep(60)
        finally:
            self.cancelled.set()

    async def broken(self, client, ctx, params):
        raise RuntimeError("SECRET detail")

    async def refused(self, client, ctx, params):
        raise MCPError(-32602, "there is no tool of this name", {"kept": 1})

    def known(self, client, name):
        client.view = (None, SimpleNamespace(catalogue=self))

    async def find(self, kind, name):
        return Entry("x", "tools", name, schema=SCHEMA) if name == "echo" else None

    async def notify(self, client, method, params):
        self.noted.append((client, method, params))

    async def opened(self, client):
        self.opened_by.append(client)

    async def closed(self, client):
        self.closed_by.append(client)


@pytest.fixture
def guard(tmp_path):
    return Guard.from_file(policy(tmp_path, {"x": behind("good.py", tmp_path)}))


@asynccontextmanager
async def fronted(guard, engine, **options):
    runs = Runs(guard, 100, 60)
    sessions = Sessions(10, 10)
    front = Front(guard, engine, sessions, runs, Abilities(60), Grants({}), options.get("idle_s", 60))

    def build(port):
        return Gate(front, Door("/mcp", frozenset({f"127.0.0.1:{port}"})), sessions, most=100_000)

    async with serving(build) as (url, _):
        yield f"{url}/mcp", sessions
        await front.close()
    runs.close()


@ERAS
async def test_messages_reach_the_engine_as_they_came_and_answers_the_client(mode, guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), Client(url, mode=mode, cache=None) as client:
        listed = await client.list_tools()
        result = await client.session.call_tool("echo", {"text": "hi"}, meta={"example.org/trace": "7"})
    assert listed.tools[0].name == "echo"
    assert result.content[0].text == "hi"
    who, _, params = next(entry for entry in engine.asked if entry[1] == "tools/call")
    assert params["arguments"] == {"text": "hi"}
    assert params["_meta"]["example.org/trace"] == "7"
    assert (who.principal, who.modern) == ("local", mode == "auto")
    assert who.version == ("2026-07-28" if mode == "auto" else "2025-11-25")


@ERAS
async def test_nothing_of_a_result_is_lost(mode, guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _):
        _, answer = await talked(url, mode, "tools/call", {"name": "echo", "arguments": {"text": "hi"}})
        _, listed = await talked(url, mode, "tools/list", {})
    assert answer["result"]["vendor"] == {"n": None}
    assert listed["result"]["tools"] == [TOOL]


async def until(true):
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # by another task
            await asyncio.sleep(0.01)


async def talked(url, mode, method, params, headers=()):
    """Speak without the SDK, which drops what it does not know."""
    given = {"accept": "application/json, text/event-stream", **dict(headers)}
    async with httpx.AsyncClient(timeout=20) as http:
        if mode == "auto":
            given |= {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
            given |= {"mcp-name": params["name"]} if "name" in params else {}
            envelope = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            params = {**params, "_meta": envelope}
        else:
            start = {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            }
            opened = await http.post(url, headers=given, json=message("initialize", start))
            given["mcp-session-id"] = opened.headers["mcp-session-id"]
        answer = await http.post(url, headers=given, json=message(method, params))
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = next(line[6:] for line in text.splitlines() if line.startswith("data: {"))
    return answer, json.loads(text)


def message(method, params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@ERAS
async def test_failures_inside_are_told_without_their_words(mode, guard, caplog):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), Client(url, mode=mode, cache=None) as client:
        with pytest.raises(MCPError) as caught:
            await client.session.call_tool("broken", {})
        with pytest.raises(MCPError) as refused:
            await client.session.call_tool("refused", {})
    assert "SECRET" not in str(caught.value)
    assert caught.value.code == -32603
    assert "SECRET" in caplog.text
    assert (refused.value.code, refused.value.error.data) == (-32602, {"kept": 1})


@ERAS
async def test_progress_and_notices_come_with_their_request(mode, guard):
    engine, steps, notices = Answering(), [], []

    async def note(*step):
        steps.append(step)

    async def notice(params):
        notices.append(params.data)

    async with fronted(guard, engine) as (url, _):
        async with Client(url, mode=mode, cache=None, logging_callback=notice) as client:
            await client.session.call_tool("progress", {"text": "x"}, progress_callback=note)
    assert steps == [(1.0, 2.0, "half")]
    assert notices == ["hello"]


async def test_a_legacy_client_is_asked_within_its_request(guard):
    engine = Answering()

    async def roots(_):
        return {"roots": [{"uri": "file:///x"}]}

    from mcp.types import ListRootsResult

    async def typed(ctx):
        return ListRootsResult.model_validate(await roots(ctx))

    async with fronted(guard, engine) as (url, _):
        async with Client(url, mode="legacy", cache=None, list_roots_callback=roots) as client:
            result = await client.session.call_tool("ask", {})
    assert json.loads(result.content[0].text) == {"roots": [{"uri": "file:///x"}]}
    assert engine.asked[0][0].capabilities["roots"]


@ERAS
async def test_who_stops_waiting_stops_the_work(mode, guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), Client(url, mode=mode, cache=None) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.session.call_tool, "wait", {}))
            await until(lambda: any(method == "tools/call" for _, method, _ in engine.asked))
            group.cancel_scope.cancel()
        async with asyncio.timeout(10):
            await engine.cancelled.wait()


async def test_a_session_ends_when_its_client_says_so(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, sessions):
        async with Client(url, mode="legacy", cache=None) as client:
            await client.list_tools()
            assert len(sessions._open) == 1
        await until(lambda: engine.closed_by)
        assert not sessions._open
    assert engine.opened_by == engine.closed_by


async def test_a_session_ends_when_nobody_uses_it(guard):
    engine = Answering()
    async with fronted(guard, engine, idle_s=0.3) as (url, sessions):
        await talked(url, "legacy", "tools/list", {})
        await until(lambda: engine.closed_by)
        assert not sessions._open


async def test_a_handshake_that_is_none_costs_no_session(guard):
    async with fronted(guard, Answering()) as (url, sessions), httpx.AsyncClient() as http:
        for params in ({}, {"protocolVersion": 7}, []):
            headers = {"accept": "application/json, text/event-stream"}
            answer = await http.post(url, headers=headers, json=message("initialize", params))
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == -32602
        assert not sessions._open


async def test_the_modern_era_has_no_handshake(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, sessions):
        await talked(url, "auto", "initialize", {"protocolVersion": "2025-11-25"})
        assert not sessions._open
    client, method, _ = engine.asked[-1]
    assert (client.modern, method) == (True, "initialize")  # the engine says that there is none


async def test_one_principal_s_versions_and_capabilities_share_a_run(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), httpx.AsyncClient() as http:
        for capabilities in ({}, {"roots": {}}, {"roots": {}, "made": {"up": 1}}, {}):
            envelope = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            }
            headers = {
                "accept": "application/json, text/event-stream",
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/list",
            }
            await http.post(url, headers=headers, json=message("tools/list", {"_meta": envelope}))
    assert [client.capabilities for client, _, _ in engine.asked] == [{}, {"roots": {}}, {"roots": {}}, {}]
    assert len({id(client) for client, _, _ in engine.asked}) == 2
    assert len({client.session.id for client, _, _ in engine.asked}) == 1


@ERAS
async def test_each_run_is_in_the_audit_log_with_whose_it_is(mode, guard, tmp_path):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), Client(url, mode=mode, cache=None) as client:
        await client.list_tools()
        await client.list_tools()
    records = [json.loads(line) for line in (tmp_path / "state" / "audit.jsonl").read_text().splitlines()]
    (began,) = [record for record in records if record["event"] == "client"]
    assert began["details"]["principal"] == "local"
    assert began["session"] == engine.asked[-1][0].session.id


async def test_the_modern_era_s_calls_have_one_run_for_each_principal(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _):
        for _ in range(3):
            await talked(url, "auto", "tools/list", {})
    assert len({client.session.id for client, _, _ in engine.asked}) == 1


async def test_headers_must_say_what_the_body_says(guard):
    engine = Answering()
    call = {"name": "echo", "arguments": {"text": "x", "where": "here"}}
    async with fronted(guard, engine) as (url, _):
        good, _ = await talked(url, "auto", "tools/call", call, {"mcp-param-where": "here"}.items())
        for headers in ({"mcp-param-where": "there"}, {}):
            bad, error = await talked(url, "auto", "tools/call", call, headers.items())
            assert (bad.status_code, error["error"]["code"]) == (400, -32020)
    assert good.status_code == 200
    assert len(engine.asked) == 1
