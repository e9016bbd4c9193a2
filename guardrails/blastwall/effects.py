"""What the flow wants done outside: values that it yields, and that a handler at the edge carries out."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blastwall.errors import AuditError
from blastwall.frozen import Json
from blastwall.values import (
    Answer,
    Ask,
    Charge,
    Classify,
    Finding,
    Label,
    Profile,
    ToolCall,
    ToolOutput,
)

if TYPE_CHECKING:
    from blastwall.provenance import Context as Context
    from blastwall.provenance import Labels

R = TypeVar("R")


class Effect(Generic[R]):
    """Something that the flow wants done outside; `R` is what comes back."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Resolve(Effect[Mapping[str, str | None]]):
    """Resolve these paths, symlinks included, to absolute ones (None where that can't be done)."""

    call: ToolCall
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recall(Effect["Context"]):
    """Say where the values of a call were seen before, and what the user has asked for."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Spend(Effect[Charge | None]):
    """Pay all of these charges, or none: the reply is then the first that there is not enough for."""

    call: ToolCall
    charges: tuple[Charge, ...]


@dataclass(frozen=True, slots=True)
class Remember(Effect[Label]):
    """Keep in mind what the agent is about to see; the reply is its label as a whole."""

    call: ToolCall
    values: tuple[Json, ...]
    labels: "Labels"


@dataclass(frozen=True, slots=True)
class Execute(Effect[ToolOutput]):
    """Run the call where the tool lives."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Confine(Effect[ToolOutput]):
    """Run the call inside a sandbox of this profile, or raise."""

    call: ToolCall
    profile: Profile


@dataclass(frozen=True, slots=True)
class Consult(Effect[Answer]):
    """Put the call to a person (`Ask`) or to the auto-mode classifier (`Classify`)."""

    call: ToolCall
    verdict: Ask | Classify


@dataclass(frozen=True, slots=True)
class Withhold(Effect[str]):
    """Keep a quarantined output aside; the reply is its id."""

    call: ToolCall
    output: ToolOutput
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Record(Effect[None]):
    """Write one record to the audit chain; it is durable when the reply comes."""

    event: str
    call: ToolCall
    details: Mapping[str, Json] = field(default_factory=dict)


AnyEffect = Resolve | Recall | Spend | Execute | Confine | Consult | Remember | Withhold | Record
Flow = Generator[AnyEffect, Any, R]


def perform(effect: Effect[R]) -> Flow[R]:
    """Ask for one effect. The only bare `yield`: it gives the reply its type back."""
    reply: R = yield effect  # type: ignore[misc]  # every Effect is a member of AnyEffect
    return reply


def record(event: str, call: ToolCall, details: Mapping[str, Json] | None = None) -> Flow[None]:
    """Write one audit record. What goes wrong there is an `AuditError`: no record, no run."""
    try:
        yield from perform(Record(event, call, details or {}))
    except AuditError:
        raise
    except Exception as error:
        raise AuditError(f"the audit log could not be written ({type(error).__name__})") from error
