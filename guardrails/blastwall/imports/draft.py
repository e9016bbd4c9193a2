"""A policy that is being written: connectors, rules, and what could not be carried over into them."""

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from blastwall.errors import Problem
from blastwall.imports.fields import Field
from blastwall.imports.patterns import either
from blastwall.policy.globs import within

Effect = Literal["allow", "ask", "deny"]
STRICTNESS = ("allow", "ask", "deny")
"""From the loosest effect to the strictest."""

_NAME = re.compile(r"[A-Za-z0-9](?:_?[A-Za-z0-9.-])*")
_MOST = 32


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the policy to be, and the line that it comes from."""

    effect: Effect
    tools: tuple[str, ...]
    args: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()
    origins: tuple[str, ...] = ()
    otherwise: str = ""

    @property
    def kind(self) -> object:
        """What rules have in common that can be one."""
        names = tuple((name, tuple(key for key, _ in demand)) for name, demand in self.args)
        return (self.effect, self.tools if self.args else (), names)

    def needless(self, whole: Sequence[str]) -> bool:
        """Say whether it allows some calls of tools that are allowed as a whole."""
        needed = any(not any(within(tool, known) for known in whole) for tool in self.tools)
        return self.effect == "allow" and bool(self.args) and not needed

    def joined(self, other: "Rule") -> "Rule":
        """Give one rule that says what two of the same kind say."""
        origins = tuple(dict.fromkeys((*self.origins, *other.origins)))
        if not self.args:
            return replace(self, tools=tuple(dict.fromkeys((*self.tools, *other.tools))), origins=origins)
        ((name, ours),), ((_, theirs),) = self.args, other.args
        demand = tuple((key, _either(a, b)) for (key, a), (_, b) in zip(ours, theirs, strict=True))
        return replace(self, args=((name, demand),), origins=origins)


@dataclass(frozen=True, slots=True)
class Server:
    """How a stdio MCP server is started."""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    call_s: float | None = None


@dataclass(slots=True)
class Connector:
    """One connector of the policy to be."""

    name: str
    origin: str
    directory: str | None = None
    server: Server | None = None
    rules: list[Rule] = field(default_factory=list)

    def add(
        self,
        effect: Effect,
        tools: Sequence[str],
        args: dict[str, dict[str, Any]] | None = None,
        *,
        origin: str = "",
    ) -> None:
        """Add a rule with demands on at most one argument."""
        demands = tuple((name, tuple(demand.items())) for name, demand in (args or {}).items())
        self.rules.append(Rule(effect, tuple(tools), demands, (origin,) if origin else ()))

    def settled(self, *, asking: bool) -> list[Rule]:
        """Give the rules, those of one kind joined, the strictest first.

        Args:
            asking: Whether what is left is asked for. An allow rule then asks where its demands don't hold,
                and so does a rule for the tools that only stricter rules speak of, here and there.

        """
        kinds: dict[object, Rule] = {}
        for rule in self.rules:
            kinds[rule.kind] = kinds[rule.kind].joined(rule) if rule.kind in kinds else rule
        allowed = [rule for rule in kinds.values() if rule.effect == "allow" and not rule.args]
        whole = [tool for rule in allowed for tool in rule.tools]
        rules = [rule for rule in kinds.values() if not rule.needless(whole)]
        if asking:
            rest = _unanswered(rules)
            rules += (
                [Rule("ask", rest, origins=("other calls of these are asked for, as there",))] if rest else []
            )
            rules = [replace(r, otherwise="ask") if r.effect == "allow" and r.args else r for r in rules]
        return sorted(rules, key=lambda rule: STRICTNESS.index(rule.effect), reverse=True)


@dataclass(slots=True)
class Draft:
    """The policy to be.

    Attributes:
        of: What it is imported from.
        own: The connector of the client's own tools; no server is called so.
        asking: Whether what no rule speaks of is asked for; else it is denied.
        connectors: By what the source has them for: the client's own tools or a server, and its name.
        notes: Everything that could not be carried over, and why.

    """

    of: str
    own: str = ""
    asking: bool = True
    connectors: dict[tuple[bool, str], Connector] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)

    def tools(self, at: Field) -> Connector:
        """Give the connector of the client's own tools."""
        return self._connector(self.own, at, own=True)

    def connector(self, name: str, at: Field) -> Connector:
        """Give the connector of a server; a new one where there is none. A name that can't be one is bent."""
        return self._connector(name, at, own=False)

    def _connector(self, name: str, at: Field, *, own: bool) -> Connector:
        if (own, name) not in self.connectors:
            taken = {connector.name for connector in self.connectors.values()}
            taken |= set() if own else {self.own}
            good = fitting(name, taken)
            self.connectors[own, name] = Connector(good, at.where)
            if good != name:
                self.note(at, f"a connector can't be called {name!r}: it is {good!r} here")
        return self.connectors[own, name]

    @property
    def servers(self) -> list[str]:
        """The names that the source has for its servers."""
        return [name for own, name in self.connectors if not own]

    def note(self, at: Field, message: str, *, key: bool = False) -> None:
        """Keep a remark; the same one once."""
        said = at.says(message, key=key)
        if said not in self.notes:
            self.notes.append(said)


def _unanswered(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Name the tools that some calls of are stopped, and none of the others spoken of."""
    answered = [tool for rule in rules if rule.effect == "allow" or not rule.args for tool in rule.tools]
    stopped = dict.fromkeys(tool for rule in rules if rule.args for tool in rule.tools)
    return tuple(tool for tool in stopped if not any(within(tool, known) for known in answered))


def _either(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, list):
        return [*ours, *(each for each in theirs if each not in ours)]
    return ours if ours == theirs else either(ours, theirs)


def fitting(name: str, taken: Collection[str] = ()) -> str:
    """Bend a text into a name that a policy takes and that nothing else has."""
    if _NAME.fullmatch(name) and len(name) <= _MOST and name not in taken:
        return name
    bent = "_".join(re.findall(r"[A-Za-z0-9.-]+", name)).strip("_.-") or "connector"
    numbered = (f"{bent[: _MOST - 4].rstrip('_')}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([bent[:_MOST].rstrip("_")], numbered) if each not in taken)
