"""A plan remembers only what every call would be told, and takes no short way that leads elsewhere."""

import dataclasses
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.core.policies import policy, rules

from blastwall.policy import addresses, plan
from blastwall.policy.addresses import HostPattern, place
from blastwall.policy.constraints import between, to_hosts
from blastwall.policy.plan import Plan
from blastwall.policy.truth import Truth
from blastwall.values import Allow, Ask, Deny, Integrity, Reason, ToolCall

BOXES = {"box": {"timeout_s": 5}}


def call(tool="tool", **arguments):
    return ToolCall.of("files", tool, arguments)


def plan_of(loaded, tool="tool"):
    return loaded._plans["files"][tool]


def test_the_same_verdict_is_given_again_not_made_again():
    loaded = rules({"effect": "allow", "args": {"p": {"maximum": 5}}})
    first = loaded.decide(call(p=1), {})
    assert first == Allow("files.r0")
    assert loaded.decide(call(p=2), {}) is first
    assert loaded.decide(call(p=9), {}) != first


@pytest.mark.parametrize(
    ("blocks", "arguments", "kept"),
    [
        ([{"effect": "allow"}], {}, True),
        ([{"effect": "ask"}], {}, True),
        ([{"effect": "deny"}], {}, True),
        ([{"effect": "allow", "sandbox": "box"}], {}, True),
        ([{"effect": "allow", "tools": ["other"]}], {}, True),
        ([{"effect": "allow", "args": {"p": {"maximum": 5}}}], {"p": 9}, False),
        ([{"effect": "allow", "args": {"p": {"maximum": 5}}, "otherwise": "ask"}], {"p": 9}, False),
        ([{"effect": "ask", "args": {"p": {"maximum": 5}}, "otherwise": "ask"}], {"p": 9}, True),
        ([{"effect": "ask", "args": {"p": {"maximum": 5}}}], {"p": "9"}, False),
        ([{"effect": "allow", "budget": {"session": 1}}], {}, False),
        ([{"effect": "allow", "rate": {"max": 1, "per_s": 60}}], {}, False),
        ([{"effect": "allow", "flow": {"control": {"p": ["prompt"]}}}], {}, False),
        ([{"effect": "allow"}, {"effect": "allow", "flow": {"control": {"p": ["prompt"]}}}], {}, False),
    ],
)
def test_what_is_remembered(blocks, arguments, kept):
    """What lists the demands that one call does not meet is that call's own."""
    loaded = rules(*blocks, sandboxes=BOXES)
    loaded.decide(call(**arguments), {})
    assert bool(plan_of(loaded).known) is kept


def test_an_overlooked_call_is_not_remembered():
    content = {
        "version": 1,
        "defaults": {"enforcement": "permissive"},
        "connectors": {"files": {"rules": [{"id": "a", "effect": "allow", "tools": ["x"]}]}},
    }
    loaded = policy(content)
    assert loaded.decide(call(), {}).instead_of.reason is Reason.NO_RULE
    assert not plan_of(loaded).known


@pytest.mark.parametrize(
    "more",
    [
        {"session": {"budget": {"calls": 3}}},
        {"session": {"rule_of_two": "ask"}},
        {"session": {"intent": "ask"}},
        {"connectors": {"files": {"pin": {"tool": "a" * 64}}}},
        {"connectors": {"files": {"trust_annotations": True}}},
    ],
)
def test_where_more_than_the_rules_matters_nothing_is_remembered(more):
    rule = {"id": "a", "effect": "allow", "tools": ["*"]}
    connector = {"rules": [rule]} | more.get("connectors", {}).get("files", {})
    loaded = policy({"version": 1} | more | {"connectors": {"files": connector}})
    loaded.decide(call(), {})
    assert plan_of(loaded) == Plan()
    assert not plan_of(loaded).known


def test_what_is_remembered_says_nothing_of_a_path_to_the_policy_itself():
    loaded = rules({"effect": "allow", "args": {"p": {"under": ["/"]}}})
    assert isinstance(loaded.decide(call(p="a"), {"a": "/srv/a"}), Allow)
    assert isinstance(loaded.decide(call(p="a"), {"a": "/state/x"}), Deny)
    assert isinstance(loaded.decide(call(p="a"), {"a": "/state"}), Deny)
    assert isinstance(loaded.decide(call(p="a"), {"a": "/statements"}), Allow)
    assert isinstance(loaded.decide(call(p="a"), {"a": None}), Deny)
    assert isinstance(loaded.decide(call(p="a"), {"b": None, "a": "/srv/a"}), Allow)
    free = rules({"effect": "allow"})
    assert isinstance(free.decide(call(p="a"), {}), Allow)
    assert isinstance(free.decide(call(p="a"), {"a": "/state/x"}), Deny)


def test_two_connectors_have_plans_of_their_own():
    content = {
        "version": 1,
        "connectors": {
            "files": {"rules": [{"id": "a", "effect": "allow", "tools": ["*"]}]},
            "*": {"rules": [{"id": "a", "effect": "ask", "tools": ["*"]}]},
        },
    }
    loaded = policy(content)
    for _ in range(2):
        assert isinstance(loaded.decide(call(), {}), Allow)
        assert isinstance(loaded.decide(ToolCall.of("mail", "tool", {}), {}), Ask)
        assert loaded.decide(ToolCall.of("", "tool", {}), {}).denied.reason is Reason.UNKNOWN_CONNECTOR
    assert set(loaded._plans) == {"files", "mail"}


def test_a_copy_with_other_connectors_remembers_nothing():
    loaded = rules({"effect": "allow"})
    loaded.decide(call(), {})
    other = rules({"effect": "deny"})
    assert isinstance(dataclasses.replace(loaded, connectors=other.connectors).decide(call(), {}), Deny)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("blastwall.policy.decide.REMEMBERED", 3)
    monkeypatch.setattr(plan, "STATES", 2)
    demands = [{"effect": "ask", "args": {f"p{i}": {"maximum": 5}}} for i in range(3)]
    loaded = rules(*demands, {"effect": "allow"})
    for i in range(9):
        loaded.decide(call(f"t{i}"), {})
    assert len(loaded._plans["files"]) == 3
    for i in range(3):
        assert isinstance(loaded.decide(call("t0", **{f"p{i}": 1}), {}), Ask)
    assert len(plan_of(loaded, "t0").known) == 2
    star = policy({"version": 1, "connectors": {"*": {"rules": []}}})
    for i in range(9):
        star.decide(ToolCall.of(f"c{i}", "tool", {}), {})
    assert len(star._plans) == 3


def test_the_labels_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr("blastwall.policy.connector.REMEMBERED", 3)
    connector = rules({"effect": "allow"}, outputs={"a*": {"integrity": "internal"}}).connectors["files"]
    for i in range(9):
        assert connector.labels(f"a{i}").default.integrity is Integrity.INTERNAL
        assert connector.labels(f"a{i}") is connector.labels(f"a{i}") or i > 2
    assert len(connector._labels) == 3


def test_every_rule_of_a_plan_counts():
    """Two bits for each: no two ways in which three rules stand are taken for one."""
    kinds = ("allow", "ask", "deny")
    loaded = rules(*({"effect": k, "args": {k: {"enum": [True]}}} for k in kinds), {"effect": "allow"})
    for _ in range(2):
        for mask in range(8):
            given_ = {kind: bool(mask >> i & 1) for i, kind in enumerate(kinds)}
            wanted = Deny if given_["deny"] else Ask if given_["ask"] else Allow
            assert isinstance(loaded.decide(call(**given_), {}), wanted)


@pytest.mark.parametrize("value", [1, 1.5, "1", True, None, [1], [1, 9], [], {"p": 1}])
@pytest.mark.parametrize("effect", ["allow", "deny"])
@pytest.mark.parametrize("more", [{}, {"optional": True}, {"max_items": 1}, {"enum": [1, 9]}])
def test_the_short_way_says_what_the_long_one_says(value, effect, more):
    loaded = rules(
        {"effect": effect, "args": {"p": {"maximum": 5} | more}}, {"effect": "allow", "tools": ["x"]}
    )
    rule = loaded.connectors["files"].rules[0]
    asking = call(p=value)
    holds, stands = Plan.of([rule], {}).rules[0]
    assert stands[holds(asking.arguments, {})] == rule.stand(asking, {})
    absent = call()
    assert stands[holds(absent.arguments, {})] == rule.stand(absent, {})


@pytest.mark.parametrize("values", list(product([1, 9, "1"], repeat=3)))
@pytest.mark.parametrize("names", [("p", "q"), ("p", "q", "o.p")])
@pytest.mark.parametrize("effect", ["allow", "ask", "deny"])
def test_several_demands_are_joined_as_the_rule_joins_them(values, names, effect):
    loaded = rules({"effect": effect, "args": {name: {"maximum": 5} for name in names}})
    rule = loaded.connectors["files"].rules[0]
    asking = call(p=values[0], q=values[1], o={"p": values[2]})
    holds, stands = Plan.of([rule], {}).rules[0]
    assert stands[holds(asking.arguments, {})] == rule.stand(asking, {})


# --- hosts at a glance ------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        "http",
        "https",
        "HTTPS",
        "ftp",
        "://",
        ":",
        "/",
        "//",
        ".",
        "..",
        "-",
        "--",
        "a",
        "b1",
        "1",
        "xn--a",
        "com",
    ]
    + ["@", "\\", "?", "#", "%2e", " ", "é", "A", "[::1]", "127.0.0.1", "0x7f", ":80", "_", "x" * 62, "|"]
)


def glance(text):
    found = addresses.PLAIN_URL(text)
    return found[1] if found and len(found[1]) <= addresses.LONGEST_LABEL else None


@given(st.lists(pieces, max_size=9).map("".join))
@example("https://a.com")
@example("https://a-b.c1.com/x?y=1")
@example("https://" + "a" * 63)
@example("https://" + "a" * 64)
def test_what_is_read_at_a_glance_is_what_is_read_with_care(text):
    for whole in (text, "https://" + text, "http://a." + text):
        host = glance(whole)
        if host is not None:
            found = place(whole)
            assert found is not None
            assert (found.host, found.standard) == (host, True)


@pytest.mark.parametrize(
    "text", ["https://api.example.com/v1?x=y", "http://localhost", "https://a-b.c2.example.com"]
)
def test_ordinary_urls_are_read_at_a_glance(text):
    assert glance(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://1.2.3.4/",
        "https://a--b.com",
        "https://a.com:443/",
        "https://a.com@b.com",
        "a.com",
        "https://a.com/#x",
    ],
)
def test_the_others_are_not(text):
    assert glance(text) is None


@pytest.mark.parametrize(
    ("patterns", "text", "expected"),
    [
        (["a.com"], "https://a.com/", Truth.YES),
        (["a.com"], "https://b.com/", Truth.NO),
        (["a.com"], "https://x.a.com/", Truth.NO),
        (["*.a.com"], "https://x.a.com/", Truth.YES),
        (["*.a.com"], "https://a.com/", Truth.NO),
        (["*.a.com"], "https://xa.com/", Truth.NO),
        (["a.com:443"], "https://a.com/", Truth.YES),
        (["a.com:444"], "https://a.com/", Truth.NO),
        (["a.com", "b.com:444"], "https://a.com/", Truth.YES),
        (["a.com", "b.com:444"], "https://b.com/", Truth.NO),
        (["a.com"], "https://a.com:444/", Truth.UNKNOWN),
        (["a.com"], 5, Truth.UNKNOWN),
    ],
)
def test_hosts_at_a_glance(patterns, text, expected):
    assert to_hosts(map(HostPattern.parse, patterns))(text, {}) is expected


@pytest.mark.parametrize(
    ("low", "high", "value", "expected"),
    [
        (1, 5, 1, Truth.YES),
        (1, 5, 5, Truth.YES),
        (1, 5, 5.1, Truth.NO),
        (1, 5, 0.9, Truth.NO),
        (None, 5, -(2**62), Truth.YES),
        (1, None, 2**62, Truth.YES),
        (None, None, 1.7e308, Truth.YES),
        (1, 5, True, Truth.UNKNOWN),
        (1, 5, "3", Truth.UNKNOWN),
        (1, 5, None, Truth.UNKNOWN),
    ],
)
def test_bounds(low, high, value, expected):
    assert between(low, high)(value, {}) is expected


# --- rules by what their globs start with -------------------------------------------------------------------


@given(
    st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=6),
    st.lists(st.text("ab", max_size=5), min_size=1, max_size=5),
)
def test_no_rule_is_lost_in_the_sorting(globs, names):
    loaded = rules(*({"effect": "allow", "tools": [glob]} for glob in globs)).connectors["files"]
    for name in names:
        asking = ToolCall.of("files", name, {})
        wanted = tuple(rule for rule in loaded.rules if rule.covers(name, asking.annotations))
        assert loaded.candidates(name, asking.annotations) == wanted


def test_a_tool_with_a_very_long_name_is_looked_up_quickly():
    loaded = rules({"effect": "allow", "tools": ["a*"]})
    assert isinstance(loaded.decide(call("a" * 1_000_000), {}), Allow)
