"""What holds for all the calls of a session together: the rule of two, the user's words, budgets."""

from collections.abc import Iterator
from dataclasses import dataclass

from blastwall.policy.standing import Standing
from blastwall.provenance import Context, objects_of, verbs_of
from blastwall.values import LOOKS, Charge, Confidentiality, Does, Integrity, Reason, ToolCall


@dataclass(frozen=True, slots=True)
class Together:
    """The `session` block of a policy, compiled.

    Attributes:
        rule_of_two: What happens to a call with an effect once a session has seen both untrusted and
            private data: no agent may have all three without a person (Meta, "Agents Rule of Two", 2025).
        intent: What happens to a call with an effect that the user's words don't ask for.
        calls, writes, destructive, asks: How many of each a session may have; None for no limit.

    """

    rule_of_two: Standing = Standing.ABSTAIN
    intent: Standing = Standing.ABSTAIN
    calls: int | None = None
    writes: int | None = None
    destructive: int | None = None
    asks: int | None = None

    @property
    def traces(self) -> bool:
        """Whether it needs to know what the session has seen and heard."""
        return bool(self.rule_of_two or self.intent)

    def unmet(
        self, call: ToolCall, does: frozenset[Does], context: Context, *, wanted: bool
    ) -> Iterator[tuple[Standing, Reason, str]]:
        """Give what stands against a call that its rules permit.

        Args:
            call: The call.
            does: Its effects.
            context: What the session knows.
            wanted: Whether a rule has already found that the user asked for it.

        """
        if self.rule_of_two and _all_three(does, context):
            why = "the session has read outside text and private data, and this has an effect"
            yield self.rule_of_two, Reason.FLOW, why
        if self.intent and not wanted and not does <= LOOKS and _asked(call, context) == 0:
            yield self.intent, Reason.INTENT, "the user's words do not ask for this"

    def charges(self, call: ToolCall, does: frozenset[Does], context: Context) -> Iterator[Charge]:
        """Give what a call uses up of the session's budgets."""
        if self.calls is not None:
            yield Charge("session calls", self.calls)
        if self.writes is not None and not does <= LOOKS:
            yield Charge("session writes", self.writes)
        if Does.DELETE not in does:
            return
        if self.destructive is not None:
            yield Charge("session destructive", self.destructive)
        if self.intent and (count := _asked(call, context)):
            yield Charge(f"{call.name} asked for", count, ask=self.intent is Standing.ASK)

    def asking(self) -> tuple[Charge, ...]:
        """Give what one question to a person uses up."""
        return () if self.asks is None else (Charge("session asks", self.asks),)


def _all_three(does: frozenset[Does], context: Context) -> bool:
    untrusted = context.integrity is Integrity.EXTERNAL
    return untrusted and context.confidentiality > Confidentiality.PUBLIC and not does <= {Does.READ}


def _asked(call: ToolCall, context: Context) -> int | None:
    return context.intent.asked(verbs_of(call.tool), objects_of(call.tool))
