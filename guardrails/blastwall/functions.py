"""Plain Python functions as guarded tools."""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, assert_never

from pydantic import PydanticSchemaGenerationError, TypeAdapter, validate_call

from blastwall import sandbox
from blastwall.errors import BackendError, RefusedError, Suspended, ToolFailed
from blastwall.fingerprint import Definition
from blastwall.frozen import FrozenDict, Json, NotJson, canonical, freeze, thaw
from blastwall.screening.schema import pydantic_type
from blastwall.values import (
    Delivered,
    Failed,
    Outcome,
    OutputCheck,
    Profile,
    Refused,
    ToolCall,
    ToolOutput,
    Withheld,
)
from blastwall.views import view

if TYPE_CHECKING:
    from blastwall.guard import Guard

GUARDED = "__blastwall__"
"""The attribute of a guarded function that holds `(guard, FunctionTool)`: it is not to be guarded twice."""


class FunctionTool:
    """A function seen as a tool: arguments to frozen JSON, and frozen JSON back to arguments."""

    def __init__(self, function: Callable[..., Any], connector: str, name: str | None, output: Any) -> None:
        """Read the function's signature.

        Raises:
            TypeError: when the function can't be guarded.

        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function!r} is a generator: an output must be whole before it is screened")
        if not inspect.isfunction(inspect.unwrap(function)) and not inspect.ismethod(function):
            raise TypeError(
                f"{function!r} is no function: for a framework's tool use its adapter (wrap_tool)"
            )
        self.function = function
        self.connector = connector
        self.name = name or function.__name__
        self._signature = inspect.signature(function)
        if any(p.kind is p.VAR_POSITIONAL for p in self._signature.parameters.values()):
            raise TypeError(f"{self.name} takes *args: a policy can't name them")
        self._positional = [n for n, p in self._signature.parameters.items() if p.kind is p.POSITIONAL_ONLY]
        self._adapters = _adapters(function, self._signature)
        self._check: OutputCheck | None = None if output is None else pydantic_type(TypeAdapter(output))
        self.definition = Definition(self._described)

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Validate a call's arguments and give their JSON form, defaults included.

        Raises:
            TypeError: when they don't fit the signature, or two of them have one name.
            pydantic.ValidationError: when they don't fit its annotations.

        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                if twice := sorted(found.keys() & value.keys()):
                    raise TypeError(f"{self.name} got two arguments of the name {twice[0]!r}")
                found.update(value)
                continue
            adapter = self._adapters.get(name)
            if adapter is not None:
                value = adapter.validate_python(value)
                value = adapter.dump_python(value, mode="json", by_alias=True)
            found[name] = value
        return found

    def bind(self, arguments: FrozenDict) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn the judged arguments back into what the function takes.

        Raises:
            TypeError: when an approver's edit left a positional-only one out.
            pydantic.ValidationError: when it does not fit the annotations.

        """
        values = {name: self._bind(name, value) for name, value in arguments.items()}
        if missing := [name for name in self._positional if name not in values]:
            raise TypeError(f"{self.name} needs the argument {missing[0]!r}")
        return tuple([values.pop(name) for name in self._positional]), values

    def _bind(self, name: str, value: Json) -> Any:
        adapter = self._adapters.get(name)
        return thaw(value) if adapter is None else adapter.validate_json(canonical(value))

    def portable(self, call: ToolCall) -> tuple[Callable[..., Any], dict[str, Any]]:
        """Give what a sandbox needs: a function that takes JSON, and the judged arguments."""
        arguments = thaw(call.arguments)
        if self._adapters or self._positional:
            bound = functools.partial(_bound, self.function, tuple(self._positional))
            return bound, {"arguments": arguments}
        return self.function, arguments

    def _described(self) -> dict[str, object]:
        """Give what a model would be told of the function: its name, its docstring and its signature."""
        schema: dict[str, object] = {
            name: self._parameter(parameter) for name, parameter in self._signature.parameters.items()
        }
        return {"name": self.name, "description": inspect.getdoc(self.function), "inputSchema": schema}

    def _parameter(self, parameter: inspect.Parameter) -> dict[str, object]:
        adapter = self._adapters.get(parameter.name)
        told: dict[str, object] = {"kind": parameter.kind.name}
        if adapter is not None:
            told["schema"] = adapter.json_schema()
        if parameter.default is not parameter.empty:
            told["default"] = _form(parameter.default, adapter)
        return told

    def output(self, value: object) -> ToolOutput:
        """Give a result as an output.

        Raises:
            BackendError: when it can't be screened, and so not be shown.

        """
        try:
            return ToolOutput(view(value), raw=value, check=self._check)
        except NotJson:
            raise BackendError(
                f"{self.name} ran, but its result can't be screened: it has no JSON form, or is too large"
            ) from None


def _form(default: object, adapter: TypeAdapter[Any] | None) -> object:
    """Give a default's JSON form, or its type where it has none."""
    try:
        return freeze(default if adapter is None else adapter.dump_python(default, mode="json"))
    except (NotJson, ValueError, TypeError):
        return type(default).__qualname__


def _adapters(function: Callable[..., Any], signature: inspect.Signature) -> dict[str, TypeAdapter[Any]]:
    hints = typing.get_type_hints(function, include_extras=True)
    found: dict[str, TypeAdapter[Any]] = {}
    for name, parameter in signature.parameters.items():
        hint = hints.get(name, parameter.annotation)
        if parameter.kind is parameter.VAR_KEYWORD or hint is Any or hint is parameter.empty:
            continue
        try:
            found[name] = TypeAdapter(hint)
        except PydanticSchemaGenerationError:
            raise TypeError(
                f"{function.__name__}: the argument {name!r} is of a type that has no JSON form"
            ) from None
    return found


def guarded(
    owner: "Guard", function: Callable[..., Any], connector: str, name: str | None, output: Any
) -> Callable[..., Any]:
    """Wrap a function so that every call of it goes through the guard's current session."""
    tool = FunctionTool(function, connector, name, output)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            arguments = tool.read(args, kwargs)
            outcome = await owner.current.acall(
                connector,
                tool.name,
                arguments,
                functools.partial(_arun, tool),
                confine=functools.partial(_aconfined, owner, tool),
                fingerprint=_fingerprint(owner, tool),
            )
            return deliver(outcome)

        wrapper: Callable[..., Any] = awaiting
    else:

        @functools.wraps(function)
        def blocking(*args: Any, **kwargs: Any) -> Any:
            arguments = tool.read(args, kwargs)
            outcome = owner.current.call(
                connector,
                tool.name,
                arguments,
                functools.partial(_run, tool),
                confine=functools.partial(_confined, owner, tool),
                fingerprint=_fingerprint(owner, tool),
            )
            return deliver(outcome)

        wrapper = blocking
    setattr(wrapper, GUARDED, (owner, tool))
    return wrapper


def _fingerprint(owner: "Guard", tool: FunctionTool) -> str:
    return tool.definition.fingerprint if owner.policy.pins(tool.connector) else ""


def deliver(outcome: Outcome) -> Any:
    """Turn an outcome into what a plain function does: return, or raise.

    Raises:
        RefusedError: when the call was refused, its output withheld, or the outside failed.
        ToolFailed: when the tool itself failed and screening changed its words; else its own exception.

    """
    match outcome:
        case Delivered(output):
            if isinstance(output.raw, _Raised):
                raise output.raw.error
            if output.is_error:
                raise ToolFailed(str(output.value))
            return thaw(output.value) if output.raw is None else output.raw
        case Refused(denied) | Withheld(denied) | Failed(denied):
            raise RefusedError(str(denied))
        case _:
            assert_never(outcome)


class _Raised:
    """Carries a tool's own exception through the flow."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _raised(error: Exception) -> ToolOutput:
    if isinstance(error, Suspended):
        raise error
    return ToolOutput(view(str(error)), is_error=True, raw=_Raised(error))


def _run(tool: FunctionTool, call: ToolCall) -> ToolOutput:
    args, kwargs = tool.bind(call.arguments)
    try:
        result = tool.function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  # the tool's failure is its output
        return _raised(error)
    return tool.output(result)


async def _arun(tool: FunctionTool, call: ToolCall) -> ToolOutput:
    args, kwargs = tool.bind(call.arguments)
    try:
        result = await tool.function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  # the tool's failure is its output
        return _raised(error)
    return tool.output(result)


def _bound(function: Callable[..., Any], positional: tuple[str, ...], arguments: dict[str, Any]) -> Any:
    """Turn JSON into what the annotations say, then call. It runs inside the sandbox, without blastwall."""
    first = [arguments.pop(name) for name in positional]
    return validate_call(function)(*first, **arguments)


def _confined(owner: "Guard", tool: FunctionTool, call: ToolCall, profile: Profile) -> ToolOutput:
    function, arguments = tool.portable(call)
    try:
        return tool.output(thaw(owner.current.boxes.call(function, arguments, profile)))
    except sandbox.ToolRaised as error:
        return ToolOutput(view(str(error)), is_error=True)


async def _aconfined(owner: "Guard", tool: FunctionTool, call: ToolCall, profile: Profile) -> ToolOutput:
    function, arguments = tool.portable(call)
    try:
        return tool.output(thaw(await owner.current.boxes.acall(function, arguments, profile)))
    except sandbox.ToolRaised as error:
        return ToolOutput(view(str(error)), is_error=True)
