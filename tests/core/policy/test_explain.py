"""The explanation: it agrees with the verdict, and says of every rule how it stands and why."""

import pytest
from hypothesis import given
from tests.core.policies import rules
from tests.core.policy.test_decide import BOXES, asked, call, compiled, connectors, decided, kind, look

from blastwall.policy import Line, explain
from blastwall.values import WORST_CASE, Annotations, Deny, Reason, ToolCall

STANDINGS = ["abstain", "allow", "ask", "deny"]


@given(connectors(), asked)
def test_the_explanation_agrees_with_the_verdict(connector, calls):
    loaded = compiled(connector)
    for tool, arguments, stated in calls:
        asking = call(tool, arguments, stated)
        explained = explain(loaded, asking, look(loaded, asking))
        verdict = decided(loaded, asking)
        assert explained.verdict == verdict
        assert [line.rule for line in explained.lines] == [f"files.{r['id']}" for r in connector["rules"]]
        strictest = max((STANDINGS.index(line.standing) for line in explained.lines), default=0)
        ambiguous = isinstance(verdict, Deny) and verdict.denied.reason is Reason.AMBIGUOUS
        expected = {"abstain": "deny"}.get(STANDINGS[strictest], STANDINGS[strictest])
        assert ambiguous or kind(verdict).split()[0] == expected


def test_an_unknown_connector_has_no_lines():
    explained = explain(rules({"effect": "allow"}), ToolCall.of("mail", "send", {}), {})
    assert explained.lines == ()
    assert isinstance(explained.verdict, Deny)


def line(block, arguments, annotations=WORST_CASE, **connector):
    loaded = rules(block, sandboxes=BOXES, **connector)
    asking = ToolCall.of("files", "tool", arguments, annotations)
    (only,) = explain(loaded, asking, look(loaded, asking)).lines
    return only


BOUND = {"args": {"p": {"maximum": 5}}}


@pytest.mark.parametrize(
    ("block", "arguments", "expected"),
    [
        ({"effect": "allow"}, {}, ("allow", "allow", "covers this tool, whatever its arguments")),
        ({"effect": "deny"}, {}, ("deny", "deny", "covers this tool, whatever its arguments")),
        (
            {"effect": "ask", "tools": ["read", "x*"]},
            {},
            ("ask", "abstain", "speaks of read, x* only"),
        ),
        ({"effect": "allow"} | BOUND, {"p": 1}, ("allow", "allow", "its arguments are as the rule says")),
        ({"effect": "allow"} | BOUND, {"p": 9}, ("allow", "abstain", "p must be a number up to 5")),
        (
            {"effect": "allow", "otherwise": "ask"} | BOUND,
            {"p": 9},
            ("allow", "ask", "p must be a number up to 5; otherwise ask"),
        ),
        (
            {"effect": "ask"} | BOUND,
            {"p": "1"},
            ("ask", "deny", "can't be checked, which counts against the call: p must be a number up to 5"),
        ),
        (
            {"effect": "deny"} | BOUND,
            {"p": "1"},
            ("deny", "deny", "can't be checked, which counts against the call: p must be a number up to 5"),
        ),
        ({"effect": "deny"} | BOUND, {"p": 9}, ("deny", "abstain", "p must be a number up to 5")),
    ],
)
def test_each_rule_says_how_it_stands_and_why(block, arguments, expected):
    assert line(block, arguments) == Line("files.r0", *expected)


def test_a_rule_that_speaks_of_other_annotations_says_which():
    block = {"effect": "allow", "when": {"annotations": {"readOnlyHint": True, "openWorldHint": False}}}
    assert line(block, {}, trust_annotations=True).why == (
        "speaks of * with read_only=true with open_world=false only"
    )
    harmless = Annotations(read_only=True, open_world=False)
    assert line(block, {}, harmless, trust_annotations=True).standing == "allow"


def test_annotations_that_are_not_trusted_are_not_explained_away():
    block = {"effect": "deny", "when": {"annotations": {"destructiveHint": True}}}
    assert line(block, {}, Annotations(destructive=False)).standing == "deny"
