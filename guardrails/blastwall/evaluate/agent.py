"""The worst agent that there is, and no model: it does the user's task and obeys every order it reads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blastwall.evaluate.people import Person, Tape
from blastwall.evaluate.world import Order, Scene, Shown, Step
from blastwall.frozen import Json, freeze, thaw
from blastwall.session import Session
from blastwall.values import Delivered, Outcome, Refused, ToolCall, ToolOutput, Withheld


@dataclass(frozen=True, slots=True)
class Deed:
    """One call that the agent tried.

    Attributes:
        step: The call.
        own: Whether it is the user's, unchanged; else an attacker wants it so.
        ran: Whether the tool ran.
        failed: Whether the tool itself reported a failure.
        rule: The rule that decided.
        why: Why it was refused, or its output withheld.
        asked: Whether a person was asked.

    """

    step: Step
    own: bool
    ran: bool
    failed: bool = False
    rule: str = ""
    why: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Hands:
    """One guarded run: the session, who is asked, and the records."""

    session: Session
    person: Person
    tape: Tape
    connector: Callable[[str], str]


class Replay:
    """One run of one scene."""

    def __init__(self, scene: Scene, hands: Hands | None) -> None:
        """Take the scene; without hands every call runs unguarded."""
        self._scene = scene
        self._hands = hands
        self._pending: list[Order] = []
        self._riding = False
        self.obeyed = False
        self.deeds: list[Deed] = []

    def play(self) -> None:
        """Run the user's calls, and at every output that shows the order those of the attacker."""
        if self._hands is not None:
            self._hands.session.begin(self._scene.prompt)
        for step in self._scene.steps:
            wanted = self._scene.ride(step) if self.obeyed else step
            if not self._shows(self._do(wanted, own=wanted == step)):
                if self.obeyed and self._scene.persists:
                    self._obey()
                continue
            if self._scene.stops:
                self.obeyed = True
                return
            self._obey()

    def _obey(self) -> None:
        """Try every order that is not carried out yet; those that were refused are tried again and again."""
        if not self.obeyed:
            self._pending = list(self._scene.orders())
        self.obeyed = True
        left = []
        for order in self._pending:
            self._do(order(), own=False)
            if not self.deeds[-1].ran:
                left.append(order)
        self._pending = left

    def _shows(self, value: Json) -> bool:
        marks = [_plain(mark) for mark in self._scene.marks]
        return any(mark in text for text in map(_plain, _texts(value)) for mark in marks)

    def _do(self, step: Step, *, own: bool) -> Json:
        if self._hands is None:
            shown = self._scene.run(step)
            self.deeds.append(Deed(step, own, ran=True, failed=shown.is_error))
            return shown.value
        return self._guarded(step, self._hands, own=own)

    def _guarded(self, step: Step, hands: Hands, *, own: bool) -> Json:
        ran: list[Shown] = []

        def execute(call: ToolCall) -> ToolOutput:
            shown = self._scene.run(Step(call.tool, thaw(call.arguments)))
            ran.append(shown)
            return ToolOutput(shown.value, is_error=shown.is_error)

        hands.person.listen(own=own)
        outcome = hands.session.call(hands.connector(step.tool), step.tool, _json(step.arguments), execute)
        self.deeds.append(
            Deed(
                step,
                own,
                ran=bool(ran),
                failed=bool(ran) and ran[0].is_error,
                rule=hands.tape.rule,
                why=hands.person.question if hands.person.question and not ran else _why(outcome),
                asked=bool(hands.person.question),
            )
        )
        return outcome.output.value if isinstance(outcome, Delivered) else None


def _json(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    frozen = freeze(arguments, str)
    assert isinstance(frozen, Mapping)  # noqa: S101  # an object freezes to an object
    return frozen


def _why(outcome: Outcome) -> str:
    if isinstance(outcome, Delivered):
        return ""
    return str(outcome.denied) if isinstance(outcome, Refused | Withheld) else f"failed: {outcome.denied}"


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)


def _plain(text: str) -> str:
    return "".join(text.split())
