"""A well-behaved server. Argument: a folder, where its tools leave marks."""

import asyncio
import os
import secrets
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("good")
folder = Path(sys.argv[1])
instance = secrets.token_hex(8)


@server.tool(annotations=ToolAnnotations(read_only_hint=True), meta={"colour": "green"})
def echo(text: str) -> str:
    """Give the text back."""
    return text


@server.tool()
def add(a: int, b: int) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


@server.tool()
def delete_all() -> str:
    """Pretend to delete everything."""
    (folder / "deleted").touch()
    return "deleted"


@server.tool()
def fail() -> str:
    """Fail in the tool itself."""
    raise ValueError("the tool's own words")


@server.tool()
def meta(ctx: Context) -> dict[str, object]:
    """Give back the `_meta` of the request."""
    return {"meta": dict(ctx.request_context.meta or {})}


@server.tool()
async def slow(ctx: Context) -> str:
    """Report progress, then wait to be cancelled."""
    await ctx.report_progress(1, 2, "half of it")
    (folder / "started").touch()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        (folder / "cancelled").touch()
        raise
    return "done"


@server.tool()
@server.tool(name="where_else")
def where() -> dict[str, object]:
    """Say which instance this is and whether it can write to the folder."""
    try:
        (folder / "written").touch()
    except OSError:
        writes = False
    else:
        writes = True
    return {"instance": instance, "writes": writes, "secret": os.environ.get("SECRET", "")}


server.run("stdio")
