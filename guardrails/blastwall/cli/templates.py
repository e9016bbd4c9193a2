"""`blastwall templates`: the connector templates and sandbox profiles that a policy may build on."""

from typing import Annotated

import typer
from rich.table import Table

from blastwall.cli.output import AsJson, emit, out
from blastwall.policy import shipped

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show all of this one.")]


def templates(name: Name = None, as_json: AsJson = False) -> None:
    """List the templates for connectors and the profiles for sandboxes, or show one as it is written."""
    if name is not None:
        _show(name, as_json=as_json)
    elif as_json:
        named = {name: _summary(name) for name in shipped.names()}
        emit(templates=named, profiles=shipped.profiles())
    else:
        out.print(_listed("template", {name: shipped.about(name) for name in shipped.names()}))
        out.print()
        out.print(_listed("profile", shipped.profiles()))


def _show(name: str, *, as_json: bool) -> None:
    try:
        text = shipped.text(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        emit(name=name, text=text, **_summary(name))
    else:
        out.print(text, end="", markup=False)


def _summary(name: str) -> dict[str, object]:
    if name == shipped.PROFILES:
        return {"profiles": shipped.profiles()}
    return {"about": shipped.about(name), "parameters": shipped.parameters(name)}


def _listed(heading: str, named: dict[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(heading, no_wrap=True)
    table.add_column("for")
    for name, about in named.items():
        table.add_row(name, about)
    return table
