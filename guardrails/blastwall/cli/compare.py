"""`blastwall diff OLD NEW`: what a change of a policy would have meant for the calls of the past."""

from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from blastwall.advice.compare import Change, Compared, compare
from blastwall.cli.history import history
from blastwall.cli.output import Exit, emit, out
from blastwall.cli.policies import policy_or_stop
from blastwall.frozen import Json
from blastwall.paths import resolve
from blastwall.policy.explain import MASK, plain, shown
from blastwall.policy.observed import Observed, secrets

_MOVED = "moved into, out of or between sandboxes"
_COLOURS = {"allowed": "bold yellow", "asked": "cyan", "denied": "red", "moved": "magenta"}


def compared(old: str, new: str, log: Path | None, as_json: bool) -> None:
    """Compare two policies over an audit log. Exit 1 when a call of the past would come out otherwise."""
    before = policy_or_stop(old, as_json=as_json, acts=False)
    after = policy_or_stop(new, as_json=as_json, acts=False)
    tell(compare(before, after, history(log or after.state.audit_path), resolve), as_json=as_json)


def tell(result: Compared, *, as_json: bool) -> None:
    """Tell what came of a comparison, and leave: with 1 when something would come out otherwise."""
    if as_json:
        emit(
            changes=[_as_dict(change) for change in result.changes],
            same=result.same,
            unrecorded=result.unrecorded,
            uncertain=result.uncertain,
        )
    else:
        _tell(result)
    raise typer.Exit(Exit.FOUND if result.changes else Exit.OK)


def _as_dict(change: Change) -> dict[str, Any]:
    return {
        "newly": change.newly,
        "call": change.name,
        "before": change.before,
        "after": change.after,
        "count": change.count,
        "example": {"record": change.example.number, "arguments": arguments(change.example)},
    }


def _tell(result: Compared) -> None:
    newly = ""
    for change in result.changes:
        if change.newly != newly:
            newly = change.newly
            heading = _MOVED if newly == "moved" else f"newly {newly}"
            out.print(Text(heading, style=_COLOURS[newly]))
        out.print(Text(f"  {change.count:>5} x {plain(change.name)}: {change.before} → {change.after}"))
        example = f"such as record {change.example.number}: {arguments(change.example)}"
        out.print(Text(f"          {example}", style="dim"))
    if not result.changes:
        out.print("nothing changes")
    out.print(f"{result.same} calls come out as before", style="dim")
    if result.unrecorded:
        out.print(f"{result.unrecorded} are unknown: only their digest was recorded", style="yellow")
    if result.uncertain:
        out.print(
            f"{result.uncertain} are unknown: nothing tells where their values came from", style="yellow"
        )


def arguments(seen: Observed) -> str:
    """Show the arguments of a recorded call in one line, without what is secret in them."""
    secret = secrets(seen.context) if seen.context else frozenset()
    return ", ".join(_argument(name, value, secret) for name, value in seen.made().arguments.items())


def _argument(name: str, value: Json, secret: frozenset[str]) -> str:
    """Show one of them; a name that is no plain one may be the secret itself."""
    if name not in secret:
        return f"{plain(name)}={shown(value)}"
    return f"{name if name.isidentifier() else MASK}={MASK}"
