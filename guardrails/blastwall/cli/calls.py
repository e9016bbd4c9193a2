"""A call as it is written on the command line."""

import json
from collections.abc import Mapping
from typing import Any

import typer

from blastwall.advice.compare import AnyPolicy
from blastwall.frozen import NotJson
from blastwall.replay import judged
from blastwall.values import ToolCall


def call(policy: AnyPolicy, name: str, arguments: str) -> ToolCall:
    """Read `CONNECTOR.TOOL` and its arguments, one JSON object."""
    connector, dot, tool = name.partition(".")
    if not (connector and dot and tool):
        raise typer.BadParameter(f"{name!r} is not CONNECTOR.TOOL")
    try:
        return judged(policy, connector, tool, _object(arguments), {})
    except NotJson as error:
        raise typer.BadParameter(str(error)) from None


def _object(arguments: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(arguments)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"the arguments are not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise typer.BadParameter('the arguments must be one JSON object, such as {"path": "a.txt"}')
    return parsed
