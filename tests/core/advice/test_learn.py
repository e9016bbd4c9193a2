"""What is learned: every observed call is covered, nothing beyond its own demands, and no denial is undone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.policies import policy
from tests.core.policy.test_decide import call, compiled, connectors

from blastwall.advice.compare import decided
from blastwall.advice.learn import learn, with_records
from blastwall.frozen import thaw
from blastwall.paths import resolve
from blastwall.policy import Layered
from blastwall.policy.decide import PERMISSIVE
from blastwall.policy.observed import Observed
from blastwall.policy.records import Records
from blastwall.provenance import Context, Link, Origin, Traced
from blastwall.values import Allow, Ask, Confidentiality, Deny, Integrity, Label, Sandbox, ToolCall

READS = {"effects": {"*": ["read"]}}
SENDS = {"effects": {"*": ["network-send"]}}


def made(*rules, permissive=True, session=None, **connector):
    return policy(
        {
            "version": 1,
            "defaults": {"enforcement": "permissive" if permissive else "enforcing"},
            "session": session or {},
            "connectors": {"files": {"directory": ".", "rules": list(rules)} | connector},
        }
    )


def seen(arguments=None, tool="read", verdict="allow", rule=PERMISSIVE, context=None, number=1, **fields):
    asked = ToolCall.of("files", tool, arguments or {})
    return Observed(number, "files", tool, asked.digest, verdict, rule, call=asked, context=context, **fields)


def learned(*history, policy=None, **options):
    return learn(history, resolve, policy=policy, **options)


def only(*history, **options):
    (proposal,) = learned(*history, **options).proposals
    return proposal


def test_the_narrowest_rule_for_one_tool():
    calls = [seen({"path": f"/srv/project/{name}", "head": n}) for name, n in (("a", 5), ("b/c", 7))]
    proposal = only(*calls, policy=made(**READS))
    assert proposal.rule == {
        "id": "learned-read",
        "effect": "allow",
        "tools": ["read"],
        "args": {"path": {"under": ["/srv/project"]}, "head": {"minimum": 5, "maximum": 7}},
    }
    assert (proposal.connector, proposal.tool, proposal.calls, proposal.why) == ("files", "read", 2, "")


@pytest.mark.parametrize(
    ("effects", "why"),
    [
        ({}, "nothing says what the tool does: describe it under `effects`"),
        (SENDS, "it does network-send"),
        (
            {"effects": {"read": ["spend", "persist", "execute", "escalate", "delete"]}},
            "it does delete, escalate, execute, persist, spend",
        ),
        (
            {"effects": {"read": ["network-read"]}},
            "it reads from the network, and an address can carry anything out",
        ),
    ],
)
def test_what_may_destroy_or_reach_somebody_is_asked(effects, why):
    proposal = only(seen({"q": "x"}), policy=made(**effects))
    assert (proposal.rule["effect"], proposal.why) == ("ask", why)


def test_a_read_from_known_hosts_is_allowed():
    network = {"effects": {"read": ["network-read"]}}
    for more in ({}, {"head": 5}):
        one = seen({"url": "https://docs.example/a"} | more)
        assert only(one, policy=made(**network)).rule["effect"] == "allow"


def test_what_nothing_can_be_demanded_of_is_asked():
    proposal = only(seen({"q": {}}), policy=made(**READS))
    assert (proposal.rule["effect"], proposal.why) == ("ask", "nothing could be demanded of q")
    assert "args" not in proposal.rule


def test_without_a_policy_everything_is_asked():
    proposal = only(seen({"q": "x"}))
    assert proposal.rule == {
        "id": "learned-read",
        "effect": "ask",
        "tools": ["read"],
        "args": {"q": {"enum": ["x"]}},
    }
    assert learned(seen(rule="files.r")).permitted == 1


def test_what_a_message_of_the_protocol_does_is_known_without_a_policy():
    assert only(seen({"uri": "x"}, "mcp:resources/read")).rule["effect"] == "allow"
    assert only(seen({"n": 1}, "mcp:sampling/createMessage")).why == "it does network-send, spend"


def test_proposals_are_in_the_order_of_their_tools():
    tools = [proposal.tool for proposal in learned(*(seen(tool=name) for name in "cadb")).proposals]
    assert tools == ["a", "b", "c", "d"]


NO = {"id": "no", "effect": "deny", "tools": ["read"], "args": {"q": {"enum": ["x"]}}}
LIMITED = {"id": "some", "effect": "allow", "tools": ["read"], "args": {"q": {"enum": ["a", "b"]}}}


class TestLeftOut:
    def why(self, one, **options):
        found = learned(one, **options)
        assert found.proposals == ()
        ((name, why), records) = next(iter(found.left_out.items()))
        assert (name, records) == (one.name, [1])
        return why

    def test_what_was_refused(self):
        assert self.why(seen(verdict="deny", rule="files.no")) == "it was refused (files.no)"
        assert self.why(seen(verdict="deny", rule="", reason="no-rule")) == "it was refused (no-rule)"

    def test_what_was_recorded_by_digest(self):
        assert (
            self.why(Observed(1, "files", "read", "d", "allow", PERMISSIVE)) == "only its digest was recorded"
        )

    def test_what_the_policy_denies_now(self):
        why = self.why(seen({"q": "x"}), policy=made(NO))
        assert why == "it is denied, whatever else is allowed (files.no)"

    def test_what_is_denied_otherwise(self):
        why = self.why(seen({"q": "x"}), policy=made(LIMITED | {"otherwise": "deny"}))
        assert why == "it is denied, whatever else is allowed (files.some)"

    def test_what_the_session_denies(self):
        outside = Context(integrity=Integrity.EXTERNAL, confidentiality=Confidentiality.PRIVATE)
        why = self.why(seen(context=outside), policy=made(session={"rule_of_two": "deny"}))
        assert why == "it is denied, whatever else is allowed (files.learned)"

    def test_what_another_layer_denies(self):
        layers = Layered(made(**READS), (made(NO),))
        assert (
            self.why(seen({"q": "x"}), policy=layers) == "it is denied, whatever else is allowed (files.no)"
        )
        layers = Layered(made(**READS), (made(NO, {"id": "yes", "effect": "allow", "tools": ["*"]}),))
        assert only(seen({"q": "y"}), policy=layers).calls == 1

    def test_what_another_layer_overlooks_too_as_long_as_it_is_permissive(self):
        why = self.why(seen({"q": "x"}), policy=Layered(made(**READS), (made(),)))
        assert why == "it is denied, whatever else is allowed (no-rule)"

    def test_another_connector(self):
        call = ToolCall.of("mail", "send", {})
        one = Observed(1, "mail", "send", call.digest, "allow", PERMISSIVE, call=call)
        assert self.why(one, policy=made()) == "the policy has no connector of this name"

    def test_what_was_permitted_once(self):
        why = self.why(seen(rule="files.gone"), policy=made())
        assert why == "it is permitted no more (it was, by files.gone)"

    @pytest.mark.parametrize("tool", ["read*", "re?d", "", "re[a]d"])
    def test_a_name_that_is_a_pattern(self, tool):
        assert (
            self.why(seen(tool=tool), policy=made())
            == "a policy can't name the tool: its name is a pattern there"
        )


def test_what_is_permitted_needs_no_rule():
    found = learned(seen({"q": "a"}, rule="files.some"), seen({"q": "c"}), policy=made(LIMITED, **READS))
    assert found.permitted == 1
    assert found.proposals[0].rule["args"] == {"q": {"enum": ["c"]}}


def test_a_rule_that_asks_never_denies_what_is_permitted():
    """An ask rule that can't be checked denies: it is then made so that it can be."""
    numbers = {"id": "some", "effect": "allow", "tools": ["read"], "args": {"q": {"minimum": 5}}}
    permitted = [seen({"n": n, "q": 7}, rule="files.some") for n in (3, 2)]
    past = [*permitted, seen({"n": 2, "q": "c"})]
    proposal = only(*past, policy=made(numbers, **SENDS))
    assert (proposal.rule["args"], proposal.calls) == ({"n": {"minimum": 2, "maximum": 3}}, 1)
    with_it = made(numbers, thaw_rule(proposal.rule), permissive=False, **SENDS)
    assert [kind(with_it, one) for one in past] == ["asked", "asked", "asked"]


def test_a_rule_that_allows_is_made_of_its_own_calls_alone():
    numbers = {"id": "some", "effect": "allow", "tools": ["read"], "args": {"q": {"minimum": 5}}}
    past = [seen({"q": 7}, rule="files.some"), seen({"q": "c"})]
    assert only(*past, policy=made(numbers, **READS)).rule["args"] == {"q": {"enum": ["c"]}}


def test_where_a_path_leads_is_known_without_a_policy_if_it_starts_at_the_root():
    assert only(seen({"path": "/srv/project/a"})).rule["args"] == {"path": {"under": ["/srv/project/a"]}}
    assert only(seen({"path": "project/a"})).rule["args"] == {"path": {"enum": ["project/a"]}}


def test_names_of_rules_are_their_own_and_right():
    taken = {"id": "learned-read", "effect": "deny", "tools": ["x"]}
    tools = ["read", "_a__b_", "tool with spaces", "X" * 60, "X" * 61, "ünï"]
    found = learned(*(seen(tool=tool) for tool in tools), policy=made(taken, **READS))
    assert sorted(each.rule["id"] for each in found.proposals) == [
        "learned--n-",
        "learned-2-" + "X" * 22,
        "learned-2-read",
        "learned-" + "X" * 24,
        "learned-_a_b",
        "learned-tool-with-spaces",
    ]
    made(*(thaw_rule(each.rule) for each in found.proposals))


PROMPT = Origin("", 1, "$", Label(Integrity.PROMPT, Confidentiality.PUBLIC))
TYPED = Origin("mail.search", 2, "$.from", Label(Integrity.TYPED))
BOUND = Origin("mail.search", 2, "$.from", Label(Integrity.TYPED), bound=True)
INTERNAL = Origin("files.read", 2, "$.text", Label(Integrity.INTERNAL), prose=True)
OUTSIDE = Origin("web.fetch", 3, "$.text", Label(Integrity.EXTERNAL, Confidentiality.PUBLIC), prose=True)
SECRET = Origin("vault.get", 4, "$.key", Label(Integrity.TYPED, Confidentiality.SECRET))
PEOPLE = Records.of("people", ["@corp.example"])


def steered(*origins, value="dana"):
    return seen({"to": value}, context=Context((Traced(("to",), value, origins),)))


class TestFlow:
    def flow(self, *history, **options):
        return only(*history, policy=made(**SENDS), **options).rule.get("flow", {})

    @pytest.mark.parametrize(
        ("histories", "sources"),
        [
            ([(PROMPT,)], ["prompt"]),
            ([(BOUND,)], ["bound"]),
            ([(TYPED,)], ["unmentioned"]),
            ([(TYPED, OUTSIDE)], ["typed"]),
            ([(INTERNAL,)], ["internal"]),
            ([(PROMPT,), (BOUND,)], ["prompt", "bound"]),
            ([(PROMPT,), (PROMPT,), (BOUND,)], ["prompt", "bound"]),
            ([(BOUND,), (PROMPT, BOUND)], ["bound"]),
            ([(OUTSIDE,)], None),
            ([(PROMPT,), ()], None),
        ],
    )
    def test_who_steered(self, histories, sources):
        control = self.flow(*(steered(*origins) for origins in histories)).get("control")
        assert control == ({"to": sources} if sources else None)

    def test_trusted_records(self):
        one = steered(value="lee@corp.example")
        proposal = only(one, policy=made(**SENDS), records=[PEOPLE, Records.of("payees", [])])
        assert proposal.rule["flow"]["control"] == {"to": ["people"]}
        assert list(with_records([proposal], [PEOPLE, Records.of("payees", [])])) == ["people"]

    def test_what_left_with_it(self):
        public = steered(PROMPT)
        assert self.flow(public)["content"] == {"links": "none", "max_confidentiality": "public"}
        assert self.flow(public, steered(TYPED))["content"] == {
            "links": "none",
            "max_confidentiality": "private",
        }
        assert self.flow(steered(SECRET))["content"] == {"links": "none"}
        for origins, links in (((TYPED,), {"links": "traced"}), ((OUTSIDE,), {})):
            leaf = Traced(("to",), "see x.example", (PROMPT,), links=(Link("x.example", origins),))
            one = seen({"to": leaf.value}, context=Context((leaf,)))
            assert self.flow(one)["content"] == links | {"max_confidentiality": "public"}

    def test_nothing_where_everything_was_in_it(self):
        leaf = Traced(("to",), "see x.example", (SECRET,), links=(Link("x.example", (OUTSIDE,)),))
        assert self.flow(seen({"to": leaf.value}, context=Context((leaf,)))) == {
            "control": {"to": ["unmentioned"]}
        }

    def test_nothing_where_it_is_not_known_of_every_call(self):
        assert self.flow(steered(PROMPT), seen({"to": "dana"})) == {}

    def test_what_is_secret_is_not_listed(self):
        assert only(steered(SECRET), policy=made(**SENDS)).rule["args"] == {"to": {"max_length": 5}}

    def test_nothing_for_what_only_looks(self):
        for effects in (READS, {"effects": {"*": ["read", "network-read"]}}):
            proposal = only(steered(OUTSIDE), policy=made(**effects))
            assert ("flow" not in proposal.rule, proposal.doubts) == (True, {})

    def test_what_outside_text_chose_is_asked_and_told(self):
        writes = {"effects": {"*": ["write"]}}
        proposal = only(steered(OUTSIDE), policy=made(**writes))
        assert (proposal.rule["effect"], proposal.why) == ("ask", "outside text chose to")
        assert proposal.doubts == {"to": [1]}
        assert only(steered(PROMPT), steered(), seen({"to": "dana"}), policy=made(**writes)).doubts == {}
        assert only(steered(TYPED, OUTSIDE), policy=made(**writes)).doubts == {}
        known = only(steered(OUTSIDE, value="lee@corp.example"), policy=made(**writes), records=[PEOPLE])
        assert known.doubts == {}
        assert only(steered(OUTSIDE), policy=made(**READS)).doubts == {}

    def test_arguments_that_a_rule_can_not_name(self):
        for name in ("a.b", "", "*"):
            leaf = Traced((name,), "x", (PROMPT,))
            assert "control" not in self.flow(seen({name: "x"}, context=Context((leaf,))))


def thaw_rule(rule):
    return {key: thaw(value) if isinstance(value, dict) else value for key, value in rule.items()}


def kind(loaded, one):
    match decided(loaded, one, resolve):
        case Allow() | Sandbox():
            return "allowed"
        case Ask():
            return "asked"
        case _:
            return "denied"


values = st.sampled_from(
    [1, 2, 0.5, "a", "aa", "~", True, None, "/a/x", "/b/c/d", "../y", "https://a.example/"]
)
arguments = st.dictionaries(st.sampled_from(["p", "q"]), values | st.lists(values, max_size=2), max_size=2)
asked = st.lists(st.tuples(st.sampled_from(["a", "ab", "b"]), arguments), min_size=1, max_size=6)
STATED = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
described = st.dictionaries(
    st.sampled_from(["a*", "b", "*"]),
    st.lists(st.sampled_from(["read", "write", "delete", "network-read"]), min_size=1, max_size=2),
)


@given(connectors(), described, asked, asked)
def test_what_is_learned_covers_what_was_seen_and_undoes_no_denial(connector, effects, past, others):
    connector = connector | {"effects": effects}
    plain = compiled(connector)
    history = []
    for number, (tool, given_) in enumerate(past):
        one = call(tool, given_, STATED)
        permitted = kind(plain, Observed(1, "files", tool, one.digest, "", call=one)) != "denied"
        rule = "files.some" if permitted else PERMISSIVE
        history.append(Observed(number, "files", tool, one.digest, "allow", rule, call=one))
    found = learn(history, resolve, policy=plain)
    rules = [thaw_rule(each.rule) for each in found.proposals]
    with_it = compiled(connector | {"rules": [*connector["rules"], *rules]})
    alone = compiled(connector | {"rules": rules})

    left = {name for name, _ in found.left_out}
    for one in history:
        assert kind(with_it, one) != "denied" or one.name in left
    counted = (
        found.permitted + sum(each.calls for each in found.proposals) + sum(map(len, found.left_out.values()))
    )
    assert counted == len(history)
    for tool, given_ in [*past, *others]:
        one = call(tool, given_, STATED)
        one = Observed(1, "files", tool, one.digest, "", call=one)
        verdict = decided(plain, one, resolve)
        if kind(with_it, one) != "denied" and kind(plain, one) == "denied":
            assert kind(alone, one) != "denied"
        if isinstance(verdict, Deny) and verdict.denied.reason.value == "rule":
            assert kind(with_it, one) == "denied"
    for each in found.proposals:
        assert each.rule["effect"] == "ask" or not {"delete"} & {
            does
            for globs, listed in effects.items()
            if each.tool.startswith(globs.rstrip("*"))
            for does in listed
        }
