"""How every verb speaks: exit codes, JSON for machines, plain words for people."""

import json
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from blastwall.policy.explain import plain

SCHEMA = 1
"""Version of the shape of `--json` output; raised when a field changes its meaning or goes."""

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


class Exit(IntEnum):
    """What the exit code means. 2 is the command line's own: wrong usage."""

    OK = 0
    FOUND = 1
    POLICY = 3
    FAILED = 4


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]
PolicyFile = Annotated[str, typer.Option("--policy", "-p", metavar="FILE", help="The policy file.")]
PolicyFiles = Annotated[
    list[str],
    typer.Option(
        "--policy",
        "-p",
        metavar="FILE",
        help="The policy file, instead of the one in force here; each further one can only take away.",
    ),
]


def emit(**fields: Any) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps({"schema": SCHEMA} | fields, ensure_ascii=False))


def stop(code: Exit, message: str = "") -> NoReturn:
    """Leave with a code, after one line on stderr."""
    if message:
        # It may name a file or a key that somebody else chose.
        shown = "\n".join(map(plain, message.split("\n")))
        err.print(shown, style="bold red", markup=False)
    raise typer.Exit(code)
