"""A server over HTTP that writes down the headers of every request. Arguments: the file to write to.

It prints its port.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("recording")
file = Path(sys.argv[1])


@server.tool()
def echo(text: str) -> str:
    """Give the text back."""
    return text


class Recording:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            with file.open("a") as out:  # noqa: ASYNC230
                out.write(json.dumps(headers) + "\n")
        await self.app(scope, receive, send)


listening = socket.create_server(("127.0.0.1", 0))
sys.stdout.write(f"{listening.getsockname()[1]}\n")
sys.stdout.flush()
config = uvicorn.Config(Recording(server.streamable_http_app()), log_level="error", ws="none")
asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
