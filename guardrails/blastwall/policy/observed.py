"""Decisions of the past, as far as they were recorded: what policies are compared over, or learned from."""

from dataclasses import dataclass

from blastwall.provenance.origins import Context, Traced
from blastwall.values import Confidentiality, ToolCall


@dataclass(frozen=True, slots=True)
class Observed:
    """One recorded decision.

    Attributes:
        number: The record's number in its log.
        connector, tool: What was called.
        digest: The call's digest.
        verdict: `allow`, `sandbox`, `ask`, `classify` or `deny`.
        rule: The rule that decided, as `connector.rule`; empty when none did.
        reason: Why it was refused, by the value of a `Reason`; of a call that a permissive policy let run,
            why it would have been.
        call: The call; None where only its digest was recorded.
        context: What the decision leaned on; None where nothing of it was recorded.

    """

    number: int
    connector: str
    tool: str
    digest: str
    verdict: str
    rule: str = ""
    reason: str = ""
    call: ToolCall | None = None
    context: Context | None = None

    def made(self) -> ToolCall:
        """Give the call.

        Raises:
            ValueError: where only its digest was recorded.

        """
        if self.call is None:
            raise ValueError(f"of {self.name}, only the digest was recorded")
        return self.call

    @property
    def name(self) -> str:
        """`connector.tool`, for people."""
        return f"{self.connector}.{self.tool}"


def secrets(context: Context) -> frozenset[str]:
    """Name the arguments that hold something secret."""
    return frozenset(str(leaf.path[0]) for leaf in context.traced if leaf.path and secret(leaf))


def secret(leaf: Traced) -> bool:
    """Say whether a value holds something secret."""
    linked = [origin for link in leaf.links for origin in link.origins]
    seen = (*leaf.whole, *leaf.parts, *linked)
    return any(origin.label.confidentiality is Confidentiality.SECRET for origin in seen)
