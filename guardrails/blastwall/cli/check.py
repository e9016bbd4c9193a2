"""`blastwall check`: say whether a policy is right."""

from typing import Annotated

import typer

from blastwall.cli.output import AsJson, Exit, emit, err, out
from blastwall.cli.policies import as_dict, shown
from blastwall.errors import PolicyError, Problem
from blastwall.policyfile import load

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Policy files.")]


def check(files: Files, as_json: AsJson = False) -> None:
    """Check policy files. Every mistake is shown as file:line:column. Exit 3 when there is one."""
    problems: list[Problem] = []
    for file in files:
        try:
            policy = load(shown(file))
        except PolicyError as error:
            problems.extend(error.problems)
            continue
        if not as_json:
            rules = sum(len(connector.rules) for connector in policy.connectors.values())
            out.print(f"{file}: ok, {len(policy.connectors)} connectors, {rules} rules", markup=False)
    if as_json:
        emit(ok=not problems, problems=[as_dict(problem) for problem in problems])
    else:
        for problem in problems:
            err.print(str(problem), style="bold red", markup=False)
    raise typer.Exit(Exit.POLICY if problems else Exit.OK)
