"""Guard the tools of an agent that nobody wrapped."""

from collections.abc import Awaitable, Callable
from typing import Any, Never

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from blastwall.errors import BackendError
from blastwall.guard import Guard
from blastwall.values import Denied, Reason, ToolCall
from blastwall_langchain.wrap import reserved, wrap_tool

_REMEMBERED = 256
"""Tools whose guarded copies are kept; a server that makes new tools for each run can't fill the memory."""


class BlastwallMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Guards every tool call that an agent's tool node runs, whether its tool was wrapped or not.

    The tool is swapped for its guarded copy (see `wrap_tool`) as its call begins, so that the arguments
    are validated before they are judged, and callbacks and streams see the screened output. A tool that
    this guard guards already is left as it is. A call of a tool that isn't there is refused.

    List it last: middleware that comes after it can still swap the tool or answer in its place. It does
    not see what never reaches the tool node: tools that the model's provider runs, `tool.invoke` in
    your own code, and the tools of sub-agents, each of which needs it in its own specification.

    A refused tool with `return_direct` ends the run, with the refusal as the last message.
    """

    def __init__(self, guard: Guard, *, connector: str | None = None) -> None:
        """Take the guard, and the connector of all tools if they have but one; else as `wrap_tool`."""
        super().__init__()
        self._guard = guard
        self._connector = connector
        self._kept: dict[int, tuple[BaseTool, BaseTool, frozenset[str]]] = {}

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run the call by the guarded tool."""
        if request.tool is None:
            self._guard.current.call(*_unknown(request), _nothing)
            return _refused(request)
        return handler(self._guarded(request, request.tool))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Run the call by the guarded tool, awaiting."""
        if request.tool is None:
            await self._guard.current.acall(*_unknown(request), _nothing)
            return _refused(request)
        return await handler(self._guarded(request, request.tool))

    def _guarded(self, request: ToolCallRequest, tool: BaseTool) -> ToolCallRequest:
        """Swap the tool, and drop what the model wrote in the place of injected arguments, by any alias."""
        known, guarded, injected = self._kept.get(id(tool), (None, tool, frozenset[str]()))
        if known is not tool:
            guarded, injected = wrap_tool(tool, self._guard, connector=self._connector), reserved(tool)
            if len(self._kept) >= _REMEMBERED:
                self._kept.clear()
            self._kept[id(tool)] = (tool, guarded, injected)
        call = request.tool_call
        args = {name: value for name, value in call["args"].items() if name not in injected}
        return request.override(tool=guarded, tool_call={**call, "args": args})


def _unknown(request: ToolCallRequest) -> tuple[str, str, dict[str, Any]]:
    """Put the call under no connector: the policy refuses it, and the audit log has it."""
    return "", request.tool_call["name"], request.tool_call["args"]


def _nothing(call: ToolCall) -> Never:
    raise BackendError(f"there is no tool {call.tool!r}")


def _refused(request: ToolCallRequest) -> ToolMessage:
    name = request.tool_call["name"]
    denied = Denied(
        Reason.INVALID_CALL, f"there is no tool {name!r}", instead="call one of the tools that you were given"
    )
    return ToolMessage(str(denied), name=name, tool_call_id=request.tool_call["id"], status="error")
