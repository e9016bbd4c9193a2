"""Whatever a server asks, says or reports gets to the client, in each of the four mixtures of eras."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged
from tests.conformance import serving

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
CELLS = pytest.mark.parametrize(
    ("front", "back"), [(f, b) for f in ("auto", "legacy") for b in ("auto", "legacy")]
)
PATIENCE_S = 10
WATCHED = "test://watched-resource"
NOTICES = {"notifications/resources/updated", "notifications/tools/list_changed"}
RESULTS = {
    "sampling": ({"prompt": "Say something"}, "LLM response: Paris"),
    "elicitation": ({"message": "Who?"}, 'User response: {"action": "accept", "content": {"name": "Ada"}}'),
    "elicitation_sep1034_defaults": ({}, 'Elicitation completed: action=accept, content={"name": "Ada"}'),
    "input_required_result_elicitation": ({}, "Hello, Ada!"),
    "input_required_result_sampling": ({}, "Paris"),
    "input_required_result_list_roots": ({}, '[{"uri": "file:///srv/project", "name": "project"}]'),
    "input_required_result_request_state": ({}, "state-ok"),
    "input_required_result_multiple_inputs": ({}, '["client_roots", "greeting", "user_name"]'),
    "input_required_result_multi_round": ({}, "name=Ada, {'name': 'Ada'}"),
    "input_required_result_capabilities": ({}, '["need_elicitation", "need_roots", "need_sampling"]'),
    "missing_capability": ({}, "the client can sample"),
}


@dataclass
class Heard:
    """What the client was asked and told."""

    forms: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    notices: set[str] = field(default_factory=set)
    all_told: anyio.Event = field(default_factory=anyio.Event)

    async def elicited(self, context: Any, params: Any) -> types.ElicitResult:
        self.forms.append(params.message)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def sampled(self, context: Any, params: Any) -> types.CreateMessageResult:
        self.prompts.append(params.messages[0].content.text)
        answer = types.TextContent(type="text", text="Paris")
        return types.CreateMessageResult(role="assistant", content=answer, model="none")

    async def rooted(self, context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(
            roots=[types.Root.model_validate({"uri": "file:///srv/project", "name": "project"})]
        )

    async def logged(self, params: Any) -> None:
        self.lines.append(params.data)

    async def noticed(self, message: Any) -> None:
        self.notices.add(str(getattr(message, "method", "")))
        if self.notices >= NOTICES:
            self.all_told.set()


@asynccontextmanager
async def through(folder: Path, front: str, back: str) -> AsyncGenerator[tuple[Client, Heard]]:
    """Connect a client that can do everything to a server that does everything, through the proxy."""
    heard = Heard()
    server = serving.launched(*serving.EVERYTHING, "--as", "test") | {"era": back}
    command, *args = serving.proxy_command(serving.policy(folder, {"test": server}))
    async with Client(
        StdioServerParameters(command=command, args=args),
        mode=front,
        cache=None,
        elicitation_callback=heard.elicited,
        sampling_callback=heard.sampled,
        list_roots_callback=heard.rooted,
        logging_callback=heard.logged,
        message_handler=heard.noticed,
        log_level="info" if front == "auto" else None,
    ) as client:
        yield client, heard


def said(result: Any) -> str:
    assert not result.is_error, result
    return "\n".join(block.text for block in result.content)


@CELLS
async def test_what_a_server_asks_says_and_reports_arrives(tmp_path, front, back):
    async with through(tmp_path, front, back) as (client, heard):
        await _asks_are_answered(client, heard)
        await _progress_and_log_lines_arrive(client, heard, front)
        await _changes_are_told(client, heard, front)


async def _asks_are_answered(client: Client, heard: Heard) -> None:
    found = {
        name: said(await client.call_tool(f"test__{name}", arguments))
        for name, (arguments, _) in RESULTS.items()
    }
    assert found == {name: expected for name, (_, expected) in RESULTS.items()}
    prompt = await client.get_prompt("test__input_required_result_prompt")
    assert isinstance(content := prompt.messages[0].content, types.TextContent)
    assert content.text.startswith("Use this context: ")
    assert heard.forms
    assert all(message.startswith("connector test asks: ") for message in heard.forms)


async def _progress_and_log_lines_arrive(client: Client, heard: Heard, front: str) -> None:
    seen: list[tuple[float, float | None]] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    if front == "legacy":
        await client.set_logging_level("info")
    await client.call_tool("test__tool_with_progress", {}, progress_callback=progressed)
    await client.call_tool("test__tool_with_logging", {})
    assert seen == [(0, 100), (50, 100), (100, 100)]
    assert heard.lines == ["Tool execution started", "Tool processing data", "Tool execution completed"]


async def _changes_are_told(client: Client, heard: Heard, front: str) -> None:
    await client.list_tools()
    with anyio.fail_after(PATIENCE_S):
        if front == "auto":
            await _told_by_listening(client)
        else:
            await _told_by_notices(client, heard)
    assert "test__turned_up" in [tool.name for tool in (await client.list_tools()).tools]


async def _told_by_listening(client: Client) -> None:
    async with client.listen(tools_list_changed=True, resource_subscriptions=[WATCHED]) as events:
        await client.call_tool("test__trigger_resource_change", {})
        assert await anext(events) == ResourceUpdated(WATCHED)
        await client.call_tool("test__trigger_tool_change", {})
        assert await anext(events) == ToolsListChanged()


async def _told_by_notices(client: Client, heard: Heard) -> None:
    await client.subscribe_resource(WATCHED)
    await client.call_tool("test__trigger_resource_change", {})
    await client.call_tool("test__trigger_tool_change", {})
    await heard.all_told.wait()


@CELLS
async def test_a_client_that_says_no_is_believed(tmp_path, front, back):
    server = serving.launched(*serving.EVERYTHING, "--as", "test") | {"era": back}
    command, *args = serving.proxy_command(serving.policy(tmp_path, {"test": server}))

    async def declined(*_: Any) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    proxy = StdioServerParameters(command=command, args=args)
    async with Client(proxy, mode=front, cache=None, elicitation_callback=declined) as client:
        result = await client.call_tool("test__elicitation", {"message": "Who?"})
        assert said(result) == 'User response: {"action": "decline"}'
        # It can do nothing else, and the server knows.
        asked = await client.call_tool("test__input_required_result_capabilities", {})
        assert json.loads(said(asked)) == ["need_elicitation"]
        with pytest.raises(MCPError) as refused:
            await client.call_tool("test__missing_capability", {})
        assert refused.value.error.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY
