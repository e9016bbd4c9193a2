"""The JSON view of whatever a tool takes or gives: the thing that is judged and screened."""

import base64
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from blastwall.frozen import Json, NotJson, freeze


def view(value: object) -> Json:
    """Give any Python value's JSON view, frozen.

    Plain JSON stays as it is; pydantic models, dataclasses, dates, sets and the like take pydantic's
    JSON form; bytes are read as UTF-8, or base64 where they are none. What has no JSON form but a plain
    text (NaN, a large integer, a file name that is no Unicode) becomes that text.

    Raises:
        NotJson: for objects that have no such form, and for what can be read only once.

    """
    return freeze(value, _nearer)


def _nearer(value: object) -> object:
    try:
        match value:
            case str():
                return value.encode(errors="backslashreplace").decode()
            case bytes() | bytearray() | memoryview():
                return _decoded(bytes(value))
            case int() | float():
                return repr(value)
            case Iterator():
                raise NotJson("$", "what can be read only once can't be screened: return a list")
            case _:
                return _by_pydantic(value)
    except NotJson:
        raise
    except (ValueError, RecursionError):
        raise NotJson("$", f"a {type(value).__name__} is not JSON") from None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _by_pydantic(value: object) -> object:
    try:
        return to_jsonable_python(value, by_alias=True, bytes_mode="utf8")
    except ValueError:  # bytes inside that are no text; a model has its own opinion about those
        if isinstance(value, BaseModel):
            return value.model_dump(by_alias=True)
        return to_jsonable_python(value, by_alias=True, bytes_mode="base64")
