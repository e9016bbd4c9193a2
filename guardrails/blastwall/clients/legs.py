"""What tools of several servers could do together, in the hands of one agent.

An attack needs three legs: something private to read, a text that an outsider wrote, and a way out. Two are
enough to do harm where one of them destroys. Every server of a client is in the same hands.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from blastwall.clients.findings import Finding
from blastwall.clients.launches import template
from blastwall.clients.servers import Configured
from blastwall.clients.starting import Listed
from blastwall.paths import resolve
from blastwall.policy import parse
from blastwall.policy.connector import Connector
from blastwall.policy.doing import effects
from blastwall.policy.shipped import parameters
from blastwall.replay import annotations
from blastwall.values import Annotations, Confidentiality, Does, Integrity

PRIVATE = "private data"
OUTSIDE = "outside text"
OUT = "a way out"
HARM = "harm"
LEGS = (PRIVATE, OUTSIDE, OUT, HARM)

_HARM = {Does.DELETE, Does.EXECUTE, Does.SPEND, Does.ESCALATE}
_READ = {Does.READ, Does.NETWORK_READ, Does.CREDENTIAL}
_ADDRESSES = frozenset({"url", "uri", "urls", "href", "endpoint", "webhook"})
_MOST = 3


@dataclass(frozen=True, slots=True)
class Reach:
    """What one server's tools can do.

    Attributes:
        server: Whose they are.
        legs: For each thing, the tools that do it.
        silent: The tools of which neither a template nor the server itself says what they do.

    """

    server: Configured
    legs: Mapping[str, tuple[str, ...]]
    silent: tuple[str, ...] = ()


def reach(server: Configured, listed: Listed) -> Reach:
    """Say what a server's tools can do, by a shipped template or else by what it says of them itself."""
    title = template(server.command) if server.command else ""
    legs: dict[str, list[str]] = {}
    silent = []
    for tool in listed.tools:
        hints = tool.get("annotations")
        stated = annotations(hints if isinstance(hints, dict) else {})
        found = _by_template(title, tool, stated) if title else _by_hints(tool, stated)
        if found is None:
            silent.append(str(tool["name"]))
        for leg in found or ():
            legs.setdefault(leg, []).append(str(tool["name"]))
    return Reach(server, {leg: tuple(legs[leg]) for leg in LEGS if leg in legs}, tuple(silent))


def _by_template(title: str, tool: Mapping[str, Any], stated: Annotations) -> list[str]:
    connector = _connector(title)
    label = connector.labels(str(tool["name"])).default
    does = connector.does(str(tool["name"]), stated)
    found = [HARM] if does & _HARM else []
    found += [OUT] if Does.NETWORK_SEND in does or _addressed(does, tool) else []
    if does & _READ:
        found += [PRIVATE] if label.confidentiality >= Confidentiality.PRIVATE else []
        found += [OUTSIDE] if label.integrity is Integrity.EXTERNAL else []
    return found


def _by_hints(tool: Mapping[str, Any], stated: Annotations) -> list[str] | None:
    """Go by the hints that the server gave; MCP's defaults for the others say nothing of it."""
    if not stated.stated & {"readOnlyHint", "destructiveHint", "openWorldHint"}:
        return None
    does = effects(None, stated, trusted=True)
    opened = "openWorldHint" in stated.stated and stated.open_world
    harmful = "destructiveHint" in stated.stated and stated.destructive and not stated.read_only
    found = [HARM] if harmful else []
    found += [OUT] if opened and (Does.NETWORK_SEND in does or _addressed(does, tool)) else []
    found += [OUTSIDE] if opened and does & _READ else []
    return found + ([PRIVATE] if stated.read_only and not opened else [])


def _addressed(does: frozenset[Does], tool: Mapping[str, Any]) -> bool:
    """Say whether a tool fetches from an address that its caller gives: that can carry something out."""
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    named = _ADDRESSES & {str(name).lower() for name in properties} if isinstance(properties, dict) else ()
    return Does.NETWORK_READ in does and bool(named)


@cache
def _connector(title: str) -> Connector:
    """Compile a shipped template as a policy would have it."""
    given = {name: block["sample"] for name, block in parameters(title).items() if block.get("required")}
    block = {"template": title, "with": given} if given else {"template": title}
    text = yaml.safe_dump({"version": 1, "connectors": {"one": block}})
    nowhere = Path("/")
    policy = parse(text.encode(), file=title, directory=nowhere, state=nowhere / "run", resolve=resolve)
    return policy.connectors["one"]


def together(reached: Sequence[Reach]) -> Iterator[Finding]:
    """Find what the tools of one client make possible together."""
    by_client: dict[str, list[Reach]] = {}
    for one in reached:
        by_client.setdefault(one.server.client, []).append(one)
    for client, group in by_client.items():
        for legs, harm in (
            ((PRIVATE, OUTSIDE, OUT), "send what is private out"),
            ((OUTSIDE, HARM), "do harm"),
        ):
            tools = {leg: _named(group, leg) for leg in legs}
            if all(tools.values()):
                said = "; ".join(f"{leg} by {', '.join(tools[leg])}" for leg in legs)
                message = f"a text from outside could make an agent {harm}: {said}"
                yield Finding(
                    "toxic-combination", client, group[0].server.file, 0, "", message,
                    "connect the client to blastwall, whose rules keep these apart, or part them",
                )  # fmt: skip
        for one in group:
            if one.silent:
                yield Finding(
                    "undescribed", client, one.server.file, one.server.line, one.server.name,
                    f"nothing says what these tools do, so they may do anything: {few(one.silent)}",
                    "take them to do the worst; describe them under `effects` in your policy",
                )  # fmt: skip


def _named(group: Sequence[Reach], leg: str) -> list[str]:
    return [f"{one.server.name} ({few(one.legs[leg])})" for one in group if one.legs.get(leg)]


def few(tools: Sequence[str]) -> str:
    """Name the first of them, and how many more there are."""
    more = f" and {len(tools) - _MOST} more" if len(tools) > _MOST else ""
    return ", ".join(tools[:_MOST]) + more
