"""How most calls are decided: the rules of one tool as closures, and the verdicts that they came to before.

A plan never decides anything by itself: it remembers what the policy said when the same rules stood alike,
and only where nothing but that can matter.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import assert_never

from blastwall.frozen import FrozenDict
from blastwall.policy.constraints import ArgumentCheck
from blastwall.policy.rules import Rule
from blastwall.policy.standing import Standing
from blastwall.policy.truth import YES, Resolved, Truth
from blastwall.values import Allow, Ask, Classify, Deny, Reason, Sandbox, Verdict

REMEMBERED = 4096
"""Tools that have a plan of their own; more are decided the long way, so memory stays bounded."""

STATES = 256
"""Ways in which the rules of a plan may stand that are remembered."""

Holds = Callable[[FrozenDict, Resolved], Truth]
Stands = tuple[int, int, int]
"""How a rule stands when its demands hold not, can't be decided, and hold."""

Step = tuple[Holds, Stands]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules of one tool.

    Attributes:
        rules: Whether each rule's demands hold, and how it stands then; none where more than that matters.
        settles: Whether how the rules stand says everything.
        asking: The rules that ask when their demands hold.
        known: Verdicts, by how the rules stood: two bits for each.

    """

    rules: tuple[Step, ...] = ()
    settles: bool = False
    asking: frozenset[str] = frozenset()
    known: dict[int, Verdict] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[Rule], steps: dict[str, Step]) -> "Plan":
        """Make the plan of a tool, from the rules that speak of it and the steps of those met before."""
        listed = list(rules)
        if any(rule.flow or rule.condition or rule.budgets for rule in listed):
            return cls()
        asking = frozenset(rule.id for rule in listed if rule.effect is Standing.ASK)
        for rule in listed:
            if rule.id not in steps:
                steps[rule.id] = _holds(rule), _stands(rule)
        return cls(tuple(steps[rule.id] for rule in listed), True, asking)

    def remember(self, state: int, verdict: Verdict) -> None:
        """Keep a verdict that every call gets for which the rules stand like this."""
        if self.settles and len(self.known) < STATES and self._general(verdict):
            self.known[state] = verdict

    def _general(self, verdict: Verdict) -> bool:
        """Say whether nothing in a verdict is about one call's own arguments: no list of unmet demands."""
        match verdict:
            case Allow() | Sandbox():
                return verdict.instead_of is None
            case Ask() | Classify():
                return verdict.rule in self.asking
            case Deny(denied):
                return denied.reason in (Reason.RULE, Reason.NO_RULE, Reason.AMBIGUOUS)
            case _:
                assert_never(verdict)


def _stands(rule: Rule) -> Stands:
    if rule.effect is Standing.DENY:
        return int(Standing.ABSTAIN), int(Standing.DENY), int(Standing.DENY)
    unclear = Standing.DENY if rule.effect is Standing.ASK else rule.otherwise
    return int(rule.otherwise), int(unclear), int(rule.effect)


def _holds(rule: Rule) -> Holds:
    """Join the checks of a rule."""
    loose = rule.effect is Standing.DENY
    each = [_check(check, loose) for check in rule.checks]
    if not each:
        return lambda arguments, resolved: YES
    if len(each) == 1:
        return each[0]
    first, *others = each

    def every(arguments: FrozenDict, resolved: Resolved) -> Truth:
        held = first(arguments, resolved)
        for other in others:
            if not held:
                break
            held = min(held, other(arguments, resolved))
        return held

    return every


def _check(check: ArgumentCheck, loose: bool) -> Holds:
    """Give a check that takes the short way where the argument is one plain value."""

    def general(arguments: FrozenDict, resolved: Resolved) -> Truth:
        return check.holds(arguments, resolved, any_member=loose)

    if len(check.path) != 1 or len(check.checks) != 1 or check.whole:
        return general
    (name,), (demand,) = check.path, check.checks

    def plain(arguments: FrozenDict, resolved: Resolved) -> Truth:
        value = arguments.get(name)
        if value is None or value.__class__ is tuple:
            return general(arguments, resolved)
        return demand(value, resolved)

    return plain
