"""A rule's own examples are checked whenever the policy is read."""

import pytest
from tests.core.policies import policy

from blastwall.errors import PolicyError

RULE = {
    "id": "send",
    "effect": "allow",
    "tools": ["send"],
    "args": {"to": {"max_items": 2}},
    "flow": {
        "control": {"to": ["prompt", "bound"], "deep.id": ["unmentioned"]},
        "content": {"links": "traced"},
        "intent": {"verbs": ["send"], "objects": ["mail"]},
    },
}


def read(match=(), no_match=(), **rule):
    block = RULE | rule | {"examples": {"match": list(match), "no_match": list(no_match)}}
    connector = {"rules": [block], "trust_annotations": True}
    return policy({"version": 1, "connectors": {"mail": connector}})


MATCHING = (
    {"tool": "send", "args": {"to": ["a@x.example"]}},
    {"tool": "send", "args": {"to": ["a@x.example"]}, "from": {"to": "bound"}},
    {"tool": "send", "args": {"to": "a", "deep": {"id": [1]}}, "from": {"deep.id": "unmentioned"}},
    {"tool": "send", "args": {"to": "a", "deep": {"id": 1}}, "from": {"deep": "unmentioned"}},
    {"tool": "send", "args": {"to": "a"}, "prompt": "Please send a mail to a."},
)
OTHERS = (
    {"tool": "get", "args": {}},
    {"tool": "send", "args": {"to": ["a", "b", "c"]}},
    {"tool": "send", "args": {"to": "a"}, "from": {"to": "external"}},
    {"tool": "send", "args": {"to": "a"}, "from": {"to": "typed"}},
    {"tool": "send", "args": {"to": "a"}, "from": {"to": "nowhere"}},
    {"tool": "send", "args": {"to": "a", "deep": {"id": 1}}, "from": {"deep.id": "bound"}},
    {"tool": "send", "args": {"to": "a", "deep": {"id": 1}}, "from": {"deep": "external"}},
    {"tool": "send", "args": {"to": "a", "body": "see http://x.example/a"}, "from": {"body": "external"}},
    {"tool": "send", "args": {"to": "a"}, "prompt": "Read my mail."},
)


def test_right_examples_are_no_mistake():
    read(MATCHING, OTHERS)


@pytest.mark.parametrize("example", OTHERS)
def test_a_match_that_does_not_match_is_a_mistake(example):
    with pytest.raises(
        PolicyError, match=r"connectors\.mail\.rules\.0\.examples\.match\.0: the rule does not allow this: ."
    ):
        read([example])


@pytest.mark.parametrize("example", MATCHING)
def test_a_no_match_that_matches_is_a_mistake(example):
    with pytest.raises(PolicyError, match=r"rules\.0\.examples\.no_match\.0: the rule would allow this$"):
        read((), [example])


@pytest.mark.parametrize(
    ("source", "admitted"),
    [
        ("prompt", {"prompt", "typed", "unmentioned", "internal"}),
        ("typed", {"typed", "internal"}),
        ("unmentioned", {"typed", "unmentioned", "internal"}),
        ("bound", {"typed", "bound", "internal"}),
        ("internal", {"internal"}),
        ("external", set()),
        ("nowhere", set()),
    ],
)
def test_a_value_from_a_source_is_what_that_source_means(source, admitted):
    example = {"tool": "send", "args": {"to": "a"}, "from": {"to": source}}
    for wanted in ("prompt", "typed", "unmentioned", "bound", "internal"):
        kind = "match" if wanted in admitted else "no_match"
        read(**{kind: [example]}, flow={"control": {"to": [wanted]}})


def test_a_wrong_example_says_where_its_value_was_supposed_to_be_seen():
    bound = {"flow": {"control": {"to": ["bound"]}}}
    for given, told in (({}, "the user's words"), ({"from": {"to": "typed"}}, r"an\.output \$ \(typed")):
        with pytest.raises(PolicyError, match=f"to must come from .*, and was seen in {told}"):
            read([{"tool": "send", "args": {"to": "a"}} | given], **bound)


@pytest.mark.parametrize("kind", ["match", "no_match"])
def test_an_example_that_is_no_call_is_a_mistake(kind):
    with pytest.raises(PolicyError, match="this is no call"):
        read(**{kind: [{"tool": "send", "args": {"n": 1 << 70}}]})


def test_examples_of_a_rule_with_annotations_suppose_them():
    hints = {"annotations": {"readOnlyHint": True}}
    plain = {"flow": {"control": {"to": ["prompt"]}}, "args": {}}
    read([{"tool": "send", "args": {"to": "a"}}], when=hints, **plain)


def test_paths_of_examples_start_from_the_connector_s_folder():
    demand = {"args": {"path": {"under": ["/srv/a"]}}, "effect": "deny", "id": "d", "tools": ["*"]}
    examples = {
        "match": [{"tool": "t", "args": {"path": "a/b"}}],
        "no_match": [{"tool": "t", "args": {"path": "../b"}}],
    }
    connector = {"directory": "/srv", "rules": [demand | {"examples": examples}]}
    policy({"version": 1, "connectors": {"files": connector}})
    wrong = {"match": [{"tool": "t", "args": {"path": "b"}}]}
    with pytest.raises(PolicyError, match="does not deny this: path must lead to somewhere under /srv/a"):
        policy({"version": 1, "connectors": {"files": connector | {"rules": [demand | {"examples": wrong}]}}})
    unconditional = {"id": "d", "effect": "deny", "tools": ["a"], "examples": {"match": [{"tool": "b"}]}}
    with pytest.raises(PolicyError, match="it speaks of a only"):
        policy({"version": 1, "connectors": {"files": {"rules": [unconditional]}}})
