"""A person is asked through LangGraph's interrupts, in LangChain's words."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from blastwall_langchain import BlastwallMiddleware, interrupt_approval, wrap_tool

THREAD = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def ran():
    return []


@pytest.fixture
def write_note(ran):
    @tool
    def write_note(name: str, count: int = 1) -> str:
        """Write."""
        ran.append((name, count))
        return f"wrote {name}"

    return write_note


@pytest.fixture
def asking(make_guard):
    return make_guard(interrupt_approval)


@pytest.fixture(params=["wrapped", "middleware"])
def made(request, asking, agent, write_note, tool_call):
    def make(*calls):
        calls = calls or (tool_call("write_note", name="a"),)
        if request.param == "wrapped":
            tools, middleware = [wrap_tool(write_note, asking, connector="desk")], []
        else:
            tools, middleware = [write_note], [BlastwallMiddleware(asking, connector="desk")]
        return agent(tools, list(calls), middleware=middleware, checkpointer=InMemorySaver())

    return make


def decide(**decision: Any) -> Command[Any]:
    return Command(resume={"decisions": [decision]})


async def test_the_graph_pauses_with_a_request_in_langchains_words(run, made, ran, events):
    state = await run(made(), {"messages": ["hi"]}, THREAD)
    [asked] = state["__interrupt__"]
    [action] = asked.value["action_requests"]
    assert action["name"] == "write_note"
    assert action["args"] == {"name": "a", "count": 1}
    assert asked.value["review_configs"] == [
        {"action_name": "write_note", "allowed_decisions": ["approve", "edit", "reject"]}
    ]
    assert len(action["digest"]) == 64
    assert (ran, events()) == ([], ["decision", "suspended"])


async def test_approve_runs_it_once(run, made, ran, answers, events):
    graph = made()
    await run(graph, {"messages": ["hi"]}, THREAD)
    [message] = answers(await run(graph, decide(type="approve"), THREAD))
    assert message.content == "wrote a"
    assert ran == [("a", 1)]
    assert events() == ["decision", "suspended", "decision", "approved", "result"]


async def test_reject_refuses_with_the_persons_words(run, made, ran, answers):
    graph = made()
    await run(graph, {"messages": ["hi"]}, THREAD)
    [message] = answers(await run(graph, decide(type="reject", message="not today"), THREAD))
    assert message.status == "error"
    assert "not today" in message.content
    assert ran == []


async def test_edit_is_judged_from_the_start_and_asked_about_again(run, made, ran, answers):
    graph = made()
    await run(graph, {"messages": ["hi"]}, THREAD)
    edit = {"name": "write_note", "args": {"name": "b", "count": 2}}
    state = await run(graph, decide(type="edit", edited_action=edit), THREAD)
    [asked] = state["__interrupt__"]
    assert asked.value["action_requests"][0]["args"] == {"name": "b", "count": 2}
    assert ran == []
    [message] = answers(await run(graph, decide(type="approve"), THREAD))
    assert message.content == "wrote b"
    assert ran == [("b", 2)]


async def test_an_edit_into_something_denied_is_denied(run, agent, make_guard, tool_call, answers, ran):
    @tool
    def write_note(user: str) -> str:
        """Write."""
        ran.append(user)
        return user

    guard = make_guard(interrupt_approval)
    graph = agent(
        [wrap_tool(write_note, guard, connector="desk")],
        [tool_call("write_note", user="bob")],
        checkpointer=InMemorySaver(),
    )
    await run(graph, {"messages": ["hi"]}, THREAD)
    edit = {"name": "write_note", "args": {"user": "root"}}
    [message] = answers(await run(graph, decide(type="edit", edited_action=edit), THREAD))
    assert "[rule desk.not-root]" in message.content
    assert ran == []


@pytest.mark.parametrize(
    "answer",
    [
        "yes",
        {"decisions": []},
        {"decisions": [{"type": "approve"}, {"type": "approve"}]},
        {"type": "respond", "message": "done"},
        {"type": "approve", "digest": "0" * 64},
        {"type": "edit", "edited_action": {"name": "delete_note", "args": {"name": "a"}}},
        {"type": "edit", "edited_action": {"name": "write_note"}},
        {"type": "edit", "digest": "0" * 64, "edited_action": {"name": "write_note", "args": {"name": "a"}}},
    ],
    ids=repr,
)
async def test_anything_else_is_a_no(run, made, ran, answers, answer):
    """Among it langchain#40166: an edit that turns a call into a call of another tool."""
    graph = made()
    await run(graph, {"messages": ["hi"]}, THREAD)
    [message] = answers(await run(graph, Command(resume=answer), THREAD))
    assert message.status == "error"
    assert ran == []


async def test_parallel_calls_are_answered_each_by_its_own_interrupt(run, made, tool_call, answers, ran):
    graph = made(*[tool_call("write_note", n, name=f"n{n}") for n in range(3)])
    state = await run(graph, {"messages": ["hi"]}, THREAD)
    replies = {
        asked.id: {
            "decisions": [
                {"type": "approve" if asked.value["action_requests"][0]["args"]["name"] == "n1" else "reject"}
            ]
        }
        for asked in state["__interrupt__"]
    }
    messages = answers(await run(graph, Command(resume=replies), THREAD))
    assert [m.status for m in messages] == ["error", "success", "error"]
    assert ran == [("n1", 1)]


@pytest.mark.parametrize("named", [False, True])
async def test_where_calls_share_a_task_an_approval_must_name_its_call(
    run, asking, node, write_note, tool_call, answers, ran, named
):
    """LangGraph hands answers to such calls by order, so a bare yes could reach the wrong one."""
    graph = node([wrap_tool(write_note, asking, connector="desk")], InMemorySaver())
    said = AIMessage("", tool_calls=[tool_call("write_note", name="a")])
    state = await run(graph, {"messages": [said]}, THREAD)
    [action] = state["__interrupt__"][0].value["action_requests"]
    naming = {"digest": action["digest"]} if named else {}
    [message] = answers(await run(graph, decide(type="approve", **naming), THREAD))
    assert message.status == ("success" if named else "error")
    assert len(ran) == named


async def test_outside_a_graph_nobody_can_be_asked(run, asking, write_note, ran):
    text = await run(wrap_tool(write_note, asking, connector="desk"), {"name": "a"})
    assert "approval-unavailable" in text
    assert "run the tool in a LangGraph graph" in text
    assert ran == []


@pytest.mark.parametrize("decorated", [False, True])
async def test_an_interrupt_of_the_tools_own_passes(run, guard, agent, tool_call, answers, events, decorated):
    def read_it(name: str) -> str:
        """Read."""
        return f"{name} {interrupt('who?')}"

    made = wrap_tool(
        guard.tool(read_it, connector="desk") if decorated else tool(read_it), guard, connector="desk"
    )
    graph = agent([made], [tool_call("read_it", name="a")], checkpointer=InMemorySaver())
    state = await run(graph, {"messages": ["hi"]}, THREAD)
    assert state["__interrupt__"][0].value == "who?"
    [message] = answers(await run(graph, Command(resume="me"), THREAD))
    assert message.content == "a me"


async def test_a_guarded_function_inside_a_tool_may_ask_too(run, asking, agent, tool_call, answers):
    @asking.tool(connector="desk")
    def write_it(name: str) -> str:
        return f"wrote {name}"

    @tool
    def read_it(name: str) -> str:
        """Read."""
        return str(write_it(name))

    made = wrap_tool(read_it, asking, connector="desk")
    graph = agent([made], [tool_call("read_it", name="a")], checkpointer=InMemorySaver())
    await run(graph, {"messages": ["hi"]}, THREAD)
    [message] = answers(await run(graph, decide(type="approve"), THREAD))
    assert message.content == "wrote a"


async def test_a_decorated_function_is_asked_about_by_interrupt_too(run, asking, agent, tool_call, answers):
    def write_it(name: str) -> str:
        """Write."""
        return f"wrote {name}"

    made = wrap_tool(asking.tool(write_it, connector="desk"), asking)
    graph = agent([made], [tool_call("write_it", name="a")], checkpointer=InMemorySaver())
    await run(graph, {"messages": ["hi"]}, THREAD)
    [message] = answers(await run(graph, decide(type="approve"), THREAD))
    assert message.content == "wrote a"
