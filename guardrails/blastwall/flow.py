"""The story of one guarded call, told once: a generator that asks for effects and never acts itself."""

from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, assert_never

from blastwall.errors import AuditError, BackendError, SandboxUnavailable, Suspended
from blastwall.frozen import Json, NotJson
from blastwall.values import (
    Action,
    Allow,
    Answer,
    Approved,
    Ask,
    Classify,
    Delivered,
    Denied,
    Deny,
    Edited,
    Failed,
    Finding,
    Label,
    Outcome,
    Profile,
    Reason,
    Refused,
    Rejected,
    Sandbox,
    Screened,
    ToolCall,
    ToolOutput,
    Verdict,
    Withheld,
)

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


AnyEffect = Resolve | Execute | Confine | Consult | Withhold | Record
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


class Judge(Protocol):
    """What the flow needs of a policy; `blastwall.policy.Policy` is one. Every method is pure."""

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        """Name the path arguments whose resolved form `decide` needs."""
        ...

    def decide(self, call: ToolCall, resolved: Mapping[str, str | None]) -> Verdict:
        """Say what may happen to the call."""
        ...

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        """Look for markers, size and schema violations in an output."""
        ...

    def label(self, call: ToolCall) -> Label:
        """Say what an output of this call is labelled."""
        ...


def guard(call: ToolCall, judge: Judge) -> Flow[Outcome]:
    """Walk one call from its verdict to its outcome. A failure anywhere means that it does not run."""
    return (yield from conclude(call, judge, (yield from _decided(call, judge))))


def conclude(call: ToolCall, judge: Judge, verdict: Verdict) -> Flow[Outcome]:
    """Record a verdict, then carry it out."""
    try:
        yield from record("decision", call, _describe(verdict))
        match verdict:
            case Deny(denied):
                return Refused(denied)
            case Allow() | Sandbox():
                return (yield from _ran(call, judge, verdict))
            case Ask() | Classify():
                return (yield from _consulted(call, judge, verdict))
            case _:
                assert_never(verdict)
    except AuditError as error:
        return Refused(Denied(Reason.AUDIT_UNAVAILABLE, str(error)))


def _decided(call: ToolCall, judge: Judge) -> Flow[Verdict]:
    try:
        paths = judge.paths(call)
        resolved = (yield from perform(Resolve(call, paths))) if paths else {}
        return judge.decide(call, resolved)
    except Exception as error:  # noqa: BLE001  # a check that breaks has not said yes
        return Deny(Denied(Reason.CHECK_FAILED, f"a check of this call broke ({type(error).__name__})"))


def _consulted(call: ToolCall, judge: Judge, verdict: Ask | Classify) -> Flow[Outcome]:
    match (yield from _answer(call, verdict)):
        case Approved(_, by):
            yield from record("approved", call, {"by": by, "rule": verdict.rule})
            return (yield from _ran(call, judge, verdict.then))
        case Edited(arguments, by):
            return (yield from _edited(call, judge, arguments, by))
        case Denied() as denied:
            yield from record("rejected", call, _denied(denied))
            return Refused(denied)
        case other:
            assert_never(other)


def _answer(call: ToolCall, verdict: Ask | Classify) -> Flow[Approved | Edited | Denied]:
    """Ask, and take every answer for a no that is not a yes to this very call or an edit of it."""
    person = isinstance(verdict, Ask)
    unavailable = Reason.APPROVAL_UNAVAILABLE if person else Reason.CLASSIFIER_UNAVAILABLE
    rejected = Reason.APPROVAL_REJECTED if person else Reason.CLASSIFIER_REJECTED
    try:
        answer = yield from perform(Consult(call, verdict))
    except Suspended:
        yield from record("suspended", call)
        raise
    except BackendError as error:
        return Denied(unavailable, str(error), verdict.rule)
    except Exception as error:  # noqa: BLE001  # a channel that breaks has not said yes
        return Denied(unavailable, f"the answer never came ({type(error).__name__})", verdict.rule)
    match answer:
        case Approved(digest) if digest != call.digest:
            return Denied(rejected, "the approval was given to another call", verdict.rule)
        case Rejected(message):
            return Denied(rejected, message, verdict.rule)
        case Approved() | Edited():
            return answer
        case _:
            assert_never(answer)


def _edited(call: ToolCall, judge: Judge, arguments: Mapping[str, object], by: str) -> Flow[Outcome]:
    try:
        edited = ToolCall.of(call.connector, call.tool, arguments, call.annotations)
    except NotJson as error:
        return Refused(Denied(Reason.INVALID_CALL, f"the edited arguments are not JSON: {error}"))
    yield from record("edited", call, {"by": by, "into": edited.digest})
    return (yield from guard(edited, judge))


def _ran(call: ToolCall, judge: Judge, verdict: Allow | Sandbox) -> Flow[Outcome]:
    """Run it once and look at what came back. From here on nothing is `Refused` unless it never started."""
    confined = isinstance(verdict, Sandbox)
    try:
        effect = Confine(call, verdict.profile) if isinstance(verdict, Sandbox) else Execute(call)
        output = yield from perform(effect)
    except Suspended:
        with suppress(AuditError):  # it may have started, so the framework must unwind in any case
            yield from record("suspended", call)
        raise
    except SandboxUnavailable as error:
        denied = Denied(Reason.SANDBOX_UNAVAILABLE, str(error), verdict.rule)
        yield from record("refused", call, _denied(denied))
        return Refused(denied)
    except BackendError as error:
        denied = Denied(Reason.BACKEND_FAILED, str(error), verdict.rule)
    except Exception as error:  # noqa: BLE001  # its text may be the attacker's: only the type is told
        denied = Denied(Reason.BACKEND_FAILED, f"the tool broke ({type(error).__name__})", verdict.rule)
    else:
        return (yield from _shown(call, judge, output, confined=confined))
    return (yield from _failed(call, denied))


def _shown(call: ToolCall, judge: Judge, output: ToolOutput, *, confined: bool) -> Flow[Outcome]:
    try:
        screened = judge.screen(call, output)
        label = judge.label(call)
    except Exception as error:  # noqa: BLE001  # an output that could not be screened is not shown
        denied = Denied(Reason.CHECK_FAILED, f"screening of the output broke ({type(error).__name__})")
        return (yield from _failed(call, denied))
    details: dict[str, Json] = {
        "error": output.is_error,
        "confined": confined,
        "screening": screened.action.name.lower(),
        "families": tuple(sorted({finding.family for finding in screened.findings})),
    }
    try:
        if screened.action is Action.QUARANTINE:
            kept = yield from perform(Withhold(call, output, screened.findings))
            yield from record("result", call, details | {"withheld": kept})
            return Withheld(_withheld(kept, screened), kept, screened.findings)
        yield from record("result", call, details)
    except BackendError as error:
        return Failed(Denied(Reason.AUDIT_UNAVAILABLE, str(error)))
    except Exception as error:  # noqa: BLE001  # an output that could not be kept aside is not shown
        return Failed(Denied(Reason.AUDIT_UNAVAILABLE, f"the quarantine broke ({type(error).__name__})"))
    if screened.action is Action.PASS:
        return Delivered(output, label)
    shown = ToolOutput(screened.value, output.is_error)
    return Delivered(shown, label, screened.action, screened.findings)


def _withheld(kept: str, screened: Screened) -> Denied:
    families = ", ".join(sorted({f.family for f in screened.findings if f.action is Action.QUARANTINE}))
    return Denied(
        Reason.OUTPUT_REJECTED,
        f"the tool ran, but its output was put in quarantine as {kept}: {families}",
        instead="go on without this output; a person can read it with `blastwall quarantine show`",
    )


def _failed(call: ToolCall, denied: Denied) -> Flow[Outcome]:
    try:
        yield from record("failed", call, _denied(denied))
    except AuditError as error:
        return Failed(Denied(Reason.AUDIT_UNAVAILABLE, str(error)))
    return Failed(denied)


def _denied(denied: Denied) -> dict[str, Json]:
    return {"reason": denied.reason.value, "rule": denied.rule, "message": denied.message}


def _describe(verdict: Verdict) -> dict[str, Json]:
    match verdict:
        case Deny(denied):
            return {"verdict": "deny", **_denied(denied)}
        case Sandbox(rule, profile):
            return {"verdict": "sandbox", "rule": rule, "profile": profile.name}
        case Allow(rule) | Ask(rule) | Classify(rule):
            return {"verdict": type(verdict).__name__.lower(), "rule": rule}
        case _:
            assert_never(verdict)
