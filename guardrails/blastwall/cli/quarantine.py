"""`blastwall quarantine`: the outputs that an agent was not shown."""

import json
from typing import Annotated

import typer

from blastwall.cli.output import AsJson, Exit, emit, out, stop
from blastwall.cli.policies import policy_or_stop
from blastwall.errors import BackendError
from blastwall.paths import state_directory
from blastwall.state import Quarantine

app = typer.Typer(no_args_is_help=True, help="Outputs that were kept from the agent.")

Policy = Annotated[str | None, typer.Option("--policy", "-p", metavar="FILE", help="Whose quarantine.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As the agent's note names it.")]


@app.command("list")
def list_(policy: Policy = None, as_json: AsJson = False) -> None:
    """List what is kept, oldest first."""
    kept = _quarantine(policy)
    if as_json:
        emit(kept=kept.ids())
        return
    for name in kept.ids():
        item = kept.show(name)
        families = ", ".join(sorted({finding["family"] for finding in item.findings}))
        out.print(f"{name}  {item.connector}.{item.tool}  {families}", markup=False)


@app.command()
def show(name: Id, policy: Policy = None, as_json: AsJson = False) -> None:
    """Show one output, for your eyes: control characters and non-ASCII text are written out as escapes."""
    try:
        item = _quarantine(policy).show(name)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(
            id=item.id,
            time=item.time,
            connector=item.connector,
            tool=item.tool,
            findings=item.findings,
            output=item.output,
        )
        return
    out.print(f"{item.connector}.{item.tool}, {item.time}", style="bold", markup=False)
    for finding in item.findings:
        span = f"{finding['path']} {finding['start']}-{finding['end']}"
        out.print(f"  {finding['family']} at {span}: {finding['action']}", markup=False)
    out.print(json.dumps(item.output, indent=2, ensure_ascii=True), markup=False)


def _quarantine(policy: str | None) -> Quarantine:
    if policy:
        return Quarantine(policy_or_stop(policy, acts=False).state.quarantine_path)
    return Quarantine(state_directory() / "quarantine")
