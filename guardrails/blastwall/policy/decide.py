"""The compiled policy, which answers one question: what may happen to this call."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from blastwall.frozen import FrozenDict, Json
from blastwall.policy.connector import Connector
from blastwall.policy.messages import is_message, only_by_rule
from blastwall.policy.plan import REMEMBERED, Plan, Step
from blastwall.policy.refusals import changed, denied, off_limits, unknown, unmatched, used_up
from blastwall.policy.rules import Rule, covered
from blastwall.policy.standing import Standing
from blastwall.policy.together import Together
from blastwall.policy.truth import Resolved
from blastwall.provenance import NOTHING, Context, Labels
from blastwall.provenance.recorded import as_json, hints
from blastwall.screening import screen
from blastwall.values import (
    WORST_CASE,
    Allow,
    Annotations,
    Ask,
    Charge,
    Classify,
    Credential,
    Denied,
    Deny,
    Front,
    Profile,
    Reason,
    Sandbox,
    Screened,
    Server,
    ToolCall,
    ToolOutput,
    Verdict,
)

_NOTHING_TOGETHER = Together()

PERMISSIVE = "permissive"
"""What is named as the rule that let a call run which no rule allows. What a rule denies stays denied."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a policy keeps its audit log, its ledger and its quarantine, and how durable a record must be.

    Attributes:
        directory: The folder.
        durability: `process-crash` (written and flushed to the kernel) or `power-loss` (fsync).
        arguments: Whether audit records hold the arguments (`full`) or only their digest.

    """

    directory: Path
    durability: str
    arguments: str

    @property
    def audit_path(self) -> Path:
        """The audit log."""
        return self.directory / "audit.jsonl"

    @property
    def ledger_path(self) -> Path:
        """What the rates and sums of all sessions have come to."""
        return self.directory / "ledger.sqlite"

    @property
    def quarantine_path(self) -> Path:
        """The folder of withheld outputs."""
        return self.directory / "quarantine"


@dataclass(frozen=True, slots=True)
class Policy:
    """A loaded policy file. Immutable; the same call in the same context always gets the same verdict.

    Deny beats ask beats allow, by class: neither file order nor specificity matters. No match denies.
    """

    connectors: Mapping[str, Connector]
    state: State
    digest: str
    file: str
    auto: bool
    approval_s: float
    permissive: bool
    unknown_tool: Standing
    together: Together
    profiles: Mapping[str, Profile]
    own: tuple[str, ...]
    credentials: Mapping[str, Credential]
    front: Front
    _plans: dict[str, dict[str, Plan]] = field(init=False, default_factory=dict, compare=False, repr=False)
    _steps: dict[str, Step] = field(init=False, default_factory=dict, compare=False, repr=False)

    def connector(self, name: str) -> Connector | None:
        """Give a connector, or the one called `*` that stands for all that have no name of their own here."""
        return self.connectors.get(name) or (self.connectors.get("*") if name else None)

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        """Name the path arguments whose resolved form `decide` needs."""
        connector = self.connector(call.connector)
        if connector is None:
            return ()
        found: dict[str, None] = {}
        for rule in connector.candidates(call.tool, call.annotations):
            for check in rule.checks:
                found.update(dict.fromkeys(check.paths(call.arguments)))
        return tuple(found)

    @property
    def traces(self) -> bool:
        """Whether a session must remember what it saw: a rule looks at where data came from.

        A permissive policy always does, so that scopes can be learnt from what it records.
        """
        if self.permissive or self.together.traces:
            return True
        return any(connector.traces for connector in self.connectors.values())

    def recalls(self, call: ToolCall) -> bool:
        """Say whether the verdict on a call depends on what its session has seen and heard."""
        connector = self.connector(call.connector)
        if connector is None:
            return False
        if self.permissive or self.together.traces:
            return True
        return any(rule.flow for rule in connector.candidates(call.tool, call.annotations))

    def leant(self, call: ToolCall, context: Context | None) -> Mapping[str, Json]:
        """Give what a verdict leant on beside the arguments, for the record."""
        given = {
            # It names arguments and links, some of them decoded: a log of digests must not have them.
            "context": as_json(context) if context and self.state.arguments == "full" else None,
            "annotations": hints(call.annotations),
            "fingerprint": call.fingerprint,
        }
        return {name: value for name, value in given.items() if value}

    def decide(self, call: ToolCall, resolved: Resolved, context: Context | None = None) -> Verdict:
        """Say what may happen to the call.

        Args:
            call: The call.
            resolved: Where the paths that `paths` named lead.
            context: What the session knows, where `recalls` says that it matters.

        """
        try:
            plan = self._plans[call.connector][call.tool]
        except KeyError:
            plan = self._planned(call)
        arguments, own, state = call.arguments, self.own, 0
        for path in resolved.values() if resolved else ():
            if path and f"{path}/".startswith(own):
                return self._decide(call, resolved, context or NOTHING)
        for holds, stands in plan.rules:
            state = state * 4 + stands[holds(arguments, resolved)]
        try:
            return plan.known[state]
        except KeyError:
            verdict = self._decide(call, resolved, context or NOTHING)
        plan.remember(state, verdict)
        return verdict

    def _planned(self, call: ToolCall) -> Plan:
        """Make the plan of a tool. Where more than its rules and arguments matters, it is an empty one."""
        connector = self.connector(call.connector)
        if connector is None:
            return Plan()
        plan = Plan()
        if not (connector.pins or connector.trust_annotations) and self.together == _NOTHING_TOGETHER:
            plan = Plan.of(connector.candidates(call.tool, call.annotations), self._steps)
        if sum(map(len, self._plans.values())) < REMEMBERED:
            self._plans.setdefault(call.connector, {})[call.tool] = plan
        return plan

    def _decide(self, call: ToolCall, resolved: Resolved, context: Context) -> Verdict:
        connector = self.connector(call.connector)
        if connector is None:
            return Deny(unknown(call, self.connectors))
        if (barred := self._barred(connector, call, resolved)) is not None:
            return Deny(barred)
        ruling = self._ruled(connector, call, resolved, context)
        return ruling if isinstance(ruling, Deny) else self._weighed(ruling, connector, call, context)

    def _ruled(
        self, connector: Connector, call: ToolCall, resolved: Resolved, context: Context
    ) -> "_Ruling | Deny":
        """Say what the rules alone make of the call."""
        standing = Standing.ABSTAIN
        consenting: list[Rule] = []
        deciding: Rule | None = None
        for rule in connector.candidates(call.tool, call.annotations):
            stand = rule.stand(call, resolved, context)
            if stand is Standing.DENY:
                return Deny(denied(rule, call, resolved, context))
            if stand is not Standing.ABSTAIN:
                consenting.append(rule)
            if stand > standing:
                standing, deciding = stand, rule
        if deciding is None:
            return self._unmatched(connector, call, resolved, context)
        why = deciding.objections(call, resolved, context) if standing is not deciding.effect else []
        return _Ruling(deciding.id, standing, consenting, why)

    def _barred(self, connector: Connector, call: ToolCall, resolved: Resolved) -> Denied | None:
        """Say what no rule can permit: a changed tool, and blastwall's own files.

        Who writes a policy file, or the state, writes the rules.
        """
        if not connector.pinned(call.tool, call.fingerprint):
            return changed(call)
        if any(path and f"{path}/".startswith(self.own) for path in resolved.values()):
            return off_limits(call)
        return None

    def _unmatched(
        self, connector: Connector, call: ToolCall, resolved: Resolved, context: Context
    ) -> "_Ruling | Deny":
        why = unmatched(connector, call, resolved, context)
        if only_by_rule(call.tool):
            return Deny(why)
        if self.unknown_tool is Standing.ASK and not connector.candidates(call.tool, call.annotations):
            return _Ruling("unknown_tool", Standing.ASK, [], ["no rule of the policy speaks of this tool"])
        return _Ruling(PERMISSIVE, Standing.ALLOW, [], [], why) if self.permissive else Deny(why)

    def _weighed(self, ruling: "_Ruling", connector: Connector, call: ToolCall, context: Context) -> Verdict:
        """Hold what the rules permit against what the session may do, and count what it uses up."""
        profiles = {rule.profile.name: rule.profile for rule in ruling.consenting if rule.profile}
        if len(profiles) > 1:
            names = " and ".join(sorted(profiles))
            message = f"rules disagree on the sandbox of {call.name}: {names}"
            return Deny(Denied(Reason.AMBIGUOUS, message, ruling.rule, "name one sandbox in the policy"))
        does = connector.does(call.tool, call.annotations)
        # No user's words ask for a message of the protocol: they ask for what it serves.
        wanted = is_message(call.tool) or any(rule.wanted for rule in ruling.consenting)
        standing, why, overlooked = ruling.standing, ruling.why, ruling.overlooked
        for level, reason, message in self.together.unmet(call, does, context, wanted=wanted):
            if level is Standing.ASK:
                standing, why = level, [*why, message]
                continue
            objection = Denied(reason, f"{call.name}: {message}", ruling.rule)
            if not self.permissive or only_by_rule(call.tool):
                return Deny(objection)
            overlooked = overlooked or objection
        charges = (
            *[charge for rule in ruling.consenting for charge in rule.charges(call, context)],
            *self.together.charges(call, does, context),
        )
        run: Allow | Sandbox = Allow(ruling.rule, charges, overlooked)
        for profile in profiles.values():
            run = Sandbox(ruling.rule, profile, charges, overlooked)
        return (
            run
            if standing is Standing.ALLOW
            else self._ask(ruling.rule, _question(call, ruling.rule, why), run)
        )

    def _ask(self, rule: str, question: str, then: Allow | Sandbox) -> Ask | Classify:
        kind = Classify if self.auto else Ask
        return kind(rule, question, then, self.approval_s, self.together.asking())

    def over(self, call: ToolCall, verdict: Allow | Sandbox, charge: Charge) -> Verdict:
        """Say what happens to a call that was permitted, now that one of its charges can't be paid."""
        why = used_up(call, verdict.rule, charge)
        if not charge.ask:
            return Deny(why)
        rest = tuple(other for other in verdict.charges if other is not charge)
        question = f"may {call.name} run? {why.message}"
        return self._ask(verdict.rule, question, replace(verdict, charges=rest))

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        """Screen an output by the settings of its connector."""
        return screen(output, self._known(call).screening, call.name)

    def labels(self, call: ToolCall) -> Labels:
        """Say how the fields of an output are labelled."""
        return self._known(call).labels(call.tool)

    def _known(self, call: ToolCall) -> Connector:
        found = self.connector(call.connector)
        if found is None:
            raise KeyError(call.connector)
        return found

    def permits(
        self,
        connector: str,
        tool: str,
        annotations: Annotations = WORST_CASE,
        fingerprint: str = "",
        known: Mapping[str, object] | None = None,
    ) -> bool:
        """Say whether any call of this tool, or message of this name, could run: what a list may show.

        Args:
            connector: Whose it is.
            tool: Its name.
            annotations: What its server says of it.
            fingerprint: That of its definition.
            known: The arguments that every such call has. What isn't known of others never hides anything.

        """
        found = self.connector(connector)
        if found is None or not found.pinned(tool, fingerprint):
            return False
        rules = found.candidates(tool, annotations)
        outlooks = {rule.outlook(FrozenDict(known or {})) for rule in rules}
        if Standing.DENY in outlooks:
            return False
        if outlooks - {Standing.ABSTAIN}:
            return True
        if only_by_rule(tool):
            return False
        return self.permissive or (not rules and self.unknown_tool is Standing.ASK)

    def pins(self, connector: str) -> Mapping[str, str]:
        """Give the fingerprints that the definitions of a connector's tools must have, by tool."""
        known = self.connector(connector)
        return known.pins if known else {}

    def first_use(self, connector: str) -> bool:
        """Say whether what a connector's server says of itself is pinned as it is first seen."""
        known = self.connector(connector)
        return known is not None and known.first_use

    def connector_of(self, tool: str) -> str | None:
        """Name the one connector whose `match.tools` claims a tool; None when none or several do."""
        claims = [c.name for c in self.connectors.values() if covered(tool, c.match)]
        return claims[0] if len(claims) == 1 else None

    def directory(self, connector: str) -> Path | None:
        """Give the folder against which the connector's relative paths are resolved."""
        known = self.connector(connector)
        return known.directory if known else None

    @property
    def servers(self) -> Mapping[str, Server]:
        """The MCP servers, by connector."""
        return {name: c.server for name, c in self.connectors.items() if c.server}


@dataclass(frozen=True, slots=True)
class _Ruling:
    """What the rules alone make of a call that none of them denies.

    Attributes:
        rule: The rule that decided, or what stands for one.
        standing: ALLOW or ASK.
        consenting: Every rule that lets it run.
        why: Why it is asked, beyond that the rule asks.
        overlooked: What a permissive policy only records.

    """

    rule: str
    standing: Standing
    consenting: list[Rule]
    why: list[str]
    overlooked: Denied | None = None


def _question(call: ToolCall, rule: str, why: list[str]) -> str:
    reasons = f": {'; '.join(why)}" if why else ""
    return f"may {call.name} run? rule {rule} asks{reasons}"
