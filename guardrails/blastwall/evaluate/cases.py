"""Cases in InjecAgent's shape, of our own writing: canned answers with an order inside, over many connectors.

A file holds one policy, written from the connectors' lists of tools; stages, which are what users ask for,
with the answers that their calls get; and attacks, each of which is tried in every stage of its file.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from blastwall.errors import PolicyError, Problem
from blastwall.evaluate.guards import Post, Way
from blastwall.evaluate.score import Case, Score, run
from blastwall.evaluate.world import Order, Shown, Step
from blastwall.frozen import canonical, freeze
from blastwall.policyfile import load

KINDS = ("harm", "steal")
"""What an attacker wants: something done at once, or something read and then sent on."""

PLACE = "ORDER"
"""Where in an answer the order stands."""

Key = tuple[str, str]

_ALONE: Mapping[str, Any] = {"id": "", "kind": "", "order": "", "calls": []}


class Canned:
    """A `Scene` whose tools answer what is written for them."""

    stops = False
    persists = True

    def __init__(self, stage: Mapping[str, Any], attack: Mapping[str, Any]) -> None:
        """Take a stage with an attack in it."""
        self.prompt: str = stage["prompt"]
        self.steps = tuple(Step(call["tool"], call["args"]) for call in stage["calls"])
        self.marks: Sequence[str] = (attack["order"],) if attack["order"] else ()
        self._wanted: Sequence[Mapping[str, Any]] = attack["calls"]
        self._answers: dict[Key, list[Any]] = {}
        for call in (*stage["calls"], *attack["calls"]):
            answer = _told(call.get("output", {"ok": True}), attack)
            self._answers.setdefault(_key(call["tool"], call["args"]), []).append(answer)
        self._steals = attack["kind"] == "steal"
        self._ran: list[Key] = []

    def orders(self) -> Sequence[Order]:
        """Give the attacker's calls."""
        return [partial(Step, call["tool"], call["args"]) for call in self._wanted]

    def ride(self, step: Step) -> Step:
        """Leave the user's calls alone."""
        return step

    def run(self, step: Step) -> Shown:
        """Answer as it is written; a call that comes again gets the next answer, until there is only one."""
        key = _key(step.tool, step.arguments)
        self._ran.append(key)
        answers = self._answers[key]
        return Shown(freeze(answers.pop(0) if len(answers) > 1 else answers[0]))

    def harms(self, step: Step) -> bool:
        """Say whether the call has an effect that the attacker wants."""
        return _key(step.tool, step.arguments) in self._got()

    def utility(self, *, obeyed: bool) -> bool:
        """Say whether all of the user's calls ran."""
        return all(_key(step.tool, step.arguments) in self._ran for step in self.steps)

    def attacked(self, *, obeyed: bool) -> bool:
        """Say whether the attacker got something."""
        return bool(self._got())

    def _got(self) -> list[Key]:
        """Give the calls that ran and have an effect for the attacker.

        To steal, all of them must have run: nobody can send on what was never read.
        """
        wanted = [(_key(call["tool"], call["args"]), call.get("read", False)) for call in self._wanted]
        if self._steals and not all(key in self._ran for key, _ in wanted):
            return []
        return [key for key, reads in wanted if key in self._ran and not reads]


@dataclass(frozen=True, slots=True)
class Book:
    """One file of cases."""

    name: str
    policy: Mapping[str, Any]
    stages: Sequence[Mapping[str, Any]]
    attacks: Sequence[Mapping[str, Any]]
    benign: Sequence[Mapping[str, Any]]

    @property
    def held_out(self) -> bool:
        """Whether it was written after the engine was finished."""
        return self.name.startswith("heldout-")

    def pairs(self) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Give every attack in every stage, then every stage and every benign case alone."""
        yield from ((stage, attack) for attack in self.attacks for stage in self.stages)
        yield from ((stage, _ALONE) for stage in (*self.stages, *self.benign))


def books() -> list[Book]:
    """Read the cases that come with blastwall."""
    folder = files("blastwall.evaluate") / "cases"
    found = sorted((e for e in folder.iterdir() if e.name.endswith(".yaml")), key=lambda entry: entry.name)
    return [book(entry.name.removesuffix(".yaml"), entry.read_text("utf-8")) for entry in found]


def book(name: str, text: str) -> Book:
    """Read one file of cases."""
    data = yaml.safe_load(text)
    return Book(name, data["policy"], data["stages"], data["attacks"], data["benign"])


def play(cases: Book, *, attended: bool = False) -> list[Score]:
    """Run every case of a file. A failing policy is a mistake in the file.

    Raises:
        PolicyError: naming each mistake in its policy.

    """
    way = Way.FULL_ATTENDED if attended else Way.FULL
    placed = Post(way, _compiled(cases))
    scores = []
    for stage, attack in cases.pairs():
        case = Case(cases.name, attack["kind"], way.value, stage["id"], attack["id"])
        scores.append(run(case, Canned(stage, attack), placed.hands()))
    return scores


def _compiled(cases: Book) -> Any:
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{cases.name}.yaml"
        file.write_text(json.dumps(cases.policy), "utf-8")
        policy = load(file)
    stray = {call["tool"] for call in _calls(cases) if policy.connector_of(call["tool"]) is None}
    if stray:
        message = f"no connector matches {', '.join(sorted(stray))}"
        raise PolicyError([Problem(cases.name, 0, 0, "", message)])
    return policy


def _calls(cases: Book) -> Iterator[Mapping[str, Any]]:
    for block in (*cases.stages, *cases.attacks, *cases.benign):
        yield from block["calls"]


def _key(tool: str, arguments: Mapping[str, Any]) -> Key:
    return tool, canonical(freeze(arguments))


def _told(value: Any, attack: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return value.replace(PLACE, attack["order"])
    if isinstance(value, dict):
        return {key: _told(item, attack) for key, item in value.items()}
    if isinstance(value, list):
        return [_told(item, attack) for item in value]
    return value
