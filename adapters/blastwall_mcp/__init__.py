"""Blastwall for MCP: a proxy that guards every tool call to the servers behind it."""

try:
    import mcp as _mcp  # noqa: F401
except ImportError as error:
    raise ImportError("blastwall_mcp needs the MCP SDK: install blastwall[mcp]") from error

from blastwall_mcp._proxy import serve_stdio

__all__ = ["serve_stdio"]
