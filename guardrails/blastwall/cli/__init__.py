"""The `blastwall` command: one file per verb."""

from importlib.metadata import version
from typing import Annotated

import typer

from blastwall.cli import audit, evaluate, quarantine, sandbox
from blastwall.cli.check import check
from blastwall.cli.check_recordings import check_recordings
from blastwall.cli.copies import apply, diff, discard
from blastwall.cli.doctor import doctor
from blastwall.cli.explain import explain
from blastwall.cli.imports import import_
from blastwall.cli.learn import learn
from blastwall.cli.lint import lint
from blastwall.cli.proxy import proxy
from blastwall.cli.run import run
from blastwall.cli.schema import schema
from blastwall.cli.templates import templates

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Contain what an AI agent's tool calls can do.",
)
for _verb in (check, explain, lint, learn, schema, templates, proxy, run, diff, apply, discard, doctor):
    app.command()(_verb)
app.command("import")(import_)
app.command("test")(check_recordings)
app.add_typer(evaluate.app, name="evaluate")
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
