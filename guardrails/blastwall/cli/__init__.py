"""The `blastwall` command: one file per verb."""

from importlib.metadata import version
from typing import Annotated

import typer

from blastwall.cli import audit, evaluate, pins, quarantine, sandbox
from blastwall.cli.check import check
from blastwall.cli.check_recordings import check_recordings
from blastwall.cli.connect import connect, disconnect
from blastwall.cli.copies import apply, diff, discard
from blastwall.cli.doctor import doctor
from blastwall.cli.explain import explain
from blastwall.cli.imports import import_
from blastwall.cli.inspect import inspect
from blastwall.cli.interceptors import interceptors
from blastwall.cli.learn import learn
from blastwall.cli.lint import lint
from blastwall.cli.login import login
from blastwall.cli.proxy import proxy
from blastwall.cli.replay import replay
from blastwall.cli.run import run
from blastwall.cli.scan import scan
from blastwall.cli.schema import schema
from blastwall.cli.templates import templates
from blastwall.cli.trust import trust

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Contain what an AI agent's tool calls can do.",
)
_POLICY = (check, explain, lint, learn, replay, schema, templates)
_SERVERS = (proxy, inspect, interceptors, login, scan, connect, disconnect, trust)
_SANDBOXES = (run, diff, apply, discard, doctor)
for _verb in (*_POLICY, *_SERVERS, *_SANDBOXES):
    app.command()(_verb)
app.command("import")(import_)
app.command("test")(check_recordings)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(audit.app, name="audit")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(pins.app, name="pins")


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
