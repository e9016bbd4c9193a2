"""What the proxy would keep from a client: the same look at definitions, without a client or a server."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from blastwall.errors import PolicyError
from blastwall.paths import resolve
from blastwall.policy import Policy, parse
from blastwall_mcp.catalogue.entries import Entry, markers, read
from blastwall_mcp.catalogue.shadows import Shadows
from blastwall_mcp.catalogue.speech import said

Hidden = tuple[Literal["poisoned", "shadowing", "invalid"], str, str, str]
"""What it is, whose, of which tool (or "" for the instructions), and why."""

Definitions = Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]]
"""Each connector's instructions and the raw definitions of its tools."""


def hidden(servers: Definitions) -> Iterator[Hidden]:
    """Look through what servers say of themselves, next to each other as an agent would read them."""
    policy = _policy(servers)
    entries: list[Entry] = []
    for connector, (instructions, tools) in servers.items():
        if families := sorted(markers(policy, connector, "instructions", instructions)):
            yield "poisoned", connector, "", f"they carry markers ({', '.join(families)})"
        for definition in tools:
            if entry := read(policy, connector, "tools", definition):
                entries.append(entry)
            else:
                yield "invalid", connector, str(definition.get("name")), "its definition is none of a tool"
    shadows = Shadows(servers, entries)
    yield from (found for entry in entries if (found := _barred(entry, shadows)))
    for connector, (instructions, _) in servers.items():
        if why := shadows.spoken(connector, said(instructions)):
            yield "shadowing", connector, "", why


def _barred(entry: Entry, shadows: Shadows) -> Hidden | None:
    if entry.barred is not None:
        why = str(entry.barred).removeprefix("this tool can't be used: ").removesuffix("; do without it")
        return "poisoned" if "markers" in why else "invalid", entry.connector, entry.name, why
    why = shadows.why(entry) or ""
    return ("shadowing", entry.connector, entry.name, why) if why else None


def _policy(connectors: Mapping[str, Any]) -> Policy:
    blocks = ", ".join(f'"{name}": {{}}' for name in connectors)
    text = f"{{version: 1, connectors: {{{blocks}}}}}"
    nowhere = Path("/")
    try:
        return parse(text.encode(), file="scan", directory=nowhere, state=nowhere / "run", resolve=resolve)
    except PolicyError as error:  # pragma: no cover  # names are bent before
        raise ValueError(str(error)) from None
