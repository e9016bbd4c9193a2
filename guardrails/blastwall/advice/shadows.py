"""Rules beside each other: which of them takes all the meaning from another one."""

from blastwall.policy.connector import Connector
from blastwall.policy.globs import meet, within
from blastwall.policy.rules import Rule
from blastwall.policy.standing import Standing


def shadows(other: Rule, rule: Rule, rules: tuple[Rule, ...]) -> bool:
    """Say whether a rule takes all the meaning from another one."""
    if other is rule or not other.unconditional or other.when:
        return False
    if not all(any(within(inner, outer) for outer in other.tools) for inner in rule.tools):
        return False
    if other.effect is Standing.DENY and rule.effect is not Standing.DENY:
        return True
    if other.effect < rule.effect or not _adds_nothing(rule, other):
        return False
    if other.effect is not rule.effect:
        return True
    # Of two that shadow each other, the later one is told.
    return not _shadows_back(rule, other) or rules.index(other) < rules.index(rule)


def _adds_nothing(rule: Rule, beside: Rule) -> bool:
    """Say whether a rule has nothing to say beside an unconditional one of the same effect."""
    if rule.effect is Standing.DENY:
        return True
    strict_on_doubt = rule.effect is Standing.ASK and not rule.unconditional
    charging = bool(rule.budgets or (rule.flow and (rule.flow.bounded or rule.flow.wanted)))
    confining = rule.profile is not None and rule.profile != beside.profile
    return not (strict_on_doubt or charging or confining or rule.otherwise is not Standing.ABSTAIN)


def _shadows_back(rule: Rule, other: Rule) -> bool:
    wide = all(any(within(inner, outer) for outer in rule.tools) for inner in other.tools)
    return wide and rule.unconditional and not rule.when and _adds_nothing(other, rule)


def closes(layer: Connector, rule: Rule) -> bool:
    """Say whether a layer's rules let no tool of a rule through."""
    denying = [r for r in layer.rules if r.effect is Standing.DENY and r.unconditional and not r.when]
    permitting = [glob for r in layer.rules if r.effect is not Standing.DENY for glob in r.tools]
    return all(
        any(within(inner, outer) for r in denying for outer in r.tools)
        or not any(meet(inner, outer) for outer in permitting)
        for inner in rule.tools
    )
