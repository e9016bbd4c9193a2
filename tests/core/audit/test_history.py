"""What a log says was decided: calls made again, contexts put together, nothing taken on trust."""

import json

import pytest
from tests.core.audit.logs import rechained

from blastwall.audit import AuditLog
from blastwall.audit.history import decisions
from blastwall.errors import AuditError
from blastwall.provenance.intent import Intent
from blastwall.provenance.origins import Context, Origin, Traced
from blastwall.provenance.recorded import as_json, hints
from blastwall.values import Annotations, Integrity, Label, ToolCall

TYPED = Origin("mail.search", 2, "$.from", Label(Integrity.TYPED))
READ_ONLY = Annotations(read_only=True, stated=frozenset({"readOnlyHint"}))
CALL = ToolCall.of("mail", "send", {"to": "dana@corp.example"}, READ_ONLY)
CONTEXT = Context((Traced(("to",), "dana@corp.example", (TYPED,)),), Intent(("Write to Dana",)))
DECIDED = {
    "verdict": "allow",
    "rule": "mail.send",
    "context": as_json(CONTEXT),
    "annotations": hints(READ_ONLY),
    "fingerprint": "f" * 64,
}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.jsonl"


def write(log, *records, **options):
    writer = AuditLog(log, **options)
    for session, event, details in records:
        writer.write(session, event, CALL, details)
    writer.close()


def test_a_decision_comes_back_with_its_call_and_its_context(log):
    write(log, ("s", "prompt", {"text": "Write to Dana"}), ("s", "decision", DECIDED), ("s", "result", {}))
    (seen,) = decisions(log)
    assert (seen.number, seen.name, seen.verdict, seen.rule, seen.reason) == (
        2,
        "mail.send",
        "allow",
        "mail.send",
        "",
    )
    assert seen.call == CALL
    assert seen.call.annotations == READ_ONLY
    assert seen.call.annotations.stated == {"readOnlyHint"}
    assert seen.call.fingerprint == "f" * 64
    assert seen.context == CONTEXT


def test_a_refusal_names_its_reason(log):
    write(log, ("s", "decision", {"verdict": "deny", "reason": "no-rule", "rule": None, "message": "no"}))
    (seen,) = decisions(log)
    assert (seen.verdict, seen.rule, seen.reason, seen.context) == ("deny", "", "no-rule", None)


def test_what_came_of_a_charge_that_could_not_be_paid_is_no_further_call(log):
    used_up = {"verdict": "deny", "reason": "used-up", "rule": "mail.send", "message": "no more"}
    asked = {"verdict": "ask", "rule": "mail.send", "over": "mail.send budget"}
    write(log, ("s", "decision", DECIDED), ("s", "decision", used_up), ("s", "decision", asked))
    assert [seen.number for seen in decisions(log)] == [1]


def test_sessions_hear_their_own_user_only_and_children_their_parent_s(log):
    write(
        log,
        ("other", "prompt", {"text": "Pay the bill"}),
        ("parent", "prompt", {"text": "Write to Dana"}),
        ("child", "child", {"of": "parent"}),
        ("child", "decision", DECIDED),
        ("other", "decision", DECIDED),
        ("nobody", "decision", DECIDED),
    )
    assert [seen.context and seen.context.intent.texts for seen in decisions(log)] == [
        ("Write to Dana",),
        ("Pay the bill",),
        None,
    ]


def test_what_was_recorded_by_digest_can_not_be_decided_again(log):
    write(
        log,
        ("s", "prompt", {"characters": 13}),
        ("s", "decision", DECIDED),
        arguments="digest",
    )
    (seen,) = decisions(log)
    assert (seen.call, seen.context) == (None, None)
    write(log, ("s", "decision", DECIDED))
    assert [seen.call for seen in decisions(log)] == [None, CALL]
    assert [seen.context for seen in decisions(log)] == [None, None]


@pytest.mark.parametrize(
    "spoil",
    [
        {"arguments": {"to": "eve@evil.example"}},
        {"details": DECIDED | {"annotations": {"harmless": True}}},
        {"arguments": {"to": 1 << 80}},
    ],
)
def test_a_call_that_is_not_the_one_of_the_digest_is_none(log, spoil):
    write(log, ("s", "prompt", {"text": "Write to Dana"}), ("s", "decision", DECIDED))
    rechained(log, lambda records: [records[0], records[1] | spoil])
    (seen,) = decisions(log)
    assert (seen.call, seen.context) == (None, None)


def test_a_context_that_can_not_be_read_counts_as_not_recorded(log):
    write(log, ("s", "decision", DECIDED | {"context": {"traced": "?"}}))
    (seen,) = decisions(log)
    assert (seen.call, seen.context) == (CALL, None)


def test_a_changed_log_is_no_history(log):
    write(log, ("s", "decision", DECIDED))
    log.write_text(log.read_text().replace("allow", "allaw"))
    with pytest.raises(AuditError, match=r"audit\.jsonl:1: this record was changed .*audit verify"):
        list(decisions(log))


def test_a_log_of_something_else_is_none(log):
    write(log, ("s", "decision", {"verdict": "allow"}))
    rechained(log, lambda records: [{key: records[0][key] for key in ("event", "session")}])
    with pytest.raises(AuditError, match="no audit log of this version"):
        list(decisions(log))


def test_no_log(log):
    with pytest.raises(AuditError, match="can't be read"):
        list(decisions(log))


def test_records_written_meanwhile_are_left_for_the_next_time(log):
    write(log, ("s", "decision", DECIDED))
    history = decisions(log)
    assert next(history).number == 1
    write(log, ("s", "decision", DECIDED))
    assert list(history) == []
    assert json.loads(log.read_text().splitlines()[-1])["n"] == 2
