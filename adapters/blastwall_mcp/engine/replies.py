"""What a client may answer to what a server asks of it."""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from pydantic import TypeAdapter, ValidationError

_ANSWERS: Mapping[str, TypeAdapter[Any]] = {
    "sampling/createMessage": TypeAdapter(types.CreateMessageResult | types.CreateMessageResultWithTools),
    "elicitation/create": TypeAdapter(types.ElicitResult),
    "roots/list": TypeAdapter(types.ListRootsResult),
}


def fits(method: str, answer: Any) -> bool:
    """Say whether this is an answer to a request of this method."""
    try:
        _ANSWERS[method].validate_python(answer, by_name=False)
    except ValidationError:
        return False
    return isinstance(answer, dict)
