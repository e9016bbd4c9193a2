"""Every run of an evaluation: which there are, and how they are spread over processes."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

from blastwall.evaluate import adaptive, agentdojo
from blastwall.evaluate.agentdojo import attacks
from blastwall.evaluate.guards import Post, Way, post
from blastwall.evaluate.score import Case, Score, run


@dataclass(frozen=True, slots=True)
class Job:
    """All tasks of one suite, under one attack and one guard.

    Attributes:
        suite: The suite.
        way: The guard.
        attack: In which words; empty for the user's tasks alone.
        tactic: Which adaptive tactic, if any.
        limit: Most tasks of the suite that are run; None for all.

    """

    suite: str
    way: Way
    attack: str = ""
    tactic: str = ""
    limit: int | None = None

    @property
    def name(self) -> str:
        """The attack as reports name it."""
        return f"{self.attack} {self.tactic}".strip()


def perform(job: Job) -> list[Score]:
    """Run one job here."""
    suite = agentdojo.suites()[job.suite]
    placed = _post(job.suite, job.way)
    tactic = adaptive.TACTICS.get(job.tactic)
    scores = []
    for task, goal in _pairs(job, suite):
        case = Case(job.suite, job.name, job.way.value, task, goal or "")
        scene = suite.scene(task, goal, job.attack, tactic)
        hands = placed.hands() if placed else None
        scores.append(run(case, scene, hands, useful=not job.tactic))
    return scores


def perform_all(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, list[Score]]]:
    """Run jobs, in their order. With one process they run here."""
    if processes == 1:
        yield from ((job, perform(job)) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork would take over the caller's threads' locks
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from zip(jobs, pool.map(perform, jobs), strict=True)


def plan(
    suites: Iterable[str], texts: Iterable[str], ways: Iterable[Way], limit: int | None = None
) -> list[Job]:
    """List the jobs: each suite alone, then under each attack, for each guard."""
    words = ["", *texts]
    return [Job(s, way, text, limit=limit) for way in ways for text in words for s in suites]


def plan_adaptive(suites: Iterable[str], ways: Iterable[Way], limit: int | None = None) -> list[Job]:
    """List the jobs of the adaptive attacker, who uses no trick of wording."""
    names = list(adaptive.TACTICS)
    return [Job(s, way, "x_plain", name, limit) for way in ways for name in names for s in suites]


def _pairs(job: Job, suite: agentdojo.Suite) -> Iterator[tuple[str, str | None]]:
    goals: Sequence[str | None] = suite.goals if job.attack else (None,)
    if job.attack in attacks.TEXT_ONLY:
        goals = goals[:1]  # the goal is not in the text: one stands for all
    for task in suite.tasks[: job.limit]:
        for goal in goals:
            yield task, goal


@cache
def _post(suite: str, way: Way) -> Post | None:
    return post(agentdojo.policy(suite), way)
