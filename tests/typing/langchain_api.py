"""The static API of blastwall_langchain, checked by mypy and never run."""

from collections.abc import Callable
from typing import Any, assert_type

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.tools import BaseTool, ToolException

from blastwall import Guard
from blastwall_langchain import BlastwallMiddleware, ToolRefusal, interrupt_approval, wrap_tool, wrap_tools


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def checks(tool: BaseTool, function: Callable[..., Any]) -> None:
    guard = Guard.from_file("blastwall.yaml", ask=interrupt_approval)
    assert_type(wrap_tool(tool, guard), BaseTool)
    assert_type(wrap_tool(add, guard, connector="files"), BaseTool)
    assert_type(wrap_tools([tool, function], guard, connector="files"), list[BaseTool])
    wrap_tool(tool)  # type: ignore[call-arg]  # no guard, no wrapping
    wrap_tool("read_note", guard)  # type: ignore[arg-type]  # a name is no tool
    wrap_tools([tool], guard, "files")  # type: ignore[call-arg]  # a connector is named
    middleware: AgentMiddleware[AgentState[Any], Any, Any] = BlastwallMiddleware(guard)
    BlastwallMiddleware(guard, connector="files")
    BlastwallMiddleware()  # type: ignore[call-arg]
    error: ToolException = ToolRefusal("no")
    del middleware, error
