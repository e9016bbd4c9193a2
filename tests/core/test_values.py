"""The vocabulary: what a call is bound to, and how a refusal reads."""

import dataclasses
import inspect

import pytest

from blastwall import values
from blastwall.frozen import FrozenDict, NotJson
from blastwall.values import (
    WORST_CASE,
    Action,
    Annotations,
    Confidentiality,
    Denied,
    Integrity,
    Label,
    Profile,
    Reason,
    Strength,
    ToolCall,
    ToolOutput,
)


def test_a_call_is_frozen_when_it_enters():
    arguments = {"paths": ["a"]}
    call = ToolCall.of("files", "read", arguments)
    arguments["paths"].append("b")
    assert call.arguments == {"paths": ("a",)}
    assert isinstance(call.arguments, FrozenDict)


def test_the_digest_binds_connector_tool_and_arguments():
    digests = {
        ToolCall.of(connector, tool, arguments).digest
        for connector in ("files", "mail")
        for tool in ("read", "write")
        for arguments in ({}, {"a": 1}, {"a": "1"}, {"a": 1.0}, {"a": True}, {"a": None}, {"a": [1]})
    }
    assert len(digests) == 28


def test_names_can_not_be_shifted_into_each_other():
    assert ToolCall.of("a", "b.c", {}).digest != ToolCall.of("a.b", "c", {}).digest
    assert ToolCall.of("a", 'b","tool":"c', {}).digest != ToolCall.of("a", "b", {}).digest


def test_the_order_of_arguments_does_not_matter():
    one, other = ToolCall.of("f", "t", {"a": 1, "b": 2}), ToolCall.of("f", "t", {"b": 2, "a": 1})
    assert one == other
    assert one.digest == other.digest
    assert hash(one) == hash(other)


def test_calls_with_other_annotations_are_other_calls():
    assert ToolCall.of("f", "t", {}) != ToolCall.of("f", "t", {}, Annotations(read_only=True))


def test_a_call_is_named_for_people():
    assert ToolCall.of("files", "read", {}).name == "files.read"


@pytest.mark.parametrize(
    ("connector", "tool", "arguments", "path"),
    [
        ("f", "t", {"a": object()}, "$.a"),
        ("f", "t", {1: 2}, "$"),
        ("f", "t", [], "$"),
        ("f", "t", None, "$"),
        ("f", "t\ud800", {}, "$"),
        ("f\ud800", "t", {}, "$"),
    ],
)
def test_what_is_no_call_is_refused(connector, tool, arguments, path):
    with pytest.raises(NotJson) as caught:
        ToolCall.of(connector, tool, arguments)
    assert caught.value.path == path


def test_annotations_default_to_the_worst_case():
    assert WORST_CASE == Annotations(read_only=False, destructive=True, idempotent=False, open_world=True)


def test_an_output_nobody_described_is_external_and_private():
    assert Label() == Label(Integrity.EXTERNAL, Confidentiality.PRIVATE)


def test_the_levels_are_ordered():
    assert Integrity.EXTERNAL < Integrity.INTERNAL < Integrity.TYPED < Integrity.PROMPT
    assert Confidentiality.PUBLIC < Confidentiality.PRIVATE < Confidentiality.SECRET
    assert Action.PASS < Action.MARK < Action.REDACT < Action.QUARANTINE


def test_a_profile_lets_nothing_in_by_default():
    profile = Profile("scratch")
    assert profile.strength is Strength.OS
    assert (profile.workspace, profile.read, profile.mask, profile.env) == (None, (), (), ())


@pytest.mark.parametrize(
    ("denied", "text"),
    [
        (Denied(Reason.NO_RULE, "no"), "blastwall refused this (no-rule): no."),
        (Denied(Reason.RULE, "no", "files.rm"), "blastwall refused this (rule) [rule files.rm]: no."),
        (
            Denied(Reason.RULE, "files.rm is denied", "files.rm", "ask the user"),
            "blastwall refused this (rule) [rule files.rm]: files.rm is denied. Instead: ask the user.",
        ),
    ],
)
def test_a_refusal_names_its_reason_its_rule_and_what_to_do_instead(denied, text):
    assert str(denied) == text


def test_the_framework_s_object_is_no_part_of_what_an_output_is():
    assert ToolOutput("a", raw=1) == ToolOutput("a", raw=2)
    assert "secret" not in repr(ToolOutput("a", raw="secret"))


def test_every_noun_is_frozen_and_slotted():
    nouns = [n for _, n in inspect.getmembers(values, inspect.isclass) if dataclasses.is_dataclass(n)]
    assert len(nouns) > 20
    for noun in nouns:
        assert noun.__dataclass_params__.frozen, noun
        assert "__slots__" in vars(noun), noun


def test_what_stands_in_records_and_policies_keeps_its_spelling():
    """Audit logs outlive versions, and policy files are written by people."""
    assert " ".join(does.value for does in values.Does) == (
        "read write delete execute network-read network-send spend credential persist escalate"
    )
    assert " ".join(reason.value for reason in Reason) == (
        "rule no-rule constraint flow intent used-up changed ambiguous unknown-connector invalid-call"
        " check-failed approval-rejected approval-unavailable classifier-rejected classifier-unavailable"
        " sandbox-unavailable audit-unavailable backend-failed output-rejected"
    )
    assert [level.value for kind in (Integrity, Confidentiality, Action) for level in kind] == [
        *range(4),
        *range(3),
        *range(4),
    ]


def test_the_canonical_text_of_a_call():
    call = ToolCall.of("f", "t", {"b": 1, "a": [2]})
    assert call.canonical == '{"arguments":{"a":[2],"b":1},"connector":"f","tool":"t"}'


def test_what_makes_two_calls_one():
    call = ToolCall.of("f", "t", {"a": 1})
    assert call.fingerprint == ToolCall("f", "t", FrozenDict(), "", "").fingerprint == ""
    assert call == dataclasses.replace(call, fingerprint="ff", digest="00")
    assert Annotations() == Annotations(stated=frozenset({"readOnlyHint"}))
    shown = repr(ToolCall.of("f", "t", {"a": 1}, fingerprint="ff"))
    assert not any(name in shown for name in ("canonical", "annotations", "fingerprint"))


def test_what_goes_along_with_an_output_is_no_part_of_it():
    plain = ToolOutput("a")
    assert plain == ToolOutput("a", check=lambda value: None, roots=("content",))
    assert not plain.is_error
    assert "check" not in repr(plain)
    assert "roots" not in repr(plain)


def test_what_is_left_out():
    assert values.Charge("k", 1) == values.Charge("k", 1, 1.0, None, ask=False)
    assert values.Rejected("no").by == ""
