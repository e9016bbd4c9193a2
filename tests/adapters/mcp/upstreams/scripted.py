"""A server that plays what a script says, right or wrong, in raw lines of JSON. No MCP library.

Arguments: the script, as JSON, and a file to which it writes every message that it gets.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRIPT: dict[str, Any] = json.loads(sys.argv[1])
JOURNAL = Path(sys.argv[2])
VERSION = "2026-07-28"
MODERN = SCRIPT.get("era") == "modern"
LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
ABLE = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True},
    "logging": {},
}
have: dict[str, list[Any]] = {"tools": [{"name": "do", "inputSchema": {"type": "object"}}]} | SCRIPT.get(
    "have", {}
)
turns: dict[str, int] = {}
asked = 0


def incoming() -> Iterator[dict[str, Any]]:
    for line in sys.stdin.buffer:
        with JOURNAL.open("ab") as journal:
            journal.write(line)
        message = json.loads(line)
        if isinstance(message, dict):
            yield message


messages = incoming()


def put(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write(message: Any) -> None:
    put(json.dumps(message).encode() + b"\n")


def filled(value: Any, identity: Any) -> Any:
    """Put the request's id where the script says ID."""
    if isinstance(value, dict):
        return {key: filled(inner, identity) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, identity) for inner in value]
    return identity if value == "ID" else value


def answer(identity: Any, result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}).encode() + b"\n"


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]} | ({"resultType": "complete"} if MODERN else {})


def ask(method: str, params: Any) -> None:
    """Ask the client, and wait for what it says: the journal has it."""
    global asked
    asked += 1
    write({"jsonrpc": "2.0", "id": f"ask{asked}", "method": method, "params": params})
    next(message for message in messages if message.get("id") == f"ask{asked}")


def usual(message: dict[str, Any]) -> None:
    """Answer as an honest server would."""
    method, identity = message["method"], message["id"]
    if method == "initialize":
        version = SCRIPT.get("version", "2025-11-25")
        hello = {"protocolVersion": version, "serverInfo": {"name": "scripted", "version": "1"}}
        put(answer(identity, hello | {"capabilities": ABLE, "instructions": SCRIPT.get("instructions", "")}))
    elif method == "server/discover" and MODERN:
        known = {"supportedVersions": [VERSION], "capabilities": ABLE, "ttlMs": 0, "cacheScope": "private"}
        info = {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}}
        put(answer(identity, known | {"resultType": "complete", "_meta": info}))
    elif method in LISTS:
        more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if MODERN else {}
        put(answer(identity, {LISTS[method]: have.get(LISTS[method], [])} | more))
    elif method == "tools/call":
        put(answer(identity, text(f"ran {message['params']['name']}")))
    elif method == "resources/read":
        uri = message["params"]["uri"]
        put(answer(identity, {"contents": [{"uri": uri, "text": f"content of {uri}"}]}))
    elif method == "prompts/get":
        said = {"role": "user", "content": {"type": "text", "text": "say hello"}}
        put(answer(identity, {"messages": [said]}))
    elif method in ("ping", "logging/setLevel", "resources/subscribe"):
        put(answer(identity, {}))
    else:
        write({"jsonrpc": "2.0", "id": identity, "error": {"code": -32601, "message": "Method not found"}})


def play(steps: list[Any], message: dict[str, Any]) -> None:
    for step in steps:
        ((kind, what),) = step.items()
        act(kind, what, message)


def act(kind: str, what: Any, message: dict[str, Any]) -> None:  # noqa: C901  # one for each kind of step
    identity = message.get("id")
    match kind:
        case "usual":
            usual(message)
        case "say":
            put(answer(identity, text(what)))
        case "result":
            put(answer(identity, filled(what, identity)))
        case "error":
            write({"jsonrpc": "2.0", "id": identity, "error": what})
        case "write":
            write(filled(what, identity))
        case "raw":
            put(what.replace("ID", json.dumps(identity)).encode("latin-1"))
        case "nest":
            put(answer(identity, text("NEST")).replace(b'"NEST"', b"[" * what + b"]" * what))
        case "pad":
            put(answer(identity, text("x" * what)))
        case "page":
            put(answer(identity, {"tools": [], "nextCursor": f"page {turns[message['method']]}"}))
        case "laughs":
            deeper = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(what)}
            schema = {"type": "object", "$ref": "#/$defs/a0", "$defs": deeper | {f"a{what}": {}}}
            put(answer(identity, {"tools": [{"name": "do", "inputSchema": schema}]}))
        case "many":
            schema = {"type": "object", "properties": {"a": {"enum": list(range(what))}}}
            put(answer(identity, {"tools": [{"name": "do", "inputSchema": schema}]}))
        case "fresh":
            tool = {"name": f"do{turns[message['method']]}", "inputSchema": {"type": "object"}}
            write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            put(answer(identity, {"tools": [tool]}))
        case "drip":
            for byte in answer(identity, text("drop")):
                put(bytes([byte]))
                time.sleep(what)
        case "endless":
            while True:
                put(what.encode() * 4096)
        case "sleep":
            time.sleep(what)
        case "again":
            for _ in range(what["times"]):
                play(what["do"], message)
        case "ask":
            ask(*what)
        case "progress":
            token = message["params"].get("_meta", {}).get("progressToken", 0)
            params = {"progressToken": token, "progress": 1, "message": what}
            write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        case "huge":
            put(b'{"jsonrpc":"2.0","id":' + b"9" * what + b',"result":{}}\n')
        case "next":
            put(answer(identity + 1 if isinstance(identity, int) else identity, text(what)))
        case "flood":
            global asked
            asked += 1
            write({"jsonrpc": "2.0", "id": f"flood{asked}", "method": what})
        case "have":
            have.update(what)
        case "exit":
            sys.exit(what)
        case _:
            raise ValueError(kind)


for message in messages:
    method = message.get("method", "")
    played = SCRIPT.get("play", {}).get(method)
    if played:
        turn = turns[method] = turns.get(method, -1) + 1
        play(played[min(turn, len(played) - 1)], message)
    elif "id" in message and method:
        usual(message)
