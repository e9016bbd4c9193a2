"""A peer to measure against: an MCP proxy on the SDK alone, with no policy, no screening and no audit."""

import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.server import Server
from mcp.server.stdio import stdio_server


async def main() -> None:
    """Relay tools/list and tools/call between stdin/stdout and the server named on the command line."""
    command, *args = sys.argv[1:]
    async with Client(StdioServerParameters(command=command, args=args), cache=None) as upstream:

        async def list_tools(_: Any, __: Any) -> Any:
            return await upstream.list_tools()

        async def call_tool(_: Any, params: Any) -> Any:
            return await upstream.session.call_tool(params.name, params.arguments)

        server = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
