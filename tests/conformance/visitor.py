"""A client for the other half of the suite: it lists all that a server has, and uses each thing once.

`python visitor.py [--through FOLDER] URL`. With `--through`, it does so through a proxy, with its policy in a new
folder inside FOLDER: then the client that the suite examines is the one at the proxy's back.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conformance import serving

SAMPLES: dict[str, Any] = {
    "string": "us-west1",
    "integer": 3,
    "number": 5,
    "boolean": True,
    "array": [],
    "object": {},
}
PREFIX = "suite__"


async def elicited(context: Any, params: Any) -> types.ElicitResult:
    """Fill in a form with what it proposes."""
    fields = params.requested_schema.get("properties", {})
    content = {
        name: field.get("default", SAMPLES[field.get("type", "string")]) for name, field in fields.items()
    }
    return types.ElicitResult(action="accept", content=content)


def target(url: str, through: str) -> Any:
    """Give what the client connects to: the server itself, or a proxy in front of it."""
    if not through:
        return url
    folder = Path(tempfile.mkdtemp(dir=through))
    server = {"url": url, "transport": "http", "private": True}
    command, *args = serving.proxy_command(serving.policy(folder, {"suite": server}))
    return StdioServerParameters(command=command, args=args)


async def use_tools(client: Client) -> None:
    """Call each tool; the suite may say with which arguments."""
    tools = {tool.name.removeprefix(PREFIX): tool for tool in (await client.list_tools()).tools}
    wanted = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
    for each in wanted or [{"name": name, "arguments": sample(tools, tool)} for name, tool in tools.items()]:
        # What is null does not fit a schema that does not say so, and the proxy minds.
        arguments = {name: value for name, value in each["arguments"].items() if value is not None}
        with suppress(MCPError, ValidationError):
            await client.call_tool(tools[each["name"]].name, arguments)


def sample(tools: dict[str, types.Tool], tool: types.Tool) -> dict[str, Any]:
    """Make up arguments; one that is called `schema` is the schema of the first tool, to be brought back."""
    fields = tool.input_schema.get("properties", {})
    given = {
        name: SAMPLES[field.get("type", "string")] for name, field in fields.items() if "$ref" not in field
    }
    return given | ({"schema": next(iter(tools.values())).input_schema} if "schema" in given else {})


async def use_the_rest(client: Client) -> None:
    has = client.server_capabilities
    if has.resources:
        for resource in (await client.list_resources()).resources:
            await client.read_resource(str(resource.uri))
    if has.prompts:
        for prompt in (await client.list_prompts()).prompts:
            await client.get_prompt(prompt.name, {argument.name: "x" for argument in prompt.arguments or []})


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--through", default="")
    parser.add_argument("url")
    chosen = parser.parse_args()
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    mode = "legacy" if version and version < types.LATEST_PROTOCOL_VERSION else "auto"
    whom = target(chosen.url, chosen.through)
    async with Client(whom, mode=mode, cache=None, elicitation_callback=elicited) as client:
        await use_tools(client)
        await use_the_rest(client)


if __name__ == "__main__":
    anyio.run(main)
