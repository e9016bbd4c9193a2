"""The explanation: it agrees with the verdict, and says of every rule how it stands and why."""

import pytest
from hypothesis import given
from tests.core.policies import policy, rules
from tests.core.policy.test_decide import BOXES, asked, call, compiled, connectors, decided, kind, look

from blastwall.policy import Layered, Line, explain
from blastwall.policy.explain import MASK, Trace, Wanted, shown
from blastwall.provenance import NOTHING, Context, Intent, Link, Origin, Traced
from blastwall.values import (
    WORST_CASE,
    Annotations,
    Confidentiality,
    Deny,
    Integrity,
    Label,
    Reason,
    ToolCall,
)

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


def under_flow(flow, arguments, context, **extra):
    loaded = rules({"effect": "allow", "flow": flow} | extra)
    return explain(loaded, ToolCall.of("files", "tool", arguments), {}, context)


PROMPT = Origin("", 1, "$", Label(Integrity.PROMPT, Confidentiality.PUBLIC))
TYPED = Origin("mail.search", 2, "$.emails[0].from", Label(Integrity.TYPED))
OUTSIDE = Origin("web.fetch", 3, "$.text", Label(Integrity.EXTERNAL, Confidentiality.PUBLIC), prose=True)
SECRET = Origin("vault.get", 4, "$.key", Label(Integrity.TYPED, Confidentiality.SECRET))


class TestTraces:
    def test_each_value_where_it_was_seen_and_what_the_rules_want_of_it(self):
        context = Context(
            (Traced(("to", 0), "dana@corp.example", (TYPED,)), Traced(("n",), 7, (), (OUTSIDE,)))
        )
        found = under_flow({"control": {"to": ["prompt"]}}, {"to": ["dana@corp.example"], "n": 7}, context)
        assert found.traces == (
            Trace(
                "to.0",
                "dana@corp.example",
                whole=(TYPED,),
                wanted=(Wanted("files.r0", "from the user's words", met=False),),
            ),
            Trace("n", "7", parts=(OUTSIDE,)),
        )
        assert found.lines[0].why == (
            "to.0 must come from the user's words, and was seen in mail.search $.emails[0].from (typed, private; exact)"
        )

    def test_every_rule_that_speaks_of_the_tool_has_its_say(self):
        flows = [{"control": {"to": ["prompt"]}}, {"control": {"*": ["typed"]}}]
        blocks = [{"effect": "allow", "flow": flow} for flow in flows]
        context = Context((Traced(("to",), "dana", (TYPED,)),))
        loaded = rules(*blocks, {"effect": "ask", "tools": ["x"], "flow": flows[0]}, {"effect": "allow"})
        found = explain(loaded, ToolCall.of("files", "tool", {"to": "dana"}), {}, context)
        assert [(wanted.rule, wanted.met) for wanted in found.traces[0].wanted] == [
            ("files.r0", False),
            ("files.r1", True),
        ]

    def test_what_is_secret_is_not_shown(self):
        leaf = Traced(
            ("body",), "the key is hunter2", (), (SECRET,), (Link("https://hunter2.example", (SECRET,)),)
        )
        flow = {"content": {"max_confidentiality": "private"}}
        found = under_flow(flow, {"body": leaf.value}, Context((leaf,)))
        (trace,) = found.traces
        assert (trace.argument, trace.value) == ("body", MASK)
        assert trace.links == ((MASK, (SECRET,)),)
        assert trace.wanted == (Wanted("files.r0", "nothing beyond private", met=False),)
        assert "hunter2" not in str(found.lines)

    @pytest.mark.parametrize("above", [(), ("deep",)])
    def test_a_name_that_is_secret_is_not_shown(self, above):
        leaf = Traced((*above, "hunter2 is the key"), "hunter2 is the key", (), (SECRET,))
        flow = {"content": {"max_confidentiality": "private"}}
        (trace,) = under_flow(flow, {"hunter2 is the key": 1}, Context((leaf,))).traces
        assert (trace.argument, trace.value) == (MASK, MASK)

    def test_a_name_that_is_no_secret_is_shown_where_it_stands(self):
        leaf = Traced(("deep", "colour"), "colour", (TYPED,))
        (trace,) = under_flow({"content": {"links": "none"}}, {}, Context((leaf,))).traces
        assert (trace.argument, trace.value) == ("deep.colour", "colour")

    def test_a_link_that_is_the_whole_value_is_shown_once(self):
        links = (Link("a.example", (TYPED,)), Link("b.example", (OUTSIDE,)))
        leaf = Traced(("to",), "b.example", (OUTSIDE,), (), links)
        (trace,) = under_flow({"control": {"to": ["typed"]}}, {}, Context((leaf,))).traces
        assert trace.links == (("a.example", (TYPED,)),)

    def test_a_value_with_a_secret_link_is_not_shown(self):
        leaf = Traced(("body",), "see x.example/hunter2", links=(Link("x.example/hunter2", (SECRET,)),))
        flow = {"content": {"max_confidentiality": "private"}}
        (trace,) = under_flow(flow, {"body": leaf.value}, Context((leaf,))).traces
        assert (trace.value, trace.links) == (MASK, ((MASK, (SECRET,)),))

    @pytest.mark.parametrize(
        ("content", "links", "demands"),
        [
            ({"links": "none"}, (Link("a.example"),), [("no links", False)]),
            ({"links": "traced"}, (Link("a.example", (TYPED,)),), [("links from inside only", True)]),
            ({"links": "traced"}, (), []),
            (
                {"links": "none", "max_confidentiality": "public"},
                (Link("a.example"),),
                [("nothing beyond public, no links", False)],
            ),
            ({"max_confidentiality": "public"}, (), []),
        ],
    )
    def test_demands_on_content(self, content, links, demands):
        leaf = Traced(("body",), "see a.example", links=links)
        (trace,) = under_flow({"content": content}, {"body": leaf.value}, Context((leaf,))).traces
        assert [(wanted.demand, wanted.met) for wanted in trace.wanted] == demands

    def test_a_session_that_has_seen_nothing_traces_nothing(self):
        assert under_flow({"control": {"to": ["prompt"]}}, {}, NOTHING).traces == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("ünï", "ünï"),
        (7, "7"),
        (None, "null"),
        (True, "true"),
        ("\x1b[31mred\n", "\\u001b[31mred\\u000a"),
        ("a\u202eb", "a\\u202eb"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "… (61 characters)"),
    ],
)
def test_values_are_shown_short_and_plain(value, expected):
    assert shown(value) == expected


def test_the_session_has_its_own_lines():
    content = {
        "version": 1,
        "session": {"rule_of_two": "ask", "intent": "deny"},
        "connectors": {"files": {"rules": [{"id": "r", "effect": "allow", "tools": ["*"]}]}},
    }
    seen = Context((), Intent(("Write to Dana",)), Integrity.EXTERNAL, Confidentiality.PRIVATE)
    found = explain(policy(content), ToolCall.of("files", "delete", {}), {}, seen)
    assert [(line.rule, line.standing) for line in found.lines] == [
        ("files.r", "allow"),
        ("session", "ask"),
        ("session", "deny"),
    ]
    assert isinstance(found.verdict, Deny)


INTENT = {"flow": {"intent": {"verbs": ["send"]}}}


@pytest.mark.parametrize(
    ("blocks", "tool", "lines"),
    [
        ([{"tools": ["*"]}, {"tools": ["*"]} | INTENT], "drop", 0),
        ([{"tools": ["*"]}, {"tools": ["*"]}], "drop", 1),
        # a rule that has found the user's wish, but does not let this call run
        ([{"tools": ["*"]}, {"tools": ["*"], "args": {"to": {"enum": ["dana"]}}} | INTENT], "drop", 1),
        ([{"messages": ["resources/*"]}], "mcp:resources/read", 0),
    ],
)
def test_a_session_s_line_is_there_where_the_session_objects(blocks, tool, lines):
    named = [{"id": f"r{i}", "effect": "allow"} | block for i, block in enumerate(blocks)]
    loaded = policy(
        {
            "version": 1,
            "session": {"intent": "deny"},
            "connectors": {"files": {"rules": named, "effects": {"mcp:resources/*": ["write"]}}},
        }
    )
    wants = Context((), Intent(("Send it to Dana",)))
    found = explain(loaded, ToolCall.of("files", tool, {}), {}, wants)
    assert [line.standing for line in found.lines if line.rule == "session"] == ["deny"] * lines
    assert isinstance(found.verdict, Deny) is bool(lines)


OTHER = {"version": 1, "connectors": {"mail": {"rules": []}}}


def test_the_lines_of_another_layer_name_its_file():
    layers = Layered(rules({"effect": "allow"}), (rules({"effect": "deny"}), policy(OTHER)))
    found = explain(layers, ToolCall.of("files", "tool", {}), {})
    assert [(line.standing, line.layer) for line in found.lines] == [("allow", ""), ("deny", "policy.yaml")]
    assert isinstance(found.verdict, Deny)


def test_a_layer_that_knows_nothing_of_the_connector_hides_no_line_of_another():
    layers = Layered(policy(OTHER), (rules({"effect": "ask"}),))
    found = explain(layers, ToolCall.of("files", "tool", {}), {})
    assert [(line.standing, line.layer) for line in found.lines] == [("ask", "policy.yaml")]


def test_a_demand_with_flow_that_holds():
    context = Context((Traced(("to",), "dana", (PROMPT,)),))
    found = under_flow({"control": {"to": ["prompt"]}}, {"to": "dana"}, context)
    assert (found.lines[0].standing, found.lines[0].why) == ("allow", "its arguments are as the rule says")
    assert found.traces[0].wanted[0].met
