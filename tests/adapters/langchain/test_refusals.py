"""What a refusal, a withheld output and a failure look like on every road to a tool."""

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool, ToolException, tool

from blastwall_langchain import ToolRefusal, wrap_tool


@pytest.fixture
def ran():
    return []


@pytest.fixture
def delete_note(ran):
    @tool
    def delete_note(name: str) -> str:
        """Delete a note."""
        ran.append(name)
        return f"deleted {name}"

    return delete_note


async def test_control_the_bare_tool_runs(run, delete_note, ran):
    assert await run(delete_note, {"name": "a"}) == "deleted a"
    assert ran == ["a"]


async def test_a_dict_gives_the_text(run, guard, delete_note, ran, events):
    text = await run(wrap_tool(delete_note, guard, connector="desk"), {"name": "a"})
    assert text.startswith("blastwall refused this (rule) [rule desk.never]")
    assert text.endswith("Instead: move it to the bin.")
    assert ran == []
    assert events() == ["decision"]


async def test_a_tool_call_gives_an_error_message(run, guard, delete_note, tool_call, ran):
    message = await run(wrap_tool(delete_note, guard, connector="desk"), tool_call("delete_note", name="a"))
    assert (message.status, message.tool_call_id, message.name) == ("error", "call-1", "delete_note")
    assert message.content.startswith("blastwall refused this (rule)")
    assert ran == []


async def test_a_tool_node_gives_an_error_message(run, guard, delete_note, tool_call, node, answers, ran):
    graph = node([wrap_tool(delete_note, guard, connector="desk")])
    state = await run(graph, {"messages": [AIMessage("", tool_calls=[tool_call("delete_note", name="a")])]})
    [message] = answers(state)
    assert (message.status, message.tool_call_id, message.name) == ("error", "call-1", "delete_note")
    assert ran == []


async def test_an_agent_goes_on(run, guard, delete_note, tool_call, agent, answers, ran):
    made = agent([wrap_tool(delete_note, guard, connector="desk")], [tool_call("delete_note", name="a")])
    state = await run(made, {"messages": ["hi"]})
    [message] = answers(state)
    assert (message.status, message.tool_call_id, message.name) == ("error", "call-1", "delete_note")
    assert state["messages"][-1].content == "done"
    assert ran == []


async def test_a_refusal_ends_like_a_handled_error(run, guard, delete_note, tool_call, heard):
    """One start, one end, no error: what LangChain tells callbacks of an error that it handled."""
    wrapped = wrap_tool(delete_note, guard, connector="desk")
    await run(wrapped, tool_call("delete_note", name="a"), {"callbacks": [heard]})
    assert [kind for kind, _ in heard.events] == ["start", "end"]
    assert heard.events[1][1].status == "error"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("no luck", "no luck"),
        (lambda error: f"handled {type(error).__name__}", "handled ToolRefusal"),
    ],
)
async def test_a_handler_of_the_users_handles_refusals(run, guard, delete_note, setting, shown):
    delete_note.handle_tool_error = setting
    assert await run(wrap_tool(delete_note, guard, connector="desk"), {"name": "a"}) == shown


async def test_a_tools_own_error_still_ends_the_run(run, guard, tool_call, heard):
    """Guarding must not turn on the handling of errors that the user left off, nor silence its callback."""
    raised = ToolException("no such note")

    @tool
    def read_note() -> str:
        """Read."""
        raise raised

    for made in (read_note, wrap_tool(read_note, guard, connector="desk")):
        with pytest.raises(ToolException) as caught:
            await run(made, tool_call("read_note"), {"callbacks": [heard]})
        assert caught.value is raised
    assert [kind for kind, _ in heard.events] == ["start", "error"] * 2


async def test_a_tools_own_error_is_still_handled(run, guard, tool_call):
    @tool
    def read_note() -> str:
        """Read."""
        raise ToolException("no such note")

    read_note.handle_tool_error = True
    bare = await run(read_note, tool_call("read_note"))
    assert await run(wrap_tool(read_note, guard, connector="desk"), tool_call("read_note")) == bare


async def test_a_refused_return_direct_tool_ends_the_run_with_the_refusal(
    run, guard, delete_note, tool_call, agent
):
    """LangChain ends the run after such a tool whatever it answered; the caller gets the refusal."""
    delete_note.return_direct = True
    made = agent([wrap_tool(delete_note, guard, connector="desk")], [tool_call("delete_note", name="a")])
    last = (await run(made, {"messages": ["hi"]}))["messages"][-1]
    assert (last.type, last.status) == ("tool", "error")
    assert last.content.startswith("blastwall refused this")


async def test_no_connector_refuses_every_call(run, guard, tool_call, records):
    """Silence denies: a tool that belongs to nobody never runs."""
    made = StructuredTool.from_function(lambda: "ran", name="read_note", description="Read.")
    message = await run(wrap_tool(made, guard), tool_call("read_note"))
    assert message.status == "error"
    assert "unknown-connector" in message.content
    assert records()[0]["details"]["reason"] == "unknown-connector"


async def test_an_audit_log_that_cannot_be_written_refuses(run, guard, delete_note, tmp_path, ran):
    (tmp_path / "state").write_text("a file where the folder should be")
    delete_note.name = "read_note"
    text = await run(wrap_tool(delete_note, guard, connector="desk"), {"name": "a"})
    assert "audit-unavailable" in text
    assert ran == []


async def test_a_withheld_output_is_an_error_message(run, guard, tool_call, words):
    @tool
    def read_note() -> str:
        """Read."""
        return str(words["withheld"])

    message = await run(wrap_tool(read_note, guard, connector="desk"), tool_call("read_note"))
    assert message.status == "error"
    assert "output-rejected" in message.content
    assert words["withheld"] not in message.content


async def test_the_text_of_a_refusal_is_the_whole_exception(guard, delete_note):
    delete_note.handle_tool_error = lambda error: [{"type": "text", "text": str(error)}]
    [block] = wrap_tool(delete_note, guard, connector="desk").invoke({"name": "a"})
    assert block["text"].startswith("blastwall refused this")
    assert issubclass(ToolRefusal, ToolException)
