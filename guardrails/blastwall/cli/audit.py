"""`blastwall audit`: say whether the audit log is whole."""

from pathlib import Path
from typing import Annotated

import typer

from blastwall.audit import verify as verified
from blastwall.cli.output import AsJson, Exit, emit, out, stop
from blastwall.cli.policies import policy_or_stop
from blastwall.errors import AuditError
from blastwall.paths import state_directory

app = typer.Typer(no_args_is_help=True, help="The audit log.")

Log = Annotated[Path | None, typer.Argument(metavar="LOG", help="The log; the policy's by default.")]
Policy = Annotated[str | None, typer.Option("--policy", "-p", metavar="FILE", help="Whose log.")]
Expect = Annotated[
    str | None, typer.Option("--expect", metavar="HASH", help="The last hash, kept elsewhere.")
]


@app.callback()
def audit() -> None:
    """Read the audit log."""


@app.command()
def verify(log: Log = None, policy: Policy = None, expect: Expect = None, as_json: AsJson = False) -> None:
    """Verify the chain: any edit, insertion, removal or truncation is named by line, with exit 1."""
    path = log or _default(policy)
    try:
        found = verified(path, expect)
    except AuditError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(
            ok=found.ok,
            log=str(found.path),
            records=found.records,
            head=found.head,
            line=found.line,
            problem=found.problem,
        )
    elif found.ok:
        out.print(f"{path}: whole, {found.records} records, head {found.head}", markup=False)
    if not found.ok:
        stop(Exit.FOUND, "" if as_json else f"{path}:{found.line}: {found.problem}")


def _default(policy: str | None) -> Path:
    state = policy_or_stop(policy, acts=False).state.directory if policy else state_directory()
    return state / "audit.jsonl"
