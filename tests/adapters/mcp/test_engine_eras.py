"""The era of a connection on stdin and stdout: message for message what mcp's own server does."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.server import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from tests.adapters.mcp.engines import Context, desk, text

from blastwall_mcp.fronts.stdio_front import StdioFront

NEW = {types.PROTOCOL_VERSION_META_KEY: "2026-07-28", types.CLIENT_CAPABILITIES_META_KEY: {}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
READY = ("notifications/initialized", None)
SHAKEN = [("initialize", HELLO), READY]
LIST = ("tools/list", {"_meta": NEW})

CONVERSATIONS: dict[str, list[tuple[str, Any]]] = {
    "modern": [("server/discover", {"_meta": NEW}), LIST],
    "modern at once": [LIST],
    "a handshake after the modern era began": [LIST, ("initialize", HELLO)],
    "a handshake without a version there": [LIST, ("initialize", {}), ("initialize", None)],
    "a handshake with an envelope": [("initialize", HELLO | {"_meta": NEW}), READY, ("tools/list", {})],
    "an envelope after a handshake": [*SHAKEN, LIST, ("server/discover", {"_meta": NEW})],
    "a version that nobody knows": [("tools/list", {"_meta": NEW | {types.PROTOCOL_VERSION_META_KEY: "2030-01-01"}})],
    "a version that is no text": [("tools/list", {"_meta": {types.PROTOCOL_VERSION_META_KEY: 7}})],
    "half an envelope": [("tools/list", {"_meta": {types.PROTOCOL_VERSION_META_KEY: "2026-07-28"}})],
    "no envelope later on": [LIST, ("tools/list", {}), ("tools/list", None), ("ping", {})],
    "what only the other era has": [LIST, ("ping", {"_meta": NEW}), ("logging/setLevel", {"level": "info", "_meta": NEW})],
    "before the handshake": [("ping", {}), ("tools/list", {}), ("odd/method", {}), ("initialize", HELLO)],
    "without the handshake's end": [("initialize", HELLO), ("tools/list", {})],
    "only the handshake's end": [READY, ("ping", {}), ("tools/list", {})],
    "a handshake that can't be read": [("initialize", {"protocolVersion": 1}), ("tools/list", {})],
    **{
        f"a handshake with {version}": [("initialize", HELLO | {"protocolVersion": version}), READY, ("tools/list", {})]
        for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2026-07-28", "1999-01-01")
    },
    "unknown methods": [*SHAKEN, ("odd/method", {}), ("subscriptions/listen", {}), ("prompts/list", {})],
    "parameters of the wrong form": [*SHAKEN, ("tools/call", {"name": 1}), ("tools/call", None), ("tools/list", {"cursor": 1})],
    "modern parameters of the wrong form": [("tools/call", {"name": 1, "_meta": NEW}), ("tools/call", {"_meta": NEW})],
    "a second handshake": [*SHAKEN, ("initialize", HELLO), ("tools/list", {})],
}  # fmt: skip


async def list_tools(ctx: Any, params: Any) -> Any:
    tool = types.Tool(name="it__do", input_schema={"type": "object"})
    return types.ListToolsResult(tools=[tool], ttl_ms=0, cache_scope="private")


async def call_tool(ctx: Any, params: Any) -> Any:
    return types.CallToolResult(content=[types.TextContent(text="hi")])


async def of_the_sdk(conversation: list[tuple[str, Any]]) -> list[Any]:
    """Give the answers of mcp's own server."""
    server: Server[Any] = Server("blastwall", on_list_tools=list_tools, on_call_tool=call_tool)
    to, inbox = anyio.create_memory_object_stream[Any](10)
    outbox, answers = anyio.create_memory_object_stream[Any](10)
    found = []
    async with anyio.create_task_group() as tasks, to, answers:
        tasks.start_soon(lambda: serve_dual_era_loop(server, inbox, outbox, lifespan_state=None))
        for number, (method, params) in enumerate(conversation):
            message = {"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params})
            if not method.startswith("notifications/"):
                message["id"] = number
            await to.send(SessionMessage(jsonrpc_message_adapter.validate_python(message)))
            if "id" in message:
                answer = (await answers.receive()).message
                found.append(answer.model_dump(by_alias=True, mode="json", exclude_none=True))
        tasks.cancel_scope.cancel()
    return [answer.get("error") or answer["result"] for answer in found]


@asynccontextmanager
async def front(folder: Any, era: str = "auto"):
    async def answering(method, params, options):
        return text("hi")

    async with desk(folder, answering) as at:
        yield StdioFront(at.engine, at.session, Context(), era)


async def said(front: StdioFront, method: str, params: Any) -> Any:
    try:
        return await front.on_request(Context(), method, params)
    except MCPError as error:
        return error.error.model_dump(by_alias=True, mode="json", exclude_none=True)


async def of_ours(front: StdioFront, conversation: list[tuple[str, Any]]) -> list[Any]:
    found = []
    for method, params in conversation:
        if method.startswith("notifications/"):
            await front.on_notify(Context(), method, params)
        else:
            found.append(await said(front, method, params))
    return found


def alike(answer: Any) -> Any:
    """Leave out of an answer what is the proxy's own: its version, and which capabilities it has."""
    if not isinstance(answer, dict):
        return answer
    own = ("capabilities", "version")
    return {key: alike(value) for key, value in answer.items() if key not in own}


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_both_servers_say_the_same(name, tmp_path):
    async with front(tmp_path) as ours:
        found = await of_ours(ours, CONVERSATIONS[name])
    expected = await of_the_sdk(CONVERSATIONS[name])
    assert list(map(alike, found)) == list(map(alike, expected))


async def test_only_the_era_that_the_policy_names_is_served(tmp_path):
    async with front(tmp_path, "legacy") as ours:
        probe, other, hello = await of_ours(ours, [("server/discover", {"_meta": NEW}), LIST, SHAKEN[0]])
        await ours.on_notify(Context(), *READY)
        listed = await said(ours, "tools/list", {})
    assert probe["code"] == types.METHOD_NOT_FOUND
    assert other["code"] == types.INVALID_REQUEST
    assert hello["protocolVersion"] == "2025-11-25"
    assert len(listed["tools"]) == 1
    async with front(tmp_path, "modern") as ours:
        refused, bare, listed = await of_ours(ours, [SHAKEN[0], ("tools/list", {}), LIST])
    assert refused["code"] == types.UNSUPPORTED_PROTOCOL_VERSION
    assert refused["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}
    assert bare["code"] == types.UNSUPPORTED_PROTOCOL_VERSION
    assert len(listed["tools"]) == 1


async def test_what_is_sent_right_after_the_handshake_waits_for_its_answer(tmp_path):
    async with front(tmp_path) as ours:
        hello = asyncio.ensure_future(said(ours, *SHAKEN[0]))
        listed = asyncio.ensure_future(said(ours, "tools/list", {}))
        assert "serverInfo" in await hello
        assert len((await listed)["tools"]) == 1


async def test_capabilities_may_differ_from_request_to_request(tmp_path):
    can = NEW | {types.CLIENT_CAPABILITIES_META_KEY: {"sampling": {}, "odd": {}}}
    async with front(tmp_path) as ours:
        await said(ours, *LIST)
        before = ours._client
        await said(ours, *LIST)
        assert ours._client is before
        await said(ours, "tools/list", {"_meta": can})
        assert ours._client.capabilities == {"sampling": {}}
