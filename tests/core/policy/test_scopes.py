"""The keys of scopes, from the file to the verdict."""

from pathlib import Path

import pytest
from tests.core.policies import policy, rules

from blastwall.policy.decide import PERMISSIVE
from blastwall.provenance import Context, Intent, Origin, Traced
from blastwall.values import (
    Allow,
    Annotations,
    Ask,
    Charge,
    Classify,
    Confidentiality,
    Deny,
    Destination,
    Does,
    Integrity,
    Label,
    Reason,
    Sandbox,
    ToolCall,
    ToolOutput,
)

PIN = "a" * 64


def one(rule, **document):
    connector = {
        key: document.pop(key) for key in ("effects", "outputs", "pin", "sandbox") if key in document
    }
    block = {"id": "r", "effect": "allow", "tools": ["*"]} | rule
    return policy({"version": 1, "connectors": {"mail": connector | {"rules": [block]}}} | document)


def call(arguments=None, tool="send", **more):
    return ToolCall.of("mail", tool, arguments or {}, **more)


def context(value="x", *, integrity=Integrity.EXTERNAL, words=(), path=("to",)):
    origin = Origin("mail.get", 1, "$.from", Label(integrity))
    return Context((Traced(path, value, (origin,)),), Intent(words), integrity, Confidentiality.PRIVATE)


def test_a_flow_that_does_not_hold_leaves_the_rule_aside_or_turns_it():
    flow = {"flow": {"control": {"to": ["typed"]}}}
    free, outside = context(integrity=Integrity.TYPED), context()
    for otherwise, kind in ({}, Deny), ({"otherwise": "ask"}, Ask), ({"otherwise": "deny"}, Deny):
        loaded = one(flow | otherwise)
        assert loaded.recalls(call())
        assert loaded.traces
        assert loaded.decide(call({"to": "x"}), {}, free) == Allow("mail.r")
        verdict = loaded.decide(call({"to": "x"}), {}, outside)
        assert isinstance(verdict, kind)
    assert verdict.denied.reason is Reason.FLOW


def test_a_question_says_why_it_is_asked():
    loaded = one({"flow": {"control": {"to": ["prompt"]}}, "otherwise": "ask"})
    asked = loaded.decide(call({"to": "x"}), {}, context())
    assert asked.question == (
        "may mail.send run? rule mail.r asks: to must come from the user's words, and was seen in mail.get"
        " $.from (external, private; exact)"
    )


@pytest.mark.parametrize(("limit", "kind"), [("public", Deny), ("private", Allow), ("secret", Allow)])
def test_content_leaves_up_to_the_limit(limit, kind):
    loaded = one({"flow": {"content": {"max_confidentiality": limit, "args": ["to"]}}})
    verdict = loaded.decide(call({"to": "something private"}), {}, context("something private"))
    assert isinstance(verdict, kind)


def test_without_a_flow_nothing_is_recalled():
    loaded = one({})
    assert not loaded.recalls(call())
    assert not loaded.traces
    assert not loaded.recalls(ToolCall.of("other", "send", {}))
    assert loaded.leant(call(), None) == {}


def test_what_a_verdict_leant_on():
    loaded = one({"flow": {"control": {"to": ["prompt"]}}})
    hints = Annotations(read_only=True, stated=frozenset({"readOnlyHint"}))
    leant = loaded.leant(call({"to": "x"}, annotations=hints, fingerprint=PIN), context())
    assert leant["fingerprint"] == PIN
    assert set(leant) == {"context", "annotations", "fingerprint"}


def test_rates_and_budgets_are_charged():
    limits = {"rate": {"max": 5, "per_s": 60}, "budget": {"session": 3}}
    bound = {"flow": {"bounded": {"n": {"max_sum": 10}}}, "otherwise": "ask"}
    charges = (
        Charge("mail.r rate", 5, per_s=60, ask=True),
        Charge("mail.r budget", 3, ask=True),
        Charge("mail.r sum n", 10, 2.0, ask=True),
    )
    assert one(limits | bound).decide(call({"n": 2}), {}) == Allow("mail.r", charges)
    assert one({"budget": {"session": 3}}).decide(call(), {}) == Allow(
        "mail.r", (Charge("mail.r budget", 3),)
    )


def test_what_is_used_up_denies_or_asks():
    loaded = one({})
    hard, soft = Charge("mail.r budget", 3), Charge("mail.r rate", 1, per_s=60, ask=True)
    denied = loaded.over(call(), Allow("mail.r", (hard,)), hard).denied
    assert (denied.reason, denied.message) == (
        Reason.USED_UP,
        "mail.send would go beyond mail.r budget: 3 in this session",
    )
    asked = loaded.over(call(), Allow("mail.r", (hard, soft)), soft)
    assert asked.then == Allow("mail.r", (hard,))
    assert asked.question == "may mail.send run? mail.send would go beyond mail.r rate: 1 in 60 s"


def test_a_session_has_budgets():
    loaded = one(
        {},
        session={"budget": {"calls": 9, "writes": 8, "destructive": 7, "asks": 6}},
        effects={"get": ["read"], "send": ["network-send"]},
    )
    assert loaded.decide(call(tool="get"), {}).charges == (Charge("session calls", 9),)
    assert loaded.decide(call(), {}).charges == (Charge("session calls", 9), Charge("session writes", 8))
    worst = loaded.decide(call(tool="other"), {})
    assert worst.charges[-1] == Charge("session destructive", 7)
    asking = one({"effect": "ask"}, session={"budget": {"asks": 6}})
    assert asking.decide(call(), {}).charges == (Charge("session asks", 6),)


def test_the_rule_of_two_asks_or_denies():
    for setting, kind in ("ask", Ask), ("deny", Deny):
        loaded = one({}, session={"rule_of_two": setting})
        assert loaded.recalls(call())
        verdict = loaded.decide(call(), {}, context())
        assert isinstance(verdict, kind)
        assert isinstance(loaded.decide(call(), {}), Allow)
    assert verdict.denied.rule == "mail.r"


def test_what_the_user_did_not_ask_for_is_asked():
    loaded = one({}, session={"intent": "ask"}, effects={"get_*": ["read"]})
    assert isinstance(loaded.decide(call(tool="send_email"), {}, context(words=("Read my mail.",))), Ask)
    assert isinstance(loaded.decide(call(tool="get_email"), {}, context(words=("Read my mail.",))), Allow)
    asked = context(words=("Send an email to Dana.",))
    assert isinstance(loaded.decide(call(tool="send_email"), {}, asked), Allow)


def test_a_permissive_policy_records_what_no_rule_allows_and_denies_what_a_rule_denies():
    loaded = rules(
        {"effect": "deny", "tools": ["delete"]},
        {"effect": "allow", "tools": ["read"], "args": {"path": {"enum": ["a"]}}},
        {"effect": "ask", "tools": ["send"]},
    )
    enforced = {
        tool: loaded.decide(ToolCall.of("files", tool, {}), {}) for tool in ("delete", "read", "send", "x")
    }
    assert [type(verdict) for verdict in enforced.values()] == [Deny, Deny, Ask, Deny]
    free = policy(
        {
            "version": 1,
            "defaults": {"enforcement": "permissive"},
            "connectors": {
                "files": {
                    "rules": [
                        {"id": "a", "effect": "deny", "tools": ["delete"]},
                        {"id": "b", "effect": "allow", "tools": ["read"], "args": {"path": {"enum": ["a"]}}},
                        {"id": "c", "effect": "ask", "tools": ["send"]},
                        {
                            "id": "d",
                            "effect": "ask",
                            "tools": ["w"],
                            "args": {"path": {"enum": ["a"]}},
                            "otherwise": "deny",
                        },
                    ]
                }
            },
        }
    )
    assert free.traces
    assert free.recalls(ToolCall.of("files", "x", {}))
    verdicts = {
        tool: free.decide(ToolCall.of("files", tool, {}), {}) for tool in ("delete", "read", "send", "x", "w")
    }
    assert isinstance(verdicts["delete"], Deny)
    assert isinstance(verdicts["send"], Ask)
    assert isinstance(verdicts["w"], Deny)
    assert [(verdicts[tool].rule, verdicts[tool].instead_of.reason) for tool in ("read", "x")] == [
        (PERMISSIVE, Reason.CONSTRAINT),
        (PERMISSIVE, Reason.NO_RULE),
    ]
    assert isinstance(free.decide(ToolCall.of("other", "x", {}), {}), Deny)
    assert free.permits("files", "x")
    assert not free.permits("files", "delete")


def test_a_permissive_policy_overlooks_what_a_session_may_not_do():
    strict = {"session": {"rule_of_two": "deny", "budget": {"calls": 3}}, "sandboxes": {"box": {}}}
    denied = one({"sandbox": "box"}, **strict).decide(call(), {}, context())
    assert denied.denied.reason is Reason.FLOW
    free = one({"sandbox": "box"}, defaults={"enforcement": "permissive"}, **strict)
    verdict = free.decide(call(), {}, context())
    assert isinstance(verdict, Sandbox)
    assert (verdict.instead_of, verdict.charges) == (denied.denied, (Charge("session calls", 3),))
    assert free.decide(call(tool="none"), {}, context()).charges == (Charge("session calls", 3),)


def test_a_tool_that_no_rule_speaks_of_may_be_asked_about():
    loaded = one({"tools": ["get"]}, defaults={"unknown_tool": "ask"})
    asked = loaded.decide(call(), {})
    assert (asked.rule, asked.then) == ("unknown_tool", Allow("unknown_tool"))
    assert loaded.permits("mail", "send")
    assert not one({"tools": ["get"]}).permits("mail", "send")


def test_a_tool_with_another_fingerprint_is_another_tool():
    loaded = one({}, pin={"send": PIN})
    assert loaded.pins("mail") == {"send": PIN}
    assert loaded.pins("other") == {}
    assert isinstance(loaded.decide(call(fingerprint=PIN), {}), Allow)
    assert loaded.permits("mail", "send", fingerprint=PIN)
    for asked in (call(), call(fingerprint="b" * 64), call(tool="other", fingerprint=PIN)):
        assert loaded.decide(asked, {}).denied.reason is Reason.CHANGED
    assert not loaded.permits("mail", "send")
    assert "b" * 64 in str(loaded.decide(call(fingerprint="b" * 64), {}).denied)


def test_no_rule_lets_a_path_lead_to_the_policy_itself():
    loaded = rules({"args": {"path": {"under": ["/"]}}, "effect": "allow"})
    for target in (str(Path.cwd() / "policy.yaml"), "/state", "/state/audit.jsonl"):
        verdict = loaded.decide(ToolCall.of("files", "read", {"path": "p"}), {"p": target})
        assert verdict.denied.reason is Reason.CONSTRAINT
    fine = loaded.decide(
        ToolCall.of("files", "read", {"path": "p"}), {"p": "/home/user/project/policy.yaml2"}
    )
    assert isinstance(fine, Allow)


def test_a_connector_has_its_own_places_and_credentials_in_its_sandboxes():
    loaded = policy(
        {
            "version": 1,
            "credentials": {"token": {"env": "T", "hosts": ["api.example"]}},
            "sandboxes": {"box": {"network": [{"host": "pypi.org"}]}},
            "connectors": {
                "ci": {
                    "credentials": ["token"],
                    "egress": [{"host": "api.example"}],
                    "rules": [{"id": "r", "effect": "allow", "tools": ["*"], "sandbox": "box"}],
                },
                "other": {"rules": [{"id": "r", "effect": "allow", "tools": ["*"], "sandbox": "box"}]},
            },
        }
    )
    own, others = (loaded.decide(ToolCall.of(name, "t", {}), {}).profile for name in ("ci", "other"))
    assert own.network == (Destination("pypi.org"), Destination("api.example"))
    assert own.credentials == ("token",)
    assert (others.network, others.credentials) == ((Destination("pypi.org"),), ())


def test_a_star_stands_for_connectors_without_a_name():
    loaded = policy(
        {
            "version": 1,
            "connectors": {
                "*": {"rules": [{"id": "r", "effect": "allow", "tools": ["get_*"]}]},
                "mail": {"rules": []},
            },
        }
    )
    assert loaded.decide(ToolCall.of("files", "get_x", {}), {}) == Allow("*.r")
    assert isinstance(loaded.decide(ToolCall.of("mail", "get_x", {}), {}), Deny)
    assert isinstance(loaded.decide(ToolCall.of("", "get_x", {}), {}), Deny)
    with pytest.raises(KeyError):
        loaded.labels(ToolCall.of("", "get_x", {}))


def test_outputs_have_the_labels_of_the_file():
    loaded = one(
        {},
        outputs={
            "get|list_*": {"confidentiality": "public", "fields": {"id": "identifier", "body": "external"}},
            "list_all": {"integrity": "internal", "fields": {"code": {"pattern": "[A-Z]+"}}},
        },
    )
    assert loaded.labels(call(tool="send")).default == Label()
    assert loaded.labels(call(tool="get")).default == Label(Integrity.EXTERNAL, Confidentiality.PUBLIC)
    both = loaded.labels(call(tool="list_all"))
    assert both.default == Label(Integrity.EXTERNAL, Confidentiality.PRIVATE)
    assert loaded.labels(call(tool="list_all")) is both
    assert loaded.screen(call(), ToolOutput("fine")).value == "fine"


def test_effects_are_the_policy_s_and_the_server_only_adds():
    loaded = one({}, effects={"get_*": ["read"], "*_page": ["network-read"]})
    connector = loaded.connectors["mail"]
    assert connector.does("get_page", Annotations()) == {Does.READ, Does.NETWORK_READ}
    assert connector.does("other", Annotations()) == frozenset(Does)


def test_conditions_in_cel_hold_or_count_against_the_call():
    loaded = one({"when": {"cel": "args.n < 5.0"}, "otherwise": "ask"})
    assert isinstance(loaded.decide(call({"n": 2.0}), {}), Allow)
    assert isinstance(loaded.decide(call({"n": 7.0}), {}), Ask)
    assert "its `when` does not hold" in loaded.decide(call({"n": 7.0}), {}).question
    assert isinstance(loaded.decide(call({}), {}), Ask)
    checked = one({"when": {"cel": "args.n < 5.0"}, "args": {"n": {"maximum": 3}}})
    assert isinstance(checked.decide(call({"n": 4.0}), {}), Deny)


def test_in_auto_mode_the_classifier_is_asked():
    loaded = one(
        {"flow": {"control": {"to": ["prompt"]}}, "otherwise": "ask"}, defaults={"approval": {"mode": "auto"}}
    )
    assert isinstance(loaded.decide(call({"to": "x"}), {}, context()), Classify)


def test_a_sandboxed_call_is_charged_too():
    loaded = one(
        {"sandbox": "box", "budget": {"session": 1}}, sandboxes={"box": {}}, session={"rule_of_two": "deny"}
    )
    verdict = loaded.decide(call(), {})
    assert isinstance(verdict, Sandbox)
    assert verdict.charges == (Charge("mail.r budget", 1),)
