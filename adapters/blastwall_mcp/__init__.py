"""Blastwall for MCP: a proxy that guards every message to and from the servers behind it."""

try:
    import mcp as _mcp  # noqa: F401
except ImportError as error:
    raise ImportError("blastwall_mcp needs the MCP SDK: install blastwall[mcp]") from error

from blastwall.guard import Guard
from blastwall_mcp.fronts.proxy import serve_stdio

__all__ = ["serve_http", "serve_stdio"]


async def serve_http(guard: Guard, host: str = "", port: int | None = None) -> None:
    """Serve every MCP server of the guard's policy as one, over HTTP, until SIGTERM or SIGINT.

    Args:
        guard: The guard. What its policy says of the front is looked at once, here.
        host: The address to listen on, instead of the policy's.
        port: The port, instead of the policy's; 0 for any.

    Raises:
        BackendError: the policy names no server, or the address can't be had, or may not.

    """
    from blastwall_mcp.fronts.http_front import serve_http as serve  # noqa: PLC0415  # a web server, for who has one

    await serve(guard, host, port)
