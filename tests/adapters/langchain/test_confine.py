"""What a sandbox gets of a tool: its plain function and the judged arguments, or nothing."""

import json
import os
import shutil
from datetime import date
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, Tool, ToolException, tool
from pydantic import BaseModel
from tests.core.egress.sites import needed

from blastwall import Guard, sandbox
from blastwall.frozen import freeze
from blastwall.sandbox.boxes import Boxes
from blastwall_langchain import wrap_tool


@pytest.fixture
def boxed(monkeypatch):
    """Stands for the sandbox: JSON in, JSON out, nothing else crosses. It remembers what it was given."""
    seen = []

    def call(function: Any, arguments: Any, profile: Any) -> Any:
        seen.append((json.loads(json.dumps(arguments)), profile.name))
        try:
            result = function(**seen[-1][0])
        except ValueError as error:
            raise sandbox.ToolRaised(type(error).__name__, str(error)) from None
        return freeze(json.loads(json.dumps(result)))

    async def acall(function, arguments, profile):
        return call(function, arguments, profile)

    monkeypatch.setattr(Boxes, "call", lambda _, *given: call(*given))
    monkeypatch.setattr(Boxes, "acall", lambda _, *given: acall(*given))
    return seen


async def test_a_function_runs_in_the_sandbox_that_the_policy_names(run, guard, boxed, records):
    @tool
    def run_it(name: str, on: date) -> str:
        """Run."""
        return f"{name} {on.year}"

    wrapped = wrap_tool(run_it, guard, connector="desk")
    assert await run(wrapped, {"name": "a", "on": "2026-01-02"}) == "a 2026"
    assert len(boxed) == 1
    assert boxed[0][1] == "box"
    assert records()[-1]["details"]["confined"] is True


async def test_the_single_input_of_a_tool_goes_in_by_its_parameters_name(run, guard, boxed):
    wrapped = wrap_tool(Tool("run_it", lambda text: f"ran {text}", "Run."), guard, connector="desk")
    assert await run(wrapped, "a") == "ran a"


async def test_an_artifact_comes_out(run, guard, boxed, tool_call):
    @tool(response_format="content_and_artifact")
    def run_it() -> tuple[str, dict[str, int]]:
        """Run."""
        return "ok", {"n": 1}

    message = await run(wrap_tool(run_it, guard, connector="desk"), tool_call("run_it"))
    assert (message.content, message.artifact) == ("ok", {"n": 1})


async def test_what_it_raises_comes_out_as_a_tool_error_and_is_screened(run, guard, boxed, words):
    @tool
    def run_it(text: str) -> str:
        """Run."""
        raise ValueError(text)

    wrapped = wrap_tool(run_it, guard, connector="desk")
    with pytest.raises(ToolException, match="no luck"):
        await run(wrapped, {"text": "no luck"})
    assert "output-rejected" in await run(wrapped, {"text": words["withheld"]})


async def test_a_tool_that_needs_the_run_time_is_refused(run, guard, boxed, tool_call):
    @tool
    def run_it(name: str, config: RunnableConfig) -> str:
        """Run."""
        return name

    message = await run(wrap_tool(run_it, guard, connector="desk"), tool_call("run_it", name="a"))
    assert message.status == "error"
    assert "sandbox-unavailable" in message.content
    assert "takes config from LangChain" in message.content
    assert boxed == []


async def test_an_injected_argument_that_is_none_does_not_matter(run, guard, boxed):
    @tool
    def run_it(name: str, user: Annotated[str | None, InjectedToolArg] = None) -> str:
        """Run."""
        return f"{name} {user}"

    assert await run(wrap_tool(run_it, guard, connector="desk"), {"name": "a"}) == "a None"


class Method(BaseTool):
    name: str = "run_it"
    description: str = "Run."

    def _run(self, name: str) -> str:
        raise AssertionError("it ran outside")


class Item(BaseModel):
    name: str


class Dated(BaseModel):
    on: date


@pytest.mark.parametrize(
    "made",
    [
        Method(),
        StructuredTool.from_function(lambda on: 1 / 0, name="run_it", description="Run.", args_schema=Dated),
        StructuredTool(
            name="run_it",
            description="Run.",
            args_schema=Dated.model_json_schema(),
            func=lambda *args, **kw: 1 / 0,
        ),
    ],
    ids=["method", "unannotated", "variadic"],
)
async def test_what_no_sandbox_can_run_is_refused(run, guard, boxed, tool_call, made):
    message = await run(
        wrap_tool(made, guard, connector="desk"), tool_call("run_it", name="a", on="2026-01-02")
    )
    assert message.status == "error"
    assert "sandbox-unavailable" in message.content
    assert boxed == []


@pytest.mark.skipif(shutil.which("bwrap") is None and not os.environ.get("CI"), reason="needs bubblewrap")
async def test_in_the_real_sandbox_it_sees_no_file_of_the_host(run, guard, tmp_path):
    """Control: outside, the same function reads the canary."""
    canary = tmp_path / "canary"
    canary.write_text("chirp")

    def run_it(path: str) -> Any:
        """Read a file."""
        from pathlib import Path

        file = Path(path)
        return file.read_text() if file.exists() else "nothing there"

    assert await run(tool(run_it), {"path": str(canary)}) == "chirp"
    wrapped = wrap_tool(tool(run_it), guard, connector="desk")
    assert await run(wrapped, {"path": str(canary)}) == "nothing there"


@pytest.mark.parametrize(
    ("strength", "program"),
    [("os", "bwrap"), ("container", "runsc"), ("vm", "qemu-system-x86_64")],
    ids=["os", "container", "vm"],
)
async def test_a_tool_in_a_sandbox_of_every_strength(strength, program, make_guard, tmp_path):
    """Typed, with an artifact, failing, awaited: one session, and for the machine one boot."""
    needed(program)
    policy = make_guard().policy
    file = tmp_path / "blastwall.yaml"
    told = json.loads(file.read_text())
    lifetime = "call" if strength == "os" else "session"
    told["sandboxes"]["box"] = {"strength": strength, "lifetime": lifetime, "memory_mb": 256}
    file.write_text(json.dumps(told))
    guard = Guard.from_file(file)
    assert policy.profiles["box"].strength.value == "os"

    @tool(response_format="content_and_artifact")
    def run_typed(item: Item, on: date) -> tuple[str, dict[str, Any]]:
        """Run."""
        import platform

        return f"{item.name} {on.year}", {"system": platform.release()}

    @tool
    async def run_async(text: str) -> str:
        """Run."""
        if not text:
            raise LookupError("there is no text")
        return text.upper()

    typed, awaited = (wrap_tool(one, guard, connector="desk") for one in (run_typed, run_async))
    with guard.session():
        arguments = {"item": {"name": "a"}, "on": "2026-01-02"}
        message = typed.invoke({"name": "run_typed", "args": arguments, "id": "1", "type": "tool_call"})
        assert message.content == "a 2026"
        assert (message.artifact["system"] == os.uname().release) is (strength == "os")
        assert await awaited.ainvoke({"text": "low"}) == "LOW"
        with pytest.raises(ToolException, match="LookupError: there is no text"):
            await awaited.ainvoke({"text": ""})


@pytest.mark.skipif(shutil.which("bwrap") is None and not os.environ.get("CI"), reason="needs bubblewrap")
async def test_an_async_function_runs_in_the_real_sandbox(guard):
    @tool
    async def run_it(name: str, on: date) -> str:
        """Run."""
        return f"{name} {on.year}"

    assert (
        await wrap_tool(run_it, guard, connector="desk").ainvoke({"name": "a", "on": "2026-01-02"})
        == "a 2026"
    )
