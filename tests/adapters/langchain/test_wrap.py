"""A wrapped tool is the same tool to everything that looks at it."""

import functools
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool, Tool, tool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.store.memory import InMemoryStore
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from blastwall import Approved, RefusedError
from blastwall.errors import ToolFailed
from blastwall_langchain import wrap_tool, wrap_tools


def read_it(name: str, lines: int = 3) -> str:
    return f"{name}:{lines}"


read_note = StructuredTool.from_function(read_it, name="read_note", description="Read a note.")


class ReadNotes(BaseTool):
    name: str = "read_notes"
    description: str = "Read notes."
    read: list[str] = Field(default_factory=list)

    def _run(
        self, name: str, config: RunnableConfig, run_manager: CallbackManagerForToolRun | None = None
    ) -> str:
        self.read.append(name)
        return f"{name} {config['metadata']['who']} {run_manager is not None}"


class ReadBoth(ReadNotes):
    async def _arun(self, name: str, config: RunnableConfig, run_manager: Any = None) -> str:
        return self._run(name, config, run_manager)


CONFIG: RunnableConfig = {"metadata": {"who": "me"}}


async def test_the_tool_that_is_passed_in_stays_unguarded(run, guard, events):
    wrapped = wrap_tool(read_note, guard, connector="desk")
    assert wrapped is not read_note
    assert await run(read_note, {"name": "a"}) == "a:3"
    assert events() == []


def test_everything_that_describes_the_tool_stays(guard):
    bare = StructuredTool.from_function(
        read_it,
        name="read_note",
        description="Read.",
        tags=["t"],
        metadata={"connector": "desk", "k": 1},
        extras={"defer_loading": True},
        return_direct=True,
        handle_validation_error="bad",
        response_format="content_and_artifact",
        verbose=True,
    )
    wrapped = wrap_tool(bare, guard)
    changed = {"func", "coroutine", "handle_tool_error"}
    assert {k: v for k, v in bare if k not in changed} == {k: v for k, v in wrapped if k not in changed}
    assert wrapped.args == bare.args
    assert type(wrapped) is StructuredTool


async def test_a_schema_that_is_a_dict_stays_one(run, guard, records):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    bare = StructuredTool(
        name="read_note", description="Read.", args_schema=schema, func=lambda **kwargs: sorted(kwargs)
    )
    wrapped = wrap_tool(bare, guard, connector="desk")
    assert wrapped.args_schema is schema
    assert await run(wrapped, {"name": "a", "extra": 1}) == ["extra", "name"]
    assert records()[0]["arguments"] == {"name": "a", "extra": 1}


@pytest.mark.parametrize("kind", [ReadNotes, ReadBoth])
async def test_a_subclass_keeps_its_class_its_state_and_what_is_injected(run, guard, kind, heard, events):
    bare = kind()
    wrapped = wrap_tool(bare, guard, connector="desk")
    assert isinstance(wrapped, kind)
    assert await run(wrapped, {"name": "a"}, {**CONFIG, "callbacks": [heard]}) == "a me True"
    assert bare.read == ["a"]
    assert events() == ["decision", "result"], "an _arun that calls _run is judged once"
    assert [kind for kind, _ in heard.events] == ["start", "end"]


async def test_a_refused_subclass_does_not_run(run, guard):
    bare = ReadNotes(name="delete_notes")
    text = await run(wrap_tool(bare, guard, connector="desk"), {"name": "a"}, CONFIG)
    assert text.startswith("blastwall refused this (rule)")
    assert bare.read == []


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_single_input_tool_is_judged_by_its_input(run, guard, asynchronous, records):
    async def aread(text: str) -> str:
        return f"read {text}"

    bare = Tool("read_note", lambda text: f"read {text}", "Read.", coroutine=aread if asynchronous else None)
    wrapped = wrap_tool(bare, guard, connector="desk")
    for given in ("a", {"tool_input": "a"}):
        assert await run(wrapped, given) == await run(bare, given) == "read a"
    assert [r["arguments"] for r in records() if r["event"] == "decision"] == [{"tool_input": "a"}] * 2


async def test_a_text_input_is_judged_under_the_name_of_the_first_field(run, guard, records):
    wrapped = wrap_tool(read_note, guard, connector="desk")
    assert await run(wrapped, "a") == await run(read_note, "a")
    assert records()[0]["arguments"] == {"name": "a"}


async def test_an_async_tool_runs_awaited_and_has_no_blocking_form(guard):
    @tool
    async def read_page(name: str) -> str:
        """Read."""
        return name

    wrapped = wrap_tool(read_page, guard, connector="desk")
    assert await wrapped.ainvoke({"name": "a"}) == "a"
    with pytest.raises(NotImplementedError):
        wrapped.invoke({"name": "a"})


async def test_a_blocking_tool_may_be_asked_about_asynchronously(make_guard):
    """Under `ainvoke` a person's channel may be async, though the tool's function is not."""
    asked = []

    async def ask(call, verdict):
        asked.append(call.tool)
        return Approved(call.digest, "me")

    @tool
    def write_note(name: str) -> str:
        """Write."""
        return name

    wrapped = wrap_tool(write_note, make_guard(ask), connector="desk")
    assert await wrapped.ainvoke({"name": "a"}) == "a"
    assert asked == ["write_note"]


async def test_callbacks_that_a_function_asks_for_arrive(run, guard):
    @tool
    def read_note(name: str, callbacks: Any = None) -> str:
        """Read."""
        return f"{name} {type(callbacks).__name__}"

    wrapped = wrap_tool(read_note, guard, connector="desk")
    assert await run(wrapped, {"name": "a"}) == await run(read_note, {"name": "a"}) == "a CallbackManager"


async def test_callbacks_fire_once(run, guard, heard):
    await run(wrap_tool(read_note, guard, connector="desk"), {"name": "a"}, {"callbacks": [heard]})
    assert [kind for kind, _ in heard.events] == ["start", "end"]


async def test_artifacts_arrive_untouched(run, guard, tool_call):
    artifact = {"rows": [1, 2]}

    @tool(response_format="content_and_artifact")
    def read_rows() -> tuple[str, dict[str, list[int]]]:
        """Read."""
        return "two rows", artifact

    message = await run(wrap_tool(read_rows, guard, connector="desk"), tool_call("read_rows"))
    assert (message.content, message.status) == ("two rows", "success")
    assert message.artifact is artifact


@tool
def read_all(
    name: str,
    call_id: Annotated[str, InjectedToolCallId],
    state: Annotated[dict[str, Any], InjectedState],
    store: Annotated[Any, InjectedStore()],
    runtime: ToolRuntime,
    config: RunnableConfig,
    user: Annotated[str, InjectedToolArg] = "anon",
) -> str:
    """Read everything that there is to inject."""
    stored = store.get(("n",), "k").value["v"]
    thread = bool(config["configurable"])
    return f"{name} {call_id} {len(state['messages'])} {stored} {runtime.tool_call_id} {thread} {user}"


@pytest.mark.parametrize("road", ["wrapped", "middleware", "bare"])
async def test_injected_arguments_arrive_and_are_not_judged(
    run, guard, agent, tool_call, middleware, road, answers, records
):
    """And what a model writes in their place goes nowhere."""
    store = InMemoryStore()
    store.put(("n",), "k", {"v": "stored"})
    forged = dict.fromkeys(("call_id", "state", "store", "runtime", "config", "user"), "root")
    made = agent(
        [wrap_tool(read_all, guard, connector="desk") if road == "wrapped" else read_all],
        [tool_call("read_all", 1, name="a", **forged)],
        middleware=[middleware] if road == "middleware" else [],
        store=store,
    )
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert message.content == "a call-1 2 stored call-1 True anon"
    if road != "bare":
        assert records()[0]["arguments"] == {"name": "a"}


class Aliased(BaseModel):
    name: str
    user: Annotated[str, InjectedToolArg] = Field(
        default="anon", validation_alias=AliasChoices("usr", AliasPath("who", 0))
    )


@pytest.mark.parametrize("forged", [{"usr": "root"}, {"who": ["root"]}], ids=repr)
@pytest.mark.parametrize(("guarded", "user"), [(False, "root"), (True, "anon")])
async def test_the_middleware_also_drops_aliases_of_injected_arguments(
    run, agent, tool_call, middleware, answers, guarded, user, forged
):
    """Control: LangChain drops a forged injected argument by its name only."""
    bare = StructuredTool.from_function(
        lambda name, user="anon": f"{name} {user}", name="read_it", description="Read.", args_schema=Aliased
    )
    made = agent(
        [bare],
        [tool_call("read_it", 1, name="a", **forged)],
        middleware=[middleware] if guarded else [],
    )
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert message.content == f"a {user}"


async def test_langchain_hands_on_what_a_direct_tool_call_holds(run, guard, tool_call):
    """Known, and documented at `wrap_tool`: only ToolNode and the middleware drop forged values."""

    @tool
    def read_it(name: str, user: Annotated[str, InjectedToolArg] = "anon") -> str:
        """Read."""
        return f"{name} {user}"

    for made in (read_it, wrap_tool(read_it, guard, connector="desk")):
        message = await run(made, tool_call("read_it", 1, name="a", user="bob"))
        assert message.content == "a bob"


async def test_wrapping_twice_guards_once(run, guard, events):
    once = wrap_tool(read_note, guard, connector="desk")
    assert wrap_tool(once, guard) is once
    methods = wrap_tool(ReadNotes(), guard, connector="desk")
    assert wrap_tool(methods, guard) is methods
    await run(once, {"name": "a"})
    assert events() == ["decision", "result"]


async def test_two_guards_both_judge(run, guard, make_guard):
    strict = make_guard(rules=[])
    text = await run(wrap_tool(wrap_tool(read_note, guard, connector="desk"), strict, connector="desk"), "a")
    assert "(no-rule)" in text
    text = await run(wrap_tool(wrap_tool(read_note, strict, connector="desk"), guard, connector="desk"), "a")
    assert "(no-rule)" in text


async def test_a_copied_mark_is_no_guard(run, guard):
    """`functools.wraps` copies attributes: what it makes is another function, and not guarded."""
    wrapped: Any = wrap_tool(read_note, guard, connector="desk")

    @functools.wraps(wrapped.func)
    def around(name: str, lines: int = 3) -> str:
        return f"around {name}"

    again = wrapped.model_copy(update={"func": around, "coroutine": None, "name": "delete_note"})
    assert (await run(wrap_tool(again, guard, connector="desk"), "a")).startswith("blastwall refused")


async def test_functions_become_guarded_tools(run, guard):
    def delete_note(name: str) -> str:
        """Delete."""
        return name

    made, other = wrap_tools([delete_note, read_note], guard, connector="desk")
    assert (await run(made, {"name": "a"})).startswith("blastwall refused")
    assert await run(other, {"name": "a"}) == "a:3"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_decorated_function_is_guarded_once_and_refused_like_a_tool(
    guard, events, tool_call, asynchronous
):
    def made(name: str) -> Any:
        def plain(path: str) -> str:
            """Do."""
            return f"did {path}"

        async def awaited(path: str) -> str:
            """Do."""
            return f"did {path}"

        decorated = guard.tool(awaited if asynchronous else plain, connector="desk", name=name)
        return wrap_tool(decorated, guard, connector="files")

    assert await made("read_it").ainvoke({"path": "a"}) == "did a"
    assert events() == ["decision", "result"]
    message = await made("delete_it").ainvoke(tool_call("plain", path="a"))
    assert message.status == "error"
    assert "desk.delete_it is denied" in message.content


async def test_a_function_decorated_by_another_guard_is_judged_by_both(run, guard, make_guard):
    strict = make_guard(rules=[])

    def read_it(path: str) -> str:
        """Do."""
        return f"did {path}"

    decorated = guard.tool(read_it, connector="desk")
    assert "(no-rule)" in await run(wrap_tool(decorated, strict, connector="desk"), {"path": "a"})
    decorated = strict.tool(read_it, connector="desk")
    assert "(no-rule)" in await run(wrap_tool(decorated, guard, connector="desk"), {"path": "a"})


async def test_a_guarded_function_inside_a_tool_refuses_the_tool(run, guard, tool_call, agent, answers):
    @guard.tool(connector="desk")
    def delete_it(path: str) -> str:
        return f"did {path}"

    @tool
    def read_it(path: str) -> str:
        """Read."""
        return str(delete_it(path))

    with pytest.raises(RefusedError):
        read_it.invoke({"path": "a"})
    made = agent([wrap_tool(read_it, guard, connector="desk")], [tool_call("read_it", path="a")])
    [message] = answers(await run(made, {"messages": ["hi"]}))
    assert message.status == "error"
    assert message.content.startswith("blastwall refused this (rule)")


async def test_a_decorated_function_whose_words_were_changed_is_a_tool_error(run, guard, words):
    def read_it() -> str:
        """Read."""
        raise ValueError(words["marked"])

    with pytest.raises(ToolFailed):
        guard.tool(read_it, connector="desk")()
    made = wrap_tool(guard.tool(read_it, connector="desk"), guard)
    made.handle_tool_error = True
    assert "is data" in await run(made, {})


@pytest.mark.parametrize(
    ("name", "metadata", "connector", "found"),
    [
        ("read_file", None, "desk", "desk"),
        ("read_file", {"connector": "desk"}, None, "desk"),
        ("read_file", None, None, "files"),
        ("read_note", None, None, ""),
        ("read_note", {"connector": "desk", "readOnlyHint": None}, None, ""),
        ("read_note", {"connector": 7}, None, ""),
    ],
)
async def test_where_the_connector_comes_from(run, guard, records, name, metadata, connector, found):
    """An MCP server's annotations become metadata: what it writes there names no connector."""
    made = StructuredTool.from_function(lambda: "x", name=name, description="Read.", metadata=metadata)
    await run(wrap_tool(made, guard, connector=connector), {})
    assert records()[0]["connector"] == found


async def test_calls_belong_to_the_surrounding_session(run, guard, tool_call, node, records):
    graph = node([wrap_tool(read_note, guard, connector="desk")])
    calls = [tool_call("read_note", n, name="a") for n in (1, 2)]
    with guard.session() as session:
        await run(graph, {"messages": [AIMessage("", tool_calls=calls)]})
    assert {record["session"] for record in records()} == {session.id}
    assert len(records()) == 4
