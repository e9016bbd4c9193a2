"""Why a call does not run, in words that are safe to show to the model."""

from collections.abc import Mapping

from blastwall.policy.connector import Connector
from blastwall.policy.rules import Rule
from blastwall.policy.standing import Standing
from blastwall.policy.truth import Resolved
from blastwall.provenance import Context
from blastwall.values import Charge, Denied, Reason, ToolCall

_SOMETHING_ELSE = "do without this call, or tell the user that the policy forbids it"

_INSTEAD = {
    Reason.CONSTRAINT: "change these arguments",
    Reason.FLOW: "use values that the user gave or a trusted record holds, or ask the user to name them",
    Reason.INTENT: "do only what the user asked for; if it is needed, tell the user why",
}


def unknown(call: ToolCall, known: Mapping[str, Connector]) -> Denied:
    """Say that the call belongs to no connector of the policy."""
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


def changed(call: ToolCall) -> Denied:
    """Say that the tool's definition is not the one that was pinned."""
    if not call.fingerprint:
        return Denied(
            Reason.CHANGED,
            f"{call.name} is pinned by the policy, and its definition can't be had now",
            instead="try again later, or tell the user that the tool's server does not answer",
        )
    return Denied(
        Reason.CHANGED,
        f"{call.name} is not the tool that the policy pinned: its fingerprint is now {call.fingerprint}",
        instead="tell the user that the server changed this tool, so that a person looks at it",
    )


def off_limits(call: ToolCall) -> Denied:
    """Say that a path leads to blastwall's own files."""
    return Denied(
        Reason.CONSTRAINT,
        f"{call.name}: a path leads to the policy itself, or to what it keeps",
        instead="leave these files alone; a person can read them with `blastwall explain` and `audit`",
    )


def denied(rule: Rule, call: ToolCall, resolved: Resolved, context: Context) -> Denied:
    """Say which rule denies the call, and for what."""
    if rule.effect is Standing.DENY:
        return Denied(Reason.RULE, f"{call.name} is denied", rule.id, rule.instead or _SOMETHING_ELSE)
    return _unmet(rule, call, resolved, context)


def unmatched(connector: Connector, call: ToolCall, resolved: Resolved, context: Context) -> Denied:
    """Say that no rule allows the call, and which came closest."""
    for rule in connector.candidates(call.tool, call.annotations):
        if rule.effect is not Standing.DENY:
            return _unmet(rule, call, resolved, context)
    open_to = sorted({t for rule in connector.rules if rule.effect is not Standing.DENY for t in rule.tools})
    tools = ", ".join(open_to) or "none"
    message = f"no rule of connector {call.connector} allows {call.tool!r}"
    return Denied(Reason.NO_RULE, message, instead=f"use a tool that the policy permits here: {tools}")


def used_up(call: ToolCall, rule: str, charge: Charge) -> Denied:
    """Say that there is no more of something that the call would use up."""
    window = "in this session" if charge.per_s is None else f"in {charge.per_s:.15g} s"
    return Denied(
        Reason.USED_UP,
        f"{call.name} would go beyond {charge.key}: {charge.limit:.15g} {window}",
        rule,
        "stop here, and tell the user what is left to do",
    )


def _unmet(rule: Rule, call: ToolCall, resolved: Resolved, context: Context) -> Denied:
    unmet = list(rule.unmet(call, resolved, context))
    reason = unmet[0][0] if unmet else Reason.CONSTRAINT
    message = f"{call.name}: {'; '.join(text for _, text in unmet)}"
    return Denied(reason, message, rule.id, rule.instead or _INSTEAD[reason])
