"""A tool's arguments: which ones the model wrote, their JSON form, and the way back to Python values."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool

# LangGraph's ToolNode takes these too: what LangChain itself injects is the only sound answer here.
from langchain_core.tools.base import (
    _get_runnable_config_param,
    _is_injected_arg_type,
    get_all_basemodel_annotations,
)
from pydantic import AliasChoices, AliasPath, BaseModel, PydanticSchemaGenerationError, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import ValidationError

from blastwall.errors import BackendError
from blastwall.frozen import MAX_DEPTH, FrozenDict, Json, NotJson, canonical, freeze, thaw
from blastwall.values import ToolCall


class LossyValue:
    """Stands for an argument that its JSON form would change: freezing refuses it."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call, before they are judged.

    Attributes:
        model: What the model wrote, by name, in JSON form.
        text: The canonical text of that, or None where something has no exact JSON form.
        typed: The names whose Python value is not its JSON form.
        injected: What the framework put in. It is no part of the judged call.
        positional: The names that go by position, in order.

    """

    model: Mapping[str, object]
    text: str | None
    typed: frozenset[str]
    injected: Mapping[str, Any]
    positional: tuple[str, ...]


class Parameters:
    """What a tool takes.

    Args:
        tool: The tool.
        function: What LangChain calls in the end; its signature says what is injected.
        passed: The run-time parameter (`callbacks` or `run_manager`) that LangChain passes to such a
            function if its signature names it.

    """

    def __init__(self, tool: BaseTool, function: Callable[..., Any], passed: str) -> None:
        """Read the signature and the schema; nothing is called."""
        schema = tool.args_schema
        self._tool = tool
        self._schema = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        self._free = schema is None or isinstance(schema, dict)
        self._adapters: dict[str, TypeAdapter[Any] | None] = {}
        self.injected = _injected(tool, function, passed)

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Tell the model's arguments from the injected ones. All of them are validated already."""
        positional = tuple(self._tool.args)[: len(args)] if args else ()
        given = {**dict(zip(positional, args, strict=True)), **kwargs}
        injected = {name: given.pop(name) for name in self.injected if name in given}
        typed = frozenset(name for name, value in given.items() if not _plain(value))
        model = {name: self._form(name, v) if name in typed else v for name, v in given.items()}
        return Arguments(model, _text(model), typed, injected, positional)

    def restore(self, call: ToolCall, arguments: Arguments) -> tuple[list[Any], dict[str, Any]]:
        """Give what the function takes, made from the judged call alone.

        Raises:
            BackendError: when a person edited the arguments into something that the schema would change.

        """
        if canonical(call.arguments) != arguments.text:
            values = self._edited(call.arguments, arguments)
        else:
            values = {
                name: self._value(name, value) if name in arguments.typed else thaw(value)
                for name, value in call.arguments.items()
            }
        positional = [values.pop(name) for name in arguments.positional]
        return positional, {**values, **arguments.injected}

    def reserved(self) -> frozenset[str]:
        """Name every key that a model must not fill: injected parameters and their aliases."""
        fields = self._schema.model_fields if self._schema else {}
        return self.injected.union(*(_aliases(fields[name]) for name in self.injected if name in fields))

    def _form(self, name: str, value: object) -> object:
        """Give a value's JSON form if that leads back to the same value; else what can't be frozen."""
        adapter = self._adapter(name)
        if adapter is None:
            return LossyValue() if _freezes(value) else value
        try:
            form = adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings="error")
            again = adapter.validate_python(form)
            return form if type(again) is type(value) and again == value else LossyValue()
        except Exception:  # noqa: BLE001  # whatever breaks here, the form is not exact
            return LossyValue()

    def _value(self, name: str, value: Json) -> Any:
        adapter = self._adapter(name)
        return thaw(value) if adapter is None else adapter.validate_python(thaw(value))

    def _adapter(self, name: str) -> TypeAdapter[Any] | None:
        """Give the type of a field of the schema; made when first needed, which is seldom."""
        if name not in self._adapters:
            field = self._schema.model_fields.get(name) if self._schema else None
            try:
                self._adapters[name] = TypeAdapter(field.rebuild_annotation()) if field else None
            except PydanticSchemaGenerationError:
                self._adapters[name] = None
        return self._adapters[name]

    def _edited(self, edited: FrozenDict, arguments: Arguments) -> dict[str, Any]:
        """Give the values of edited arguments: the schema must take them exactly as they were judged."""
        if self._free:
            return {name: thaw(value) for name, value in edited.items()}
        if self._schema is None or edited.keys() != arguments.model.keys():
            raise BackendError("an edit may change the values of this tool's arguments, and nothing else")
        try:
            data = {**thaw(edited), **arguments.injected}
            valid = self._schema.model_validate(data, by_name=True, by_alias=False)
        except ValidationError:
            raise BackendError("the edited arguments break the tool's schema") from None
        values = {name: getattr(valid, name) for name in edited}
        forms = {name: value if _plain(value) else self._form(name, value) for name, value in values.items()}
        if _text(forms) != canonical(edited):
            raise BackendError("the tool's schema would change the edited arguments: give their exact values")
        return values


def _injected(tool: BaseTool, function: Callable[..., Any], passed: str) -> frozenset[str]:
    found = set(tool._injected_args_keys)
    if isinstance(tool.args_schema, type):
        hints = get_all_basemodel_annotations(tool.args_schema)
        found.update(name for name, hint in hints.items() if _is_injected_arg_type(hint))
    if passed in inspect.signature(function).parameters:
        found.add(passed)
    config = _get_runnable_config_param(function)
    return frozenset(found | {config} if config else found)


def _aliases(field: FieldInfo) -> Iterator[str]:
    for alias in (field.alias, field.validation_alias):
        for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            first = choice.path[0] if isinstance(choice, AliasPath) else choice
            if isinstance(first, str):
                yield first


def _text(forms: Mapping[str, Any]) -> str | None:
    try:
        return canonical(forms)
    except (TypeError, ValueError, RecursionError):
        return None


def _freezes(value: object) -> bool:
    try:
        freeze(value)
    except NotJson:
        return False
    return True


def _plain(value: object, depth: int = MAX_DEPTH) -> bool:
    """Say whether a value is JSON already, to its very types: an enum member that is a string is not."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or kind is float or value is None:
        return True
    if depth == 0:
        return False
    if kind is list:
        return all(_plain(item, depth - 1) for item in value)  # type: ignore[attr-defined]  # a list
    return kind is dict and all(
        type(key) is str and _plain(item, depth - 1)
        for key, item in value.items()  # type: ignore[attr-defined]  # a dict
    )
