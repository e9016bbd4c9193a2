"""The story of one call: what must hold whatever the policy says and whatever breaks outside."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import HandMadeJudge, Outside

from blastwall.drive import arun, run
from blastwall.effects import Confine, Consult, Execute, Recall, Record, Remember, Spend, Withhold
from blastwall.errors import BackendError, SandboxUnavailable, Suspended
from blastwall.flow import guard
from blastwall.frozen import freeze
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
    Finding,
    Integrity,
    Label,
    Profile,
    Reason,
    Refused,
    Rejected,
    Sandbox,
    Screened,
    ToolCall,
    ToolOutput,
    Withheld,
)

CALL = ToolCall.of("files", "read", {"path": "a"})
OTHER = ToolCall.of("files", "read", {"path": "b"})
ALLOW = Allow("files.read")
SANDBOX = Sandbox("files.read", Profile("scratch"))
DENY = Deny(Denied(Reason.RULE, "no", "files.no"))
EVENTS = ("decision", "approved", "rejected", "edited", "result", "failed", "refused", "suspended")

then = st.sampled_from([ALLOW, SANDBOX])
verdicts = st.one_of(
    then,
    st.just(DENY),
    st.builds(Ask, st.just("r"), st.just("?"), then, st.just(1.0)),
    st.builds(Classify, st.just("r"), st.just("?"), then, st.just(1.0)),
    st.just(ValueError("a check broke")),
)
answers = st.one_of(
    st.just(Approved(CALL.digest, "dana")),
    st.just(Approved(OTHER.digest, "mallory")),
    st.just(Rejected("not today")),
    st.just(Edited({"path": "c"}, "dana")),
    st.just(Edited({"path": float("nan")}, "dana")),
    st.just(TimeoutError()),
    st.just(BackendError("nobody there")),
)
outputs = st.one_of(
    st.just(ToolOutput("done", raw="raw")),
    st.just(ToolOutput("sorry", is_error=True)),
    st.just(SandboxUnavailable("no bwrap")),
    st.just(BackendError("stopped")),
    st.just(RuntimeError("secret detail")),
    st.just(StopIteration("smuggled")),
)
screenings = st.one_of(st.sampled_from(Action), st.just(ValueError("a screen broke")))
outsides = st.builds(Outside, answers, outputs, st.frozensets(st.sampled_from(EVENTS)), st.booleans())


class EditsOnce(HandMadeJudge):
    """Allows the edited call, so that a flow whose approver always edits comes to an end."""

    def decide(self, call, resolved, context=None):
        return ALLOW if call.arguments == {"path": "c"} else super().decide(call, resolved, context)


@given(verdicts, screenings, outsides)
def test_a_refused_call_never_ran_and_no_call_runs_twice(verdict, screened, outside):
    outcome = run(guard(CALL, EditsOnce(verdict, screened)), outside)
    started = len(outside.runs)
    assert started <= 1
    if isinstance(outcome, Refused) and outcome.denied.reason is not Reason.SANDBOX_UNAVAILABLE:
        never = started == 0
        audit_failed_later = outcome.denied.reason is Reason.AUDIT_UNAVAILABLE
        assert never or (audit_failed_later and isinstance(outside.output, SandboxUnavailable))
    if isinstance(outcome, Delivered | Withheld | Failed):
        assert started == 1


@given(verdicts, screenings, outsides)
def test_what_runs_was_judged_recorded_first_and_is_what_was_approved(verdict, screened, outside):
    run(guard(CALL, EditsOnce(verdict, screened)), outside)
    for i, effect in enumerate(outside.seen):
        if isinstance(effect, Execute | Confine):
            assert effect.call is CALL or effect.call.arguments == {"path": "c"}
            recorded = [e for e in outside.seen[:i] if isinstance(e, Record) and e.event == "decision"]
            assert recorded[-1].call is effect.call
    if isinstance(verdict, Ask | Classify) and CALL in outside.runs:
        assert outside.answer == Approved(CALL.digest, "dana")


@given(verdicts, screenings, outsides)
def test_a_sandbox_verdict_never_executes_unconfined(verdict, screened, outside):
    run(guard(CALL, EditsOnce(verdict, screened)), outside)
    wanted = verdict.then if isinstance(verdict, Ask | Classify) else verdict
    for effect in outside.seen:
        if isinstance(effect, Execute) and effect.call is CALL:
            assert wanted == ALLOW
        if isinstance(effect, Confine):
            assert wanted == SANDBOX


@given(verdicts, screenings, outsides)
def test_an_output_that_screening_did_not_pass_is_never_delivered_as_it_was(verdict, screened, outside):
    outcome = run(guard(CALL, EditsOnce(verdict, screened)), outside)
    if isinstance(outcome, Delivered) and screened is not Action.PASS:
        assert outcome.output.raw is None
        assert outcome.output.value == "cleaned"
    if isinstance(screened, Exception) or screened is Action.QUARANTINE:
        assert not isinstance(outcome, Delivered)


@given(verdicts, screenings, outsides)
def test_exception_texts_of_the_outside_reach_nobody(verdict, screened, outside):
    outcome = run(guard(CALL, EditsOnce(verdict, screened)), outside)
    assert "secret detail" not in str(outcome)
    assert all("secret detail" not in str(e.details) for e in outside.seen if isinstance(e, Record))


@given(verdicts, screenings, answers, outputs, st.frozensets(st.sampled_from(EVENTS)), st.booleans())
def test_both_drivers_tell_the_same_story(verdict, screened, answer, output, broken, quarantine):
    blocking = Outside(answer, output, broken, quarantine)
    awaiting = Outside(answer, output, broken, quarantine)

    async def handle(effect):
        return awaiting(effect)

    judge = EditsOnce(verdict, screened)
    assert run(guard(CALL, judge), blocking) == asyncio.run(arun(guard(CALL, judge), handle))
    assert blocking.seen == awaiting.seen


@pytest.mark.parametrize("event", ["decision", "approved"])
def test_a_call_whose_record_can_not_be_written_does_not_run(event):
    outside = Outside(Approved(CALL.digest, "dana"), broken_records=frozenset({event}))
    outcome = run(guard(CALL, HandMadeJudge(Ask("r", "?", ALLOW, 1.0))), outside)
    assert isinstance(outcome, Refused)
    assert outcome.denied.reason is Reason.AUDIT_UNAVAILABLE
    assert outside.runs == []


def test_an_output_whose_record_can_not_be_written_is_not_shown():
    outcome = run(guard(CALL, HandMadeJudge(ALLOW)), Outside(broken_records=frozenset({"result"})))
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Approved(OTHER.digest, "mallory"), Reason.APPROVAL_REJECTED),
        (Rejected("no"), Reason.APPROVAL_REJECTED),
        (TimeoutError(), Reason.APPROVAL_UNAVAILABLE),
        (BackendError("nobody"), Reason.APPROVAL_UNAVAILABLE),
    ],
)
def test_every_answer_but_a_yes_to_this_call_refuses(answer, reason):
    outcome = run(guard(CALL, HandMadeJudge(Ask("r", "?", ALLOW, 1.0))), Outside(answer))
    assert isinstance(outcome, Refused)
    assert outcome.denied.reason is reason


def test_edited_arguments_are_judged_from_the_start():
    class DeniesTheEdit(HandMadeJudge):
        def decide(self, call, resolved, context=None):
            return DENY if call.arguments == {"path": "c"} else super().decide(call, resolved, context)

    outside = Outside(Edited({"path": "c"}, "dana"))
    outcome = run(guard(CALL, DeniesTheEdit(Ask("r", "?", ALLOW, 1.0))), outside)
    assert outcome == Refused(DENY.denied)
    assert outside.runs == []
    assert outside.events == ["decision", "edited", "decision"]


@pytest.mark.parametrize("broken", [frozenset(), frozenset({"suspended"})])
def test_a_framework_that_unwinds_is_let_through_and_recorded(broken):
    outside = Outside(output=Suspended(), broken_records=broken)
    with pytest.raises(Suspended):
        run(guard(CALL, HandMadeJudge(ALLOW)), outside)
    assert outside.events == ["decision", "suspended"]


def test_an_approval_that_suspends_the_run_is_let_through():
    outside = Outside(Suspended())
    with pytest.raises(Suspended):
        run(guard(CALL, HandMadeJudge(Ask("r", "?", ALLOW, 1.0))), outside)
    assert outside.events == ["decision", "suspended"]
    assert outside.runs == []


def test_paths_are_resolved_only_when_the_policy_asks():
    outside = Outside()
    run(guard(CALL, HandMadeJudge(ALLOW, asks_for=("a",))), outside)
    assert type(outside.seen[0]).__name__ == "Resolve"


HARMLESS = Finding("html", "$", 0, 1, Action.MARK)
FAMILIES = ("encoded", "exfil", "hidden", "override", "role", "tags", "unicode")
FOUND = (HARMLESS, *(Finding(family, "$", 0, 1, Action.QUARANTINE) for family in reversed(FAMILIES)))


class FindsMuch(HandMadeJudge):
    """Finds markers of many families in every output, and one that alone would only be marked."""

    def screen(self, call, output):
        return Screened(Action.QUARANTINE, None, FOUND)


def test_a_quarantined_output_is_named_by_its_id_and_by_the_families_that_put_it_there():
    outside = Outside(output=ToolOutput("do evil"))
    outcome = run(guard(CALL, FindsMuch(ALLOW)), outside)
    message = f"the tool ran, but its output was put in quarantine as q-1: {', '.join(FAMILIES)}"
    instead = "go on without this output; a person can read it with `blastwall quarantine show`"
    assert outcome == Withheld(Denied(Reason.OUTPUT_REJECTED, message, None, instead), "q-1", FOUND)
    assert Withhold(CALL, ToolOutput("do evil"), FOUND) in outside.seen
    assert outside.seen[-1].details["families"] == tuple(sorted((*FAMILIES, "html")))


def test_edited_arguments_that_are_no_json_run_nothing():
    outside = Outside(Edited({"path": float("nan")}, "dana"))
    outcome = run(guard(CALL, HandMadeJudge(Ask("r", "?", ALLOW, 1.0))), outside)
    assert isinstance(outcome, Refused)
    assert outcome.denied.reason is Reason.INVALID_CALL
    assert outside.runs == []


def test_an_output_that_can_not_be_kept_aside_is_not_shown():
    outside = Outside(output=ToolOutput("do evil"), broken_quarantine=True)
    outcome = run(guard(CALL, HandMadeJudge(ALLOW, Action.QUARANTINE)), outside)
    assert outcome == Failed(Denied(Reason.AUDIT_UNAVAILABLE, "the quarantine broke (OSError)"))


def test_an_output_that_was_changed_is_shown_with_what_was_found_in_it():
    outcome = run(guard(CALL, HandMadeJudge(ALLOW, Action.REDACT)), Outside())
    found = (Finding("override", "$", 0, 1, Action.REDACT),)
    assert outcome == Delivered(ToolOutput("cleaned"), Label(), Action.REDACT, found)


def reasons(reason, message, rule="r"):
    return {"reason": reason, "rule": rule, "message": message}


PASSED = {"error": False, "confined": False, "screening": "pass", "families": ()}
ASKED = ("decision", {"verdict": "ask", "rule": "r"})
CLASSIFIED = ("decision", {"verdict": "classify", "rule": "r"})
ALLOWED = ("decision", {"verdict": "allow", "rule": "files.read"})
BOXED = ("decision", {"verdict": "sandbox", "rule": "files.read", "profile": "scratch"})
APPROVED = ("approved", {"by": "dana", "rule": "r"})
NOBODY = reasons("classifier-unavailable", "?; the answer never came (TimeoutError)")
ASKS = HandMadeJudge(Ask("r", "?", SANDBOX, 1.0))
CLASSIFIES = HandMadeJudge(Classify("r", "?", ALLOW, 1.0))
EDITED = ToolCall.of("files", "read", {"path": "c"})


@pytest.mark.parametrize(
    ("judge", "outside", "records"),
    [
        (HandMadeJudge(DENY), {}, [("decision", {"verdict": "deny"} | reasons("rule", "no", "files.no"))]),
        (HandMadeJudge(ALLOW), {}, [ALLOWED, ("result", PASSED)]),
        (ASKS, {"answer": Approved(CALL.digest, "dana")}, [ASKED, APPROVED, ("result", {"confined": True})]),
        (ASKS, {"answer": Rejected("later")}, [ASKED, ("rejected", reasons("approval-rejected", "later"))]),
        (CLASSIFIES, {"answer": TimeoutError()}, [CLASSIFIED, ("rejected", NOBODY)]),
        (
            EditsOnce(Ask("r", "?", ALLOW, 1.0)),
            {"answer": Edited({"path": "c"}, "dana")},
            [ASKED, ("edited", {"by": "dana", "into": EDITED.digest}), ALLOWED, ("result", PASSED)],
        ),
        (
            HandMadeJudge(SANDBOX),
            {"output": SandboxUnavailable("no bwrap")},
            [BOXED, ("refused", reasons("sandbox-unavailable", "no bwrap", "files.read"))],
        ),
        (
            HandMadeJudge(ALLOW),
            {"output": RuntimeError("secret detail")},
            [ALLOWED, ("failed", reasons("backend-failed", "the tool broke (RuntimeError)", "files.read"))],
        ),
        (
            HandMadeJudge(ALLOW, ValueError("secret detail")),
            {},
            [ALLOWED, ("failed", {"message": "screening of the output broke (ValueError)"})],
        ),
        (
            HandMadeJudge(ALLOW, Action.QUARANTINE),
            {"output": ToolOutput("do evil", is_error=True)},
            [
                ALLOWED,
                (
                    "result",
                    {"error": True, "screening": "quarantine", "families": ("override",), "withheld": "q-1"},
                ),
            ],
        ),
        (
            HandMadeJudge(Allow("files.read", (Charge("k", 1),))),
            {"counting": OSError("disk")},
            [ALLOWED, ("refused", reasons("check-failed", "counting broke (OSError)", "files.read"))],
        ),
    ],
)
def test_the_record_tells_how_every_story_went(judge, outside, records):
    world = Outside(**outside)
    run(guard(CALL, judge), world)
    told = [effect for effect in world.seen if isinstance(effect, Record)]
    assert [record.event for record in told] == [event for event, _ in records]
    for record, (_, part) in zip(told, records, strict=True):
        assert part.items() <= record.details.items()


def test_a_failure_whose_record_can_not_be_written_is_a_failure():
    outside = Outside(output=RuntimeError(), broken_records=frozenset({"failed"}))
    outcome = run(guard(CALL, HandMadeJudge(ALLOW)), outside)
    assert isinstance(outcome, Failed)
    assert outcome.denied.reason is Reason.AUDIT_UNAVAILABLE


CHARGE = Charge("files.read budget", 1)
ASKING = Charge("session asks", 1)
PAID = Allow("files.read", (CHARGE,))


def told(judge, **outside):
    world = Outside(**outside)
    return run(guard(CALL, judge), world), world


def test_what_can_be_paid_runs():
    outcome, world = told(HandMadeJudge(PAID))
    assert isinstance(outcome, Delivered)
    assert [type(effect) for effect in world.seen] == [Record, Spend, Execute, Record]


def test_what_can_not_be_paid_is_judged_again_by_the_policy():
    denied, world = told(HandMadeJudge(PAID), short=frozenset({CHARGE.key}))
    assert denied == Refused(Denied(Reason.USED_UP, "no more"))
    assert (world.runs, world.events) == ([], ["decision", "decision"])
    assert world.seen[-1].details["over"] == CHARGE.key
    asking = HandMadeJudge(PAID, over_budget=Ask("files.read", "more?", ALLOW, 1.0))
    asked, world = told(asking, short=frozenset({CHARGE.key}), answer=Approved(CALL.digest, "dana"))
    assert isinstance(asked, Delivered)
    assert world.events == ["decision", "decision", "approved", "result"]


def test_a_policy_that_breaks_over_what_is_used_up_has_not_said_yes():
    outcome, world = told(HandMadeJudge(PAID, over_budget=ValueError("no")), short=frozenset({CHARGE.key}))
    assert outcome == Refused(Denied(Reason.CHECK_FAILED, "a check of this call broke (ValueError)"))
    assert world.runs == []


def test_questions_are_paid_for_before_they_are_asked():
    judge = HandMadeJudge(Ask("files.read", "?", PAID, 1.0, (ASKING,)))
    yes = Approved(CALL.digest, "dana")
    outcome, world = told(judge, answer=yes)
    assert isinstance(outcome, Delivered)
    assert [effect.charges for effect in world.seen if isinstance(effect, Spend)] == [(ASKING,), (CHARGE,)]
    refused, world = told(judge, answer=yes, short=frozenset({ASKING.key}))
    assert refused.denied.reason is Reason.USED_UP
    assert (world.runs, world.events) == ([], ["decision", "rejected"])
    assert not any(isinstance(effect, Consult) for effect in world.seen)


@pytest.mark.parametrize(
    ("broken", "message"),
    [(BackendError("the ledger is gone"), "the ledger is gone"), (OSError("d"), "counting broke (OSError)")],
)
@pytest.mark.parametrize("verdict", [PAID, Ask("files.read", "?", ALLOW, 1.0, (ASKING,))])
def test_what_can_not_be_counted_does_not_run(broken, message, verdict):
    outcome, world = told(HandMadeJudge(verdict), counting=broken)
    assert outcome == Refused(Denied(Reason.CHECK_FAILED, message, "files.read"))
    assert world.runs == []


def test_what_a_verdict_leans_on_is_recalled_and_recorded():
    outcome, world = told(HandMadeJudge(ALLOW, traces=True))
    assert isinstance(outcome, Delivered)
    assert [type(effect) for effect in world.seen] == [Recall, Record, Execute, Remember, Record]
    assert world.seen[1].details["context"] == "some"
    assert outcome.label == Label(Integrity.TYPED)


def test_the_agent_is_shown_nothing_that_is_not_remembered():
    outcome, _ = told(HandMadeJudge(ALLOW, traces=True), remembering=OSError("memory"))
    assert outcome == Failed(Denied(Reason.CHECK_FAILED, "screening of the output broke (OSError)"))


@pytest.mark.parametrize("screened", [Action.PASS, Action.REDACT, Action.QUARANTINE])
def test_what_is_remembered_is_what_the_agent_sees(screened):
    _, world = told(HandMadeJudge(ALLOW, screened, traces=True))
    remembered = [effect.values for effect in world.seen if isinstance(effect, Remember)]
    expected = {Action.PASS: [("done",)], Action.REDACT: [("cleaned",)], Action.QUARANTINE: []}
    assert remembered == expected[screened]


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ({"content": {"id": 1}, "artifact": [2]}, ({"id": 1}, (2,))),
        ({"content": {"id": 1}, "text": "x"}, ({"id": 1}, {"text": "x"})),
        ({"error": "x"}, ({"error": "x"},)),
        ("cut away", ("cut away",)),
    ],
)
def test_what_an_adapter_put_around_an_output_is_taken_off(value, values):
    output = ToolOutput(freeze(value), roots=("content", "artifact"))
    _, world = told(HandMadeJudge(ALLOW, traces=True), output=output)
    assert [effect.values for effect in world.seen if isinstance(effect, Remember)] == [values]


@pytest.mark.parametrize(
    ("verdict", "recorded"),
    [
        (Allow("p", (), DENY.denied), {"verdict": "allow", "rule": "p"}),
        (
            Sandbox("p", Profile("box"), (), DENY.denied),
            {"verdict": "sandbox", "rule": "p", "profile": "box"},
        ),
    ],
)
def test_what_a_permissive_policy_overlooks_is_recorded(verdict, recorded):
    _, world = told(HandMadeJudge(verdict))
    overlooked = {"reason": "rule", "message": "no", "would": "files.no"}
    assert world.seen[0].details == overlooked | recorded
