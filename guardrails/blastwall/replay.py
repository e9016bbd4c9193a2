"""A recording walked through a policy: the verdicts that it would get live, with nothing being run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blastwall.advice.compare import AnyPolicy
from blastwall.drive import run
from blastwall.effects import (
    AnyEffect,
    Confine,
    Consult,
    Execute,
    Recall,
    Record,
    Remember,
    Resolve,
    Spend,
    Withhold,
)
from blastwall.errors import BackendError
from blastwall.flow import guard
from blastwall.frozen import FrozenDict
from blastwall.paths import resolve
from blastwall.policy import Explanation, explain
from blastwall.provenance import NOTHING, Context, Memory
from blastwall.recording import Called, Prompt, Step
from blastwall.state import Counters, Ledger
from blastwall.values import (
    Allow,
    Annotations,
    Answer,
    Approved,
    Ask,
    Charge,
    Classify,
    Denied,
    Deny,
    Outcome,
    Reason,
    Refused,
    Rejected,
    Sandbox,
    ToolCall,
    ToolOutput,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of one call of a recording.

    Attributes:
        step: The call as it was recorded.
        call: The call as it was judged.
        verdict: `allow`, `sandbox`, `ask` or `deny`, once everything was counted.
        rule: The rule that decided, or empty.
        message: Why, as the model and a person would be told.
        context: Where the values of the call came from.
        explanation: What every rule says of it.
        outcome: How it ended.

    """

    step: Called
    call: ToolCall
    verdict: str
    rule: str
    message: str
    context: Context
    explanation: Explanation
    outcome: Outcome

    @property
    def as_expected(self) -> bool:
        """Whether it came out as its recording expects."""
        verdict = self.step.expect in ("", self.verdict)
        return verdict and self.step.rule in ("", self.rule)


def replay(policy: AnyPolicy, steps: Iterable[Step]) -> Iterator[Replayed]:
    """Walk a recording through a policy, in one session of its own.

    A call that a person must allow was allowed if an output was recorded for it. Rates and sums of all
    sessions count what this recording uses, as if no time passed.
    """
    return World(policy).replay(steps)


@dataclass(slots=True)
class World:
    """The outside as a recording has it: what the session has seen and spent so far.

    Attributes:
        policy: The policy in force.
        memory: What the session has seen and heard.
        spent: What was used up.

    """

    policy: AnyPolicy
    memory: Memory = field(default_factory=Memory)
    spent: Counters = field(default_factory=Counters)

    def replay(self, steps: Iterable[Step]) -> Iterator[Replayed]:
        """Go on with a recording."""
        for step in steps:
            if isinstance(step, Prompt):
                self.memory.begin(step.text)
            else:
                yield self.walk(step)

    def walk(self, step: Called) -> Replayed:
        """Walk one call."""
        call = judged(self.policy, step.connector, step.tool, step.arguments, step.hints)
        hands = _Hands(self, step)
        outcome = run(guard(call, self.policy), hands)
        verdict, rule, message = hands.said(outcome)
        explanation = explain(self.policy, call, hands.resolved, hands.context)
        return Replayed(step, call, verdict, rule, message, hands.context, explanation, outcome)

    def look(self, call: ToolCall) -> tuple[dict[str, str | None], Context]:
        """Give what a verdict on a call leans on, now."""
        base = self.policy.directory(call.connector)
        resolved = {path: resolve(path, base) for path in self.policy.paths(call)}
        recalled = self.memory.recall(call.arguments) if self.policy.recalls(call) else NOTHING
        return resolved, recalled

    def weigh(self, call: ToolCall, verdict: Verdict) -> Verdict:
        """Pay for a verdict, and say what becomes of it where there is not enough left."""
        if isinstance(verdict, Deny) or (short := self.spend(verdict.charges)) is None:
            return verdict
        if isinstance(verdict, Allow | Sandbox):
            return self.weigh(call, self.policy.over(call, verdict, short))
        message = f"nobody is asked any more: {short.key}, {short.limit:.15g} in this session, are used up"
        return Deny(Denied(Reason.USED_UP, message, verdict.rule))

    def spend(self, charges: Sequence[Charge]) -> Charge | None:
        """Use up all of these charges; or none, and give the first that there is not enough for."""
        here = [replace(charge, per_s=None) for charge in charges]
        short = _NO_FILE.spend(here, self.spent)
        return next((c for c, counted in zip(charges, here, strict=True) if counted is short), None)


_NO_FILE = Ledger(Path("/dev/null"))
"""Counts as the live one does; a charge that no window holds never touches its file."""


def judged(
    policy: AnyPolicy, connector: str, tool: str, arguments: Mapping[str, Any], hints: Mapping[str, Any]
) -> ToolCall:
    """Make a call as an adapter would. The tool is taken for the one that the policy has pinned."""
    pinned = policy.pins(connector).get(tool, "")
    return ToolCall.of(connector, tool, arguments, annotations(hints), pinned)


def annotations(hints: Mapping[str, Any]) -> Annotations:
    """Read MCP's tool annotations; what is not stated is the worst case."""
    stated = {hint: value for hint, value in hints.items() if hint in _HINTS and isinstance(value, bool)}
    known = {_HINTS[hint]: value for hint, value in stated.items()}
    return Annotations(**known, stated=frozenset(stated))


_HINTS = {
    "readOnlyHint": "read_only",
    "destructiveHint": "destructive",
    "idempotentHint": "idempotent",
    "openWorldHint": "open_world",
}


class _Hands:
    """Answers what the flow asks for in one call, out of the recording."""

    def __init__(self, world: World, step: Called) -> None:
        self.context = NOTHING
        self.resolved: Mapping[str, str | None] = FrozenDict()
        self._world = world
        self._step = step
        self._decided: Mapping[str, Any] = FrozenDict()
        self._asked: Ask | Classify | None = None

    def __call__(self, effect: AnyEffect) -> object:
        match effect:
            case Resolve(call, paths):
                base = self._world.policy.directory(call.connector)
                self.resolved = {path: resolve(path, base) for path in paths}
                return self.resolved
            case Recall(call):
                self.context = self._world.memory.recall(call.arguments)
                return self.context
            case Spend(_, charges):
                return self._world.spend(charges)
            case Remember(call, values, labels):
                return self._world.memory.remember_all(call.name, values, labels)
            case _:
                return self._act(effect)

    def _act(self, effect: AnyEffect) -> object:
        match effect:
            case Consult(call, verdict):
                self._asked = verdict
                return self._answer(call)
            case Execute() | Confine():
                return self._output()
            case Withhold():
                return "replayed"
            case Record("decision", _, details):
                self._decided = details
                return None
            case _:
                return None

    def _answer(self, call: ToolCall) -> Answer:
        if self._step.answered:
            return Approved(call.digest, "the recording")
        return Rejected("the recording holds no output")

    def _output(self) -> ToolOutput:
        if not self._step.answered:
            raise BackendError("the recording holds no output")
        return ToolOutput(self._step.output, self._step.error)

    def said(self, outcome: Outcome) -> tuple[str, str, str]:
        """Give the verdict, the rule and the reason that the call ended with."""
        if self._asked:
            return "ask", self._asked.rule, self._asked.question
        if isinstance(outcome, Refused):
            return "deny", outcome.denied.rule or "", str(outcome.denied)
        return str(self._decided["verdict"]), str(self._decided["rule"]), ""
