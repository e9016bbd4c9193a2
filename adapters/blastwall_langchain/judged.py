"""One LangChain tool under a guard: a call goes in, LangChain's own kind of answer comes out."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from langchain_core.tools import ToolException
from langgraph.errors import GraphBubbleUp, ParentCommand

from blastwall import sandbox
from blastwall.errors import RefusedError, SandboxUnavailable, Suspended, ToolFailed
from blastwall.fingerprint import Definition
from blastwall.frozen import FrozenDict, Json, thaw
from blastwall.functions import FunctionTool
from blastwall.guard import Guard
from blastwall.values import Delivered, Failed, Outcome, Profile, Refused, ToolCall, ToolOutput, Withheld
from blastwall_langchain.arguments import Arguments, Parameters
from blastwall_langchain.output import Raised, Returned
from blastwall_langchain.refusal import ToolRefusal


@dataclass(frozen=True, slots=True)
class GuardedTool:
    """What guarding one function of a tool takes.

    Attributes:
        guard: The guard.
        connector: Whose scopes apply; the empty name belongs to nobody, so that every call is refused.
        name: The tool's name.
        parameters: What it takes.
        pair: Whether it returns content and artifact.
        plain: The function that a sandbox can run, if there is one.
        definition: What a model is told of the tool.

    """

    guard: Guard
    connector: str
    name: str
    parameters: Parameters
    pair: bool
    plain: Callable[..., Any] | None
    definition: Definition

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the definition, if the policy pins tools of this connector."""
        return self.definition.fingerprint if self.guard.policy.pins(self.connector) else ""

    def call(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Guard one call of `run`, blocking.

        Raises:
            ToolRefusal: when it was refused, its output withheld, or the outside failed.
            ToolException: when the tool failed and screening changed its words.
            Exception: what the tool itself raised, when its words may be shown.

        """
        call = _Call(self, run, self.parameters.read(args, kwargs))
        try:
            outcome = self.guard.current.call(
                self.connector,
                self.name,
                call.arguments.model,
                call.execute,
                confine=call.confine if self.plain else None,
                fingerprint=self.fingerprint,
            )
        except Suspended as error:
            unwound = translated(error)
        else:
            return call.deliver(outcome)
        raise unwound

    async def acall(
        self, run: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Guard one call of `run`, awaiting; it raises as `call` does."""
        call = _Call(self, run, self.parameters.read(args, kwargs))
        try:
            outcome = await self.guard.current.acall(
                self.connector,
                self.name,
                call.arguments.model,
                call.aexecute,
                confine=call.aconfine if self.plain else None,
                fingerprint=self.fingerprint,
            )
        except Suspended as error:
            unwound = translated(error)
        else:
            return call.deliver(outcome)
        raise unwound


@dataclass(slots=True)
class _Call:
    """One call on its way: it remembers what came back, so that a screened copy can be made of it."""

    tool: GuardedTool
    run: Callable[..., Any]
    arguments: Arguments
    came: Returned | Raised | None = field(default=None, init=False)
    upward: bool = field(default=False, init=False)

    def execute(self, call: ToolCall) -> ToolOutput:
        args, kwargs = self.tool.parameters.restore(call, self.arguments)
        try:
            value = self.run(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the tool's failure is its output
            return self._raised(error)
        return self._returned(value)

    async def aexecute(self, call: ToolCall) -> ToolOutput:
        args, kwargs = self.tool.parameters.restore(call, self.arguments)
        try:
            value = await self.run(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the tool's failure is its output
            return self._raised(error)
        return self._returned(value)

    def confine(self, call: ToolCall, profile: Profile) -> ToolOutput:
        function, arguments = self._portable(call)
        try:
            return self._came_out(self.tool.guard.current.boxes.call(function, arguments, profile))
        except sandbox.ToolRaised as error:
            return self._raised(ToolException(str(error)))

    async def aconfine(self, call: ToolCall, profile: Profile) -> ToolOutput:
        function, arguments = self._portable(call)
        try:
            return self._came_out(await self.tool.guard.current.boxes.acall(function, arguments, profile))
        except sandbox.ToolRaised as error:
            return self._raised(ToolException(str(error)))

    def deliver(self, outcome: Outcome) -> Any:
        """Return what the tool returned, or raise."""
        match outcome:
            case Delivered(output):
                return self._shown(output)
            case Refused(denied) | Withheld(denied) | Failed(denied):
                raise ToolRefusal(str(denied))
            case _:
                assert_never(outcome)

    def _shown(self, output: ToolOutput) -> Any:
        match self.came:
            case Raised(error):
                raise translated(error) if output.raw is error else ToolException(_text(output.value))
            case Returned() as returned if self.upward:
                changed = output.raw is None
                raise ParentCommand(returned.screened(output.value) if changed else returned.value)
            case Returned() as returned:
                return returned.screened(output.value) if output.raw is None else output.raw
            case None:
                raise ToolRefusal("blastwall lost the output of this call")

    def _returned(self, value: Any) -> ToolOutput:
        self.came = Returned.of(value, pair=self.tool.pair)
        return self.came.output()

    def _raised(self, error: Exception) -> ToolOutput:
        match error:
            case Suspended():
                raise error
            case ParentCommand(args=(command,)):
                self.upward = True
                self.came = Returned.of(command, pair=False)
                return self.came.output()
            case GraphBubbleUp():
                raise Suspended("LangGraph unwinds the run") from error
            case _:
                self.came = Raised.of(error)
                return self.came.output()

    def _came_out(self, value: Json) -> ToolOutput:
        thawed = thaw(value)
        pair = self.tool.pair and isinstance(thawed, list)
        return self._returned(tuple(thawed) if pair else thawed)

    def _portable(self, call: ToolCall) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Give what a sandbox can run: the plain function, and the judged arguments alone.

        Raises:
            SandboxUnavailable: when the tool needs more than its function and JSON.

        """
        self.tool.parameters.restore(call, self.arguments)  # an edit must fit the schema here too
        needed = sorted(name for name, value in self.arguments.injected.items() if value is not None)
        if needed:
            raise SandboxUnavailable(
                f"{self.tool.name} takes {', '.join(needed)} from LangChain, which can't enter a sandbox:"
                " take that out of the function, or take `sandbox` off the rule"
            )
        return _portable(self.tool, self.arguments, call)


def translated(error: Exception) -> Exception:
    """Give LangChain's kind of error for a guarded plain function's; any other stays itself."""
    match error:
        case Suspended(__cause__=Exception() as cause):
            return cause
        case RefusedError():
            return ToolRefusal(str(error))
        case ToolFailed():
            return ToolException(str(error))
        case _:
            return error


def _text(view: Json) -> str:
    return str(view["error"]) if isinstance(view, Mapping) else str(view)


def _portable(
    tool: GuardedTool, arguments: Arguments, call: ToolCall
) -> tuple[Callable[..., Any], dict[str, Any]]:
    if tool.plain is None:
        raise SandboxUnavailable(f"{tool.name} has no plain function")
    parameters = inspect.signature(tool.plain).parameters
    names = dict(zip(arguments.positional, parameters, strict=False))
    untyped = sorted(
        name
        for name in arguments.typed
        if name not in parameters or parameters[name].annotation is inspect.Parameter.empty
    )
    if untyped:
        raise SandboxUnavailable(
            f"{tool.name} can't run in a sandbox: annotate its parameters {', '.join(untyped)}, whose values"
            " are not plain JSON"
        )
    judged = FrozenDict({names.get(name, name): value for name, value in call.arguments.items()})
    try:
        return FunctionTool(tool.plain, tool.connector, tool.name, None).portable(
            replace(call, arguments=judged)
        )
    except TypeError as error:
        raise SandboxUnavailable(f"{tool.name} can't run in a sandbox: {error}") from None
