"""What a tool gave back: its JSON view for screening, and the way back to LangChain's objects."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.messages.tool import ToolOutputMixin
from langgraph.types import Command, Send

from blastwall.errors import BackendError
from blastwall.frozen import FrozenDict, Json, NotJson, freeze, thaw
from blastwall.values import ToolOutput
from blastwall.views import view

_BINDING = frozenset({"type", "tool_call_id"})
"""What binds a message to its call: it stays as the tool wrote it."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A tool's return value, beside the view of it that is screened.

    Attributes:
        value: What the tool returned.
        view: `content`; `artifact` where the response format has one; `text` where LangChain would show
            the content by its `str()`.

    """

    value: Any
    view: FrozenDict

    @classmethod
    def of(cls, value: Any, *, pair: bool) -> "Returned":
        """Look at a return value, or at a pair of content and artifact.

        Raises:
            BackendError: when a part of it has no JSON view, for then it can't be screened.

        """
        try:
            if pair and isinstance(value, tuple) and len(value) == 2:
                content, seen = _content(value[0])
                return cls((content, value[1]), FrozenDict(seen, artifact=_view(value[1])))
            content, seen = _content(value)
            return cls(content, FrozenDict(seen))
        except NotJson as error:
            raise BackendError(f"its output can't be screened: {error}") from None

    def output(self) -> ToolOutput:
        """Hand it to the flow."""
        return ToolOutput(self.view, raw=self.value, roots=("content", "artifact"))

    def screened(self, shown: Json) -> Any:
        """Give a return value of the same form, made from what screening left of the view."""
        after: Mapping[str, Json] = shown if isinstance(shown, Mapping) else {}
        if "artifact" not in self.view:
            return _rebuilt(self.value, self.view["content"], after.get("content"))
        content, artifact = self.value
        return (
            _rebuilt(content, self.view["content"], after.get("content")),
            _rebuilt(artifact, self.view["artifact"], after.get("artifact")),
        )


@dataclass(frozen=True, slots=True)
class Raised:
    """What a tool raised, beside its view: `error`, its text, and `details`, what else it was made with."""

    error: Exception
    view: FrozenDict

    @classmethod
    def of(cls, error: Exception) -> "Raised":
        """Look at an exception; a handler may show its text, its arguments, or its `repr()`."""
        text = str(error)
        details = tuple(_detail(arg) for arg in error.args if not (type(arg) is str and arg == text))
        return cls(error, FrozenDict(error=text, details=details) if details else FrozenDict(error=text))

    def output(self) -> ToolOutput:
        """Hand it to the flow."""
        return ToolOutput(freeze(self.view), is_error=True, raw=self.error)


def _detail(value: object) -> Json:
    try:
        return _view(value)
    except NotJson:
        return repr(value)


def _content(value: Any) -> tuple[Any, dict[str, Json]]:
    """Give content that can be screened, and its view: an object without a JSON view becomes its text."""
    try:
        return value, {"content": freeze(value)}
    except NotJson:
        pass
    if isinstance(value, ToolOutputMixin) or _messages(value):
        return value, {"content": _view(value)}
    text = str(value)
    try:
        return value, {"content": _view(value), "text": text}
    except NotJson:
        return text, {"content": text}


def _messages(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, ToolOutputMixin) for item in value)


def _view(value: object) -> Json:
    try:
        return freeze(value)
    except NotJson:
        pass
    parts = _parts(value)
    if parts is not None:
        return FrozenDict({name: _view(part) for name, part in parts.items()})
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return FrozenDict({key: _view(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple([_view(item) for item in value])
    return view(value)


def _parts(value: object) -> dict[str, Any] | None:
    """Name the parts of an object of LangChain's that can hold a tool's words."""
    if isinstance(value, BaseMessage):
        named = {name: getattr(value, name) for name in type(value).model_fields if name not in _BINDING}
    elif isinstance(value, Command):
        named = {"update": value.update, "resume": value.resume, "goto": value.goto}
    elif isinstance(value, Send):
        named = {"arg": value.arg}
    else:
        return None
    return {name: part for name, part in named.items() if part or name == "content"}


def _rebuilt(value: Any, before: Json, after: Json) -> Any:
    """Put what screening changed into a copy of `value`; what it left alone stays the object that it is."""
    if before == after:
        return value
    parts = _parts(value)
    if parts is not None and isinstance(before, Mapping) and isinstance(after, Mapping):
        return _with(value, {name: _rebuilt(parts[name], before[name], after[name]) for name in before})
    if isinstance(value, dict) and isinstance(before, Mapping) and isinstance(after, Mapping):
        return {key: _rebuilt(item, before[key], after[key]) for key, item in value.items()}
    if isinstance(value, list | tuple) and isinstance(before, tuple) and isinstance(after, tuple):
        same: Callable[[list[Any]], Any] = list if isinstance(value, list) else tuple
        return same([_rebuilt(*item) for item in zip(value, before, after, strict=True)])
    return thaw(after)


def _with(value: Any, parts: dict[str, Any]) -> Any:
    if isinstance(value, BaseMessage):
        return value.model_copy(update=parts)
    if isinstance(value, Command):
        return replace(value, **parts)
    sent = copy(value)
    sent.arg = parts["arg"]
    return sent
