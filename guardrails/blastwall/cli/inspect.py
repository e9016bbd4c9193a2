"""`blastwall inspect`: what the server of a connector offers, and what the policy says of each."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from blastwall.cli.output import AsJson, Exit, PolicyFiles, emit, out, stop
from blastwall.cli.policies import in_force
from blastwall.errors import BackendError, PolicyError
from blastwall.guard import Guard
from blastwall.policy.explain import plain
from blastwall.trust.pins import pins_of

if TYPE_CHECKING:
    from blastwall_mcp.inspection import Inspected, Item

Connector = Annotated[str, typer.Argument(metavar="CONNECTOR", help="As the policy calls it.")]

_HEADINGS = {
    "tool": "tools",
    "prompt": "prompts",
    "resource": "resources",
    "resource template": "resource templates",
    "asks": "what it may ask of clients",
}


def inspect(connector: Connector, policy: PolicyFiles = [], as_json: AsJson = False) -> None:  # noqa: B006
    """Start a connector's server in its sandbox, and show what clients are told of it, and why not.

    No tool is called, and nothing is pinned. Exit 1 when something is hidden whatever the policy says.
    """
    try:
        from blastwall_mcp.inspection import inspected  # noqa: PLC0415  # an extra, slow to import
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    files = in_force(policy)
    try:
        guard = Guard.from_file(files[0], narrowing=files[1:])
        found, pinned = inspected(guard, connector), list(_pinned(guard, connector))
    except PolicyError as error:
        stop(Exit.POLICY, str(error))
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(connector=connector, pins=pinned, **asdict(found))
    else:
        _tell(connector, found, pinned)
    hidden = found.silenced or any(item.barred for item in found.items)
    raise typer.Exit(Exit.FOUND if hidden else Exit.OK)


def _pinned(guard: Guard, connector: str) -> Iterator[dict[str, Any]]:
    """Say what is pinned of the server, and how much of it waits for a person."""
    if guard.policy.first_use(connector):
        for one in pins_of(guard.policy.state.directory).known():
            if one.connector == connector:
                waiting = sum(change.bars for change in one.changes)
                yield {"since": one.since, "offered": one.offered, "waiting": waiting}


def _tell(connector: str, found: "Inspected", pinned: list[dict[str, Any]]) -> None:
    called = plain(" ".join(str(found.info.get(key, "?")) for key in ("name", "version")).strip())
    out.print(Text(f"{connector}: {called}, protocol {found.protocol}", style="bold"))
    for pin in pinned:
        note = f", {pin['waiting']} waiting: blastwall pins diff {connector}" if pin["waiting"] else ""
        out.print(f"pinned since {pin['since']}{note}")
    if found.silenced:
        out.print(Text("its instructions are left out: they carry markers, or speak of others", style="red"))
    for kind, heading in _HEADINGS.items():
        items = [item for item in found.items if item.kind == kind]
        if items:
            out.print(heading)
        for item in items:
            out.print(_line(item, max(len(plain(other.name)) for other in items)))


def _line(item: "Item", width: int) -> Text:
    mark, style = ("+", "green") if item.permitted else ("-", "dim" if not item.rules else "yellow")
    rules = ", ".join(f"{effect} {rule}" for rule, effect in item.rules)
    told = [rules, f"does {', '.join(item.does)}" if len(item.does) < _ALL else "may do anything"]
    told += ["/".join(item.label)] if all(item.label) else []
    said = "; ".join(filter(None, told if item.permitted else [item.why, rules]))
    return Text(f"  {mark} {plain(item.name):<{width}}  {plain(said)}", style=style)


_ALL = 10
"""How many effects there are: all of them is what a tool counts as having that nobody described."""
