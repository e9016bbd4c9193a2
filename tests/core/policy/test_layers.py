"""One file grants, every other file can only take away."""

from pathlib import Path

import pytest
from tests.core.policies import policy

from blastwall.policy import Layered
from blastwall.values import (
    Action,
    Allow,
    Ask,
    Charge,
    Classify,
    Confidentiality,
    Deny,
    Integrity,
    Label,
    Reason,
    Sandbox,
    ToolCall,
    ToolOutput,
)

CALL = ToolCall.of("files", "read", {"path": "a"})


def layer(effect="allow", connector="files", tools=("*",), **keys):
    document = {key: keys.pop(key) for key in ("session", "sandboxes", "defaults") if key in keys}
    block = {key: keys.pop(key) for key in ("outputs", "screening", "pin", "directory") if key in keys}
    rule = {"id": "r", "effect": effect, "tools": list(tools)} | keys
    return policy({"version": 1, "connectors": {connector: block | {"rules": [rule]}}} | document)


def decide(*layers, call=CALL, resolved=None, context=None):
    return Layered(layers[0], tuple(layers[1:])).decide(call, resolved or {}, context)


@pytest.mark.parametrize(
    ("others", "kind"),
    [
        ((), Allow),
        (("allow",), Allow),
        (("ask",), Ask),
        (("deny",), Deny),
        (("ask", "deny"), Deny),
        (("allow", "ask"), Ask),
    ],
)
def test_the_strictest_layer_decides(others, kind):
    assert isinstance(decide(layer(), *map(layer, others)), kind)


def test_a_call_that_all_permit_runs_by_the_rule_of_the_file_that_grants():
    assert decide(layer(), layer(id="other")) == Allow("files.r")


def test_one_layer_that_looks_at_where_data_came_from_is_enough_to_recall_it():
    traced = layer(flow={"control": {"path": ["prompt"]}})
    assert Layered(layer(), (layer(), traced)).recalls(CALL) is True
    assert Layered(layer(), (layer(), layer())).recalls(CALL) is False


def test_a_layer_that_grants_more_grants_nothing():
    assert isinstance(decide(layer("deny"), layer()), Deny)
    assert isinstance(decide(layer(tools=["write"]), layer()), Deny)
    assert isinstance(decide(layer(connector="mail"), layer()), Deny)


def test_a_layer_speaks_of_the_connectors_that_it_names():
    assert isinstance(decide(layer(), layer("deny", connector="mail")), Allow)
    assert isinstance(decide(layer(), layer("deny", connector="*")), Deny)
    assert isinstance(decide(layer(), layer(tools=["write"])), Deny)


def test_sandboxes_add_up_or_collide():
    box, other = {"sandboxes": {"box": {}}, "sandbox": "box"}, {"sandboxes": {"b": {}}, "sandbox": "b"}
    inside = decide(layer(), layer(id="inside", **box))
    assert isinstance(inside, Sandbox)
    assert inside.rule == "files.r"
    assert isinstance(decide(layer(**box), layer(**box)), Sandbox)
    assert decide(layer(**box), layer(**other)).denied.reason is Reason.AMBIGUOUS


def test_every_layer_keeps_its_own_count_and_has_its_own_say_when_it_is_used_up():
    budget = {"budget": {"session": 3}, "otherwise": "ask"}
    whole = Layered(layer(**budget), (layer("ask", **budget), layer(**budget)))
    asked = whole.decide(CALL, {})
    own, mark = "files.r budget", " of policy.yaml"
    assert [charge.key for charge in asked.then.charges] == [own, own + mark, own + mark]
    verdict = Allow("files.r", asked.then.charges)
    assert isinstance(whole.over(CALL, verdict, verdict.charges[0]), Ask)
    assert isinstance(whole.over(CALL, verdict, verdict.charges[1]), Ask)
    assert isinstance(whole.over(CALL, verdict, Charge("k", 1)), Deny)


def test_questions_are_put_together_and_a_person_comes_before_a_classifier():
    auto = {"defaults": {"approval": {"mode": "auto", "timeout_s": 9}}, "session": {"budget": {"asks": 2}}}
    asked = decide(layer("ask", **auto), layer("ask", defaults={"approval": {"timeout_s": 60}}))
    assert isinstance(asked, Ask)
    assert (asked.question, asked.timeout_s) == (
        "may files.read run? rule files.r asks; may files.read run? rule files.r asks",
        9,
    )
    assert asked.charges == (Charge("session asks", 2),)
    assert isinstance(decide(layer("ask", **auto), layer()), Classify)


def test_what_a_permissive_primary_overlooks_another_layer_does_not():
    free = layer(tools=["write"], defaults={"enforcement": "permissive"})
    assert decide(free).instead_of.reason is Reason.NO_RULE
    assert isinstance(decide(free, layer()), Allow)
    assert isinstance(decide(free, layer("deny")), Deny)


def test_an_output_has_the_strictest_label_and_is_screened_by_all():
    public = {"outputs": {"*": {"confidentiality": "public", "integrity": "internal"}}}
    secret = {"outputs": {"*": {"confidentiality": "secret", "integrity": "internal"}}}
    whole = Layered(layer(**public), (layer(**secret), layer("allow", connector="mail")))
    assert whole.labels(CALL).default == Label(Integrity.INTERNAL, Confidentiality.SECRET)
    assert Layered(layer(**public), (layer(),)).labels(CALL).default == Label(
        Integrity.INTERNAL, Confidentiality.PUBLIC
    )
    small = Layered(layer(), (layer(screening={"max_bytes": 5}),))
    assert small.screen(CALL, ToolOutput("much more than five")).action is Action.QUARANTINE
    assert small.screen(CALL, ToolOutput("five")).value == "five"


def test_everything_else_is_the_primary_s():
    primary = layer(directory="/srv", outputs={})
    whole = Layered(primary, (layer(pin={"read": "a" * 64}, args={"path": {"under": ["/srv"]}}),))
    assert whole.directory("files") == Path("/srv").resolve()
    assert whole.state == primary.state
    assert whole.paths(CALL) == ("a",)
    assert whole.pins("files") == {"read": "a" * 64}
    assert not whole.permits("files", "read")
    assert whole.permits("files", "read", fingerprint="a" * 64)
    assert (whole.traces, whole.recalls(CALL), whole.leant(CALL, None)) == (False, False, {})
    assert whole.digest != primary.digest
    with pytest.raises(AttributeError):
        _ = whole.nonsense
