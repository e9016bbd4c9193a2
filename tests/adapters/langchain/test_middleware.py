"""The middleware guards every call of an agent's tool node."""

from typing import Any, cast

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.types import Command

from blastwall_langchain import BlastwallMiddleware, wrap_tool


@pytest.fixture
def ran():
    return []


@pytest.fixture
def tools(ran):
    @tool
    def delete_note(name: str) -> str:
        """Delete."""
        ran.append(name)
        return f"deleted {name}"

    @tool
    def read_note(count: int) -> str:
        """Read."""
        ran.append(count)
        return f"{count!r}"

    return [delete_note, read_note]


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_denied_call_becomes_an_error_message_and_the_agent_goes_on(
    run, agent, tools, tool_call, middleware, answers, ran, guarded
):
    """Control: without the middleware it runs."""
    made = agent(tools, [tool_call("delete_note", name="a")], middleware=[middleware] if guarded else [])
    state = await run(made, {"messages": ["hi"]})
    [message] = answers(state)
    assert message.status == ("error" if guarded else "success")
    assert (message.name, message.tool_call_id) == ("delete_note", "call-1")
    assert ran == ([] if guarded else ["a"])
    assert state["messages"][-1].content == "done"


async def test_raw_arguments_are_validated_before_they_are_judged(
    run, agent, tools, tool_call, middleware, answers, records
):
    made = agent(tools, [tool_call("read_note", count="7", more="zzz")], middleware=[middleware])
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert message.content == "7"
    assert records()[0]["arguments"] == {"count": 7}


async def test_invalid_arguments_are_langchains_own_answer(
    run, agent, tools, tool_call, middleware, answers, ran, events
):
    made = agent(tools, [tool_call("read_note", count="many")], middleware=[middleware])
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert "Please fix the error" in message.content
    assert (ran, events()) == ([], [])


async def test_an_unknown_tool_is_refused_and_recorded(
    run, agent, tools, tool_call, middleware, answers, records
):
    made = agent(tools, [tool_call("format_disk", now=True)], middleware=[middleware])
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert (message.status, message.name, message.tool_call_id) == ("error", "format_disk", "call-1")
    assert "there is no tool 'format_disk'" in message.content
    assert [(r["tool"], r["details"]["verdict"]) for r in records()] == [("format_disk", "deny")]


class Registers(AgentMiddleware):
    """Adds a tool that the agent's tool node doesn't know."""

    def __init__(self, added: BaseTool):
        super().__init__()
        self.added = added

    def wrap_tool_call(self, request, handler):
        return handler(request.override(tool=request.tool or self.added))

    async def awrap_tool_call(self, request, handler):
        return await handler(request.override(tool=request.tool or self.added))


async def test_a_tool_that_outer_middleware_brings_is_guarded(
    run, agent, tools, tool_call, middleware, answers, ran
):
    made = agent(
        tools[1:], [tool_call("delete_note", name="a")], middleware=[Registers(tools[0]), middleware]
    )
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert message.status == "error"
    assert ran == []


class Edits(AgentMiddleware):
    """Changes a call on its way, as a person's edit would."""

    def wrap_tool_call(self, request, handler):
        return handler(request.override(tool_call={**request.tool_call, "args": {"count": 9}}))

    async def awrap_tool_call(self, request, handler):
        return await handler(request.override(tool_call={**request.tool_call, "args": {"count": 9}}))


@pytest.mark.parametrize("inner", [False, True])
async def test_what_is_judged_is_what_runs_wherever_other_middleware_stands(
    run, agent, tools, tool_call, middleware, records, ran, inner
):
    order = [middleware, Edits()] if inner else [Edits(), middleware]
    made = agent(tools, [tool_call("read_note", count=1)], middleware=order)
    await run(made, {"messages": ["hi"]})
    assert records()[0]["arguments"] == {"count": 9}
    assert ran == [9]


async def test_a_tool_that_is_guarded_already_is_judged_once(
    run, guard, agent, tools, tool_call, middleware, answers, events
):
    @guard.tool(connector="desk", name="delete_it")
    def read_it(name: str) -> str:
        """Read."""
        return name

    calls = [tool_call("read_note", 1, count=1), tool_call("read_it", 2, name="a")]
    made = agent(
        [wrap_tool(tools[1], guard, connector="desk"), tool(read_it)], calls, middleware=[middleware]
    )
    first, second = answers(await run(made, {"messages": ["hi"]}))
    assert first.content == "1"
    assert second.status == "error"
    assert "desk.delete_it is denied" in second.content
    assert sorted(events()) == ["decision", "decision", "result"]


async def test_parallel_calls_are_judged_one_by_one(run, agent, tools, tool_call, middleware, answers, ran):
    calls = [tool_call("read_note", n, count=n) for n in range(8)] + [tool_call("delete_note", 8, name="a")]
    made = agent(tools, calls, middleware=[middleware])
    messages = answers(await run(made, {"messages": ["hi"]}))
    assert {m.tool_call_id: m.status for m in messages} == {
        f"call-{n}": "error" if n == 8 else "success" for n in range(9)
    }
    assert sorted(ran) == list(range(8))


@pytest.mark.parametrize("guarded", [False, True])
async def test_content_artifact_and_commands_are_screened(
    run, agent, tool_call, middleware, answers, words, guarded
):
    @tool(response_format="content_and_artifact")
    def read_rows() -> Any:
        """Read."""
        return "fine", {"row": words["withheld"]}

    @tool
    def read_more() -> Any:
        """Read."""
        text = words["withheld"]
        return Command(update={"messages": [ToolMessage(text, tool_call_id="call-2")]})

    made = agent(
        [read_rows, read_more],
        [tool_call("read_rows", 1), tool_call("read_more", 2)],
        middleware=[middleware] if guarded else [],
    )
    state = await run(made, {"messages": ["hi"]})
    assert (words["withheld"] in repr(state)) is not guarded
    assert {m.status for m in answers(state)} == {"error" if guarded else "success"}


async def test_callbacks_hear_the_screened_output(run, agent, tool_call, middleware, words, heard):
    @tool
    def read_it() -> str:
        """Read."""
        return str(words["withheld"])

    await run(
        agent([read_it], [tool_call("read_it")], middleware=[middleware]),
        {"messages": ["hi"]},
        {"callbacks": [heard]},
    )
    assert [kind for kind, _ in heard.events] == ["start", "end"]
    assert words["withheld"] not in repr(heard.events)


async def test_it_serves_a_bare_tool_node(run, guard, node, tools, tool_call, answers, ran):
    made = BlastwallMiddleware(guard, connector="desk")
    graph = node(tools, wrap_tool_call=made.wrap_tool_call, awrap_tool_call=made.awrap_tool_call)
    said = AIMessage("", tool_calls=[tool_call("delete_note", name="a")])
    [message] = answers(await run(graph, {"messages": [said]}))
    assert message.status == "error"
    assert ran == []


async def test_tools_find_their_connector_by_themselves(run, guard, agent, tool_call, records):
    @tool
    def read_file(name: str) -> str:
        """Read."""
        return name

    await run(
        agent([read_file], [tool_call("read_file", name="a")], middleware=[BlastwallMiddleware(guard)]),
        {"messages": ["hi"]},
    )
    assert records()[0]["connector"] == "files"


async def test_many_tools_do_not_fill_the_memory(guard, tools, tool_call, middleware):
    """A tool made anew for each run is guarded each time, and forgotten."""
    got = []
    for _ in range(600):
        made = tools[0].model_copy()
        request = ToolCallRequest(tool_call("delete_note", name="a"), made, {}, cast("Any", None))
        middleware.wrap_tool_call(request, lambda r: got.append(r.tool))
    assert len({id(made) for made in got}) > 500
    assert len(middleware._kept) <= 256


@pytest.mark.parametrize("guarded", [False, True])
async def test_its_limits_direct_calls_are_not_seen(run, guard, tools, guarded):
    """Known: middleware sees the tool node only. Wrap tools that your own code calls."""
    made = wrap_tool(tools[0], guard, connector="desk") if guarded else tools[0]
    BlastwallMiddleware(guard, connector="desk")
    assert (await run(made, {"name": "a"}) == "deleted a") is not guarded
