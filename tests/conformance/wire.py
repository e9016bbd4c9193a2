"""What passed between a client and a server, step by step, in a form in which two runs can be compared."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_types import INVALID_PARAMS

LISTS = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}
UNFIT = "blastwall refused this (invalid-call): the arguments don't fit the tool"
UNKNOWN = {"there is no tool of this name", "there is no resource of this URI"}
ENVELOPE = {"ttlMs", "cacheScope"}
SERVER_INFO = "io.modelcontextprotocol/serverInfo"
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?|\d{1,2}:\d\d:\d\d [AP]M")
ORIGIN = re.compile(r"^connector \S+ asks: ")


@dataclass
class Exchange:
    """One step: what the client asked, what it was asked and told meanwhile, and what it got."""

    method: str
    params: Any
    answer: Any = None
    asked: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def shown(self) -> str:
        """Write it down, a value a line."""
        parts = {"params": self.params, "asked": self.asked, "told": self.told, "answer": self.answer}
        return f"{self.method}\n{json.dumps(parts, indent=1, sort_keys=True, ensure_ascii=False)}"


def exchanges(log: Path, methods: set[str]) -> list[Exchange]:
    """Read what passed, in the order of the client's requests of these methods.

    The rounds of a call that needed input are one exchange, and so are the pages of a list.
    """
    found: list[Exchange] = []
    open_ones: dict[Any, Exchange] = {}
    by_token: dict[Any, Exchange] = {}
    for sender, message in _messages(log):
        if sender == ">" and message.get("method") in methods and "id" in message:
            exchange = _begun(found, message)
            open_ones[message["id"]] = exchange
            by_token[message["params"].get("_meta", {}).get("progressToken")] = exchange
        elif sender == "<" and "method" not in message and message.get("id") in open_ones:
            _answered(open_ones.pop(message["id"]), message)
        elif sender == "<" and "id" in message and "method" in message and open_ones:
            list(open_ones.values())[-1].asked.append([message["method"], message.get("params", {})])
        elif sender == "<" and message.get("method") == "notifications/progress":
            told = {k: v for k, v in message["params"].items() if k not in ("progressToken", "_meta")}
            if exchange_told := by_token.get(message["params"]["progressToken"]):
                exchange_told.told.append(told)
    return found


def _messages(log: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the messages of the longest log: a client may have started a server only to see what it is."""
    logs = sorted(log.parent.glob(f"{log.name}.*"), key=lambda each: each.stat().st_size)
    assert logs, f"nothing was written to {log}"
    for line in logs[-1].read_text().split("\n"):
        if line:
            yield line[0], json.loads(line[2:])


def _begun(found: list[Exchange], message: dict[str, Any]) -> Exchange:
    params = message["params"]
    if "cursor" in params or "inputResponses" in params or "requestState" in params:
        return next(e for e in reversed(found) if e.method == message["method"])
    found.append(Exchange(message["method"], {k: v for k, v in params.items() if k != "_meta"}))
    return found[-1]


def _answered(exchange: Exchange, message: dict[str, Any]) -> None:
    if "error" in message:
        exchange.answer = {"error": message["error"]}
        return
    result = message["result"]
    if result.get("resultType") == "input_required":
        exchange.asked += [[r["method"], r.get("params", {})] for r in result["inputRequests"].values()]
    elif exchange.method in LISTS:
        key = LISTS[exchange.method][0]
        kept = exchange.answer[key] if exchange.answer else []
        exchange.answer = {k: v for k, v in result.items() if k != "nextCursor"} | {key: kept + result[key]}
    else:
        exchange.answer = result


def plain(exchange: Exchange, connector: str, separator: str, folder: Path) -> Exchange:
    """Take off what may differ through the proxy. Nothing else may.

    Names of tools and prompts have the connector's name before them; every result says how long it may be kept, for
    whom, and who gave it; what a server asks has the connector's name before it; lists are in an order of their own;
    two runs are at two times and in two folders. And what no server lists, or does not fit a tool's schema, is refused
    before it gets to the server, in the proxy's own words: see `refused_alike`.
    """
    prefix = connector + separator
    clean = _Plain({str(folder): "FOLDER", str(folder.parent): "PARENT"}, prefix)
    answer = clean.answer(exchange.method, exchange.answer)
    asked = [clean.value([method, _unlabelled(params)]) for method, params in exchange.asked]
    return Exchange(exchange.method, clean.params(exchange.params), answer, asked, clean.value(exchange.told))


def refused_alike(direct: Exchange, proxied: Exchange) -> bool:
    """Say whether the server refused, and the proxy did so in its stead: what is unknown or does not fit."""
    if not (direct.answer.get("isError") is True or "error" in direct.answer):
        return False
    content = proxied.answer.get("content") or [{}]
    error = proxied.answer.get("error", {})
    return str(content[0].get("text", "")).startswith(UNFIT) or (
        error.get("code") == INVALID_PARAMS and error.get("message") in UNKNOWN
    )


def _unlabelled(params: Any) -> Any:
    kept = {k: v for k, v in params.items() if k != "_meta"}
    if isinstance(message := params.get("message"), str):
        kept["message"] = ORIGIN.sub("", message)
    return kept


@dataclass(frozen=True)
class _Plain:
    folders: Mapping[str, str]
    prefix: str

    def value(self, value: Any) -> Any:
        match value:
            case str():
                for folder, name in self.folders.items():
                    value = value.replace(folder, name)
                return TIMES.sub("TIME", value)
            case float() if value.is_integer():
                return int(value)  # JSON knows one kind of number
            case {"blob": str(blob), **rest}:
                return self.value(rest) | {"blob": self.value(b64decode(blob).decode(errors="replace"))}
            case list():
                return [self.value(each) for each in value]
            case dict():
                return {key: self.value(each) for key, each in value.items()}
            case _:
                return value

    def params(self, params: Any) -> Any:
        named = {k: v.removeprefix(self.prefix) if k == "name" else v for k, v in params.items()}
        if isinstance(ref := params.get("ref"), Mapping) and "name" in ref:
            named["ref"] = dict(ref) | {"name": ref["name"].removeprefix(self.prefix)}
        return self.value(named)

    def answer(self, method: str, answer: Any) -> Any:
        result = {k: v for k, v in answer.items() if k not in ENVELOPE}
        if result.get("resultType") == "complete":
            del result["resultType"]
        meta = {k: v for k, v in result.pop("_meta", {}).items() if k != SERVER_INFO}
        if meta:
            result["_meta"] = meta
        if method in LISTS and "error" not in result:
            key, identity = LISTS[method]
            items = [self._item(item, identity) for item in result[key]]
            result[key] = sorted(items, key=lambda item: str(item[identity]))
        return self.value(result)

    def _item(self, item: dict[str, Any], identity: str) -> dict[str, Any]:
        return item | {identity: item[identity].removeprefix(self.prefix)}
