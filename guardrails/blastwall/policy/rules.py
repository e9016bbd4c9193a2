"""One compiled rule: which calls it speaks of, and how it stands to them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import re2

from blastwall.frozen import FrozenDict
from blastwall.policy import truth
from blastwall.policy.constraints import ArgumentCheck
from blastwall.policy.flows import Flow, Unmet
from blastwall.policy.messages import is_message
from blastwall.policy.standing import Standing
from blastwall.policy.truth import Resolved, Truth
from blastwall.provenance import NOTHING, Context
from blastwall.values import Annotations, Charge, Profile, Reason, ToolCall

Condition = Callable[[ToolCall], Truth]
"""A rule's own expression over the call."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule.

    Attributes:
        id: `connector.id`.
        effect: What it says of a call that is as it demands.
        tools: The globs of the tools that it speaks of; the names of messages begin with `mcp:`.
        when: The annotations that they must have.
        condition: What else must hold of the call.
        checks: What must hold of the arguments.
        flow: What must hold of where they came from.
        profile: The sandbox.
        otherwise: What it says of a call that is not as it demands.
        budgets: What every call that it lets through uses up.
        instead: What the model may do instead.

    """

    id: str
    effect: Standing
    tools: tuple[str, ...]
    when: tuple[tuple[str, bool], ...] = ()
    checks: tuple[ArgumentCheck, ...] = ()
    profile: Profile | None = None
    otherwise: Standing = Standing.ABSTAIN
    instead: str = ""
    condition: Condition | None = None
    flow: Flow | None = None
    budgets: tuple[Charge, ...] = ()

    @property
    def unconditional(self) -> bool:
        """Whether it says the same of every call of its tools."""
        return not (self.checks or self.condition or self.flow)

    @property
    def wanted(self) -> bool:
        """Whether it has a demand on the user's words."""
        return self.flow is not None and self.flow.wanted is not None

    def covers(self, tool: str, annotations: Annotations) -> bool:
        """Say whether the rule speaks of this tool."""
        return covered(tool, self.tools) and all(
            getattr(annotations, hint) is wanted for hint, wanted in self.when
        )

    def holds(self, call: ToolCall, resolved: Resolved, context: Context = NOTHING) -> Truth:
        """Say whether the call is as the rule demands."""
        held = self._fits(call, resolved)
        return min(held, truth.of(self._flows(call, context))) if held is Truth.YES else held

    def stand(self, call: ToolCall, resolved: Resolved, context: Context = NOTHING) -> Standing:
        """Say how the rule stands to a call of a tool that it covers.

        What can't be decided counts against the call: it triggers a deny rule, it never satisfies an
        allow rule, and an ask rule that can't be checked denies. So does one whose flow does not hold:
        were it to stand aside, worse data could be let through by another rule without a question.
        """
        held = self._fits(call, resolved)
        if self.effect is Standing.DENY:
            return Standing.ABSTAIN if held is Truth.NO else Standing.DENY
        if held is Truth.YES and self._flows(call, context):
            return self.effect
        if self.effect is Standing.ASK and held is not Truth.NO:
            return Standing.DENY if held is Truth.UNKNOWN else self.otherwise or Standing.DENY
        return self.otherwise

    def _fits(self, call: ToolCall, resolved: Resolved) -> Truth:
        loose = self.effect is Standing.DENY
        held = truth.every(check.holds(call.arguments, resolved, any_member=loose) for check in self.checks)
        if self.condition and held is not Truth.NO:
            held = min(held, self.condition(call))
        return held

    def _flows(self, call: ToolCall, context: Context) -> bool:
        return self.flow is None or next(self.flow.unmet(call.arguments, context), None) is None

    def outlook(self, known: FrozenDict) -> Standing:
        """Say the mildest that the rule can come to for calls of which only these arguments are known."""
        deny = self.effect is Standing.DENY
        told = [check for check in self.checks if check.path[0] in known and not check.is_path]
        held = truth.every(check.holds(known, {}, any_member=deny) for check in told)
        settled = len(told) == len(self.checks)
        if deny:
            certain = settled and not self.condition and held is not Truth.NO
            return Standing.DENY if certain else Standing.ABSTAIN
        if held is Truth.YES:
            return self.effect
        if self.effect is Standing.ASK and held is Truth.UNKNOWN and settled:
            return Standing.DENY
        return self.otherwise

    def unmet(self, call: ToolCall, resolved: Resolved, context: Context = NOTHING) -> Iterator[Unmet]:
        """Give the demands that the call does not meet."""
        for check in self.checks:
            if check.holds(call.arguments, resolved, any_member=False) is not Truth.YES:
                yield Reason.CONSTRAINT, f"{'.'.join(check.path)} must {check.expectation}"
        if self.condition and self.condition(call) is not Truth.YES:
            yield Reason.CONSTRAINT, "its `when` does not hold"
        if self.flow:
            yield from self.flow.unmet(call.arguments, context)

    def objections(self, call: ToolCall, resolved: Resolved, context: Context) -> list[str]:
        """Give the same in words."""
        return [message for _, message in self.unmet(call, resolved, context)]

    def charges(self, call: ToolCall, context: Context) -> tuple[Charge, ...]:
        """Give what the call uses up."""
        if self.flow is None:
            return self.budgets
        ask = self.otherwise is Standing.ASK
        return (*self.budgets, *self.flow.charges(self.id, call.arguments, context, ask=ask))


def covered(tool: str, globs: tuple[str, ...]) -> bool:
    """Say whether one of the globs covers a tool, or a message: `*` is every tool, and no message."""
    message = is_message(tool)
    return any(is_message(pattern) is message and glob(pattern).fullmatch(tool) for pattern in globs)


@lru_cache(maxsize=4096)
def glob(pattern: str) -> "re2._Regexp[str]":
    """Compile a tool glob: `*` is any text, `?` one character, everything else itself."""
    return re2.compile("(?s)" + "".join({"*": ".*", "?": "."}.get(c) or re2.escape(c) for c in pattern))
