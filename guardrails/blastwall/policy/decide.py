"""The compiled policy, which answers one question: what may happen to this call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import re2

from blastwall.policy import truth
from blastwall.policy.constraints import ArgumentCheck
from blastwall.policy.truth import Resolved, Truth
from blastwall.screening import Screening, screen
from blastwall.values import (
    WORST_CASE,
    Allow,
    Annotations,
    Ask,
    Classify,
    Credential,
    Denied,
    Deny,
    Label,
    Profile,
    Reason,
    Sandbox,
    Screened,
    Server,
    ToolCall,
    ToolOutput,
    Verdict,
)

_REMEMBERED = 4096
"""Tools per connector whose candidate rules are kept; more are looked up anew, so memory stays bounded."""


class Standing(IntEnum):
    """How one rule stands to one call; the highest of all rules decides. No rule ever loosens another."""

    ABSTAIN = 0
    ALLOW = 1
    ASK = 2
    DENY = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule."""

    id: str
    effect: Standing
    tools: tuple[str, ...]
    when: tuple[tuple[str, bool], ...] = ()
    checks: tuple[ArgumentCheck, ...] = ()
    profile: Profile | None = None
    otherwise: Standing = Standing.ABSTAIN
    instead: str = ""

    def covers(self, tool: str, annotations: Annotations) -> bool:
        """Say whether the rule speaks of this tool."""
        named = any(glob(pattern).fullmatch(tool) for pattern in self.tools)
        return named and all(getattr(annotations, hint) is wanted for hint, wanted in self.when)

    def holds(self, call: ToolCall, resolved: Resolved) -> Truth:
        """Say whether the call's arguments are as the rule demands."""
        if not self.checks:
            return Truth.YES
        loose = self.effect is Standing.DENY
        return truth.every(check.holds(call.arguments, resolved, any_member=loose) for check in self.checks)

    def stand(self, call: ToolCall, resolved: Resolved) -> Standing:
        """Say how the rule stands to a call of a tool that it covers.

        What can't be decided counts against the call: it triggers a deny rule, it never satisfies an
        allow rule, and an ask rule that can't be checked denies.
        """
        held = self.holds(call, resolved)
        if self.effect is Standing.DENY:
            return Standing.ABSTAIN if held is Truth.NO else Standing.DENY
        if held is Truth.YES:
            return self.effect
        if held is Truth.UNKNOWN and self.effect is Standing.ASK:
            return Standing.DENY
        return self.otherwise

    def unmet(self, call: ToolCall, resolved: Resolved) -> tuple[ArgumentCheck, ...]:
        """Give the demands that the call does not meet."""
        return tuple(
            check
            for check in self.checks
            if check.holds(call.arguments, resolved, any_member=False) is not Truth.YES
        )


def glob(pattern: str) -> "re2._Regexp[str]":
    """Compile a tool glob: `*` is any text, `?` one character, everything else itself."""
    return re2.compile("(?s)" + "".join({"*": ".*", "?": "."}.get(c) or re2.escape(c) for c in pattern))


@dataclass(frozen=True, slots=True)
class Connector:
    """One source of tools, and its scopes."""

    name: str
    rules: tuple[Rule, ...]
    match: tuple[str, ...] = ()
    trust_annotations: bool = False
    directory: Path | None = None
    server: Server | None = None
    screening: Screening = field(default_factory=Screening)
    _candidates: dict[tuple[str, Annotations], tuple[Rule, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def candidates(self, tool: str, stated: Annotations) -> tuple[Rule, ...]:
        """Give the rules that speak of a tool. Only a trusted connector's own annotations count."""
        annotations = stated if self.trust_annotations else WORST_CASE
        key = (tool, annotations)
        found = self._candidates.get(key)
        if found is None:
            found = tuple(rule for rule in self.rules if rule.covers(tool, annotations))
            if len(self._candidates) < _REMEMBERED:
                self._candidates[key] = found
        return found


@dataclass(frozen=True, slots=True)
class State:
    """Where a policy keeps its audit log and its quarantine, and how durable a record must be.

    Attributes:
        directory: The folder.
        durability: `process-crash` (written and flushed to the kernel) or `power-loss` (fsync).
        arguments: Whether audit records hold the arguments (`full`) or only their digest.

    """

    directory: Path
    durability: str = "process-crash"
    arguments: str = "full"

    @property
    def audit_path(self) -> Path:
        """The audit log."""
        return self.directory / "audit.jsonl"

    @property
    def quarantine_path(self) -> Path:
        """The folder of withheld outputs."""
        return self.directory / "quarantine"


@dataclass(frozen=True, slots=True)
class Policy:
    """A loaded policy file. Immutable; the same call always gets the same verdict.

    Deny beats ask beats allow, by class: neither file order nor specificity matters. No match denies.
    """

    connectors: Mapping[str, Connector]
    state: State
    digest: str
    file: str = ""
    auto: bool = False
    approval_s: float = 120.0
    output_label: Label = field(default_factory=Label)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict)

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        """Name the path arguments whose resolved form `decide` needs."""
        connector = self.connectors.get(call.connector)
        if connector is None:
            return ()
        found: dict[str, None] = {}
        for rule in connector.candidates(call.tool, call.annotations):
            for check in rule.checks:
                found.update(dict.fromkeys(check.paths(call.arguments)))
        return tuple(found)

    def decide(self, call: ToolCall, resolved: Resolved) -> Verdict:
        """Say what may happen to the call."""
        connector = self.connectors.get(call.connector)
        if connector is None:
            return Deny(_unknown(call, self.connectors))
        standing = Standing.ABSTAIN
        consenting: list[Rule] = []
        deciding: Rule | None = None
        for rule in connector.candidates(call.tool, call.annotations):
            stand = rule.stand(call, resolved)
            if stand is Standing.DENY:
                return Deny(_denied(rule, call, resolved))
            if stand is not Standing.ABSTAIN:
                consenting.append(rule)
            if stand > standing:
                standing, deciding = stand, rule
        if deciding is None:
            return Deny(_unmatched(connector, call, resolved))
        return self._permit(deciding, standing, consenting, call)

    def _permit(self, deciding: Rule, standing: Standing, consenting: list[Rule], call: ToolCall) -> Verdict:
        profiles = {rule.profile.name: rule.profile for rule in consenting if rule.profile}
        if len(profiles) > 1:
            names = " and ".join(sorted(profiles))
            message = f"rules disagree on the sandbox of {call.name}: {names}"
            return Deny(Denied(Reason.AMBIGUOUS, message, deciding.id, "name one sandbox in the policy"))
        run: Allow | Sandbox = Allow(deciding.id)
        for profile in profiles.values():
            run = Sandbox(deciding.id, profile)
        if standing is Standing.ALLOW:
            return run
        question = f"may {call.name} run? rule {deciding.id} asks"
        return (Classify if self.auto else Ask)(deciding.id, question, run, self.approval_s)

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        """Screen an output by the settings of its connector."""
        return screen(output, self.connectors[call.connector].screening, call.name)

    def label(self, call: ToolCall) -> Label:
        """Label an output."""
        return self.output_label

    def permits(self, connector: str, tool: str, annotations: Annotations = WORST_CASE) -> bool:
        """Say whether any call of this tool could run: what a list of tools may show."""
        known = self.connectors.get(connector)
        rules = known.candidates(tool, annotations) if known else ()
        if any(rule.effect is Standing.DENY and not rule.checks for rule in rules):
            return False
        return any(rule.effect is not Standing.DENY for rule in rules)

    def connector_of(self, tool: str) -> str | None:
        """Name the one connector whose `match.tools` claims a tool; None when none or several do."""
        claims = [c.name for c in self.connectors.values() if any(glob(p).fullmatch(tool) for p in c.match)]
        return claims[0] if len(claims) == 1 else None

    def directory(self, connector: str) -> Path | None:
        """Give the folder against which the connector's relative paths are resolved."""
        known = self.connectors.get(connector)
        return known.directory if known else None

    @property
    def servers(self) -> Mapping[str, Server]:
        """The stdio MCP servers, by connector."""
        return {name: c.server for name, c in self.connectors.items() if c.server}


def _unknown(call: ToolCall, known: Mapping[str, Connector]) -> Denied:
    if not call.connector:
        return Denied(
            Reason.UNKNOWN_CONNECTOR,
            f"{call.tool!r} belongs to no connector",
            instead="name its connector where it is wrapped, or add it to a connector's `match.tools`",
        )
    names = ", ".join(sorted(known)) or "none"
    return Denied(
        Reason.UNKNOWN_CONNECTOR,
        f"no connector {call.connector!r} in the policy (it has: {names})",
        instead="use a tool of a connector that the policy names",
    )


def _denied(rule: Rule, call: ToolCall, resolved: Resolved) -> Denied:
    if rule.effect is Standing.DENY:
        return Denied(Reason.RULE, f"{call.name} is denied", rule.id, rule.instead or _SOMETHING_ELSE)
    message = f"{call.name}: {expected(rule.unmet(call, resolved))}"
    return Denied(Reason.CONSTRAINT, message, rule.id, rule.instead or "change these arguments")


_SOMETHING_ELSE = "do without this call, or tell the user that the policy forbids it"


def _unmatched(connector: Connector, call: ToolCall, resolved: Resolved) -> Denied:
    for rule in connector.candidates(call.tool, call.annotations):
        if rule.effect is not Standing.DENY:
            message = f"{call.name}: {expected(rule.unmet(call, resolved))}"
            return Denied(Reason.CONSTRAINT, message, rule.id, rule.instead or "change these arguments")
    open_to = sorted({t for rule in connector.rules if rule.effect is not Standing.DENY for t in rule.tools})
    tools = ", ".join(open_to) or "none"
    message = f"no rule of connector {call.connector} allows {call.tool!r}"
    return Denied(Reason.NO_RULE, message, instead=f"use a tool that the policy permits here: {tools}")


def expected(unmet: tuple[ArgumentCheck, ...]) -> str:
    """Say in words what arguments should have been."""
    return "; ".join(f"{'.'.join(check.path)} must {check.expectation}" for check in unmet)
