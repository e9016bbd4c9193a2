"""What is right in a policy file and still not what its author can have meant."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blastwall.advice.shadows import closes, shadows
from blastwall.advice.wide import wide
from blastwall.policy.connector import Connector
from blastwall.policy.decide import Policy
from blastwall.policy.doing import WORST
from blastwall.policy.messages import is_message
from blastwall.policy.rules import Rule, covered
from blastwall.policy.source import Loc, Source
from blastwall.policy.standing import Standing
from blastwall.values import WORST_CASE, Annotations, Does


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a connector is known to have.

    Attributes:
        name: Its name.
        arguments: The names of its arguments; None where its schema is not known, or leaves them open.
        annotations: What its server says of it.

    """

    name: str
    arguments: frozenset[str] | None = None
    annotations: Annotations = WORST_CASE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `code` is its stable short name, `fix` says what to do."""

    line: int
    column: int
    code: str
    path: str
    message: str
    fix: str


Tools = Mapping[str, tuple[Tool, ...]]
"""The tools of each connector of which they are known."""

REACHING = frozenset(
    {
        Does.DELETE,
        Does.EXECUTE,
        Does.NETWORK_SEND,
        Does.SPEND,
        Does.CREDENTIAL,
        Does.PERSIST,
        Does.ESCALATE,
    }
)
"""Effects that can't be taken back, or that reach somebody else."""


def lint(
    policy: Policy, source: Source, tools: Tools, narrowing: Iterable[Policy] = (), *, strict: bool = False
) -> list[Finding]:
    """Look a policy through.

    Args:
        policy: The policy.
        source: Its own file, read with positions. A template's rules have none, and are not looked at.
        tools: The tools that are known.
        narrowing: The layers over it.
        strict: Whether to tell as well what is only less tight than it could be.

    """
    look = _Look(policy, source, tools, tuple(narrowing))
    found = [*look.all(), *(look.finding(*told) for told in wide(source.data))]
    if strict:
        found += look.loose()
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.line, finding.column, finding.code))


@dataclass(frozen=True, slots=True)
class _Look:
    policy: Policy
    source: Source
    tools: Tools
    narrowing: tuple[Policy, ...]

    def finding(self, code: str, loc: Loc, message: str, fix: str, *, key: bool = False) -> Finding:
        line, column = self.source.place(loc, key=key)
        return Finding(line, column, code, ".".join(map(str, loc)), message, fix)

    def all(self) -> Iterator[Finding]:
        for loc, block, connector in self._connectors():
            if block.get("trust_annotations") is True and not connector.pins:
                message = f"{connector.name} believes what its server says of its tools, and that may change"
                fix = "pin the tools, or describe them under `effects` and trust nothing"
                yield self.finding("unpinned-trust", (*loc, "trust_annotations"), message, fix)
            yield from self._dead(loc, block, connector)
            own = connector.rules[: len(block.get("rules", []))]
            for i, rule in enumerate(own):
                here = (*loc, "rules", i)
                yield from self._without_effect(here, rule, connector)
                yield from self._reaching(here, rule, block["rules"][i], connector)
                yield from self._arguments(here, rule, block["rules"][i], connector)

    def loose(self) -> Iterator[Finding]:
        for loc, _, connector in self._connectors():
            for tool in self.tools.get(connector.name, ()):
                if not any(covered(tool.name, rule.tools) for rule in connector.rules):
                    message = f"no rule speaks of {tool.name}, so it is always refused"
                    yield self.finding(
                        "unspoken", loc, message, "deny it by a rule, so that it is said", key=True
                    )
        yield from self._unused("sandboxes", _named(self.source.data, "sandbox"))
        yield from self._unused("credentials", _named(self.source.data, "credentials"))

    def _unused(self, block: str, used: set[str]) -> Iterator[Finding]:
        for name in _block(self.source.data, block):
            if name not in used:
                message = f"nothing uses {name!r}"
                yield self.finding("unused", (block, name), message, "take it out", key=True)

    def _connectors(self) -> Iterator[tuple[Loc, dict[str, Any], Connector]]:
        for name, block in _block(self.source.data, "connectors").items():
            yield ("connectors", name), block, self.policy.connectors[name]

    def _dead(self, loc: Loc, block: dict[str, Any], connector: Connector) -> Iterator[Finding]:
        known = [tool.name for tool in self.tools.get(connector.name, ())]
        if not known:
            return
        for where, pattern in _patterns(block):
            if not is_message(pattern) and not any(covered(name, (pattern,)) for name in known):
                message = f"{pattern!r} covers none of the {len(known)} known tools of {connector.name}"
                yield self.finding("dead-glob", (*loc, *where), message, _meant(pattern, known), key=True)

    def _without_effect(self, loc: Loc, rule: Rule, connector: Connector) -> Iterator[Finding]:
        for other in connector.rules:
            if shadows(other, rule, connector.rules):
                message = f"this never decides anything: {other.id} {_DOES[other.effect]} all its tools"
                fix = _ALIKE if other.effect is rule.effect else _STRICTER
                yield self.finding("shadowed", (*loc, "id"), message, fix)
                return
        if rule.effect is Standing.DENY:
            return
        for layer in self.narrowing:
            over = layer.connectors.get(connector.name) or layer.connectors.get("*")
            if over and closes(over, rule):
                message = f"this lets nothing through: the layer {layer.file} refuses all its tools"
                yield self.finding("shadowed", (*loc, "id"), message, "take the rule out")
                return

    def _reaching(
        self, loc: Loc, rule: Rule, block: dict[str, Any], connector: Connector
    ) -> Iterator[Finding]:
        if rule.effect is not Standing.ALLOW or rule.flow or rule.profile or "tools" not in block:
            return
        addressed = any("hosts" in constraint for constraint in block.get("args", {}).values())
        for i, pattern in enumerate(rule.tools):
            for tool in self._covered(pattern, rule, connector):
                does = connector.does(tool.name, tool.annotations)
                if why := _why(tool.name, does, addressed=addressed):
                    here = (*loc, "tools", i)
                    fix = f"describe it under `effects`, or {_FLOW}" if does == WORST else _FLOW
                    yield self.finding("no-flow", here, f"rule {rule.id} allows {why}", fix)
                    break

    def _covered(self, pattern: str, rule: Rule, connector: Connector) -> list[Tool]:
        """Give the known tools that a glob of an allow rule covers, or the glob itself where none is known.

        An allow rule that speaks of annotations is refused where they are not trusted (`policy.sound`).
        """
        known = [
            tool
            for tool in self.tools.get(connector.name, ())
            if covered(tool.name, (pattern,)) and rule.covers(tool.name, tool.annotations)
        ]
        return known or [Tool(pattern)]

    def _arguments(
        self, loc: Loc, rule: Rule, block: dict[str, Any], connector: Connector
    ) -> Iterator[Finding]:
        known = [
            tool
            for tool in self.tools.get(connector.name, ())
            if tool.arguments is not None and covered(tool.name, rule.tools)
        ]
        for where, argument, optional in _named_arguments(block):
            name = argument.partition(".")[0]
            lacking = [tool.name for tool in known if name not in (tool.arguments or ())]
            if not lacking or (optional and len(lacking) < len(known)):
                continue
            every = sorted(set().union(*(tool.arguments or () for tool in known)))
            none = len(lacking) == len(known)
            message = f"{_list(lacking)} {'has' if len(lacking) == 1 else 'have'} no argument {name!r}"
            fix = f"write one of {_list(every)}" if none else "give the others a rule of their own"
            yield self.finding("unknown-argument", (*loc, *where), message, fix, key=True)


_ALIKE = "take one of the two rules out"
_STRICTER = "deny beats ask beats allow, however narrow: narrow that rule, or take this one out"
_FLOW = "say with which data, under `flow`, or confine it with `sandbox`, or ask"


_DOES = {Standing.ALLOW: "allows", Standing.ASK: "asks for", Standing.DENY: "denies"}


def _why(name: str, does: frozenset[Does], *, addressed: bool) -> str:
    if does == WORST:
        return f"{name!r}, of which nothing says what it does: it may destroy, and reach anybody"
    reaching = sorted(does & REACHING)
    if reaching:
        return f"{name!r}, which does {', '.join(reaching)}, with whatever data"
    if Does.NETWORK_READ in does and not addressed:
        return f"{name!r}, which reads from the network: an address can carry anything out"
    return ""


def _patterns(block: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    """Give every tool glob that a connector's block writes."""
    for i, rule in enumerate(block.get("rules", [])):
        for j, pattern in enumerate(rule.get("tools", [])):
            yield ("rules", i, "tools", j), pattern
    for key in ("effects", "outputs"):
        for patterns in block.get(key, {}):
            for pattern in patterns.split("|"):
                yield (key, patterns), pattern
    for tool in block.get("pin", {}):
        yield ("pin", tool), tool


def _named_arguments(block: dict[str, Any]) -> Iterator[tuple[Loc, str, bool]]:
    """Give every argument that a rule names, and whether it may be absent."""
    for name, constraint in block.get("args", {}).items():
        yield ("args", name), name, constraint.get("optional", False)
    flow = block.get("flow", {})
    for name in flow.get("control", {}):
        if name != "*":
            yield ("flow", "control", name), name, True
    for name in flow.get("bounded", {}):
        yield ("flow", "bounded", name), name, False


def _named(data: Any, key: str) -> set[str]:
    """Collect what is written under a key anywhere in a policy."""
    found: set[str] = set()
    if isinstance(data, dict):
        for name, value in data.items():
            listed = value if isinstance(value, list) else [value]
            found |= {item for item in listed if name == key and isinstance(item, str)} | _named(value, key)
    elif isinstance(data, list):
        for item in data:
            found |= _named(item, key)
    return found


def _meant(pattern: str, known: list[str]) -> str:
    return f"write one that is there, or take it out: {_list(sorted(known))}"


def _list(names: list[str]) -> str:
    rest = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {rest} more" if rest > 0 else "")


_MOST = 8


def _block(data: Any, key: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}
