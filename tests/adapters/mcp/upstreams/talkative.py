"""A server of either era that does all that a server may, and some that it may not. No MCP library.

Arguments: `modern` or `legacy`, and a folder where it leaves marks. With a file `era` in that folder, that counts.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
LEVEL = "io.modelcontextprotocol/logLevel"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

folder = Path(sys.argv[2])
era = (folder / "era").read_text() if (folder / "era").exists() else sys.argv[1]
modern = era == "modern"
ABLE = {
    "tools": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "prompts": {},
    "logging": {},
}
FORM = {"message": "your name?", "requestedSchema": {"type": "object", "properties": {}}}
ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("elicitation/create", FORM),
    "words": ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    "roots": ("roots/list", {}),
}
seen: list[dict[str, Any]] = []
asked = 0


def write(**message: Any) -> None:
    sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    sys.stdout.buffer.flush()


def requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        message = json.loads(line)
        seen.append(message)
        yield message


incoming = requests()
SUBSCRIBED: dict[str, str] = {}


def tell(method: str, params: dict[str, Any]) -> None:
    write(method=method, params=params)


def changed(uri: str) -> None:
    for number, wanted in list(SUBSCRIBED.items()):
        if uri in wanted:
            mark = {SUBSCRIPTION: number} if modern else {}
            tell("notifications/resources/updated", {"uri": uri, "_meta": {**mark, "own": 1}})


def ask(*names: str) -> dict[str, Any]:
    """Get answers in the way of the legacy era."""
    global asked
    found = {}
    for name in names:
        asked += 1
        method, params = ASKS[name]
        write(id=f"ask{asked}", method=method, params=params)
        reply = next(m for m in incoming if m.get("id") == f"ask{asked}")
        found[name] = reply.get("result") or reply["error"]
    return found


def asking(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def tool(params: dict[str, Any]) -> dict[str, Any]:
        if not modern:
            return done(ask(*names))
        if params.get("requestState") == "s1" and params["inputResponses"].keys() == set(names):
            return done(params["inputResponses"])
        questions = {name: {"method": ASKS[name][0], "params": ASKS[name][1]} for name in names}
        return {"resultType": "input_required", "inputRequests": questions, "requestState": "s1"}

    return tool


def patient(params: dict[str, Any]) -> dict[str, Any]:
    if params.get("requestState") == "3":
        return done("at last")
    return {"resultType": "input_required", "requestState": str(int(params.get("requestState", "0")) + 1)}


def done(value: Any) -> dict[str, Any]:
    result = {"content": [{"type": "text", "text": json.dumps(value)}], "unknown": {"kept": 1}}
    return {"resultType": "complete", **result} if modern else result


def log(params: dict[str, Any]) -> dict[str, Any]:
    for level in ("debug", "info", "error"):
        tell("notifications/message", {"level": level, "data": level})
    return done("logged")


def update(params: dict[str, Any]) -> dict[str, Any]:
    changed(params["arguments"]["uri"])
    return done("updated")


def grow(params: dict[str, Any]) -> dict[str, Any]:
    tell("notifications/tools/list_changed", {})
    return done("grown")


def drop(params: dict[str, Any]) -> dict[str, Any]:
    for number in list(SUBSCRIBED):
        write(id=number, result={"resultType": "complete", "_meta": {SUBSCRIPTION: number}})
    SUBSCRIBED.clear()
    return done("dropped")


def step(params: dict[str, Any]) -> dict[str, Any]:
    tell("notifications/progress", {"progressToken": params["_meta"]["progressToken"], "progress": 1})
    return done("stepped")


def wait(params: dict[str, Any]) -> dict[str, Any]:
    (folder / "waiting").touch()
    for message in incoming:
        if message.get("method") == "notifications/cancelled":
            (folder / "cancelled").touch()
            return done("too late")
    return done("never")


def stray(params: dict[str, Any]) -> dict[str, Any]:
    write(id="odd", method="computer/takeOver", params={})
    reply = next(m for m in incoming if m.get("id") == "odd")
    tell("notifications/odd", {})
    write(id="alive", method="ping")
    alive = next(m for m in incoming if m.get("id") == "alive")
    return done([reply["error"]["code"], alive["result"]])


def crash(params: dict[str, Any]) -> dict[str, Any]:
    os._exit(1)


def refuse(params: dict[str, Any]) -> dict[str, Any]:
    raise Refused({"code": -32021, "message": "no", "data": {"requiredCapabilities": {"x": {}}}})


class Refused(Exception):
    pass


TOOLS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "seen": lambda params: done(seen),
    "pid": lambda params: done(os.getpid()),
    "name": asking("name"),
    "all": asking("name", "words", "roots"),
    "forever": lambda params: {"resultType": "input_required", "requestState": "x"},
    "nonsense": lambda params: {"resultType": "input_required", "inputRequests": ["x"]},
    "task": lambda params: {"resultType": "task", "task": {}},
    "patient": patient,
    "log": log,
    "update": update,
    "grow": grow,
    "drop": drop,
    "step": step,
    "wait": wait,
    "stray": stray,
    "crash": crash,
    "refuse": refuse,
}


def listed(params: dict[str, Any]) -> dict[str, Any]:
    """Give a few tools a page."""
    page = int(params.get("cursor", "0"))
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
    more = {"nextCursor": str(page + 5)} if page + 5 < len(tools) else {}
    return {
        "tools": tools[page : page + 5],
        "resultType": "complete",
        "ttlMs": 7000,
        "cacheScope": "private",
    } | more


def listen(request: dict[str, Any]) -> None:
    wanted = request["params"]["notifications"]
    uris = [uri for uri in wanted.get("resourceSubscriptions", ()) if "secret" not in uri]
    SUBSCRIBED[request["id"]] = " ".join(uris)
    agreed = {**wanted, **({"resourceSubscriptions": uris} if uris else {})}
    tell(
        "notifications/subscriptions/acknowledged",
        {"notifications": agreed, "_meta": {SUBSCRIPTION: request["id"]}},
    )


def discover(params: dict[str, Any]) -> dict[str, Any]:
    return {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": ABLE,
        "instructions": "be kind",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "talkative", "version": "1.2"}},
    }


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    return {
        "protocolVersion": era if era != "legacy" else "2025-11-25",
        "capabilities": ABLE,
        "instructions": "be kind",
        "serverInfo": {"name": "talkative", "version": "1.2"},
    }


def subscribe(params: dict[str, Any]) -> dict[str, Any]:
    if "secret" in params["uri"]:
        raise Refused({"code": -32002, "message": "no such resource"})
    SUBSCRIBED[params["uri"]] = params["uri"]
    return {}


def unsubscribe(params: dict[str, Any]) -> dict[str, Any]:
    SUBSCRIBED.pop(params["uri"], None)
    return {}


def call(params: dict[str, Any]) -> dict[str, Any]:
    return TOOLS[params["name"]](params)


METHODS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "tools/list": listed,
    "tools/call": call,
    "prompts/list": lambda params: {"prompts": [{"name": "p"}], "nextCursor": "again"},
    "resources/list": lambda params: {"resources": "none"},
} | (
    {"server/discover": discover}
    if modern
    else {
        "initialize": initialize,
        "resources/subscribe": subscribe,
        "resources/unsubscribe": unsubscribe,
        "logging/setLevel": lambda params: {},
    }
)


def main() -> None:
    with (folder / "starts").open("a") as starts:
        starts.write("x")
    for request in incoming:
        method, params = request.get("method"), request.get("params", {})
        if modern and method == "subscriptions/listen":
            listen(request)
        elif method == "notifications/cancelled":
            SUBSCRIBED.pop(params.get("requestId"), None)
        elif method in METHODS and "id" in request:
            try:
                write(id=request["id"], result=METHODS[method](params))
            except Refused as error:
                write(id=request["id"], error=error.args[0])
        elif "id" in request and method is not None:
            write(id=request["id"], error={"code": -32601, "message": "Method not found"})


main()
