"""A server that gets a new tool when `grow` is called, and says so."""

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("changing")


@server.tool()
async def grow(ctx: Context) -> str:
    """Add a tool."""
    server.add_tool(lambda: "new", name="grown", description="Is new.")
    await ctx.notify_tools_changed()
    return "grown"


server.run("stdio")
