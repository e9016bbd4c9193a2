"""Guard LangChain tools: the wrapped tool is the same tool, and each of its calls is judged and screened."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from langchain_core.runnables import run_in_executor
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langchain_core.tools import tool as tool_of
from langchain_core.utils.function_calling import convert_to_openai_tool

from blastwall.errors import RefusedError, Suspended, ToolFailed
from blastwall.fingerprint import Definition
from blastwall.functions import GUARDED, FunctionTool
from blastwall.guard import Guard
from blastwall_langchain.arguments import Parameters
from blastwall_langchain.judged import GuardedTool, translated
from blastwall_langchain.refusal import REFUSALS_ONLY

_SEAL = "__blastwall_langchain__"
"""Holds `(guard, function)` on a guarded function. The function is named so that a copied seal is void."""

_MCP_ANNOTATIONS = frozenset(
    {"readOnlyHint", "read_only_hint", "destructiveHint", "destructive_hint", "_meta"}
)
"""Keys of metadata that an MCP adapter filled with the server's own words, which name no connector."""


def wrap_tools(
    tools: Iterable[BaseTool | Callable[..., Any]], guard: Guard, *, connector: str | None = None
) -> list[BaseTool]:
    """Guard several tools; see `wrap_tool`."""
    return [wrap_tool(tool, guard, connector=connector) for tool in tools]


def wrap_tool(tool: BaseTool | Callable[..., Any], guard: Guard, *, connector: str | None = None) -> BaseTool:
    """Guard every call of a tool; the tool that is passed in stays as it is.

    Schema, injected parameters, metadata, tags, response format and callbacks are those of the tool. A
    refusal is its error: a `ToolMessage` with status "error" in an agent, its text from a direct call.
    A `handle_tool_error` that the tool has is kept and also handles refusals.

    Injected arguments are not judged. ToolNode (and so `create_agent`) fills them and drops what a model
    wrote in their place; LangChain's own `tool.invoke(tool_call)` does not, so a loop of your own must
    not hand a model's call to a tool that has injected parameters. What a tool sends while it runs (output
    deltas, a stream writer, its own interrupts) is not screened: it goes to whoever watches the stream.

    Args:
        tool: A LangChain tool or a function. One that this guard already guards is guarded once.
        guard: The guard.
        connector: Whose scopes apply. Else `tool.metadata["connector"]`, unless an MCP server wrote that
            metadata; else the connector whose `match.tools` claims the name; else every call is refused.

    """
    made = tool if isinstance(tool, BaseTool) else tool_of(tool)
    if _is_guarded(made, guard):
        return made
    if connector is None:
        connector = _own_connector(made) or guard.policy.connector_of(made.name) or ""
    if _is_function_tool(made):
        return _guard_functions(made, guard, connector)
    return _guard_methods(made, guard, connector)


def reserved(tool: BaseTool) -> frozenset[str]:
    """Name the keys of a tool's arguments that a model must not fill, aliases included."""
    if _is_function_tool(tool):
        return Parameters(tool, _function(tool), "callbacks").reserved()
    return Parameters(tool, tool._run, "run_manager").reserved()


def _is_guarded(tool: BaseTool, guard: Guard) -> bool:
    if isinstance(tool, StructuredTool | Tool) and _is_function_tool(tool):
        functions = [function for function in (tool.func, tool.coroutine) if function]
    else:
        functions = [type(tool)._run, type(tool)._arun]
    seals = [(function, getattr(function, _SEAL, (None, None))) for function in functions]
    return all(by is guard and sealed is function for function, (by, sealed) in seals)


def _seal(function: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    setattr(function, _SEAL, (guard, function))
    return function


def _is_function_tool(tool: BaseTool) -> TypeGuard[StructuredTool | Tool]:
    """Say whether the tool's work is in `func` and `coroutine`, as LangChain's own two classes have it."""
    own = (StructuredTool, Tool)
    return (
        isinstance(tool, own)
        and any(type(tool)._run is kind._run and type(tool)._arun is kind._arun for kind in own)
        and bool(tool.func or tool.coroutine)
    )


def _function(tool: StructuredTool | Tool) -> Callable[..., Any]:
    return tool.func or tool.coroutine or tool._run


def _own_connector(tool: BaseTool) -> str | None:
    metadata = tool.metadata or {}
    stated = None if _MCP_ANNOTATIONS & metadata.keys() else metadata.get("connector")
    return stated if isinstance(stated, str) else None


def _described(tool: BaseTool) -> dict[str, object]:
    """Give what a model is told of a tool."""
    told = convert_to_openai_tool(tool)["function"]
    return {"name": told["name"], "description": told["description"], "inputSchema": told["parameters"]}


def _guard_functions(tool: StructuredTool | Tool, guard: Guard, connector: str) -> BaseTool:
    """Guard a tool that is made of functions: the copy has guarded ones."""
    update: dict[str, Any] = {"handle_tool_error": tool.handle_tool_error or REFUSALS_ONLY}
    plain = _function(tool)
    pair = tool.response_format == "content_and_artifact"
    definition = Definition(functools.partial(_described, tool))

    def spec(function: Callable[..., Any]) -> GuardedTool:
        parameters = Parameters(tool, function, "callbacks")
        return GuardedTool(guard, connector, tool.name, parameters, pair, plain, definition)

    if tool.func:
        decorated = _is_decorated(tool.func, guard)
        guarded = _translating(tool.func) if decorated else _blocking(tool.func, spec(tool.func))
        update["func"] = _seal(guarded, guard)
        if not decorated and "callbacks" not in inspect.signature(tool.func).parameters:
            # Awaited even where the function blocks, so that a person may be asked asynchronously.
            update["coroutine"] = _seal(_offloading(tool.func, spec(tool.func)), guard)
    if tool.coroutine:
        decorated = _is_decorated(tool.coroutine, guard)
        awaited = (
            _atranslating(tool.coroutine) if decorated else _awaiting(tool.coroutine, spec(tool.coroutine))
        )
        update["coroutine"] = _seal(awaited, guard)
    return tool.model_copy(update=update)


def _guard_methods(tool: BaseTool, guard: Guard, connector: str) -> BaseTool:
    """Guard a tool with its own `_run`: a copy whose class calls the methods of the tool itself."""
    kind = type(tool)
    source = kind._run if kind._arun is BaseTool._arun else kind._arun
    pair = tool.response_format == "content_and_artifact"
    definition = Definition(functools.partial(_described, tool))

    def spec(method: Callable[..., Any]) -> GuardedTool:
        parameters = Parameters(tool, method, "run_manager")
        return GuardedTool(guard, connector, tool.name, parameters, pair, None, definition)

    run, arun = spec(tool._run), spec(tool._arun if source is kind._arun else tool._run)

    @functools.wraps(kind._run)
    def _run(_self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        return run.call(tool._run, args, kwargs)

    @functools.wraps(source)
    async def _arun(_self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        return await arun.acall(tool._arun, args, kwargs)

    members = {"_run": _seal(_run, guard), "_arun": _seal(_arun, guard), "__module__": kind.__module__}
    copied = tool.model_copy(update={"handle_tool_error": tool.handle_tool_error or REFUSALS_ONLY})
    copied.__class__ = type(kind.__name__, (kind,), members)
    return copied


def _blocking(function: Callable[..., Any], spec: GuardedTool) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return spec.call(function, args, kwargs)

    return guarded


def _awaiting(function: Callable[..., Any], spec: GuardedTool) -> Callable[..., Any]:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        return await spec.acall(function, args, kwargs)

    return guarded


def _offloading(function: Callable[..., Any], spec: GuardedTool) -> Callable[..., Any]:
    async def offloaded(*args: Any, **kwargs: Any) -> Any:
        return await run_in_executor(None, functools.partial(function, *args, **kwargs))

    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        return await spec.acall(offloaded, args, kwargs)

    return guarded


def _is_decorated(function: Callable[..., Any], guard: Guard) -> bool:
    """Say whether `guard.tool` of this very guard made the function; it judges by itself then."""
    owner, made = getattr(function, GUARDED, (None, None))
    # A further decorator copies the attribute along; only the guarded function itself wraps its tool's.
    own = isinstance(made, FunctionTool) and made.function is getattr(function, "__wrapped__", None)
    return own and owner is guard


def _translating(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (RefusedError, ToolFailed, Suspended) as error:
            raised = translated(error)
        raise raised

    return guarded


def _atranslating(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except (RefusedError, ToolFailed, Suspended) as error:
            raised = translated(error)
        raise raised

    return guarded
