"""`blastwall sandbox`: the sandboxes that run now, and what dead programs left of theirs."""

import time
from dataclasses import asdict

import typer

from blastwall.cli.output import AsJson, Exit, emit, out, stop
from blastwall.errors import BackendError
from blastwall.sandbox import registry
from blastwall.sandbox.changes import shown

app = typer.Typer(no_args_is_help=True, help="See the sandboxes that run, and clean up behind dead programs.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the running sandboxes of this user, whichever program started them."""
    try:
        found = registry.entries()
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(sandboxes=[asdict(entry) | {"orphaned": not registry.alive(entry)} for entry in found])
        return
    for entry in found:
        age = max(time.time() - entry.since, 0)
        line = f"{entry.strength:<9}  {shown(entry.name)}  for {age:.0f} s, of process {entry.owner}"
        line += "" if registry.alive(entry) else ", which is dead: blastwall sandbox gc"
        out.print(f"{line}  {shown(entry.workspace)}".rstrip(), markup=False)
    if not found:
        out.print("no sandbox runs")


@app.command()
def gc(as_json: AsJson = False) -> None:
    """Take away what dead programs left: processes, control groups, stand-ins in workspaces.

    A program's death does this by itself; this is for when the reaper was killed along with it.
    """
    try:
        removed = registry.collect()
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(ok=True, removed=removed)
        return
    for name in removed:
        out.print(f"removed  {shown(name)}", markup=False)
    if not removed:
        out.print("nothing was left")
