"""The JSON view of whatever a tool takes or gives: the thing that is judged and screened."""

import base64
from typing import Any

from pydantic_core import to_jsonable_python

from blastwall.frozen import Json, NotJson, freeze


def view(value: object) -> Json:
    """Give any Python value's JSON view, frozen.

    Plain JSON stays as it is; pydantic models, dataclasses, dates, sets and the like take pydantic's
    JSON form; bytes are read as UTF-8, or base64 where they are none.

    Raises:
        NotJson: for objects that have no such form.

    """
    try:
        return freeze(value)
    except NotJson:
        pass
    try:
        return freeze(to_jsonable_python(value, by_alias=True, bytes_mode="utf8", fallback=_last))
    except (ValueError, RecursionError) as error:
        if isinstance(error, NotJson):
            raise
        return freeze(_reread(value))


def _reread(value: object) -> Any:
    """Try again with bytes that are not text in base64."""
    try:
        return to_jsonable_python(value, by_alias=True, bytes_mode="base64", fallback=_last)
    except (ValueError, RecursionError):
        raise NotJson("$", f"a {type(value).__name__} is not JSON") from None


def _last(value: object) -> Any:
    if isinstance(value, bytearray | memoryview):
        return base64.b64encode(value).decode()
    raise NotJson("$", f"a {type(value).__name__} is not JSON")
