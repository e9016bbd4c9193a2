"""`blastwall import`: take over the permissions of another product."""

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from blastwall.cli.output import AsJson, Exit, emit, err, stop
from blastwall.cli.policies import as_dict
from blastwall.errors import PolicyError, Problem
from blastwall.imports import TRANSLATORS, Draft, Given, Surroundings, counted, written
from blastwall.paths import resolve, state_directory
from blastwall.policy import parse
from blastwall.policy.source import MAX_BYTES


class Product(Enum):
    """What can be imported."""

    CLAUDE_CODE = "claude-code"
    GEMINI_CLI = "gemini-cli"
    DOCKER_MCP = "docker-mcp"
    VSCODE = "vscode"


Of = Annotated[
    Product, typer.Argument(metavar="PRODUCT", help="claude-code, gemini-cli, docker-mcp or vscode.")
]
Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Its files, the one that grants first.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the policy here.")]
Directory = Annotated[str, typer.Option("--directory", "-d", metavar="DIR", help="The project's folder.")]


def import_(
    product: Of, files: Files, output: Output = None, directory: Directory = ".", as_json: AsJson = False
) -> None:
    """Make a policy of another product's permissions. It never allows what they would ask about or deny.

    What could not be carried over is told line by line. Exit 0 when everything could, 1 when not, 3 when a
    file can't be read as what it is. The policy goes to stdout, or to a file that is not there yet.
    """
    project = os.path.realpath(directory)
    if resolve(project, None) != project:
        stop(Exit.FAILED, f"{project} can't stand in a policy: name another folder with --directory")
    try:
        around = Surroundings(project, os.path.expanduser("~"), resolve)
        draft = TRANSLATORS[product.value]([_given(file) for file in files], around)
        text = written(draft)
    except PolicyError as error:
        if as_json:
            emit(ok=False, problems=[as_dict(problem) for problem in error.problems])
            stop(Exit.POLICY)
        stop(Exit.POLICY, str(error))
    _check(text, Path(project))
    if output is not None:
        _write(output, text)
    _tell(draft, text, output, as_json=as_json)
    raise typer.Exit(Exit.FOUND if draft.notes else Exit.OK)


def _given(file: str) -> Given:
    try:
        with open(file, "rb") as stream:
            return Given(file, os.path.abspath(file), stream.read(MAX_BYTES + 1))
    except OSError as error:
        problem = Problem(file, 0, 0, "", f"can't be read: {error.strerror}")
        raise PolicyError([problem]) from None


def _check(text: str, directory: Path) -> None:
    """Load what was made, as everybody will."""
    try:
        parse(text.encode(), file="the import", directory=directory, state=state_directory(), resolve=resolve)
    except PolicyError as error:
        stop(
            Exit.FAILED,
            f"{error}\nThis is a fault of blastwall: please report it, with the line that it names.",
        )


def _write(output: str, text: str) -> None:
    try:
        with open(output, "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        stop(Exit.FAILED, f"{output} is there already: move it away, or name another file")
    except OSError as error:
        stop(Exit.FAILED, f"{output} can't be written: {error.strerror}")


def _tell(draft: Draft, text: str, output: str | None, *, as_json: bool) -> None:
    if as_json:
        emit(ok=True, policy=text, notes=[as_dict(note) for note in draft.notes])
        return
    if output is None:
        typer.echo(text, nl=False)
    for note in draft.notes:
        err.print(str(note), markup=False)
    if output is not None:
        lost = f"{counted(draft)} could not be carried over unchanged"
        err.print(f"{output}: written" + (f"; {lost}" if draft.notes else ""), style="bold", markup=False)
