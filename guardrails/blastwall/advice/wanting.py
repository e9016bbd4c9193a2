"""Which calls of the past a further rule would have been for."""

from dataclasses import replace

from blastwall.advice.compare import AnyPolicy, Resolve, decided
from blastwall.policy.decide import PERMISSIVE, Policy
from blastwall.policy.layers import Layered
from blastwall.policy.observed import Observed
from blastwall.policy.rules import Rule
from blastwall.policy.standing import Standing
from blastwall.values import Deny

WANTING = "it wants a rule"
PERMITTED = "it is permitted"


def kind(seen: Observed, policy: AnyPolicy | None, resolve: Resolve) -> str:
    """Say what a call of the past is: `WANTING`, `PERMITTED`, or else why no rule is proposed for it.

    What a permissive policy let run wants a rule, unless the policy permits it now, or denies it in a way
    that no further rule can undo.
    """
    if seen.verdict == "deny":
        return f"it was refused ({seen.rule or seen.reason})"
    if seen.call is None:
        return "only its digest was recorded"
    if policy is None:
        return WANTING if seen.rule == PERMISSIVE else PERMITTED
    if seen.connector not in policy.connectors:
        return "the policy has no connector of this name"
    if not isinstance(decided(_enforced(policy), seen, resolve), Deny):
        return PERMITTED
    if seen.rule != PERMISSIVE:
        return f"it is permitted no more (it was, by {seen.rule})"
    verdict = decided(_opened(_enforced(policy), seen), seen, resolve)
    if isinstance(verdict, Deny):
        return (
            f"it is denied, whatever else is allowed ({verdict.denied.rule or verdict.denied.reason.value})"
        )
    return WANTING


def _enforced(policy: AnyPolicy) -> AnyPolicy:
    if isinstance(policy, Layered):
        narrowing = tuple(replace(layer, permissive=False) for layer in policy.narrowing)
        return Layered(replace(policy.primary, permissive=False), narrowing)
    return replace(policy, permissive=False)


def _opened(policy: AnyPolicy, seen: Observed) -> AnyPolicy:
    """Give the policy with a rule that allows every call of a tool: what that can't allow, no rule can."""
    if isinstance(policy, Layered):
        return Layered(_with_rule(policy.primary, seen), policy.narrowing)
    return _with_rule(policy, seen)


def _with_rule(policy: Policy, seen: Observed) -> Policy:
    known = policy.connectors[seen.connector]
    rule = Rule(f"{seen.connector}.learned", Standing.ALLOW, (seen.tool,))
    opened = replace(known, rules=(*known.rules, rule))
    return replace(policy, connectors={**policy.connectors, seen.connector: opened})
