"""Why a call gets its verdict: each rule of its connector and how it stands, each value and where it was."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never

from blastwall.frozen import FrozenDict, Json, canonical
from blastwall.policy.connector import Connector
from blastwall.policy.decide import Policy
from blastwall.policy.flows import Content, Control, Flow, place
from blastwall.policy.layers import Layered
from blastwall.policy.messages import is_message
from blastwall.policy.observed import secret
from blastwall.policy.rules import Rule
from blastwall.policy.standing import Standing
from blastwall.policy.truth import Resolved, Truth
from blastwall.provenance import NOTHING, Context, Origin, Traced
from blastwall.values import WORST_CASE, Confidentiality, ToolCall, Verdict

MASK = "•••"
"""What is shown in the place of something secret."""

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's part in the decision, in words; `layer` is its file, where it is not the policy's own."""

    rule: str
    effect: str
    standing: str
    why: str
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one rule wants of one value, in words, and whether it is so."""

    rule: str
    demand: str
    met: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One value of the arguments.

    Attributes:
        argument: Where it stands: `to.0`.
        value: As it may be shown: short, plain, and not at all if it is secret.
        whole: Where all of it was seen.
        parts: Where pieces of it were seen.
        links: Where each link inside it was seen, if it is not the whole value.
        wanted: What the rules want of it.

    """

    argument: str
    value: str
    whole: tuple[Origin, ...] = ()
    parts: tuple[Origin, ...] = ()
    links: tuple[tuple[str, tuple[Origin, ...]], ...] = ()
    wanted: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, the lines that led to it in the order of the file, and the values that it looked at."""

    verdict: Verdict
    lines: tuple[Line, ...]
    traces: tuple[Trace, ...] = ()


def explain(
    policy: Policy | Layered, call: ToolCall, resolved: Resolved, context: Context = NOTHING
) -> Explanation:
    """Explain what `policy.decide` says of a call."""
    layers = (policy.primary, *policy.narrowing) if isinstance(policy, Layered) else (policy,)
    lines: list[Line] = []
    flows: list[tuple[str, Flow]] = []
    for number, layer in enumerate(layers):
        connector = layer.connector(call.connector)
        if connector is None:
            continue
        known = connector, call, resolved, context
        found = [*_lines(*known), *_together(layer, *known)]
        lines += [replace(line, layer=layer.file) for line in found] if number else found
        candidates = connector.candidates(call.tool, call.annotations)
        flows += [(rule.id, rule.flow) for rule in candidates if rule.flow]
    traces = tuple(_trace(leaf, call.arguments, context, flows) for leaf in context.traced)
    return Explanation(policy.decide(call, resolved, context), tuple(lines), traces)


def _lines(connector: Connector, call: ToolCall, resolved: Resolved, context: Context) -> Iterator[Line]:
    annotations = call.annotations if connector.trust_annotations else WORST_CASE
    for rule in connector.rules:
        effect = rule.effect.name.lower()
        if rule.covers(call.tool, annotations):
            stand = rule.stand(call, resolved, context).name.lower()
            yield Line(rule.id, effect, stand, _why(rule, call, resolved, context))
        else:
            yield Line(rule.id, effect, "abstain", f"speaks of {', '.join(rule.tools)}{_hints(rule)} only")


def _why(rule: Rule, call: ToolCall, resolved: Resolved, context: Context) -> str:
    demands = "; ".join(rule.objections(call, resolved, context))
    match rule.holds(call, resolved, context):
        case Truth.YES if rule.unconditional:
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


def _together(
    policy: Policy, connector: Connector, call: ToolCall, resolved: Resolved, context: Context
) -> Iterator[Line]:
    """Say what stands against the call because of all that its session has seen and heard."""
    does = connector.does(call.tool, call.annotations)
    candidates = connector.candidates(call.tool, call.annotations)
    consenting = [rule for rule in candidates if rule.stand(call, resolved, context)]
    wanted = is_message(call.tool) or any(rule.wanted for rule in consenting)
    for level, _, message in policy.together.unmet(call, does, context, wanted=wanted):
        standing = level.name.lower()
        yield Line("session", standing, standing, message)


def _trace(leaf: Traced, arguments: FrozenDict, context: Context, flows: list[tuple[str, Flow]]) -> Trace:
    alone = replace(context, traced=(leaf,))
    hidden = secret(leaf)
    is_name = leaf.path[-1:] == (leaf.value,)
    return Trace(
        MASK if hidden and is_name else place(leaf),
        MASK if hidden else shown(leaf.value),
        leaf.whole,
        leaf.parts,
        tuple(
            (MASK if hidden else shown(link.text), link.origins)
            for link in leaf.links
            if link.text != leaf.value
        ),
        tuple(wanted for rule, flow in flows for wanted in _wanted(rule, flow, arguments, alone)),
    )


def shown(value: Json) -> str:
    """Show a value in one short line."""
    text = value if isinstance(value, str) else canonical(value)
    rest = "" if len(text) <= _LONGEST else f"… ({len(text)} characters)"
    return plain(text[:_LONGEST]) + rest


def plain(text: str) -> str:
    """Write out what could do something to a terminal, or hide something from its reader."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _wanted(rule: str, flow: Flow, arguments: FrozenDict, alone: Context) -> Iterator[Wanted]:
    for control in flow.controls:
        if _speaks_of(control, alone.traced[0]):
            met = not any(control.unmet(arguments, alone))
            yield Wanted(rule, f"from {control.expectation}", met)
    if flow.content:
        met = not any(flow.content.unmet(alone))
        yield from (Wanted(rule, demand, met) for demand in _content(flow.content, alone.traced[0], met=met))


def _speaks_of(control: Control, leaf: Traced) -> bool:
    """Say whether a demand is about an argument: whether it minds a value that was seen nowhere there."""
    nowhere = Context((Traced(leaf.path, "\0"),))
    return any(control.unmet(FrozenDict(), nowhere))


def _content(content: Content, leaf: Traced, *, met: bool) -> Iterator[str]:
    demands = []
    if content.limit is not Confidentiality.SECRET:
        demands.append(f"nothing beyond {content.limit.name.lower()}")
    if content.links != "any" and leaf.links:
        demands.append("no links" if content.links == "none" else "links from inside only")
    if demands and (not met or leaf.whole or leaf.parts or leaf.links):
        yield ", ".join(demands)
