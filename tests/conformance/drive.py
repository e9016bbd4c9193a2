"""The Python client: it plays sessions as written, and says how each step ended for it.

`python drive.py FILE`: FILE has the sessions as JSON, the endings come out as JSON.
"""

import json
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPDeprecationWarning
from pydantic import ValidationError

LISTS = {
    "tools/list": "list_tools",
    "prompts/list": "list_prompts",
    "resources/list": "list_resources",
    "resources/templates/list": "list_resource_templates",
}


async def sampled(*_: Any) -> types.CreateMessageResult:
    answer = types.TextContent(type="text", text="a sampled answer")
    return types.CreateMessageResult(role="assistant", content=answer, model="none", stop_reason="endTurn")


async def elicited(*_: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"name": "Ada", "check": True})


async def progressed(progress: float, total: float | None, message: str | None) -> None: ...


async def listed(client: Client, method: str, meta: Any) -> None:
    """Follow a list to its last page."""
    cursor = None
    while True:
        page = await getattr(client, LISTS[method])(cursor=cursor, meta=meta)
        if (cursor := page.next_cursor) is None:
            return


async def called(client: Client, params: dict[str, Any], meta: Any) -> None:
    await client.call_tool(params["name"], params["arguments"], progress_callback=progressed, meta=meta)


async def completed(client: Client, params: dict[str, Any], _: Any) -> None:
    """Complete. The client sends no `meta` along."""
    kind = types.PromptReference if params["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
    context = (params.get("context") or {}).get("arguments")
    await client.complete(kind.model_validate(params["ref"]), params["argument"], context)


STEPS: dict[str, Callable[[Client, dict[str, Any], Any], Awaitable[Any]]] = {
    "tools/call": called,
    "prompts/get": lambda c, p, meta: c.get_prompt(p["name"], p.get("arguments"), meta=meta),
    "resources/read": lambda c, p, meta: c.read_resource(p["uri"], meta=meta),
    "completion/complete": completed,
    "resources/subscribe": lambda c, p, meta: c.subscribe_resource(p["uri"], meta=meta),
    "resources/unsubscribe": lambda c, p, meta: c.unsubscribe_resource(p["uri"], meta=meta),
    "logging/setLevel": lambda c, p, meta: c.set_logging_level(p["level"], meta=meta),
    "ping": lambda c, _, meta: c.send_ping(meta=meta),
}


async def step(client: Client, method: str, params: dict[str, Any], meta: Any) -> str:
    """Do one step; say how it ended."""
    try:
        if method in LISTS:
            await listed(client, method, meta)
        else:
            await STEPS[method](client, params, meta)
    except MCPError as error:
        return f"error {error.error.code}"
    except (RuntimeError, ValidationError) as error:  # the client does not like the answer
        return f"{type(error).__name__}: {error}"
    return "fine"


async def played(session: dict[str, Any]) -> list[str]:
    command, *args = session["command"]
    asks: dict[str, Any] = {"sampling_callback": sampled, "elicitation_callback": elicited}
    transport = stdio_client(StdioServerParameters(command=command, args=args, env=session["env"]))
    async with Client(
        transport, mode=session["mode"], cache=None, **(asks if session["asks"] else {})
    ) as client:
        return [
            await step(client, method, params, {"step": n})
            for n, (method, params) in enumerate(session["steps"])
        ]


async def main(sessions: list[dict[str, Any]]) -> None:
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    sys.stdout.write(json.dumps([await played(session) for session in sessions]))


if __name__ == "__main__":
    anyio.run(main, json.loads(Path(sys.argv[1]).read_text()))
