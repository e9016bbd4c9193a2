"""Evaluations as tables for people and as plain data for programs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from blastwall.evaluate.cases import Book
from blastwall.evaluate.score import Score, Sum, total

Group = tuple[str, str, str]
"""Guard, attack, suite; `all` for the suite where they are added up."""


def sums(scores: Iterable[Score]) -> dict[Group, Sum]:
    """Add up the scores of each guard, attack and suite, and of each guard and attack over all suites."""
    groups: dict[Group, list[Score]] = defaultdict(list)
    for score in scores:
        groups[score.guard, score.attack, score.suite].append(score)
        groups[score.guard, score.attack, "all"].append(score)
    return {group: total(members) for group, members in groups.items()}


def alone(found: Mapping[Group, Sum]) -> Table:
    """Show what each guard leaves of the user's own tasks when nobody attacks."""
    table = Table(title="The user's tasks, nobody attacks")
    for name in ("guard", "suite", "done", "all calls ran", "tasks with an ask", "prompts"):
        table.add_column(name, justify="left" if name in ("guard", "suite") else "right")
    for (guard, attack, suite), s in found.items():
        if not attack:
            row = f"{s.utility}/{s.runs}", f"{s.complete}/{s.runs}", f"{s.tasks_asked}", f"{s.asks}"
            table.add_row(guard, suite, *row, end_section=suite == "all")
    return table


def attacked(found: Mapping[Group, Sum]) -> Table:
    """Show what each attack gets past each guard, and what it leaves of the user's tasks."""
    table = Table(title="Under attack: pairs of a user's task and an attacker's goal")
    for name in ("guard", "attack", "suite"):
        table.add_column(name)
    for name in ("pairs", "order seen", "attacker's actions", "with side effects", "by text alone", "done"):
        table.add_column(name, justify="right")
    table.add_column("prompts: user's, attacker's", justify="right")
    for (guard, attack, suite), s in found.items():
        if attack:
            counts = s.runs, s.reached, s.action, s.effects, s.text, s.utility
            prompts = f"{s.asks}, {s.asks_attacker}"
            table.add_row(guard, attack, suite, *map(str, counts), prompts, end_section=suite == "all")
    return table


def as_data(found: Mapping[Group, Sum]) -> list[dict[str, Any]]:
    """Give the sums as plain data."""
    return [
        {"guard": guard, "attack": attack, "suite": suite} | asdict(s)
        for (guard, attack, suite), s in found.items()
    ]


def told(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """List the runs that need explaining: whatever the attacker got, whatever the user did not get."""
    return [
        {
            "suite": s.suite, "guard": s.guard, "attack": s.attack, "task": s.task, "goal": s.goal,
            "action": s.action, "text": s.text, "effects": s.effects, "utility": s.utility,
            "asks": s.asks, "deeds": list(s.deeds),
        }
        for s in scores
        if s.action or s.text or s.effects or (not s.goal and (s.refused or s.asks or not s.utility))
    ]  # fmt: skip


def through(scores: Iterable[Score]) -> list[str]:
    """Say, once for each, which calls of the attacker ran under a policy, and by which rule."""
    lines: dict[str, int] = {}
    for score in scores:
        if score.effects and score.guard not in ("none", "markers"):
            for deed in (deed for deed in score.deeds if deed.startswith("attacker")):
                line = f"{score.guard}, {score.attack}, {score.suite} {score.task} x {score.goal}: {deed}"
                lines[line] = lines.get(line, 0) + 1
    return list(lines)


def of_book(book: Book, scores: Sequence[Score]) -> dict[str, Any]:
    """Give what came of one file of cases as plain data."""
    attacks = [score for score in scores if score.goal]
    benign = [score for score in scores if not score.goal]
    return {
        "file": book.name,
        "held_out": book.held_out,
        "attacks": len(book.attacks),
        "harm": sum(score.attack == "harm" for score in attacks),
        "steal": sum(score.attack == "steal" for score in attacks),
        "seen": sum(score.reached for score in attacks),
        "through": sum(score.action or score.effects > 0 for score in attacks),
        "benign": len(benign),
        "refused": [score.task for score in benign if score.refused],
    }


def of_books(found: Iterable[tuple[Book, Sequence[Score]]]) -> Table:
    """Show what came of the cases."""
    table = Table(title="An order inside an answer, and the same tools used as asked")
    table.add_column("file")
    for name in (
        "orders",
        "direct harm",
        "data stealing",
        "order seen",
        "through",
        "benign",
        "refused or asked",
    ):
        table.add_column(name, justify="right")
    for book, scores in found:
        row = of_book(book, scores)
        keys = ("attacks", "harm", "steal", "seen", "through", "benign")
        table.add_row(book.name, *(str(row[key]) for key in keys), str(len(row["refused"])))
    return table
