"""The story of one guarded call, told once: a generator that asks for effects and never acts itself."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, assert_never

from blastwall.effects import (
    Confine,
    Consult,
    Execute,
    Flow,
    Recall,
    Remember,
    Resolve,
    Spend,
    Withhold,
    perform,
    record,
)
from blastwall.errors import AuditError, BackendError, SandboxUnavailable, Suspended
from blastwall.frozen import Json, NotJson
from blastwall.values import (
    Action,
    Allow,
    Approved,
    Ask,
    Charge,
    Classify,
    Delivered,
    Denied,
    Deny,
    Edited,
    Failed,
    Label,
    Outcome,
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

if TYPE_CHECKING:
    from blastwall.provenance import Context, Labels


NONE: Mapping[str, Json] = {}
"""Nothing that a verdict leant on."""


class Judge(Protocol):
    """What the flow needs of a policy; `blastwall.policy.Policy` is one. Every method is pure."""

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        """Name the path arguments whose resolved form `decide` needs."""
        ...

    def recalls(self, call: ToolCall) -> bool:
        """Say whether the verdict depends on what the session has seen and heard."""
        ...

    def decide(
        self, call: ToolCall, resolved: Mapping[str, str | None], context: "Context | None"
    ) -> Verdict:
        """Say what may happen to the call."""
        ...

    def over(self, call: ToolCall, verdict: Allow | Sandbox, charge: Charge) -> Verdict:
        """Say what happens to a permitted call, now that this charge can't be paid."""
        ...

    def leant(self, call: ToolCall, context: "Context | None") -> Mapping[str, Json]:
        """Give what a verdict leant on, for the record: neither values nor the user's words."""
        ...

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        """Look for markers, size and schema violations in an output."""
        ...

    @property
    def traces(self) -> bool:
        """Whether outputs must be remembered, so that values can be traced to them."""
        ...

    def labels(self, call: ToolCall) -> "Labels":
        """Say what the fields of an output of this call are labelled."""
        ...


def guard(call: ToolCall, judge: Judge) -> Flow[Outcome]:
    """Walk one call from its verdict to its outcome. A failure anywhere means that it does not run."""
    verdict, leant = yield from _decided(call, judge)
    return (yield from conclude(call, judge, verdict, leant))


def conclude(
    call: ToolCall, judge: Judge, verdict: Verdict, leant: Mapping[str, Json] = NONE
) -> Flow[Outcome]:
    """Record a verdict with what it leant on, then carry it out."""
    try:
        yield from record("decision", call, _describe(verdict) | dict(leant))
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


def _decided(call: ToolCall, judge: Judge) -> Flow[tuple[Verdict, Mapping[str, Json]]]:
    try:
        paths = judge.paths(call)
        resolved = (yield from perform(Resolve(call, paths))) if paths else {}
        context = (yield from perform(Recall(call))) if judge.recalls(call) else None
        return judge.decide(call, resolved, context), judge.leant(call, context)
    except Exception as error:  # noqa: BLE001  # a check that breaks has not said yes
        return Deny(_broken(error)), NONE


def _broken(error: Exception) -> Denied:
    return Denied(Reason.CHECK_FAILED, f"a check of this call broke ({type(error).__name__})")


def _consulted(call: ToolCall, judge: Judge, verdict: Ask | Classify) -> Flow[Outcome]:
    if (short := (yield from _spent(call, verdict))) is not None:
        over = _short(short, verdict) if isinstance(short, Charge) else short
        yield from record("rejected", call, _denied(over))
        return Refused(over)
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


def _spent(call: ToolCall, verdict: Allow | Sandbox | Ask | Classify) -> Flow[Charge | Denied | None]:
    """Pay what the verdict costs: nothing comes back, or the charge that could not be paid, or a failure."""
    if not verdict.charges:
        return None
    try:
        return (yield from perform(Spend(call, verdict.charges)))
    except Exception as error:  # noqa: BLE001  # what can't be counted is used up
        told = str(error) if isinstance(error, BackendError) else f"counting broke ({type(error).__name__})"
        return Denied(Reason.CHECK_FAILED, told, verdict.rule)


def _short(charge: Charge, verdict: Ask | Classify) -> Denied:
    message = f"nobody is asked any more: {charge.key}, {charge.limit:.15g} in this session, are used up"
    return Denied(Reason.USED_UP, message, verdict.rule, "stop here, and tell the user what is left to do")


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
        return Denied(unavailable, f"{verdict.question}; {error}", verdict.rule)
    except Exception as error:  # noqa: BLE001  # a channel that breaks has not said yes
        broken = f"the answer never came ({type(error).__name__})"
        return Denied(unavailable, f"{verdict.question}; {broken}", verdict.rule)
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
        edited = ToolCall.of(call.connector, call.tool, arguments, call.annotations, call.fingerprint)
    except NotJson as error:
        return Refused(Denied(Reason.INVALID_CALL, f"the edited arguments are not JSON: {error}"))
    yield from record("edited", call, {"by": by, "into": edited.digest})
    return (yield from guard(edited, judge))


def _ran(call: ToolCall, judge: Judge, verdict: Allow | Sandbox) -> Flow[Outcome]:
    """Pay what the call uses up, then run it."""
    return (yield from _paid(call, judge, verdict, (yield from _spent(call, verdict))))


def _paid(
    call: ToolCall, judge: Judge, verdict: Allow | Sandbox, unpaid: Charge | Denied | None
) -> Flow[Outcome]:
    if unpaid is None:
        return (yield from _started(call, judge, verdict))
    if isinstance(unpaid, Charge):
        over: Mapping[str, Json] = {"over": unpaid.key}
        return (yield from conclude(call, judge, _over(call, judge, verdict, unpaid), over))
    yield from record("refused", call, _denied(unpaid))
    return Refused(unpaid)


def _over(call: ToolCall, judge: Judge, verdict: Allow | Sandbox, short: Charge) -> Verdict:
    try:
        return judge.over(call, verdict, short)
    except Exception as error:  # noqa: BLE001  # a check that breaks has not said yes
        return Deny(_broken(error))


def _started(call: ToolCall, judge: Judge, verdict: Allow | Sandbox) -> Flow[Outcome]:
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
        label = yield from _labelled(call, judge, output, screened)
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


def _labelled(call: ToolCall, judge: Judge, output: ToolOutput, screened: Screened) -> Flow[Label]:
    """Label what the agent is about to see, and remember it where that matters."""
    labels = judge.labels(call)
    if screened.action is Action.QUARANTINE or not judge.traces:
        return labels.default
    return (yield from perform(Remember(call, _own(output.roots, screened.value), labels)))


def _own(roots: tuple[str, ...], value: Json) -> tuple[Json, ...]:
    """Take off what an adapter put around a tool's own outputs; nothing is lost."""
    if not roots or not isinstance(value, Mapping):
        return (value,)
    rest = {key: item for key, item in value.items() if key not in roots}
    inside = tuple(value[root] for root in roots if root in value)
    return (*inside, rest) if rest else inside


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
            return _overlooked(verdict) | {"verdict": "sandbox", "rule": rule, "profile": profile.name}
        case Allow(rule):
            return _overlooked(verdict) | {"verdict": "allow", "rule": rule}
        case Ask(rule) | Classify(rule):
            return {"verdict": type(verdict).__name__.lower(), "rule": rule}
        case _:
            assert_never(verdict)


def _overlooked(verdict: Allow | Sandbox) -> dict[str, Json]:
    """Say what a permissive policy would have done if it were in force."""
    why = verdict.instead_of
    return {} if why is None else {"reason": why.reason.value, "message": why.message, "would": why.rule}
