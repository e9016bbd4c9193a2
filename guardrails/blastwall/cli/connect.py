"""`blastwall connect` and `disconnect`: in front of the servers that a client has, and out again."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from blastwall.cli.output import AsJson, Exit, emit, out, stop
from blastwall.clients import connections, files
from blastwall.clients.connections import Plan, plans
from blastwall.clients.find import Machine
from blastwall.clients.policies import Written, extended, token
from blastwall.clients.secrets import secrets
from blastwall.clients.servers import Configured
from blastwall.clients.table import CLIENTS, Client, named
from blastwall.errors import BlastwallError, PolicyError
from blastwall.paths import resolve, state_directory
from blastwall.policy import parse
from blastwall.trust.owners import exposed
from blastwall.trust.projects import config_directory, user_policy

_NAMES = ", ".join(client.name for client in CLIENTS)

Name = Annotated[str, typer.Argument(metavar="CLIENT", help=f"One of {_NAMES}.")]
Target = Annotated[
    Path | None,
    typer.Option("--policy", "-p", metavar="FILE", help="Where the servers go; your own policy by default."),
]
Project = Annotated[
    str | None, typer.Option("--project", metavar="DIR", help="The servers of this project, not your own.")
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and write nothing.")]


def connect(
    client: Name,
    policy: Target = None,
    project: Project = None,
    dry_run: Dry = False,
    as_json: AsJson = False,
) -> None:
    """Put blastwall in front of the servers that a client has. `blastwall disconnect` undoes it.

    Each server becomes a connector of a policy, and the client's file gets one entry in their place. Exit 1
    when some stay where they are.
    """
    path = Path(os.path.realpath(policy or user_policy()))
    try:
        made = plans(Machine.here(), _client(client), os.path.realpath(project) if project else "")
        before = _before(path)
        taken = [server for plan in made for server in plan.taken]
        folder = config_directory() / "credentials"
        written = extended(before.decode() if before is not None else None, taken, str(path), folder)
        if taken:
            _done(made, path, before, written, dry_run=dry_run)
    except PolicyError as error:
        stop(Exit.POLICY, str(error))
    except (BlastwallError, UnicodeDecodeError) as error:
        stop(Exit.FAILED, str(error))
    left = [(server, why) for plan in made for server, why in plan.left]
    if as_json:
        emit(ok=not left, dry_run=dry_run, policy=str(path), files=[_as_dict(plan, written) for plan in made])
    else:
        _tell(made, written, path, dry_run=dry_run)
    raise typer.Exit(Exit.FOUND if left else Exit.OK)


def _done(made: Sequence[Plan], path: Path, before: bytes | None, written: Written, *, dry_run: bool) -> None:
    """Write the policy and then the client's files: what is refused is refused before the first of them."""
    after = written.text.encode()
    parse(
        after,
        file=str(path),
        directory=path.parent,
        state=state_directory(),
        resolve=resolve,
        beside=(path,),
    )
    command = (_executable(), "proxy", "--policy", str(path))
    edits = [(plan, connections.edited(plan, command)) for plan in made if plan.taken]
    for plan, _ in edits:
        files.writable(plan.file)
    if dry_run:
        return
    for secret, value in written.secrets.items():
        files.write_own(Path(secret), f"{value}\n".encode())
    if written.new:
        files.write_own(path, after)
    for plan, new in edits:
        connections.connect(plan, new, path, before, written)


def disconnect(client: Name, project: Project = None, as_json: AsJson = False) -> None:
    """Give a client its servers back, as they were written. What else changed in its file meanwhile stays."""
    known = _client(client)
    told: list[tuple[connections.Connection, tuple[str, ...]]] = []
    try:
        made = list(connections.connections(known.name, os.path.realpath(project) if project else ""))
        if not made:
            stop(Exit.FAILED, f"{known.title} is not connected{' here' if project else ''}")
        # The last one first: it may have added to the policy that an earlier one made.
        for one in sorted(made, key=lambda one: one.since, reverse=True):
            told.append((one, connections.disconnect(one)))  # noqa: PERF401  # what was done before an error counts
    except BlastwallError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(ok=True, files=[{"path": one.path, "kept": list(kept)} for one, kept in told])
        return
    for one, kept in told:
        out.print(f"{one.path}: restored", markup=False)
        for name in kept:
            out.print(
                f"  {name}: left as the client has it now; as it was, it is in {one.backup}", markup=False
            )
        if Path(one.policy).exists():
            out.print(f"  {one.policy} stays: it was changed, or others use it", style="dim", markup=False)
    out.print("restart the client", style="dim")


def _client(name: str) -> Client:
    try:
        return named(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _executable() -> str:
    """Give the absolute path of the command that is running, which a client can start from anywhere."""
    beside = Path(sys.executable).with_name("blastwall")
    found = str(beside) if beside.exists() else shutil.which("blastwall")
    if found is None:
        stop(Exit.FAILED, "there is no `blastwall` on the PATH for the client to start: install it")
    return os.path.abspath(found)


def _before(path: Path) -> bytes | None:
    """Read the policy that is there. Who else can write it would choose what the client runs."""
    try:
        content = path.read_bytes()
        why = exposed(path.stat())
    except FileNotFoundError:
        return None
    except OSError as error:
        stop(Exit.POLICY, f"{path}: can't be read: {error.strerror}")
    if why:
        stop(Exit.POLICY, f"{path}: can't be believed: {why}")
    return content


def _tell(made: Sequence[Plan], written: Written, policy: Path, *, dry_run: bool) -> None:
    would = "would go" if dry_run else "goes"
    for plan in made:
        out.print(plan.found.path, style="bold", markup=False)
        for server in plan.taken:
            name = written.connectors[server]
            note = ", which has no rules yet" if name in written.bare else ""
            out.print(f"  {server.name}: {would} behind blastwall, as connector {name}{note}", markup=False)
            for kind, place in secrets(server) if name in written.new else ():
                where = config_directory() / "credentials" / name if _bearer(server, place) else policy
                text = f"    {kind}, in {place}, goes along into {where}"
                out.print(text, style="yellow", markup=False)
        for server, why in plan.left:
            out.print(f"  {server.name}: stays, unguarded: {why}", style="yellow", markup=False)
    if any(plan.taken for plan in made):
        out.print(f"{policy}: {'would say' if dry_run else 'says'} what their tools may do", markup=False)
        if written.bare and not dry_run:
            out.print(_next(written.bare[0], policy), style="yellow", markup=False)
        out.print("restart the client" if not dry_run else "nothing was written", style="dim")


def _next(bare: str, policy: Path) -> str:
    """Say what to do about connectors that have no rules yet."""
    where = "" if policy == Path(os.path.realpath(user_policy())) else f" --policy {policy}"
    return f"without rules nothing is allowed: `blastwall inspect {bare}{where}` shows what there is to allow"


def _bearer(server: Configured, place: str) -> bool:
    return place.lower() == "headers.authorization" and bool(token(server))


def _as_dict(plan: Plan, written: Written) -> dict[str, Any]:
    return {
        "path": plan.found.path,
        "taken": {server.name: written.connectors[server] for server in plan.taken},
        "left": {server.name: why for server, why in plan.left},
    }
