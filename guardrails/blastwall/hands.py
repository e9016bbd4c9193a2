"""What a guard acts with: where records, outputs and counts go, and who answers questions."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from blastwall.frozen import Json
from blastwall.values import Answer, Charge, Finding, Profile, ToolCall, ToolOutput

if TYPE_CHECKING:
    from blastwall.state import Counters

Consultant = Callable[[ToolCall, Any], Answer | Awaitable[Answer]]
"""Answers an `Ask` (a person's channel) or a `Classify` (a judge). Plain or async; raising is a no."""

Executor = Callable[[ToolCall], Any]
"""Runs the frozen call where the tool lives; gives its `ToolOutput`, or for `acall` an awaitable of it."""

Confiner = Callable[[ToolCall, Profile], Any]
"""Runs the frozen call inside a sandbox of this profile, likewise."""


class AuditLog(Protocol):
    """Where records go; `blastwall.audit.AuditLog` is one."""

    waits: bool
    """Whether `write` waits for the disk, so that an event loop must not run it itself."""

    def write(
        self, session: str, event: str, call: ToolCall, details: Mapping[str, Json], policy: str = ""
    ) -> None:
        """Return when the record is durable, or raise `AuditError`. `policy` is the digest in force."""
        ...


class Quarantine(Protocol):
    """Where withheld outputs go; `blastwall.state.Quarantine` is one."""

    def keep(self, call: ToolCall, output: ToolOutput, findings: tuple[Finding, ...]) -> str:
        """Keep the output and give its id, or raise `BackendError`."""
        ...


class Ledger(Protocol):
    """Who counts what calls use up; `blastwall.state.Ledger` is one."""

    def spend(self, charges: Sequence[Charge], counters: "Counters") -> Charge | None:
        """Pay all of the charges, or none and give the first that there is not enough for.

        Raises:
            BackendError: when it can't be counted.

        """
        ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What carries effects out."""

    audit: AuditLog
    quarantine: Quarantine
    ledger: Ledger
    ask: Consultant | None = None
    classify: Consultant | None = None
