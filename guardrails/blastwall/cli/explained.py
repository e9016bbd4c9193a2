"""An explanation as it is printed, for people and for machines."""

from typing import Any, assert_never

from rich.table import Table
from rich.text import Text

from blastwall.cli.output import out
from blastwall.policy import Explanation
from blastwall.policy.explain import Trace, Wanted, plain, shown
from blastwall.provenance import How, Origin
from blastwall.values import Allow, Ask, Charge, Classify, Deny, Sandbox, ToolCall, Verdict


def as_fields(explained: Explanation) -> dict[str, Any]:
    """Give an explanation for a machine."""
    lines = [
        {"rule": line.rule, "effect": line.effect, "standing": line.standing, "why": line.why}
        | ({"layer": line.layer} if line.layer else {})
        for line in explained.lines
    ]
    charges = [{"key": charge.key, "limit": charge.limit} for charge in _charges(explained.verdict)]
    return _summary(explained.verdict) | {
        "rules": lines,
        "charges": charges,
        "values": [_trace(trace) for trace in explained.traces],
    }


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "argument": trace.argument,
        "value": trace.value,
        "whole": [_origin(origin) for origin in trace.whole],
        "parts": [_origin(origin) for origin in trace.parts],
        "links": [{"link": link, "whole": list(map(_origin, origins))} for link, origins in trace.links],
        "wanted": [{"rule": w.rule, "demand": w.demand, "met": w.met} for w in trace.wanted],
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "tool": origin.tool,
        "turn": origin.turn,
        "path": origin.path,
        "integrity": origin.label.integrity.name.lower(),
        "confidentiality": origin.label.confidentiality.name.lower(),
        "how": origin.how.value,
        "prose": origin.prose,
        "bound": origin.bound,
    }


def _summary(verdict: Verdict) -> dict[str, Any]:
    match verdict:
        case Allow(rule):
            return {"verdict": "allow", "rule": rule, "message": f"it runs{_overlooked(verdict)}"}
        case Sandbox(rule, profile):
            message = f"it runs in sandbox {profile.name}{_overlooked(verdict)}"
            return {"verdict": "sandbox", "rule": rule, "message": message}
        case Ask(rule, question):
            return {"verdict": "ask", "rule": rule, "message": question}
        case Classify(rule, question):
            return {"verdict": "classify", "rule": rule, "message": question}
        case Deny(denied):
            return {"verdict": "deny", "rule": denied.rule, "message": str(denied)}
        case _:
            assert_never(verdict)


def _overlooked(verdict: Allow | Sandbox) -> str:
    """Say what a permissive policy lets pass."""
    return f", and it is recorded that {verdict.instead_of}" if verdict.instead_of else ""


def _charges(verdict: Verdict) -> tuple[Charge, ...]:
    match verdict:
        case Ask() | Classify():
            return (*verdict.charges, *verdict.then.charges)
        case Allow() | Sandbox():
            return verdict.charges
        case Deny():
            return ()
        case _:
            assert_never(verdict)


_COLOURS = {"allow": "green", "sandbox": "green", "ask": "yellow", "classify": "yellow", "deny": "red"}


def show(call: ToolCall, explained: Explanation) -> None:
    """Print an explanation for a person."""
    summary = _summary(explained.verdict)
    out.print(
        Text.assemble(
            (summary["verdict"], f"bold {_COLOURS[summary['verdict']]}"), "  ", (plain(call.name), "bold")
        )
    )
    out.print(Text(plain(summary["message"])))
    for charge in _charges(explained.verdict):
        window = "a session" if charge.per_s is None else f"{charge.per_s:.15g} s"
        out.print(
            f"uses {charge.amount:.15g} of {charge.limit:.15g} in {window}: {charge.key}",
            style="dim",
            markup=False,
        )
    if explained.lines:
        out.print()
        out.print(_rules(explained, summary["rule"]))
    if explained.traces:
        out.print()
        out.print(_values(explained))


def _rules(explained: Explanation, deciding: str | None) -> Table:
    table = _table("rule", "effect", "here", "why")
    for line in explained.lines:
        style = "bold" if line.rule == deciding else "dim" if line.standing == "abstain" else ""
        rule = f"{line.rule}\n({line.layer})" if line.layer else line.rule
        table.add_row(*map(Text, (rule, line.effect, line.standing, plain(line.why))), style=style)
    return table


def _values(explained: Explanation) -> Table:
    """Show where each value was seen, and what the rules want of it."""
    table = _table("argument", "value", "came from", "wanted")
    for trace in explained.traces:
        wanted = Text("\n").join(_wish(each) for each in trace.wanted)
        table.add_row(*map(Text, (plain(trace.argument), trace.value, "\n".join(_seen(trace)))), wanted)
    return table


def _wish(each: Wanted) -> Text:
    said = f"{each.demand} ({each.rule})"
    return Text(f"✓ {said}", style="green") if each.met else Text(f"✗ {said}", style="red")


def _seen(trace: Trace) -> list[str]:
    seen = [_place(origin) for origin in trace.whole]
    seen += [f"a part: {_place(origin)}" for origin in trace.parts]
    for link, origins in trace.links:
        seen += [f"{link}: {_place(origin)}" for origin in origins] or [f"{link}: seen nowhere"]
    different = list(dict.fromkeys(seen)) or ["seen nowhere"]
    more = len(different) - _MOST
    return [*different[:_MOST], f"and {more} more"] if more > 0 else different


_MOST = 6
"""Places that are shown of one value; `--json` has all."""


def _place(origin: Origin) -> str:
    if not origin.tool:
        return "the user's words"
    label = [origin.label.integrity.name.lower(), origin.label.confidentiality.name.lower()]
    notes = [origin.how.value] if origin.how not in (How.EXACT, How.PART) else []
    notes += [note for note, there in (("in prose", origin.prose), ("bound", origin.bound)) if there]
    return f"{plain(origin.tool)} {shown(origin.path)}, turn {origin.turn} ({', '.join([*label, *notes])})"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading)
    return table
