"""`blastwall pins`: what servers showed when they were first seen, and what of it has changed since."""

import json
import sys
from collections import Counter
from typing import Annotated

import typer
from rich.text import Text

from blastwall.audit import AuditLog
from blastwall.cli.output import AsJson, Exit, PolicyFiles, emit, out, stop
from blastwall.cli.policies import policy_or_stop
from blastwall.errors import BackendError
from blastwall.policy import Layered, Policy
from blastwall.trust.differences import digest_of, name_of, shown
from blastwall.trust.looks import visible
from blastwall.trust.pins import Change, Pinned, Pins, pins_of
from blastwall.values import ToolCall

app = typer.Typer(help="What servers showed when they were first seen (`pin: first-use`).")

Connector = Annotated[str, typer.Argument(metavar="CONNECTOR", help="As the policy calls it.")]
AnyConnector = Annotated[str, typer.Argument(metavar="CONNECTOR", help="Only this one.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Only this tool or prompt.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]
Digest = Annotated[
    str, typer.Option("--digest", metavar="SHA256", help="Approve only the changes that `diff` showed.")
]

UNCHANGED = "everything is as it was pinned"
NOT_PINNED = "connector {} is not pinned: see `blastwall pins list`"

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@app.callback(invoke_without_command=True)
def pins(context: typer.Context, policy: PolicyFiles = [], as_json: AsJson = False) -> None:  # noqa: B006
    """List what is pinned, or look at a change, approve it, or forget a connector."""
    if context.invoked_subcommand is None:
        list_(policy, as_json=as_json)


@app.command("list")
def list_(policy: PolicyFiles = [], as_json: AsJson = False) -> None:  # noqa: B006
    """List the connectors that are pinned, and whether something of them waits for approval."""
    found = _known(_store(policy_or_stop(*policy, as_json=as_json)))
    if as_json:
        emit(pins=[_as_dict(one) for one in found])
        return
    for one in found:
        waiting = sum(change.bars for change in one.changes)
        note = f"  {waiting} waiting: blastwall pins diff {one.connector}" if waiting else ""
        line = f"{one.connector}  {_clients(one.offered)}  {one.since}  {_counted(one)}{note}"
        out.print(Text(line, style="yellow" if waiting else ""))
    if not found:
        out.print("nothing is pinned: a connector with `pin: first-use` is when the proxy first sees it")


@app.command()
def diff(
    connector: AnyConnector = "",
    name: Name = "",
    policy: PolicyFiles = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Show what is not as it was pinned. Exit 1 when there is something."""
    known = _known(_store(policy_or_stop(*policy, as_json=as_json)))
    changes = _changes(known, connector, name)
    if as_json:
        emit(digest=digest_of(changes), changes=[_change_as_dict(change) for change in changes])
    elif changes:
        _show(changes)
    else:
        out.print(_why_none(known, connector) or UNCHANGED)
    raise typer.Exit(Exit.FOUND if changes else Exit.OK)


@app.command()
def approve(
    connector: Connector,
    name: Name = "",
    policy: PolicyFiles = [],  # noqa: B006
    yes: Yes = False,
    digest: Digest = "",
) -> None:
    """Pin what a server shows now: exactly the definitions that this shows, even if it changes meanwhile."""
    loaded = policy_or_stop(*policy)
    store = _store(loaded)
    known = _known(store)
    changes = _changes(known, connector, name)
    if not changes:
        if why := _why_none(known, connector):
            stop(Exit.FOUND, f"nothing is approved: {why}")
        out.print(UNCHANGED)
        return
    _show(changes)
    if digest and digest != digest_of(changes):
        stop(Exit.FOUND, "nothing is approved: these are not the changes that --digest is of")
    if not (yes or digest):
        _ask(len(changes))
    try:
        _record(loaded, connector, "pin-approved", changes)
        done = store.approve(changes)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    out.print(f"approved {done}; a proxy that runs takes notice with its next call")


@app.command()
def forget(connector: Connector, policy: PolicyFiles = []) -> None:  # noqa: B006
    """Forget a connector: what its server shows next is pinned unseen, as if it were new."""
    loaded = policy_or_stop(*policy)
    store = _store(loaded)
    try:
        _record(loaded, connector, "pin-forgotten", ())
        forgotten = store.forget(connector)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if not forgotten:
        stop(Exit.FOUND, NOT_PINNED.format(visible(connector)))


def _store(policy: Policy | Layered) -> Pins:
    return pins_of(policy.state.directory)


def _known(store: Pins) -> tuple[Pinned, ...]:
    try:
        return store.known()
    except BackendError as error:
        stop(Exit.FAILED, str(error))


def _changes(known: tuple[Pinned, ...], connector: str, name: str) -> tuple[Change, ...]:
    return tuple(
        change
        for one in known
        for change in one.changes
        if connector in ("", change.connector) and name in ("", change.name)
    )


def _why_none(known: tuple[Pinned, ...], connector: str) -> str:
    """Say why somebody who asked for changes sees none, where it is not that there are none."""
    if connector and all(one.connector != connector for one in known):
        return NOT_PINNED.format(visible(connector))
    others = ", ".join(map(name_of, _changes(known, connector, "")))
    return f"there is none of that name, but {others}" if others else ""


def _show(changes: tuple[Change, ...]) -> None:
    for change in changes:
        note = "" if change.bars else "  (only noted: nothing is barred for this)"
        head = f"{change.connector}: {name_of(change)}, {_clients(change.offered)}{note}"
        out.print(Text(head, style="bold"))
        for line in shown(change):
            out.print(Text(line, style=_COLOURS.get(line[:1], "")))
    out.print(Text(f"exactly this: --digest {digest_of(changes)}", style="dim"))


def _ask(count: int) -> None:
    if not _is_terminal():
        stop(
            Exit.FAILED, "nobody is here to ask: say --yes, or --digest with what `blastwall pins diff` told"
        )
    if not typer.confirm(f"Approve {count} of these, exactly as shown?", err=True):
        stop(Exit.FOUND, "nothing is approved")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _record(policy: Policy | Layered, connector: str, event: str, changes: tuple[Change, ...]) -> None:
    """Write into the audit log what is about to be done."""
    state = policy.state
    log = AuditLog(state.audit_path, durability=state.durability, arguments=state.arguments)
    told = tuple({"kind": c.kind, "name": c.name, "offered": c.offered, "to": c.fingerprint} for c in changes)
    try:
        log.write("cli", event, ToolCall.of(connector, "mcp:pins", {}), {"changes": told}, policy.digest)
    finally:
        log.close()


def _clients(offered: str) -> str:
    """Name a capability set in words."""
    if not offered:
        return "any client"
    try:
        found = json.loads(offered)
    except ValueError:
        found = offered
    names = ", ".join(map(visible, map(str, found))) if isinstance(found, dict) else visible(str(found))
    return f"clients with {names}" if names else "clients with nothing of their own"


def _counted(one: Pinned) -> str:
    counts = Counter(item.kind for item in one.items)
    return ", ".join(kind if count == 1 else f"{count} {kind}s" for kind, count in sorted(counts.items()))


def _as_dict(one: Pinned) -> dict[str, object]:
    return {
        "connector": one.connector,
        "offered": one.offered,
        "since": one.since,
        "items": [{"kind": i.kind, "name": i.name, "fingerprint": i.fingerprint} for i in one.items],
        "waiting": sum(change.bars for change in one.changes),
    }


def _change_as_dict(change: Change) -> dict[str, object]:
    return {
        "connector": change.connector,
        "offered": change.offered,
        "kind": change.kind,
        "name": change.name,
        "bars": change.bars,
        "fingerprint": change.fingerprint,
        "diff": shown(change),
    }
