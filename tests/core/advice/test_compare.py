"""Two policies over the calls of the past: what is newly allowed, asked, denied or moved, and what is unknown."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.policies import PROJECT, policy, rules
from tests.core.policy.test_decide import BOXES, compiled, connectors

from blastwall.advice.compare import NEWLY, compare, decided, replay
from blastwall.paths import resolve
from blastwall.policy import Layered
from blastwall.policy.observed import Observed
from blastwall.provenance import Context, Origin, Traced
from blastwall.values import Allow, Integrity, Label, Sandbox, ToolCall


def seen(number=1, tool="read", arguments=None, context=None, **fields):
    call = ToolCall.of("files", tool, arguments or {})
    return Observed(number, "files", tool, call.digest, "allow", call=call, context=context, **fields)


def compared(old, new, *history):
    return compare(old, new, history, resolve)


ALLOW, ASK, DENY = ({"effect": effect} for effect in ("allow", "ask", "deny"))
CONFINED = ALLOW | {"sandbox": "box"}
CAGED = ALLOW | {"sandbox": "cage"}


@pytest.mark.parametrize(
    ("old", "new", "newly", "before", "after"),
    [
        (DENY, ALLOW, "allowed", "deny (files.r0)", "allow (files.r0)"),
        (ASK, ALLOW, "allowed", "ask (files.r0)", "allow (files.r0)"),
        (ASK, CONFINED, "allowed", "ask (files.r0)", "sandbox box (files.r0)"),
        (ALLOW, ASK, "asked", "allow (files.r0)", "ask (files.r0)"),
        (DENY, ASK, "asked", "deny (files.r0)", "ask (files.r0)"),
        (ALLOW, DENY, "denied", "allow (files.r0)", "deny (files.r0)"),
        (ASK, ALLOW | {"tools": ["x"]}, "denied", "ask (files.r0)", "deny (no-rule)"),
        (CONFINED, ALLOW, "moved", "sandbox box (files.r0)", "allow (files.r0)"),
        (CONFINED, CAGED, "moved", "sandbox box (files.r0)", "sandbox cage (files.r0)"),
    ],
)
def test_a_change_says_what_either_policy_says(old, new, newly, before, after):
    old, new = (rules(block, sandboxes=BOXES) for block in (old, new))
    (change,) = compared(old, new, seen()).changes
    assert (change.newly, change.name, change.before, change.after) == (newly, "files.read", before, after)


def test_changes_are_counted_and_the_latest_is_the_example():
    limited = ALLOW | {"args": {"n": {"maximum": 5}}}
    history = [seen(i, arguments={"n": i}) for i in range(1, 9)]
    found = compared(rules(ALLOW), rules(limited), *history)
    (change,) = found.changes
    assert (change.count, change.example.number, found.same) == (3, 8, 5)


def test_what_lets_something_run_is_told_first():
    old = rules(ALLOW | {"tools": ["a"]}, DENY | {"tools": ["b"]}, ASK | {"tools": ["c"]})
    new = rules(DENY | {"tools": ["a"]}, ALLOW | {"tools": ["b"]}, ALLOW | {"tools": ["c"]})
    found = compared(old, new, seen(tool="a"), seen(tool="b"), seen(tool="c"))
    assert [change.newly for change in found.changes] == ["allowed", "allowed", "denied"]


def test_what_was_recorded_by_digest_is_unknown():
    found = compared(rules(DENY), rules(ALLOW), Observed(1, "files", "read", "d", "deny"), seen())
    assert (found.unrecorded, len(found.changes)) == (1, 1)
    with pytest.raises(ValueError, match="digest"):
        decided(rules(DENY), Observed(1, "files", "read", "d", "deny"), resolve)


CONTROLLED = ALLOW | {"flow": {"control": {"to": ["typed"]}}}
TYPED = Origin("mail.search", 1, "$.from", Label(Integrity.TYPED))


def test_where_values_came_from_decides_where_it_was_recorded():
    known = Context((Traced(("to",), "dana", (TYPED,)),))
    unknown = Context((Traced(("to",), "dana"),))
    asked = [seen(arguments={"to": "dana"}, context=context) for context in (None, known, unknown)]
    found = compared(rules(ALLOW), rules(CONTROLLED), *asked)
    assert (found.same, found.uncertain) == (1, 1)
    (change,) = found.changes
    assert (change.newly, change.count) == ("denied", 1)


def test_paths_lead_where_they_lead_now():
    block = ALLOW | {"args": {"path": {"under": ["notes"]}}}
    found = compared(
        rules(DENY, directory="."),
        rules(block, directory="."),
        seen(arguments={"path": "notes/a"}),
        seen(arguments={"path": f"{PROJECT}/notes/a"}),
        seen(arguments={"path": "/etc/passwd"}),
    )
    assert (found.changes[0].count, found.same) == (2, 1)


def test_a_tool_is_taken_for_the_pinned_one_where_nothing_else_is_known():
    pinned = rules(ALLOW, pin={"read": "a" * 64})
    assert isinstance(decided(pinned, seen(), resolve), Allow)
    other = ToolCall.of("files", "read", {}, fingerprint="b" * 64)
    found = compared(rules(ALLOW), pinned, Observed(1, "files", "read", other.digest, "allow", call=other))
    assert [change.after for change in found.changes] == ["deny (changed)"]


def test_layers_are_policies_too():
    layered = Layered(rules(ALLOW), (rules(DENY),))
    assert [change.newly for change in compared(layered, rules(ALLOW), seen()).changes] == ["allowed"]


def test_in_auto_mode_asking_is_asking():
    auto = policy(
        {
            "version": 1,
            "defaults": {"approval": {"mode": "auto"}},
            "connectors": {"files": {"rules": [ASK | {"id": "r0", "tools": ["*"]}]}},
        }
    )
    assert compared(rules(ASK), auto, seen()).same == 1
    assert [change.after for change in compared(rules(ALLOW), auto, seen()).changes] == [
        "classify (files.r0)"
    ]


history = st.lists(
    st.builds(
        lambda tool, arguments: seen(tool=tool, arguments=arguments),
        st.sampled_from(["a", "ab", "b"]),
        st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from([1, "a", "/a/x", True]), max_size=2),
    ),
    max_size=5,
)


@given(connectors(), connectors(), history)
def test_every_call_is_counted_once_and_a_policy_differs_from_itself_in_nothing(one, other, past):
    old, new = compiled(one), compiled(other)
    found = compare(old, new, past, resolve)
    assert found.same + sum(change.count for change in found.changes) == len(past)
    assert compare(old, old, past, resolve).changes == ()
    back = compare(new, old, past, resolve)
    assert back.same == found.same
    for change in found.changes:
        runs = decided(new, change.example, resolve)
        assert isinstance(runs, Allow | Sandbox) is (change.newly in ("allowed", "moved"))
        assert change.newly in NEWLY


# --- Against what was decided then ---


@pytest.mark.parametrize(
    ("verdict", "new", "newly", "before", "after"),
    [
        ("deny", ALLOW, "allowed", "deny (files.r0)", "allow (files.r0)"),
        ("ask", CONFINED, "allowed", "ask (files.r0)", "sandbox box (files.r0)"),
        ("classify", DENY, "denied", "classify (files.r0)", "deny (files.r0)"),
        ("sandbox", ASK, "asked", "sandbox (files.r0)", "ask (files.r0)"),
        ("allow", ALLOW | {"tools": ["x"]}, "denied", "allow (files.r0)", "deny (no-rule)"),
    ],
)
def test_a_replay_says_what_was_decided_and_what_would_be(verdict, new, newly, before, after):
    past = dataclasses.replace(seen(rule="files.r0"), verdict=verdict)
    (change,) = replay(rules(new, sandboxes=BOXES), [past], resolve).changes
    assert (change.newly, change.before, change.after, change.count) == (newly, before, after, 1)


@pytest.mark.parametrize(
    ("verdict", "new"),
    [("deny", DENY), ("allow", ALLOW), ("sandbox", ALLOW), ("ask", ASK), ("classify", ASK)],
)
def test_what_comes_out_as_it_did_is_the_same(verdict, new):
    past = dataclasses.replace(seen(rule="files.r0"), verdict=verdict)
    result = replay(rules(new), [past], resolve)
    assert (result.changes, result.same) == ((), 1)


def test_a_replay_knows_what_it_does_not_know():
    digest_only = dataclasses.replace(seen(), call=None)
    traced = rules(ALLOW | {"flow": {"control": {"path": ["prompt"]}}})
    assert replay(rules(ALLOW), [digest_only], resolve).unrecorded == 1
    assert replay(traced, [seen()], resolve).uncertain == 1
