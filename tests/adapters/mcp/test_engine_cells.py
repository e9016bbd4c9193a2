"""Every message, between clients and servers of either era: the proxy in the middle is not noticed."""

from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp_types import TextContent
from tests.adapters.mcp.rig import ERAS, behind, call, eventually, policy, proxy_argv, result_of

SERVERS = pytest.mark.parametrize("server", ["modern", "legacy"])
RULES: list[Any] = [
    {"id": "tools", "effect": "allow", "tools": ["*"]},
    {"id": "read", "effect": "allow", "messages": ["resources/*"], "args": {"uri": {"pattern": "(file:///a|note://.*)"}}},
    {"id": "rest", "effect": "allow", "messages": ["prompts/get", "completion/complete", "logging/*", "notifications/*"]},
    {"id": "ask", "effect": "allow", "messages": ["elicitation/create"], "budget": {"session": 20}},
    {"id": "sample", "effect": "allow", "messages": ["sampling/createMessage"], "budget": {"session": 20}},
    {"id": "roots", "effect": "allow", "messages": ["roots/list"]},
]  # fmt: skip


class Person:
    """Who sits at the client."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.logged: list[Any] = []
        self.told: list[Any] = []

    async def elicit(self, ctx, params):
        self.asked.append(params)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def sample(self, ctx, params):
        self.asked.append(params)
        return types.CreateMessageResult(role="assistant", content=TextContent(text="word"), model="m1")

    async def roots(self, ctx):
        return types.ListRootsResult(roots=[types.Root(uri="file:///home")])

    async def log(self, params):
        self.logged.append((params.level, params.data))

    async def hear(self, message):
        self.told.append(type(message).__name__)


@asynccontextmanager
async def cell(folder, mode, server, rules=RULES, **options):
    """Connect a person's client of one era to a server of one era."""
    connector = behind("complete.py", folder, rules=rules, era=server)
    command, *args = proxy_argv(policy(folder, {"it": connector}))
    person = Person()
    transport = stdio_client(StdioServerParameters(command=command, args=args))
    async with Client(
        transport,
        mode=mode,
        cache=None,
        elicitation_callback=person.elicit,
        sampling_callback=person.sample,
        list_roots_callback=person.roots,
        logging_callback=person.log,
        message_handler=person.hear,
        **options,
    ) as client:
        yield client, person


@ERAS
@SERVERS
async def test_all_that_a_client_can_ask_for(mode, server, tmp_path):
    async with cell(tmp_path, mode, server) as (client, _):
        offered = client.server_capabilities.model_dump(exclude_none=True)
        assert offered.keys() == {"tools", "resources", "prompts", "completions", "logging"}
        assert "ask me anything" in client.instructions
        echoed = await result_of(client, "it__echo", {}, meta={"example.org/trace": "7"})
        assert echoed.structured_content["meta"]["example.org/trace"] == "7"
        assert echoed.meta["example.org/own"] == 1
        with pytest.raises(MCPError) as failed:
            await call(client, "it__fail")
        assert (failed.value.code, failed.value.data) == (-32050, {"why": ["bad", "day"]})
        assert [str(r.uri) for r in (await client.list_resources()).resources] == ["file:///a"]
        templates = (await client.list_resource_templates()).resource_templates
        assert [t.uri_template for t in templates] == ["note://{id}/text"]
        for uri in ("file:///a", "note://1/text"):
            assert (await client.read_resource(uri)).contents[0].text == f"what is in {uri}"
        prompts = (await client.list_prompts()).prompts
        assert [p.name for p in prompts] == ["it__greet", "it__ask"]
        greeting = await client.get_prompt("it__greet", {"who": "Bob"})
        assert greeting.messages[0].content.text == "greet Bob"
        asked = await client.get_prompt("it__ask", {})
        assert asked.messages[0].content.text == "greet accept Ada"
        for ref, of in (
            (types.PromptReference(name="it__greet"), "greet"),
            (types.ResourceTemplateReference(uri="note://{id}/text"), "note://{id}/text"),
        ):
            found = await client.complete(ref, {"name": "who", "value": "x"})
            assert found.completion.values == [f"{of} x"]


@ERAS
@SERVERS
async def test_what_does_not_exist_and_what_is_refused_are_told_apart(mode, server, tmp_path):
    async with cell(tmp_path, mode, server) as (client, _):
        with pytest.raises(MCPError) as unknown:
            await client.read_resource("file:///nothing")
        with pytest.raises(MCPError) as refused:
            await client.read_resource("file:///secret")
        with pytest.raises(MCPError) as prompt:
            await client.get_prompt("it__nothing", {})
        with pytest.raises(MCPError) as page:
            await client.list_tools(cursor="mine")
    assert (unknown.value.code, unknown.value.data) == (types.INVALID_PARAMS, {"uri": "file:///nothing"})
    assert (refused.value.code, refused.value.data) == (-32003, {"reason": "constraint"})
    assert "blastwall refused this" in refused.value.message
    assert prompt.value.code == page.value.code == types.INVALID_PARAMS


@ERAS
@SERVERS
async def test_a_server_asks_its_client_whatever_their_eras(mode, server, tmp_path):
    async with cell(tmp_path, mode, server) as (client, person):
        assert await call_to_the_end(client, "it__name") == "accept Ada"
        assert person.asked[0].message == "connector it asks: your name?"
        assert person.asked[0].meta["blastwall/connector"] == "it"
        assert await call_to_the_end(client, "it__words") == "m1 word"
        assert await call_to_the_end(client, "it__roots") == "file:///home"
        assert await call_to_the_end(client, "it__all") == "accept Ada; m1 word; file:///home"
        answers: list[str] = []

        async def one() -> None:
            answers.append(await call_to_the_end(client, "it__all"))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
    assert answers == ["accept Ada; m1 word; file:///home"] * 3


async def call_to_the_end(client: Client, tool: str) -> str:
    result = await client.call_tool(tool, {})
    assert not result.is_error, result.content
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


@ERAS
@SERVERS
async def test_what_no_rule_lets_a_server_ask_it_is_not_even_offered(mode, server, tmp_path):
    async with cell(tmp_path, mode, server, rules=RULES[:1]) as (client, person):
        offered = client.server_capabilities.model_dump(exclude_none=True)
        assert list(offered) == ["tools"]
        for tool in ("it__name", "it__words", "it__roots"):
            try:
                result = await client.call_tool(tool, {})
                assert result.is_error or result.content[0].text.startswith("decline"), tool
            except MCPError as error:
                assert server == "legacy", error  # the server's own complaint
        with pytest.raises(MCPError) as caught:
            await client.list_prompts()
    assert not person.asked
    assert caught.value.code == types.METHOD_NOT_FOUND


@SERVERS
@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_changes_and_logs_reach_a_client_with_a_handshake(server, tmp_path):
    async with cell(tmp_path, "legacy", server) as (client, person):
        await client.set_logging_level("error")
        assert (tmp_path / "level").exists() == (server == "legacy"), (
            "modern servers are told with each request"
        )
        await client.subscribe_resource("file:///a")
        with pytest.raises(MCPError) as refused:
            await client.subscribe_resource("file:///secret")
        await call(client, "it__log")
        await call(client, "it__touch")
        await anyio.to_thread.run_sync(
            eventually,
            lambda: {"ResourceUpdatedNotification", "ToolListChangedNotification"} <= {*person.told},
        )
        await client.unsubscribe_resource("file:///a")
    assert refused.value.code == -32003
    assert person.logged == [("error", "loud")]


@SERVERS
async def test_changes_and_logs_reach_a_modern_client_that_listens(server, tmp_path):
    async with cell(tmp_path, "auto", server, log_level="error") as (client, person):
        async with client.listen(
            tools_list_changed=True, resource_subscriptions=["file:///a", "file:///secret"]
        ) as heard:
            honoured = heard.honored
            await call(client, "it__log")
            await call(client, "it__touch")
            with anyio.fail_after(20):
                events = {type(await anext(heard)).__name__ for _ in range(2)}
    assert honoured.resource_subscriptions == ["file:///a"]
    assert events == {"ToolsListChanged", "ResourceUpdated"}
    assert person.logged == [("error", "loud")]


@ERAS
@SERVERS
async def test_a_call_that_nobody_wants_any_more_ends_at_the_server(mode, server, tmp_path):
    async with cell(tmp_path, mode, server) as (client, _):
        async with anyio.create_task_group() as group:
            group.start_soon(call, client, "it__slow")
            await anyio.to_thread.run_sync(eventually, (tmp_path / "started").exists)
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(eventually, (tmp_path / "cancelled").exists)
        assert not (await call(client, "it__echo"))[0]
