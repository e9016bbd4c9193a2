"""The `blastwall` command: one file per verb."""

from importlib.metadata import version
from typing import Annotated

import typer

from blastwall.cli import audit, quarantine, sandbox
from blastwall.cli.check import check
from blastwall.cli.copies import apply, diff, discard
from blastwall.cli.doctor import doctor
from blastwall.cli.explain import explain
from blastwall.cli.proxy import proxy
from blastwall.cli.run import run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Contain what an AI agent's tool calls can do.",
)
for _verb in (check, explain, proxy, run, diff, apply, discard, doctor):
    app.command()(_verb)
app.add_typer(audit.app, name="audit")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(sandbox.app, name="sandbox")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"blastwall {version('blastwall')}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Contain what an AI agent's tool calls can do."""


def main() -> None:
    """Run the command line."""
    app()
