"""The headers that a request over HTTP carries: what it is, mirrored from its body for who only routes it."""

from collections.abc import Iterable, Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)


class Headers:
    """The headers for one connection."""

    def __init__(self, version: str, *, modern: bool) -> None:
        """Speak this protocol version; only modern servers want to read more than that in the headers."""
        self._version = version
        self._modern = modern
        self._tools: dict[str, Mapping[tuple[str, ...], str]] | None = None

    def learn(self, tools: Iterable[Any]) -> None:
        """Take from the definitions of all tools which arguments are mirrored."""
        self._tools = {
            tool["name"]: x_mcp_header_map(tool.get("inputSchema"))
            for tool in tools
            if isinstance(tool, dict)
            and isinstance(tool.get("name"), str)
            and find_invalid_x_mcp_header(tool.get("inputSchema")) is None
        }

    def lacking(self, method: str) -> bool:
        """Say whether the tools must be listed before such a request."""
        return self._modern and method == "tools/call" and self._tools is None

    def of(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        """Give the headers of a request."""
        found = {MCP_PROTOCOL_VERSION_HEADER: self._version}
        if not self._modern:
            return found
        found[MCP_METHOD_HEADER] = method
        name, arguments = params.get(NAME_BEARING_METHODS.get(method, "")), params.get("arguments")
        if isinstance(name, str):
            found[MCP_NAME_HEADER] = encode_header_value(name)
        mirrored = (
            (self._tools or {}).get(name, {}) if method == "tools/call" and isinstance(name, str) else {}
        )
        return found | mcp_param_headers(mirrored, arguments if isinstance(arguments, Mapping) else {})
