"""A policy and an outside made by hand, for tests that walk the flow."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from blastwall.flow import AnyEffect, Confine, Consult, Execute, Record, Resolve, Withhold
from blastwall.values import (
    Action,
    Answer,
    Finding,
    Label,
    Screened,
    ToolCall,
    ToolOutput,
    Verdict,
)


@dataclass
class HandMadeJudge:
    """Says what it was told to say; raises where it was told to raise."""

    verdict: Verdict | Exception
    screened: Action | Exception = Action.PASS
    asks_for: tuple[str, ...] = ()

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        return self.asks_for

    def decide(self, call: ToolCall, resolved: Mapping[str, str | None]) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        match self.screened:
            case Exception() as error:
                raise error
            case Action.PASS:
                return Screened(Action.PASS, output.value)
            case action:
                value = None if action is Action.QUARANTINE else "cleaned"
                return Screened(action, value, (Finding("override", "$", 0, 1, action),))

    def label(self, call: ToolCall) -> Label:
        return Label()


@dataclass
class Outside:
    """Answers effects as it was told to, and remembers every one."""

    answer: Answer | Exception | None = None
    output: ToolOutput | Exception = field(default_factory=lambda: ToolOutput("done", raw="raw"))
    broken_records: frozenset[str] = frozenset()
    broken_quarantine: bool = False
    seen: list[AnyEffect] = field(default_factory=list)

    def __call__(self, effect: AnyEffect) -> object:
        self.seen.append(effect)
        reply: object
        match effect:
            case Resolve(_, paths):
                reply = dict.fromkeys(paths)
            case Execute() | Confine():
                reply = self.output
            case Consult():
                reply = self.answer
            case Withhold():
                reply = OSError("disk") if self.broken_quarantine else "q-1"
            case Record(event):
                reply = OSError("disk") if event in self.broken_records else None
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def runs(self) -> list[ToolCall]:
        return [effect.call for effect in self.seen if isinstance(effect, Execute | Confine)]

    @property
    def events(self) -> list[str]:
        return [effect.event for effect in self.seen if isinstance(effect, Record)]
