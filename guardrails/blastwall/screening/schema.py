"""Output checks: a tool's declared JSON Schema or Python type, as a function that says what is broken."""

from collections.abc import Mapping
from typing import Any, Never, Protocol

import jsonschema_rs

from blastwall.frozen import Json, thaw
from blastwall.values import OutputCheck


class TypeChecker(Protocol):
    """What `pydantic_type` needs: a `pydantic.TypeAdapter`, or anything that validates as one."""

    def validate_python(self, value: Any, /) -> object:
        """Return something for a valid value and raise for any other."""
        ...


def json_schema(schema: Mapping[str, Any]) -> OutputCheck:
    """Check outputs against a JSON Schema (draft 4 to 2020-12, as `$schema` says; 2020-12 without it).

    Nothing is ever fetched: a `$ref` or `$schema` that points outside the schema and the standard
    meta-schemas is an error here.

    Raises:
        ValueError: the schema is no valid JSON Schema or refers to something remote.

    """
    try:
        validator = jsonschema_rs.validator_for(dict(schema), retriever=_refuse)
    except ValueError as error:
        raise ValueError(f"this is no usable JSON Schema: {_problem(error)}") from error

    def check(value: Json) -> str | None:
        error = next(validator.iter_errors(value), None)
        return None if error is None else _describe(error)

    return check


def pydantic_type(adapter: TypeChecker) -> OutputCheck:
    """Check outputs against a type by pydantic's own rules.

    The adapter raises for an invalid value, and that exception goes through: to screening, a check that
    raises has rejected the output.
    """

    def check(value: Json) -> str | None:
        adapter.validate_python(thaw(value))
        return None

    return check


def _refuse(_uri: str, /) -> Never:
    raise ValueError("a schema may not refer to anything outside itself")


def _problem(error: ValueError) -> str:
    """Say where in the schema the mistake is, and what, in the library's first line."""
    where = error.instance_path if isinstance(error, jsonschema_rs.ValidationError) else []
    return f"at ${''.join(f'.{step}' for step in where)}: {str(error).partition(chr(10))[0]}"


def _describe(error: jsonschema_rs.ValidationError) -> str:
    """Name the path and the keyword. A key that the schema doesn't name is the output's own text: `*`."""
    named = {*error.schema_path, *error.evaluation_path}
    path = "$"
    for step in error.instance_path:
        path += f"[{step}]" if isinstance(step, int) else f".{step if step in named else '*'}"
    return f"{path} breaks the schema's {error.kind.name!r}"
