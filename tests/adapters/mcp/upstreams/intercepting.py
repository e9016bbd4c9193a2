"""A server that hosts interceptors and nothing else."""

import asyncio
from typing import Any, Literal

import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server


class Invoke(types.RequestParams):
    name: str
    event: str
    phase: Literal["request", "response"]
    payload: dict[str, Any]


def hooked(name: str, kind: str, phase: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "hooks": [{"events": ["tools/call"], "phase": phase}]}


async def listed(_context: Any, _params: types.RequestParams) -> dict[str, Any]:
    return {
        "interceptors": [
            hooked("polite", "mutation", "request"),
            hooked("calm", "validation", "request"),
            hooked("loud", "mutation", "response"),
        ]
    }


async def invoked(_context: Any, params: Invoke) -> dict[str, Any]:
    payload = params.payload
    match params.name:
        case "polite":
            arguments = {"text": payload["arguments"]["text"].replace("now", "please")}
            return {"modified": True, "payload": payload | {"arguments": arguments}}
        case "calm":
            return {
                "valid": "!" not in payload["arguments"]["text"],
                "messages": [{"message": "no shouting"}],
            }
        case _:
            content = [block | {"text": block["text"].upper()} for block in payload["content"]]
            return {"modified": True, "payload": payload | {"content": content}}


async def main() -> None:
    server: Server[Any] = Server("intercepting")
    server.add_request_handler("interceptors/list", types.RequestParams, listed)
    server.add_request_handler("interceptor/invoke", Invoke, invoked)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


asyncio.run(main())
