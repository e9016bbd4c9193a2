"""Why a call gets its verdict: every rule of its connector, and how it stands."""

from dataclasses import dataclass
from typing import assert_never

from blastwall.policy.decide import Policy, Rule, Standing, expected
from blastwall.policy.truth import Resolved, Truth
from blastwall.values import WORST_CASE, ToolCall, Verdict


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's part in the decision, in words."""

    rule: str
    effect: str
    standing: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict and the lines that led to it, in the order of the file."""

    verdict: Verdict
    lines: tuple[Line, ...]


def explain(policy: Policy, call: ToolCall, resolved: Resolved) -> Explanation:
    """Explain what `policy.decide` says of a call."""
    connector = policy.connectors.get(call.connector)
    lines: tuple[Line, ...] = ()
    if connector is not None:
        annotations = call.annotations if connector.trust_annotations else WORST_CASE
        lines = tuple(
            _line(rule, call, resolved, covered=rule.covers(call.tool, annotations))
            for rule in connector.rules
        )
    return Explanation(policy.decide(call, resolved), lines)


def _line(rule: Rule, call: ToolCall, resolved: Resolved, *, covered: bool) -> Line:
    effect = rule.effect.name.lower()
    if not covered:
        return Line(rule.id, effect, "abstain", f"speaks of {', '.join(rule.tools)}{_hints(rule)} only")
    return Line(rule.id, effect, rule.stand(call, resolved).name.lower(), _why(rule, call, resolved))


def _why(rule: Rule, call: ToolCall, resolved: Resolved) -> str:
    demands = expected(rule.unmet(call, resolved))
    match rule.holds(call, resolved):
        case Truth.YES if not rule.checks:
            return "covers this tool, whatever its arguments"
        case Truth.YES:
            return "its arguments are as the rule says"
        case Truth.UNKNOWN:
            return f"can't be checked, which counts against the call: {demands}"
        case Truth.NO if rule.otherwise is not Standing.ABSTAIN:
            return f"{demands}; otherwise {rule.otherwise.name.lower()}"
        case Truth.NO:
            return demands or "its arguments are not as the rule says"
        case held:
            assert_never(held)


def _hints(rule: Rule) -> str:
    return "".join(f" with {hint}={str(wanted).lower()}" for hint, wanted in rule.when)
