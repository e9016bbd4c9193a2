"""A policy and an outside made by hand, for tests that walk the flow."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from blastwall.frozen import Json
from blastwall.provenance import Context, Intent, Labels
from blastwall.values import (
    Action,
    Allow,
    Answer,
    Charge,
    Denied,
    Deny,
    Finding,
    Integrity,
    Label,
    Reason,
    Sandbox,
    Screened,
    ToolCall,
    ToolOutput,
    Verdict,
)

NO_MORE = Deny(Denied(Reason.USED_UP, "no more"))


@dataclass
class HandMadeJudge:
    """Says what it was told to say; raises where it was told to raise."""

    verdict: Verdict | Exception
    screened: Action | Exception = Action.PASS
    asks_for: tuple[str, ...] = ()
    traces: bool = False
    over_budget: Verdict | Exception = NO_MORE

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        return self.asks_for

    def recalls(self, call: ToolCall) -> bool:
        return self.traces

    def leant(self, call: ToolCall, context) -> Mapping[str, Json]:
        return {"context": "some"} if context else {}

    def decide(self, call: ToolCall, resolved: Mapping[str, str | None], context=None) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def over(self, call: ToolCall, verdict: Allow | Sandbox, charge: Charge) -> Verdict:
        if isinstance(self.over_budget, Exception):
            raise self.over_budget
        return self.over_budget

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        match self.screened:
            case Exception() as error:
                raise error
            case Action.PASS:
                return Screened(Action.PASS, output.value)
            case action:
                value = None if action is Action.QUARANTINE else "cleaned"
                return Screened(action, value, (Finding("override", "$", 0, 1, action),))

    def labels(self, call: ToolCall) -> Labels:
        return Labels()


@dataclass
class Outside:
    """Answers effects as it was told to, and remembers every one."""

    answer: Answer | Exception | None = None
    output: ToolOutput | Exception = field(default_factory=lambda: ToolOutput("done", raw="raw"))
    broken_records: frozenset[str] = frozenset()
    broken_quarantine: bool = False
    short: frozenset[str] = frozenset()
    counting: Exception | None = None
    remembering: Exception | None = None
    seen: list[AnyEffect] = field(default_factory=list)

    def __call__(self, effect: AnyEffect) -> object:
        self.seen.append(effect)
        reply = self._reply(effect) if isinstance(effect, Recall | Spend | Remember) else self._act(effect)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _reply(self, effect: Recall | Spend | Remember) -> object:
        match effect:
            case Recall():
                return Context(intent=Intent(("do it",)))
            case Spend(_, charges):
                return self.counting or self._pay(charges)
            case Remember():
                return self.remembering or Label(Integrity.TYPED)

    def _act(self, effect: Resolve | Execute | Confine | Consult | Withhold | Record) -> object:
        match effect:
            case Resolve(_, paths):
                return dict.fromkeys(paths)
            case Execute() | Confine():
                return self.output
            case Consult():
                return self.answer
            case Withhold():
                return OSError("disk") if self.broken_quarantine else "q-1"
            case Record(event):
                return OSError("disk") if event in self.broken_records else None

    def _pay(self, charges: tuple[Charge, ...]) -> Charge | None:
        return next((charge for charge in charges if charge.key in self.short), None)

    @property
    def runs(self) -> list[ToolCall]:
        return [effect.call for effect in self.seen if isinstance(effect, Execute | Confine)]

    @property
    def events(self) -> list[str]:
        return [effect.event for effect in self.seen if isinstance(effect, Record)]
