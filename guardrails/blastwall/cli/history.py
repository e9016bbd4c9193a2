"""Read an audit log for a verb, or leave with what is wrong with it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from blastwall.audit.history import decisions
from blastwall.cli.output import Exit, stop
from blastwall.errors import AuditError
from blastwall.policy.observed import Observed

Log = Annotated[
    Path | None, typer.Option("--log", "-l", metavar="LOG", help="The log; the policy's by default.")
]


def history(log: Path) -> Iterator[Observed]:
    """Give the decisions of a log; leave with `Exit.FAILED` when it can't be read or is not whole."""
    try:
        yield from decisions(log)
    except AuditError as error:
        stop(Exit.FAILED, str(error))


def found(history: Iterable[Observed], wanted: str) -> Observed:
    """Find one decision: by its record's number, or by the start of its call's digest (the latest)."""
    matching = [seen for seen in history if _is(seen, wanted)]
    if not matching:
        raise typer.BadParameter(
            f"no decision {wanted!r} in the log: give a record's number or a call's digest"
        )
    return matching[-1]


def _is(seen: Observed, wanted: str) -> bool:
    if wanted.isdecimal() and len(wanted) < _SHORTEST_DIGEST:
        return seen.number == int(wanted)
    return len(wanted) >= _SHORTEST_DIGEST and seen.digest.startswith(wanted)


_SHORTEST_DIGEST = 8
