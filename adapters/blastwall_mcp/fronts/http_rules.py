"""What the headers of a POST must say: what it holds and takes, and nothing but what its body says."""

from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)

from blastwall_mcp.fronts.http_body import Message
from blastwall_mcp.fronts.http_door import MIRRORED, Head, refusal

JSON, EVENTS = "application/json", "text/event-stream"

_ROUTING = (MCP_PROTOCOL_VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER)


def check_kinds(head: Head) -> None:
    """Refuse a POST that does not hold JSON, or may not be answered with JSON or events as it turns out.

    Raises:
        Answer: it is one.

    """
    kind = head.get(b"content-type").partition(";")[0].strip().lower()
    if kind != JSON:
        raise refusal(400, f"Invalid Content-Type header: it must be {JSON}")
    if not (takes(head, JSON) and takes(head, EVENTS)):
        raise refusal(406, f"Not Acceptable: Client must accept both {JSON} and {EVENTS}")


def takes(head: Head, kind: str) -> bool:
    """Say whether an answer of this kind is accepted."""
    accepted = {part.partition(";")[0].strip().lower() for part in head.get(b"accept").split(",")}
    return not accepted.isdisjoint((kind, kind.partition("/")[0] + "/*", "*/*"))


def check_version(head: Head) -> None:
    """Refuse a message of a version that is not spoken.

    Raises:
        Answer: it is.

    """
    rejection = unsupported_protocol_version_rejection(head.get(b"mcp-protocol-version"))
    if rejection is not None:
        raise refusal(400, rejection.message, rejection.code, data=rejection.data)


def check_mirror(head: Head, message: Message, schema: Mapping[str, Any] | None) -> None:
    """Refuse a request of the modern era without its envelope, or whose headers say another thing than it.

    Raises:
        MCPError: it is one.

    """
    routing = {name: head.headers[key] for name in _ROUTING if (key := name.encode()) in head.headers}
    body = {"method": message.method, "params": message.params}
    found = classify_inbound_request(body, headers=routing)
    if not isinstance(found, InboundLadderRejection):
        rejection = _of_arguments(head, message, schema)
    else:
        rejection = found
    if rejection is not None:
        raise MCPError(rejection.code, rejection.message, rejection.data)


def _of_arguments(
    head: Head, message: Message, schema: Mapping[str, Any] | None
) -> InboundLadderRejection | None:
    arguments = message.params.get("arguments") or {}
    if message.method != "tools/call" or schema is None or not isinstance(arguments, dict):
        return None
    mirrored = {
        name.decode("latin-1"): value for name, value in head.headers.items() if name.startswith(MIRRORED)
    }
    if not arguments and not mirrored:
        return None
    return validate_mcp_param_headers(schema, arguments, mirrored)
