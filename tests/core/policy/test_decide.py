"""The verdict: deny beats ask beats allow, silence denies, and no rule ever loosens another."""

import dataclasses

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.policies import PROJECT, assembled, policy, rules
from tests.core.policy import reference

from blastwall.paths import resolve
from blastwall.policy import State, explain
from blastwall.policy.rules import glob
from blastwall.policy.standing import Standing
from blastwall.values import (
    Action,
    Allow,
    Annotations,
    Ask,
    Classify,
    Deny,
    Label,
    Reason,
    Sandbox,
    ToolCall,
    ToolOutput,
)

BOXES = {"box": {"workspace": "./work"}, "cage": {"timeout_s": 5}}

tools = st.sampled_from(["a", "ab", "abb", "b", "x"])
globs = st.lists(st.sampled_from(["*", "a*", "*b", "a?", "ab", "x", "?"]), min_size=1, max_size=2)
demands = st.one_of(
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from([1, "a", True, "b"]), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"pattern": st.sampled_from(["a+", "[ab]*", "x|~"])}),
    st.fixed_dictionaries({"minimum": st.integers(0, 2)}, optional={"maximum": st.integers(2, 3)}),
    st.fixed_dictionaries({"under": st.just(["/home/user/project"]) | st.just(["/a", "/b"])}),
    st.fixed_dictionaries({"max_items": st.integers(0, 2)}),
).flatmap(
    lambda demand: st.fixed_dictionaries(
        {key: st.just(value) for key, value in demand.items()}, optional={"optional": st.booleans()}
    )
)
hints = st.fixed_dictionaries({hint: st.booleans() for hint in reference.WORST})


@st.composite
def blocks(draw, effects=("allow", "ask", "deny"), trusted=True):
    """One rule that is no mistake."""
    effect = draw(st.sampled_from(effects))
    block = {
        "effect": effect,
        "tools": draw(globs),
        "args": draw(st.dictionaries(st.sampled_from(["p", "q"]), demands, max_size=2)),
    }
    if effect != "deny":
        if draw(st.booleans()):
            block["sandbox"] = draw(st.sampled_from(sorted(BOXES)))
        if block["args"] and draw(st.booleans()):
            block["otherwise"] = draw(st.sampled_from(["ask", "deny"]))
    if trusted and draw(st.integers(0, 3)) == 0:
        hint = draw(st.sampled_from(sorted(reference.WORST)))
        block["when"] = {"annotations": {hint: draw(st.booleans())}}
    return block


@st.composite
def connectors(draw):
    trusted = draw(st.booleans())
    found = draw(st.lists(blocks(trusted=trusted), max_size=5))
    return {
        "trust_annotations": trusted,
        "directory": ".",
        "rules": [{"id": f"r{i}"} | block for i, block in enumerate(found)],
    }


simple = st.sampled_from([1, 1.0, 0, 2, 3, "a", "aa", "b", "~", "x", "/a/x", "../y", "/b", True, {"p": 1}])
arguments = st.dictionaries(st.sampled_from(["p", "q"]), simple | st.lists(simple, max_size=3), max_size=2)
asked = st.lists(st.tuples(tools, arguments, hints), min_size=10, max_size=10)


def compiled(connector):
    return assembled({"version": 1, "connectors": {"files": connector}, "sandboxes": BOXES})


def call(tool="tool", arguments=None, stated=None):
    named = stated or reference.WORST
    annotations = Annotations(
        named["readOnlyHint"], named["destructiveHint"], named["idempotentHint"], named["openWorldHint"]
    )
    return ToolCall.of("files", tool, arguments or {}, annotations)


def look(loaded, asking):
    """Resolve by name: these paths exist nowhere, so no link changes them."""
    return {path: resolve(path, loaded.directory(asking.connector)) for path in loaded.paths(asking)}


def decided(loaded, asking):
    return loaded.decide(asking, look(loaded, asking))


def kind(verdict):
    """Say a verdict in the words of the reference."""
    match verdict:
        case Allow():
            return "allow"
        case Sandbox(_, profile):
            return f"allow in {profile.name}"
        case Ask(_, _, then):
            return kind(then).replace("allow", "ask", 1)
        case Deny():
            return "deny"
        case _:
            raise AssertionError(verdict)


@settings(max_examples=600)
@given(connectors(), asked)
def test_a_second_decider_says_the_same(connector, calls):
    """6,000 pairs of a policy and a call."""
    loaded = compiled(connector)
    for tool, given_arguments, stated in calls:
        expected = reference.decide(connector, tool, given_arguments, stated)
        assert kind(decided(loaded, call(tool, given_arguments, stated))) == expected


@given(connectors(), st.randoms(use_true_random=False), asked)
def test_the_order_of_the_rules_never_matters(connector, random, calls):
    shuffled = random.sample(connector["rules"], len(connector["rules"]))
    one, other = compiled(connector), compiled(connector | {"rules": shuffled})
    for tool, given_arguments, stated in calls:
        asking = call(tool, given_arguments, stated)
        assert kind(decided(one, asking)) == kind(decided(other, asking))


def with_rule(connector, block):
    return compiled(connector | {"rules": [*connector["rules"], {"id": "added"} | block]})


@given(connectors(), blocks(effects=("deny",), trusted=False), asked)
def test_adding_a_deny_rule_only_denies(connector, added, calls):
    before, after = compiled(connector), with_rule(connector, added)
    for tool, given_arguments, stated in calls:
        asking = call(tool, given_arguments, stated)
        assert kind(decided(after, asking)) in ("deny", kind(decided(before, asking)))


@given(connectors(), blocks(trusted=False), asked)
def test_no_rule_lets_run_what_another_denies_or_unasked_what_another_asks(connector, added, calls):
    before, after = compiled(connector), with_rule(connector, added)
    for tool, given_arguments, stated in calls:
        asking = call(tool, given_arguments, stated)
        old, new = decided(before, asking), decided(after, asking)
        if isinstance(old, Deny) and old.denied.reason is not Reason.NO_RULE and old.denied.rule:
            stopped_by_a_rule = any(
                line.standing == "deny" for line in explain(before, asking, look(before, asking)).lines
            )
            assert not stopped_by_a_rule or isinstance(new, Deny)
        if isinstance(old, Ask):
            assert isinstance(new, Ask | Deny)


@given(connectors(), blocks(trusted=False), asked)
def test_no_rule_takes_another_s_sandbox_away(connector, added, calls):
    before, after = compiled(connector), with_rule(connector, added)
    for tool, given_arguments, stated in calls:
        asking = call(tool, given_arguments, stated)
        old = kind(decided(before, asking))
        if " in " in old:
            assert kind(decided(after, asking)).endswith((old.partition(" ")[2], "deny"))


@given(connectors(), asked)
def test_a_tool_that_some_call_could_run_is_never_hidden(connector, calls):
    loaded = compiled(connector)
    for tool, given_arguments, stated in calls:
        asking = call(tool, given_arguments, stated)
        if not isinstance(decided(loaded, asking), Deny):
            assert loaded.permits("files", tool, asking.annotations)


@given(connectors(), asked)
def test_the_same_call_gets_the_same_verdict_again(connector, calls):
    loaded, fresh = compiled(connector), compiled(connector)
    for tool, given_arguments, stated in [*calls, *calls]:
        asking = call(tool, given_arguments, stated)
        assert decided(loaded, asking) == decided(fresh, asking)


# --- each clause by itself ----------------------------------------------------------------------------


def reason(verdict):
    assert isinstance(verdict, Deny)
    return verdict.denied.reason


def test_no_rule_denies_and_names_the_tools_that_are_open():
    loaded = rules(
        {"effect": "allow", "tools": ["read_*", "list", "find", "count"]},
        {"effect": "ask", "tools": ["write"]},
        {"effect": "deny", "tools": ["delete"]},
    )
    verdict = decided(loaded, call("send"))
    assert reason(verdict) is Reason.NO_RULE
    assert str(verdict.denied) == (
        "blastwall refused this (no-rule): no rule of connector files allows 'send'."
        " Instead: use a tool that the policy permits here: count, find, list, read_*, write."
    )


def test_a_connector_without_rules_denies():
    verdict = decided(rules(), call())
    assert reason(verdict) is Reason.NO_RULE
    assert str(verdict.denied).endswith("the policy permits here: none.")


def test_an_unknown_connector_denies_and_is_named():
    verdict = rules().decide(ToolCall.of("mail", "send", {}), {})
    assert reason(verdict) is Reason.UNKNOWN_CONNECTOR
    assert "no connector 'mail' in the policy (it has: files)" in str(verdict.denied)


def test_the_connectors_that_there_are_are_named_in_order():
    loaded = policy({"version": 1, "connectors": {"web": {}, "files": {}, "mail": {}}})
    denied = loaded.decide(ToolCall.of("bank", "pay", {}), {}).denied
    assert denied.message == "no connector 'bank' in the policy (it has: files, mail, web)"


def test_a_tool_of_no_connector_is_told_how_to_get_one():
    verdict = rules().decide(ToolCall.of("", "send", {}), {})
    assert reason(verdict) is Reason.UNKNOWN_CONNECTOR
    assert "'send' belongs to no connector" in str(verdict.denied)


def test_a_policy_without_connectors_says_so():
    empty = dataclasses.replace(rules(), connectors={})
    assert "(it has: none)" in str(empty.decide(call(), {}).denied)


@pytest.mark.parametrize("effects", [("deny", "allow"), ("allow", "deny"), ("ask", "deny", "allow")])
def test_deny_beats_everything(effects):
    verdict = decided(rules(*({"effect": effect} for effect in effects)), call())
    assert reason(verdict) is Reason.RULE
    assert "do without this call" in verdict.denied.instead


@pytest.mark.parametrize("effects", [("ask", "allow"), ("allow", "ask")])
def test_ask_beats_allow(effects):
    assert kind(decided(rules(*({"effect": effect} for effect in effects)), call())) == "ask"


def test_a_more_specific_rule_wins_nothing():
    loaded = rules({"effect": "deny", "tools": ["read_*"]}, {"effect": "allow", "tools": ["read_note"]})
    assert reason(decided(loaded, call("read_note"))) is Reason.RULE


def test_a_rule_says_what_to_do_instead():
    loaded = rules({"effect": "deny", "instead": "archive it"}, {"effect": "allow"})
    assert decided(loaded, call()).denied.instead == "archive it"
    loaded = rules({"effect": "allow", "args": {"p": {"enum": [1]}}, "instead": "pass 1"})
    assert decided(loaded, call()).denied.instead == "pass 1"


UNCLEAR = {"p": {"maximum": 5}}


@pytest.mark.parametrize(
    ("block", "value", "expected"),
    [
        ({"effect": "allow"}, 1, "allow"),
        ({"effect": "allow"}, 9, "deny"),
        ({"effect": "allow"}, "1", "deny"),
        ({"effect": "allow", "otherwise": "ask"}, 9, "ask"),
        ({"effect": "allow", "otherwise": "ask"}, "1", "ask"),
        ({"effect": "allow", "otherwise": "deny"}, 9, "deny"),
        ({"effect": "ask"}, 1, "ask"),
        ({"effect": "ask"}, 9, "deny"),
        ({"effect": "ask", "otherwise": "ask"}, 9, "ask"),
        ({"effect": "ask", "otherwise": "ask"}, "1", "deny"),
        ({"effect": "ask", "otherwise": "deny"}, 9, "deny"),
    ],
)
def test_what_can_not_be_checked_is_never_a_yes(block, value, expected):
    assert kind(decided(rules(block | {"args": UNCLEAR}), call(arguments={"p": value}))) == expected


def test_otherwise_deny_beats_another_rule_s_yes():
    loaded = rules({"effect": "allow", "args": UNCLEAR, "otherwise": "deny"}, {"effect": "allow"})
    verdict = decided(loaded, call(arguments={"p": 9}))
    assert reason(verdict) is Reason.CONSTRAINT
    assert verdict.denied.rule == "files.r0"


def test_an_ask_rule_that_can_not_be_checked_beats_another_rule_s_yes():
    loaded = rules({"effect": "ask", "args": UNCLEAR}, {"effect": "allow"})
    assert kind(decided(loaded, call(arguments={"p": "1"}))) == "deny"
    assert kind(decided(loaded, call(arguments={"p": 9}))) == "allow"


def test_what_a_question_says():
    verdict = decided(rules({"effect": "ask"}), call())
    assert verdict == Ask("files.r0", "may files.tool run? rule files.r0 asks", Allow("files.r0"), 120.0)


def test_in_auto_mode_the_classifier_is_asked():
    loaded = policy(
        {
            "version": 1,
            "defaults": {"approval": {"mode": "auto", "timeout_s": 7}},
            "connectors": {"files": {"rules": [{"id": "r", "effect": "ask", "tools": ["*"]}]}},
        }
    )
    verdict = decided(loaded, call())
    assert isinstance(verdict, Classify)
    assert verdict.timeout_s == 7


def test_a_sandbox_of_any_rule_holds():
    loaded = rules({"effect": "allow"}, {"effect": "allow", "sandbox": "box"}, sandboxes=BOXES)
    verdict = decided(loaded, call())
    assert isinstance(verdict, Sandbox)
    assert verdict.profile == loaded.profiles["box"]


def test_a_sandbox_holds_for_what_is_asked_otherwise_too():
    block = {"effect": "allow", "sandbox": "box", "args": UNCLEAR, "otherwise": "ask"}
    assert kind(decided(rules(block, sandboxes=BOXES), call(arguments={"p": 9}))) == "ask in box"


def test_rules_that_disagree_on_the_sandbox_deny():
    loaded = rules(
        {"effect": "allow", "sandbox": "cage"}, {"effect": "ask", "sandbox": "box"}, sandboxes=BOXES
    )
    verdict = decided(loaded, call())
    assert reason(verdict) is Reason.AMBIGUOUS
    assert "disagree on the sandbox of files.tool: box and cage" in str(verdict.denied)


HARMLESS = Annotations(read_only=True, destructive=False, idempotent=True, open_world=False)


@pytest.mark.parametrize(
    ("trusted", "effect", "expected"), [(True, "allow", "allow"), (True, "deny", "deny")]
)
def test_annotations_count_where_they_are_trusted(trusted, effect, expected):
    loaded = rules(
        {"effect": effect, "when": {"annotations": {"readOnlyHint": True}}},
        *([{"effect": "allow"}] if effect == "deny" else []),
        trust_annotations=trusted,
    )
    assert kind(decided(loaded, ToolCall.of("files", "tool", {}, HARMLESS))) == expected
    assert kind(decided(loaded, call())) == ("deny" if effect == "allow" else "allow")


def test_an_untrusted_server_can_not_talk_itself_out_of_a_deny_rule():
    loaded = rules(
        {"effect": "deny", "when": {"annotations": {"destructiveHint": True}}}, {"effect": "allow"}
    )
    assert kind(decided(loaded, ToolCall.of("files", "tool", {}, HARMLESS))) == "deny"


def test_every_hint_is_looked_at():
    for i, hint in enumerate(reference.WORST):
        flags = [False, True, False, True]
        flags[i] = not flags[i]
        loaded = rules({"effect": "allow", "when": {"annotations": {hint: flags[i]}}}, trust_annotations=True)
        assert kind(decided(loaded, ToolCall.of("files", "tool", {}, Annotations(*flags)))) == "allow"
        assert kind(decided(loaded, call())) == "deny"


@pytest.mark.parametrize(
    ("pattern", "tool", "matches"),
    [
        ("*", "anything", True),
        ("*", "", True),
        ("*", "new\nline", True),
        ("?", "a", True),
        ("?", "\n", True),
        ("?", "ab", False),
        ("read_*", "read_", True),
        ("read_*", "xread_a", False),
        ("*_file", "delete_\nx_file", True),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("a+", "aa", False),
        ("é*", "éa", True),
        ("a", "A", False),
        ("a", "a\n", False),
        ("a\x00b", "a\x00b", True),
    ],
)
def test_only_the_star_and_the_question_mark_are_special(pattern, tool, matches):
    assert (glob(pattern).fullmatch(tool) is not None) is matches


def test_a_tool_s_line_break_does_not_carry_it_past_a_deny_rule():
    loaded = rules({"effect": "deny", "tools": ["delete_*"]}, {"effect": "allow", "tools": ["*"]})
    assert kind(decided(loaded, call("delete_\nall"))) == "deny"


@pytest.mark.parametrize(
    ("blocks", "permitted"),
    [
        ([], False),
        ([{"effect": "allow"}], True),
        ([{"effect": "ask"}], True),
        ([{"effect": "deny"}], False),
        ([{"effect": "allow"}, {"effect": "deny"}], False),
        ([{"effect": "allow"}, {"effect": "deny", "args": {"p": {"enum": [1]}}}], True),
        ([{"effect": "deny", "args": {"p": {"enum": [1]}}}], False),
        ([{"effect": "allow", "tools": ["other"]}], False),
    ],
)
def test_what_a_list_of_tools_may_show(blocks, permitted):
    assert rules(*blocks).permits("files", "tool") is permitted


BOTH = {"args": {"p": {"maximum": 5}, "q": {"maximum": 5}}}


@pytest.mark.parametrize(
    ("block", "known", "alone", "beside"),
    [
        ({"effect": "allow", "args": UNCLEAR}, {}, True, True),
        ({"effect": "allow", "args": UNCLEAR}, {"p": 5}, True, True),
        ({"effect": "allow", "args": UNCLEAR}, {"p": 9}, False, True),
        ({"effect": "allow", "args": UNCLEAR}, {"p": "1"}, False, True),
        ({"effect": "allow", "args": UNCLEAR, "otherwise": "ask"}, {"p": 9}, True, True),
        ({"effect": "allow", "args": UNCLEAR, "otherwise": "deny"}, {"p": 9}, False, False),
        ({"effect": "ask", "args": UNCLEAR}, {"p": 9}, False, True),
        ({"effect": "ask", "args": UNCLEAR}, {"p": "1"}, False, False),
        ({"effect": "ask"} | BOTH, {"p": "1"}, False, True),
        ({"effect": "ask"} | BOTH, {"p": "1", "q": 5}, False, False),
        ({"effect": "deny", "args": UNCLEAR}, {}, False, True),
        ({"effect": "deny", "args": UNCLEAR}, {"p": 5}, False, False),
        ({"effect": "deny", "args": UNCLEAR}, {"p": "1"}, False, False),
        ({"effect": "deny", "args": UNCLEAR}, {"p": [5, 9]}, False, False),
        ({"effect": "deny", "args": UNCLEAR}, {"p": 9}, False, True),
        ({"effect": "deny", "args": UNCLEAR, "when": {"cel": "true"}}, {"p": 5}, False, True),
        # where a path leads is known of a call alone
        ({"effect": "allow", "args": {"p": {"under": ["/srv"]}}}, {"p": "/etc/passwd"}, True, True),
    ],
)
def test_what_a_list_may_show_of_calls_with_some_arguments_in_common(block, known, alone, beside):
    """By the rule alone, and beside another that allows every call."""
    assert rules(block).permits("files", "tool", known=known) is alone
    assert rules(block, {"effect": "allow"}).permits("files", "tool", known=known) is beside


@pytest.mark.parametrize(
    ("p", "q", "alone", "denying"),
    [
        (5, 1, "allow", "deny"),
        (5, 2, "deny", "allow"),
        (9, 1, "deny", "allow"),
        ("5", 1, "deny", "deny"),
        ("5", 2, "deny", "allow"),
        (5, None, "deny", "deny"),
        (9, None, "deny", "allow"),
    ],
)
def test_arguments_and_condition_must_both_be_as_a_rule_demands(p, q, alone, denying):
    """Of an allow rule by itself, and of a deny rule beside one that allows every call."""
    demand = {"args": UNCLEAR, "when": {"cel": "args.q < 2"}}
    given_arguments = {"p": p} if q is None else {"p": p, "q": q}
    asking = call(arguments=given_arguments)
    assert kind(decided(rules({"effect": "allow"} | demand), asking)) == alone
    assert kind(decided(rules({"effect": "deny"} | demand, {"effect": "allow"}), asking)) == denying


def test_a_refusal_lists_every_demand_that_is_not_met_and_no_other():
    demand = {"args": UNCLEAR | {"o.q": {"max_length": 1}}, "when": {"cel": "args.q < 2"}}
    loaded = rules({"effect": "allow"} | demand)
    texts = {"p": "p must be a number up to 5", "o.q": "o.q must be text of at most 1 characters"}

    def told(**arguments):
        return decided(loaded, call(arguments=arguments)).denied.message

    assert told(p=[1, 9], o={"q": "a"}, q=1) == f"files.tool: {texts['p']}"
    assert told(p=1, o={"q": "ab"}, q=1) == f"files.tool: {texts['o.q']}"
    assert told(p=1, o={"q": "a"}, q=2) == "files.tool: its `when` does not hold"
    assert told(p=9, o={}, q=2) == f"files.tool: {texts['p']}; {texts['o.q']}; its `when` does not hold"


def test_a_tool_of_an_unknown_connector_is_not_shown():
    assert rules({"effect": "allow"}).permits("mail", "tool") is False


def test_the_memory_of_looked_up_tools_is_bounded(monkeypatch):
    monkeypatch.setattr("blastwall.policy.connector.REMEMBERED", 3)
    loaded = rules({"effect": "allow", "tools": ["a*"]})
    for i in range(20):
        assert kind(decided(loaded, call(f"a{i}"))) == "allow"
        assert kind(decided(loaded, call(f"b{i}"))) == "deny"
    assert len(loaded.connectors["files"]._candidates) == 3


def test_a_tool_belongs_to_the_one_connector_that_claims_it():
    claims = {"files": ["read_*", "list"], "mail": ["send", "read_mail"], "rest": None}
    loaded = policy(
        {"version": 1, "connectors": {n: {"match": {"tools": t}} if t else {} for n, t in claims.items()}}
    )
    assert loaded.connector_of("read_note") == "files"
    assert loaded.connector_of("send") == "mail"
    assert loaded.connector_of("read_mail") is None
    assert loaded.connector_of("unclaimed") is None


def test_only_the_paths_of_rules_that_speak_of_the_tool_are_looked_at():
    under = {"under": ["/srv"]}
    loaded = rules(
        {"effect": "allow", "tools": ["read"], "args": {"p": under, "q": {"enum": ["x"]}}},
        {"effect": "deny", "tools": ["read"], "args": {"p": under, "r.s": under}},
        {"effect": "allow", "tools": ["write"], "args": {"t": under}},
    )
    arguments = {"p": "a", "q": "b", "r": {"s": ["c", "a", 1]}, "t": "d"}
    assert loaded.paths(call("read", arguments)) == ("a", "c")
    assert loaded.paths(call("read", {})) == ()
    assert loaded.paths(ToolCall.of("mail", "read", arguments)) == ()


def test_folders_and_servers_are_found_by_connector():
    loaded = policy(
        {
            "version": 1,
            "connectors": {"files": {"directory": "x", "server": {"command": "c"}}, "mail": {}},
        }
    )
    assert loaded.directory("files") == PROJECT / "x"
    assert loaded.directory("mail") is None
    assert loaded.directory("other") is None
    assert loaded.servers.keys() == {"files"}


def test_the_state_is_an_audit_log_and_a_quarantine(tmp_path):
    state = State(tmp_path, "process-crash", "full")
    assert state.audit_path == tmp_path / "audit.jsonl"
    assert state.ledger_path == tmp_path / "ledger.sqlite"
    assert state.quarantine_path == tmp_path / "quarantine"


def test_an_output_is_screened_and_labelled_as_the_policy_says():
    loaded = rules(screening={"max_bytes": 20})
    assert loaded.screen(call(), ToolOutput("short")).action is Action.PASS
    assert loaded.screen(call(), ToolOutput("x" * 30)).action is Action.QUARANTINE
    assert loaded.labels(call()).default == Label()


def test_one_rule_that_looks_at_where_data_came_from_is_enough_to_recall_it():
    loaded = rules({"effect": "allow"}, {"effect": "allow", "flow": {"control": {"p": ["prompt"]}}})
    assert loaded.recalls(call()) is True
    assert loaded.recalls(ToolCall.of("mail", "send", {})) is False
    assert dataclasses.replace(
        loaded, connectors={"a": rules().connectors["files"]} | dict(loaded.connectors)
    ).traces


def test_what_a_policy_remembers_is_no_part_of_it():
    used, fresh = rules({"effect": "allow"}), rules({"effect": "allow"})
    decided(used, call())
    assert used == fresh
    assert repr(used) == repr(fresh)


def test_standings_are_ordered_by_strictness():
    assert Standing.ABSTAIN < Standing.ALLOW < Standing.ASK < Standing.DENY


def test_the_generators_reach_every_verdict():
    """The control for the properties above: they would hold of a decider that always denies."""
    seen = set()

    @settings(max_examples=120, database=None, derandomize=True)
    @given(connectors(), asked)
    def collect(connector, calls):
        assume(connector["rules"])
        loaded = compiled(connector)
        seen.update(kind(decided(loaded, call(*c))) for c in calls)

    collect()
    assert seen == {"deny", "allow", "ask", "allow in box", "allow in cage", "ask in box", "ask in cage"}
