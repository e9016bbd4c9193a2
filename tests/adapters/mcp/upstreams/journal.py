"""A server that writes down every call. Argument: the file to write to."""

import json
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("journal")
journal = Path(sys.argv[1])


def note_down(tool: str, ctx: Context, **arguments: object) -> None:
    meta = dict(ctx.request_context.meta or {})
    with journal.open("a") as file:
        file.write(json.dumps({"tool": tool, "arguments": arguments, "meta": meta}) + "\n")


@server.tool()
def note(text: str, ctx: Context) -> str:
    """Write a note."""
    note_down("note", ctx, text=text)
    return f"noted {text}"


@server.tool()
def pay(amount: int, ctx: Context) -> str:
    """Pay a little."""
    note_down("pay", ctx, amount=amount)
    return f"paid {amount}"


@server.tool()
def wipe(text: str, ctx: Context) -> str:
    """Wipe everything."""
    note_down("wipe", ctx, text=text)
    return f"wiped {text}"


server.run("stdio")
