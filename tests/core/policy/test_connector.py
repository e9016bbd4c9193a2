"""A connector: which of its rules speak of a tool, in their order, and what it says of outputs."""

from tests.core.policies import policy, rules

from blastwall.frozen import FrozenDict
from blastwall.policy import Standing
from blastwall.policy.connector import REMEMBERED
from blastwall.values import WORST_CASE, Annotations


def files(**more):
    return policy({"version": 1, "connectors": {"files": more}}).connectors["files"]


def test_rules_are_looked_at_in_their_order_however_their_globs_start():
    globs = [f"other{n}" for n in range(20)]
    globs[3], globs[11], globs[19] = "read_file", "read*", "*"
    connector = rules(*({"effect": "allow", "tools": [each]} for each in globs)).connectors["files"]
    assert [rule.id for rule in connector.candidates("read_file", WORST_CASE)] == [
        "files.r3",
        "files.r11",
        "files.r19",
    ]


def test_what_it_remembers_is_no_part_of_it():
    used, new = files(outputs={"get": {}}), files(outputs={"get": {}})
    used.candidates("get", WORST_CASE)
    used.labels("get")
    assert used == new
    assert repr(used) == repr(new)


def test_one_rule_that_looks_at_data_is_enough_to_follow_it():
    plain = {"effect": "allow", "tools": ["list"]}
    flow = {"effect": "allow", "tools": ["send"], "flow": {"control": {"to": ["prompt"]}}}
    assert rules(plain, flow).connectors["files"].traces is True
    assert rules(plain).connectors["files"].traces is False


def test_the_outputs_that_an_entry_speaks_of():
    connector = files(outputs={"get_*": {}, "list": {}})
    assert [connector.labelled(tool) for tool in ("get_it", "list", "read")] == [True, True, False]


def test_what_a_rule_may_come_to_is_its_effect_while_nothing_speaks_against_it():
    loaded = rules(*({"effect": effect, "args": {"n": {"maximum": 5}}} for effect in ("allow", "ask")))
    outlooks = [
        [rule.outlook(FrozenDict(known)) for rule in loaded.connectors["files"].rules]
        for known in ({}, {"n": 3}, {"n": 9})
    ]
    assert outlooks == [
        [Standing.ALLOW, Standing.ASK],
        [Standing.ALLOW, Standing.ASK],
        [Standing.ABSTAIN, Standing.ABSTAIN],
    ]


def test_what_a_server_says_of_a_tool_counts_only_where_it_is_trusted():
    rule = {"effect": "deny", "when": {"annotations": {"readOnlyHint": False}}}
    harmless = Annotations(read_only=True)
    for trusted in (True, False):
        connector = rules(rule, trust_annotations=trusted).connectors["files"]
        assert bool(connector.candidates("read", harmless)) is not trusted
        assert connector.candidates("read", WORST_CASE)


def test_so_many_tools_are_remembered_and_no_more():
    connector = rules({"effect": "allow"}).connectors["files"]
    first = [connector.candidates(f"t{n}", WORST_CASE) for n in range(REMEMBERED)]
    assert all(connector.candidates(f"t{n}", WORST_CASE) is found for n, found in enumerate(first))
    assert connector.candidates("new", WORST_CASE) == first[0]
    assert connector.candidates("new", WORST_CASE) is not connector.candidates("new", WORST_CASE)
