"""A launcher, as npx is one: the server is its child, and that child has a child that reads no pipe."""

import subprocess
import sys

if sys.argv[1:] == ["serve"]:
    subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("family")

    @server.tool()
    def fine() -> str:
        """Do it."""
        return "fine is done"

    server.run("stdio")
else:
    subprocess.run([sys.executable, __file__, "serve"], check=False)
