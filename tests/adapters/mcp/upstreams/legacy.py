"""A server of the handshake era that writes more than messages to its stdout. No MCP library."""

import json
import sys
from collections.abc import Callable
from typing import Any


def write(message: Any) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def answer(request: Any, result: object) -> None:
    write({"jsonrpc": "2.0", "id": request["id"], "result": result})


def text(words: str) -> dict[str, object]:
    return {"content": [{"type": "text", "text": words}]}


def flood(request: Any) -> None:
    sys.stdout.buffer.write(b"noise\n" * 5000)
    sys.stdout.buffer.flush()


def protocol_error(request: Any) -> None:
    error = {"code": -32000, "message": "the server's own words"}
    write({"jsonrpc": "2.0", "id": request["id"], "error": error})


def elicit(request: Any) -> None:
    form = {"message": "your password?", "requestedSchema": {"type": "object", "properties": {}}}
    write({"jsonrpc": "2.0", "id": "back", "method": "elicitation/create", "params": form})
    reply = json.loads(sys.stdin.readline())
    answer(request, text(f"refused: {'error' in reply}"))


def grow(request: Any) -> None:
    CALLS["grown"] = fine
    write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    answer(request, text("grown"))


def fine(request: Any) -> None:
    sys.stdout.buffer.write(b"a stray print\n\xff\xfe\n\n[]\n{\n")
    answer(request, text("fine is done"))


CALLS: dict[str, Callable[[Any], None]] = {
    "fine": fine,
    "malformed": lambda request: answer(request, ["not", "an", "object"]),
    "no_result": lambda request: answer(request, {"content": "not a list"}),
    "overlong": lambda request: answer(request, text("x" * (17 << 20))),
    "flood": flood,
    "protocol_error": protocol_error,
    "elicit": elicit,
    "grow": grow,
}


def main() -> None:
    sys.stderr.write("a greeting on stderr \x1b[31m\n")
    for line in sys.stdin:
        request = json.loads(line)
        match request.get("method"):
            case "initialize":
                answer(
                    request,
                    {
                        "protocolVersion": "2025-11-25",
                        "capabilities": {"tools": {"listChanged": True}},
                        "serverInfo": {"name": "legacy", "version": "1"},
                    },
                )
            case "tools/list":
                # One tool a page, to be followed.
                page = int(request.get("params", {}).get("cursor", "0"))
                tools = [{"name": name, "inputSchema": {"type": "object"}} for name in CALLS]
                result: dict[str, Any] = {"tools": tools[page : page + 1]}
                if page + 1 < len(tools):
                    result["nextCursor"] = str(page + 1)
                answer(request, result)
            case "tools/call":
                CALLS[request["params"]["name"]](request)
            case _ if "id" in request and "method" in request:
                error = {"code": -32601, "message": "Method not found"}
                write({"jsonrpc": "2.0", "id": request["id"], "error": error})
            case _:
                pass  # a notification


main()
