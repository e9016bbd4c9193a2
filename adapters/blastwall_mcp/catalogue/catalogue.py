"""The tools of every upstream under their exposed names: what a client sees, what it doesn't, and why."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from pydantic import ValidationError

from blastwall.errors import BackendError
from blastwall.fingerprint import fingerprint
from blastwall.frozen import Json, NotJson, freeze
from blastwall.policy import Layered, Policy
from blastwall.screening import json_schema
from blastwall.values import WORST_CASE, Action, Annotations, OutputCheck, ToolCall, ToolOutput
from blastwall_mcp._names import SEPARATOR, exposed
from blastwall_mcp._upstream import Upstream

MAX_TOOLS = 10_000
"""Tools of one server that are taken in. The rest is dropped with a word in the log."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool.

    Attributes:
        connector: Whose it is.
        tool: Its name there.
        listed: What the client is told of it.
        annotations: What it says of itself.
        fingerprint: That of its definition, as the server gave it; only where the policy pins the connector.
        check_input: Says how arguments break its schema.
        check_output: Says how a result breaks its output schema, if it declares one.
        barred: Why the client is not told of it and no call of it runs, apart from what the policy says.

    """

    connector: str
    tool: str
    listed: types.Tool | None = None
    annotations: Annotations = WORST_CASE
    fingerprint: str = ""
    check_input: OutputCheck | None = None
    check_output: OutputCheck | None = None
    barred: BackendError | None = None


@dataclass(slots=True)
class _Shelf:
    """What one connector's server listed, at which version of its list, and under which policy."""

    version: tuple[int, str] = (-1, "")
    entries: Mapping[str, Entry] = field(default_factory=dict)
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Catalogue:
    """The tools of all upstreams, fetched when first needed and again when they may have changed."""

    def __init__(self, policy: Callable[[], Policy | Layered], upstreams: Mapping[str, Upstream]) -> None:
        """Fetch nothing yet. `policy` gives the one in force, which may change."""
        self._policy = policy
        self._upstreams = upstreams
        self._shelves = {connector: _Shelf() for connector in upstreams}

    async def tools(self) -> list[types.Tool]:
        """Give the tools of which some call could run. A server that fails only loses its own."""
        await self._refresh_all()
        names = {name for shelf in self._shelves.values() for name in shelf.entries}
        found = [self._named(name) for name in sorted(names)]
        return [e.listed for e in found if e and e.listed and not e.barred and self._permitted(e)]

    async def find(self, name: str) -> Entry | None:
        """Give the tool of this exposed name, or None if there is none.

        A tool whose server can't be asked is an entry without a schema, barred: the policy still judges
        the call, and the attempt is recorded.
        """
        known = self._named(name)
        connector, _, tool = (known.connector, "", known.tool) if known else name.partition(SEPARATOR)
        if connector not in self._shelves:
            await self._refresh_all()  # an altered name tells nothing of its connector
            return self._named(name)
        try:
            await self._refresh(connector)
        except BackendError as error:
            return Entry(connector, tool, barred=error)
        return self._named(name)

    def _named(self, name: str) -> Entry | None:
        found = [shelf.entries[name] for shelf in self._shelves.values() if name in shelf.entries]
        if len(found) > 1:
            return _barred(found[0].connector, found[0].tool, f"two connectors have a tool named {name}")
        return found[0] if found else None

    def _permitted(self, entry: Entry) -> bool:
        return self._policy().permits(entry.connector, entry.tool, entry.annotations, entry.fingerprint)

    async def _refresh_all(self) -> None:
        async def one(connector: str) -> None:
            try:
                await self._refresh(connector)
            except BackendError as error:
                log.warning("the tools of connector %s are hidden: %s", connector, error)
                self._shelves[connector].entries = {}

        async with anyio.create_task_group() as group:
            for connector in self._shelves:
                group.start_soon(one, connector)

    async def _refresh(self, connector: str) -> None:
        upstream, shelf = self._upstreams[connector], self._shelves[connector]
        await upstream.ensure()
        if shelf.version == (upstream.version, self._policy().digest):
            return
        async with shelf.lock:
            policy = self._policy()
            version = upstream.version, policy.digest
            if shelf.version == version or policy.connector(connector) is None:
                return  # a connector that a reload took out has nothing that is permitted
            listed = await upstream.list_tools()
            shelf.entries = self._shelve(policy, connector, listed)
            shelf.version = version

    def _shelve(
        self, policy: Policy | Layered, connector: str, listed: list[dict[str, Any]]
    ) -> Mapping[str, Entry]:
        if len(listed) > MAX_TOOLS:
            log.warning("connector %s lists %d tools; only %d are kept", connector, len(listed), MAX_TOOLS)
        shelf: dict[str, Entry] = {}
        for definition in listed[:MAX_TOOLS]:
            entry = _entry(policy, connector, definition)
            if entry is None:
                log.warning("connector %s lists something that is no tool; it is dropped", connector)
                continue
            name = exposed(connector, entry.tool)
            if name in shelf:
                entry = _barred(connector, entry.tool, f"the connector has two tools named {name}")
            shelf[name] = entry
        self._tell_barred(self._shelves[connector].entries, shelf)
        return shelf

    def _tell_barred(self, before: Mapping[str, Entry], now: Mapping[str, Entry]) -> None:
        """Tell the operator of hidden tools, once each."""
        for name, entry in now.items():
            known = before.get(name)
            if entry.barred and not (known and known.barred):
                log.warning("tool %s is hidden: %s", name, entry.barred)


def _entry(policy: Policy | Layered, connector: str, definition: dict[str, Any]) -> Entry | None:
    try:
        tool = types.Tool.model_validate(definition, by_name=False)
        frozen = freeze(definition)
    except (ValidationError, NotJson):
        return None
    pinned = fingerprint(definition) if policy.pins(connector) else ""
    if families := _markers(policy, connector, tool.name, frozen):
        why = f"its description carries markers ({', '.join(families)})"
        return _barred(connector, tool.name, why, pinned)
    try:
        check_input = json_schema(tool.input_schema)
        check_output = _structured(tool.output_schema)
    except ValueError:
        return _barred(connector, tool.name, "its schema is none that can be checked here", pinned)
    # Tasks are not proxied, so no tool may offer them.
    listed = tool.model_copy(update={"name": exposed(connector, tool.name), "execution": None})
    return Entry(connector, tool.name, listed, _annotations(tool), pinned, check_input, check_output)


def _markers(policy: Policy | Layered, connector: str, tool: str, definition: Json) -> Iterable[str]:
    """Screen all that a client would read of a tool: its names, descriptions and schemas."""
    call = ToolCall.of(connector, tool, {})
    screened = policy.screen(call, ToolOutput(definition))
    if screened.action is Action.PASS:
        return ()
    return sorted({finding.family for finding in screened.findings})


def _barred(connector: str, tool: str, why: str, pinned: str = "") -> Entry:
    """Make an entry that only serves to say why the tool can't be used."""
    error = BackendError(f"this tool can't be used: {why}; do without it")
    return Entry(connector, tool, fingerprint=pinned, barred=error)


def _annotations(tool: types.Tool) -> Annotations:
    """Read a tool's hints; one that is missing means MCP's default for it, which is the worst case."""
    hints = tool.annotations or types.ToolAnnotations()
    given = {
        "readOnlyHint": hints.read_only_hint,
        "destructiveHint": hints.destructive_hint,
        "idempotentHint": hints.idempotent_hint,
        "openWorldHint": hints.open_world_hint,
    }
    stated = {name: hint for name, hint in given.items() if hint is not None}
    return Annotations(
        read_only=stated.get("readOnlyHint", WORST_CASE.read_only),
        destructive=stated.get("destructiveHint", WORST_CASE.destructive),
        idempotent=stated.get("idempotentHint", WORST_CASE.idempotent),
        open_world=stated.get("openWorldHint", WORST_CASE.open_world),
        stated=frozenset(stated),
    )


def _structured(schema: dict[str, Any] | None) -> OutputCheck | None:
    """Check a whole result against the schema of its structured content, unless it reports a failure."""
    if schema is None:
        return None
    check = json_schema(schema)

    def structured(result: Json) -> str | None:
        if not isinstance(result, Mapping) or result.get("isError") is True:
            return None
        if "structuredContent" not in result:
            return "the tool declares an output schema and gave no structured content"
        return check(result["structuredContent"])

    return structured
