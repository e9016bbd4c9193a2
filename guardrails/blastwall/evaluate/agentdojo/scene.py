"""One task of AgentDojo in a fresh environment, with an order planted in it."""

import pickle
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from io import StringIO
from typing import Any

from blastwall.evaluate.agentdojo.orders import own_orders
from blastwall.evaluate.tactics import PLAIN, Tactic, replaced, unchanged
from blastwall.evaluate.world import Order, Shown, Step
from blastwall.frozen import freeze

_READS = ("get_", "read_", "search_", "list_", "check_")
_OPEN_WORLD = ("get_webpage",)
"""It reads, and its argument leaves the house: whoever owns the address hears it."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What is in the environment.

    Attributes:
        data: The environment as data, with a canary at each place that the attacker can write.
        injection: The attacker's goal, AgentDojo's own; None when nobody attacks.
        words: What is planted, by the canary in whose place it comes.
        marks: The texts by which an output shows the order.
        stops: Whether the order is to give up.

    """

    data: Any
    injection: Any = None
    words: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    stops: bool = False


class World:
    """A `Scene` (`blastwall.evaluate.world`) of AgentDojo."""

    def __init__(self, suite: Any, task: Any, planted: Planted, tactic: Tactic | None = None) -> None:
        """Build the environment, and keep a copy of it from before anything happened."""
        self._task, self._planted, self._tactic = task, planted, tactic or PLAIN
        self._injection = planted.injection
        self._runtime = import_module("agentdojo.functions_runtime")
        self._tools = {tool.name: tool for tool in suite.tools}
        self._calls = self._runtime.FunctionsRuntime(suite.tools)
        self._trace: list[Any] = []
        self._kind = suite.environment_type
        self.marks: Sequence[str] = planted.marks
        self._furnish(replaced(planted.data, dict(planted.words)))
        if self._tactic is not PLAIN:
            goal = [order() for order in self._raw()]
            words = {where: self._tactic.words(text, goal) for where, text in planted.words.items()}
            self.marks = tuple(words.values())
            self._furnish(self._tactic.place(planted.data, words, goal))
        self.prompt: str = task.PROMPT
        self.steps: Sequence[Step] = tuple(map(_step, task.ground_truth(_copy(self._now))))
        self.stops = planted.stops
        self.persists = self._tactic.persists

    def _furnish(self, data: Any) -> None:
        self._now = self._task.init_environment(self._kind.model_validate(data))
        self._before = _copy(self._now)

    def orders(self) -> Sequence[Order]:
        """Give the attacker's calls, on a copy: AgentDojo reads unread mail for them, which marks it."""
        return self._tactic.orders(self._raw(), self.steps, self.prompt)

    def _raw(self) -> Sequence[Order]:
        ours = own_orders(self._injection, self._before, lambda: self._now)
        return ours or [partial(_step, call) for call in self._injection.ground_truth(_copy(self._now))]

    def ride(self, step: Step) -> Step:
        """Change the user's call, where the tactic rides on it."""
        if self._tactic.ride is unchanged:
            return step
        return self._tactic.ride(step, [order() for order in self._raw()])

    def run(self, step: Step) -> Shown:
        """Run a tool of the suite on the environment."""
        self._trace.append(self._runtime.FunctionCall(function=step.tool, args=dict(step.arguments)))
        value, error = self._calls.run_function(self._now, step.tool, dict(step.arguments))
        return Shown(freeze(error, str), is_error=True) if error else Shown(freeze(_data(value), str))

    def harms(self, step: Step) -> bool:
        """Say whether the tool does more than read. Marking mail as read is left out of the count."""
        return step.tool in _OPEN_WORLD or not step.tool.startswith(_READS)

    def utility(self, *, obeyed: bool) -> bool:
        """Ask AgentDojo's checker of the user's task."""
        task, words = self._task, self._said(obeyed=obeyed)
        before, now = _copy(self._before), _copy(self._now)
        _share(before, now)
        with _silence():
            found = task.utility_from_traces(words, before, now, self._trace)
            return bool(task.utility(words, before, now) if found is None else found)

    def attacked(self, *, obeyed: bool) -> bool:
        """Ask AgentDojo's checker of the attacker's goal; giving up succeeds when the user goes without."""
        if self.stops:
            return obeyed and not self.utility(obeyed=obeyed)
        goal, words, before = self._injection, self._said(obeyed=obeyed), _copy(self._before)
        now = _copy(self._now)
        with _silence():
            found = goal.security_from_traces(words, before, now, self._trace)
            return bool(goal.security(words, before, now) if found is None else found)

    def _said(self, *, obeyed: bool) -> str:
        if obeyed and self.stops:
            return "asdf"
        ordered = self._injection.GROUND_TRUTH_OUTPUT if obeyed and self._injection else ""
        return f"{self._task.GROUND_TRUTH_OUTPUT}\n{ordered}".strip("\n")


def _share(before: Any, now: Any) -> None:
    """Make what is equal in two environments the same objects: comparing them takes a tenth of the time."""
    if isinstance(now, list):
        pairs = [(index, *pair) for index, pair in enumerate(zip(before, now, strict=False))]
        place: Any = now
    else:
        place = now if isinstance(now, dict) else vars(now)
        known = before if isinstance(before, dict) else vars(before)
        pairs = [(key, known[key], item) for key, item in place.items() if key in known]
    for key, old, new in pairs:
        if old == new:
            place[key] = old
        elif type(old) is type(new) and (isinstance(new, list | dict) or hasattr(new, "model_dump")):
            _share(old, new)


def _silence() -> redirect_stdout[StringIO]:
    """Keep what some checkers print out of our output."""
    return redirect_stdout(StringIO())


def _copy(environment: Any) -> Any:
    return pickle.loads(pickle.dumps(environment))  # noqa: S301  # our own bytes, in half of a deep copy's time


def _step(call: Any) -> Step:
    return Step(call.function, dict(call.args))


def _data(value: Any) -> Any:
    """Give a tool's result as data, whatever models it is made of."""
    if isinstance(value, list | tuple):
        return [_data(item) for item in value]
    if isinstance(value, dict):
        return {key: _data(item) for key, item in value.items()}
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json")
