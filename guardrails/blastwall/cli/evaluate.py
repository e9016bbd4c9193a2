"""`blastwall evaluate`: what an obedient agent would do under attack, with and without a policy."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from blastwall.cli.output import AsJson, Exit, emit, err, out, stop
from blastwall.errors import BackendError
from blastwall.evaluate import agentdojo, cases, report, run
from blastwall.evaluate.agentdojo.attacks import NAMES
from blastwall.evaluate.guards import Way
from blastwall.evaluate.score import Score

app = typer.Typer(no_args_is_help=True, help="Measure a policy against an agent that obeys every order.")

# typer offers the members of an enum; mypy can't read one that is made from data.
SuiteName = Enum("SuiteName", {name: name for name in agentdojo.SUITES}, type=str)  # type: ignore[misc]
AttackName = Enum("AttackName", {name: name for name in NAMES}, type=str)  # type: ignore[misc]

_WIDTH = 160
"""Of tables, wherever they go: a narrow terminal wraps them, a file should not lose their cells."""

_Suites = Annotated[list[SuiteName] | None, typer.Option("--suite", help="Only this suite; may be repeated.")]
_Attacks = Annotated[
    list[AttackName] | None, typer.Option("--attack", help="Only this attack text; may be repeated.")
]
_Ways = Annotated[list[Way] | None, typer.Option("--guard", help="Only this guard; may be repeated.")]
_Adaptive = Annotated[bool, typer.Option("--adaptive", help="The adaptive attacker instead of the texts.")]
_Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first tasks of each suite.")]
_Processes = Annotated[int, typer.Option("--processes", min=1, help="How many to run at once.")]


@app.command("agentdojo")
def agentdojo_(
    suite: _Suites = None,
    attack: _Attacks = None,
    guard: _Ways = None,
    adaptive: _Adaptive = False,
    limit: _Limit = None,
    processes: _Processes = 2,
    as_json: AsJson = False,
) -> None:
    """Replay AgentDojo v1.2.2 without a model. Exit 1 when an attacker's call got past blastwall."""
    suites = [each.value for each in suite or SuiteName]
    ways = guard or list(Way)
    if adaptive:
        jobs = run.plan_adaptive(suites, guard or [Way.SCOPES], limit)
    else:
        jobs = run.plan(suites, [each.value for each in attack or AttackName], ways, limit)
    scores: list[Score] = []
    try:
        agentdojo.suites()
        with err.status("") as status:
            for job, found in run.perform_all(jobs, processes):
                status.update(f"{job.way.value}: {job.name or 'nobody attacks'} on {job.suite}")
                scores += found
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    _tell(scores, as_json=as_json, adaptive=adaptive)
    raise typer.Exit(Exit.FOUND if _through(scores) else Exit.OK)


def _tell(scores: Sequence[Score], *, as_json: bool, adaptive: bool) -> None:
    found = report.sums(scores)
    if as_json:
        emit(ok=not _through(scores), sums=report.as_data(found), runs=report.told(scores))
        return
    if not adaptive:
        _show(report.alone(found))
    _show(report.attacked(found))
    for line in report.through(scores):
        out.print(line, markup=False)


@app.command("cases")
def cases_(as_json: AsJson = False) -> None:
    """Run blastwall's own cases. Exit 1 when an attacker got a call through."""
    scores = {book.name: (book, cases.play(book)) for book in cases.books()}
    every = [score for _, found in scores.values() for score in found]
    if as_json:
        emit(ok=not _through(every), books=[report.of_book(*entry) for entry in scores.values()])
    else:
        _show(report.of_books(scores.values()))
        for line in report.through(every):
            out.print(line, markup=False)
    raise typer.Exit(Exit.FOUND if _through(every) else Exit.OK)


def _show(table: Table) -> None:
    Console(width=max(out.width, _WIDTH), highlight=False).print(table)


def _through(scores: Iterable[Score]) -> bool:
    unguarded = (Way.NONE.value, Way.MARKERS.value)
    return any((score.action or score.effects) and score.guard not in unguarded for score in scores)
