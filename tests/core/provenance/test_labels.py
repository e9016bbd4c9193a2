"""Labels of outputs: patterns of fields, the strictest of several, what is looked into."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.provenance.sessions import EXTERNAL, INTERNAL, PRIVATE, PROMPT, PUBLIC, SECRET, TYPED

from blastwall.frozen import freeze
from blastwall.provenance import FORMATS, FieldRule, Labels
from blastwall.provenance.labels import strictest
from blastwall.values import Confidentiality, Integrity, Label

IDENTIFIER = FORMATS["identifier"]


def labelled(output, *fields):
    """Give the integrity of each scalar, by its path."""
    rules = tuple(FieldRule(pattern, format=IDENTIFIER) for pattern in fields)
    return {leaf.path: leaf.label.integrity for leaf in Labels(fields=rules).leaves(freeze(output))}


def typed(output, *fields):
    return [path for path, integrity in labelled(output, *fields).items() if integrity is TYPED]


@pytest.mark.parametrize(
    ("pattern", "output", "paths"),
    [
        ("id", {"id": 1}, ["$.id"]),
        ("id", [{"id": 1}, {"id": 2}], ["$[0].id", "$[1].id"]),
        ("emails.id", {"emails": [{"id": 1}]}, ["$.emails[0].id"]),
        ("emails.id", {"id": 1}, []),
        ("*.id", {"a": {"id": 1}, "id": 2}, ["$.a.id"]),
        ("**.id", {"a": {"b": {"id": 1}}, "id": 2}, ["$.a.b.id", "$.id"]),
        ("**", ["x", {"a": "y"}], ["$[0]", "$[1].a"]),
        ("a.**", {"a": "x", "b": "y"}, ["$.a"]),
        ("a.**.c", {"a": {"c": "x", "b": {"c": "y"}}}, ["$.a.c", "$.a.b.c"]),
        ("id|number", {"id": 1, "number": 2, "name": "z"}, ["$.id", "$.number"]),
        ("*_id", {"user_id": 1, "id": 2}, ["$.user_id"]),
        ("i?", {"id": 1, "idx": 2}, ["$.id"]),
        ("a.b", {"a.b": "x"}, []),
        ("id", {"id": ["a", "b"]}, ["$.id[0]", "$.id[1]"]),
        ("id", {"id": "no identifier, but words"}, []),
        ("[x]", {"[x]": "y"}, ["$.{0}"]),
        ("*_id", {"a\n_id": 1}, ["$.{0}"]),
        ("**", {"": 1, "k" * 40: 2, "k" * 41: 3}, ["$.{0}", "$." + "k" * 40, "$.{2}"]),
        ("*.b|c", {"a": {"b": 1, "c": 2, "bc": 3}, "c": 4}, ["$.a.b", "$.a.c"]),
        ("**.**", {"a": 1}, ["$.a"]),
    ],
)
def test_a_pattern_names_fields(pattern, output, paths):
    assert typed(output, pattern) == paths


def test_keys_that_no_pattern_names_are_anybodys_words():
    found = Labels(fields=(FieldRule("a|b*", format=IDENTIFIER),)).leaves(
        freeze([{"a": 1, "evil words": 2}, {"evil words": 3, "b": 4}])
    )
    assert [(leaf.path, leaf.value) for leaf in found] == [
        ("$[0].a", 1),
        ("$[0].{1}", "evil words"),
        ("$[0].{1}", 2),
        ("$[1].{0}", 3),
        ("$[1].{1}", "b"),
        ("$[1].b", 4),
    ]


@pytest.mark.parametrize(
    ("pattern", "key", "named"),
    [
        ("one.two", "one", True),
        ("one.two", "two", True),
        ("one.two", "one.two", False),
        ("one|two", "two", True),
        ("b*", "b*", False),
        ("b*", "bc", False),
        ("b?", "b?", False),
    ],
)
def test_a_pattern_names_a_key_only_outright(pattern, key, named):
    found = Labels(fields=(FieldRule(pattern, format=IDENTIFIER),)).leaves(freeze({key: 1}))
    assert [leaf.value for leaf in found] == ([1] if named else [key, 1])


def test_where_several_fields_speak_of_a_value_the_strictest_holds():
    rules = (
        FieldRule("**.id", format=IDENTIFIER),
        FieldRule("a.id", integrity=INTERNAL, confidentiality=PUBLIC),
        FieldRule("a.*", confidentiality=SECRET),
    )
    labels = Labels(Label(EXTERNAL, PRIVATE), rules)
    found = {
        leaf.path: leaf.label
        for leaf in labels.leaves(freeze({"a": {"id": 1}, "id": 2}))
        if leaf.step == ".id"
    }
    assert found == {"$.a.id": Label(INTERNAL, SECRET), "$.id": Label(TYPED, PRIVATE)}


@pytest.mark.parametrize(
    ("rule", "default", "value", "integrity"),
    [
        (FieldRule("a", format=IDENTIFIER), EXTERNAL, "x", TYPED),
        (FieldRule("a", format=IDENTIFIER), EXTERNAL, "x y", EXTERNAL),
        (FieldRule("a", format=IDENTIFIER), INTERNAL, "x y", INTERNAL),
        (FieldRule("a", format=IDENTIFIER), PROMPT, "x y", INTERNAL),
        (FieldRule("a", integrity=INTERNAL, format=IDENTIFIER), EXTERNAL, "x", INTERNAL),
        (FieldRule("a", integrity=TYPED), EXTERNAL, "x", EXTERNAL),
        (FieldRule("a", integrity=TYPED), INTERNAL, "x", INTERNAL),
        (FieldRule("a", integrity=EXTERNAL), INTERNAL, "x", EXTERNAL),
        (FieldRule("a", confidentiality=SECRET), INTERNAL, "x", INTERNAL),
    ],
)
def test_only_what_passes_its_format_is_typed(rule, default, value, integrity):
    *_, leaf = Labels(Label(default), (rule,)).leaves(freeze({"a": value}))
    assert leaf.label.integrity is integrity


def test_the_strictest_of_several_labels_holds_for_every_value():
    one = Labels(Label(EXTERNAL, PRIVATE), (FieldRule("id", format=IDENTIFIER),))
    two = Labels(Label(INTERNAL, SECRET))
    both = Labels.strictest([one, two])
    assert both.default == Label(EXTERNAL, SECRET)
    assert {leaf.path: leaf.label for leaf in both.leaves(freeze({"id": 1, "b": 2}))} == {
        "$.{0}": Label(EXTERNAL, SECRET),
        "$.id": Label(INTERNAL, SECRET),
        "$.{1}": Label(EXTERNAL, SECRET),
        "$.b": Label(EXTERNAL, SECRET),
    }
    assert Labels.strictest([one, one]) is one
    assert Labels.strictest([]).default == Label(PROMPT, PUBLIC) == strictest([])


@given(
    st.lists(
        st.builds(Labels, st.builds(Label, st.sampled_from(Integrity), st.sampled_from(Confidentiality))),
        min_size=1,
        max_size=3,
    )
)
def test_adding_labels_never_trusts_more(several):
    before, after = (Labels.strictest(part).default for part in (several[:1], several))
    assert after.integrity <= before.integrity
    assert after.confidentiality >= before.confidentiality


def test_the_record_is_the_object_nearest_around():
    output = {"id": 7, "user": {"login": "dora", "tags": ["a", "b c"]}, "title": "x"}
    fields = tuple(FieldRule(pattern, format=IDENTIFIER) for pattern in ("id", "user.login", "user.tags"))
    records = {leaf.path: leaf.record.typed for leaf in Labels(fields=fields).leaves(freeze(output))}
    assert records["$.id"] == records["$.title"] == ["7"]
    assert records["$.user.login"] == records["$.user.tags[1]"] == ["dora"]


def test_members_of_a_list_name_nothing_for_each_other():
    fields = (FieldRule("users", format=IDENTIFIER), FieldRule("**", format=IDENTIFIER))
    for output in ({"users": ["alice", "bob"]}, ["alice", "bob"], [["alice"], ["bob"]]):
        assert not any(leaf.record.typed for leaf in Labels(fields=fields).leaves(freeze(output)))


def test_members_of_a_list_do_not_name_each_other():
    labels = Labels(fields=(FieldRule("**", format=IDENTIFIER),))
    assert [leaf.record.typed for leaf in labels.leaves(freeze(["alice", "bob"]))] == [[], []]


# --- What is looked into

RECORDS = {"emails": [{"id": 3, "body": "x y"}]}


@pytest.mark.parametrize(
    ("output", "path"),
    [
        (json.dumps(RECORDS), "$.emails[0].id"),
        (f" \n{json.dumps(RECORDS)}\n", "$.emails[0].id"),
        ({"content": [{"type": "text", "text": json.dumps(RECORDS)}]}, "$.content[0].text.emails[0].id"),
        ({"content": [], "structuredContent": RECORDS}, "$.structuredContent.emails[0].id"),
        ([{"type": "text", "text": json.dumps(RECORDS)}], "$[0].text.emails[0].id"),
        (
            {
                "content": [{"type": "text", "text": "see there"}],
                "structuredContent": RECORDS,
                "isError": False,
            },
            "$.structuredContent.emails[0].id",
        ),
        ({"content": [], "structuredContent": {"result": [RECORDS]}}, "$.structuredContent[0].emails[0].id"),
        (
            {"content": [{"type": "resource", "resource": {"uri": "a://b", "text": json.dumps(RECORDS)}}]},
            "$.content[0].resource.text.emails[0].id",
        ),
    ],
)
def test_documents_in_texts_and_in_mcp_results_are_read(output, path):
    assert typed(output, "emails.id") == [path]


HELD = Labels(Label(EXTERNAL, PRIVATE))
OPENED = Labels(
    HELD.default, (FieldRule("a", confidentiality=PUBLIC), FieldRule("b", confidentiality=SECRET))
)


@pytest.mark.parametrize(
    ("labels", "one"),
    [
        (HELD, True),
        (Labels(HELD.default, (FieldRule("a", format=IDENTIFIER),)), True),
        (Labels(HELD.default, (FieldRule("a", confidentiality=PRIVATE),)), True),
        (OPENED, False),
        (Labels.strictest([HELD, Labels(Label(INTERNAL, SECRET))]), True),
        (Labels.strictest([HELD, OPENED]), False),
    ],
)
def test_a_document_is_known_as_a_whole_unless_a_field_of_it_is_less_confidential(labels, one):
    document = '{"a": 1, "b": "x"}'
    wholes = [(leaf.path, leaf.value, leaf.label) for leaf in labels.leaves(document) if leaf.raw]
    assert wholes == ([("$", document, labels.default)] if one else [])


@pytest.mark.parametrize(
    "output",
    [
        json.dumps(RECORDS)[:-1] + ",]",
        "[" * 100_000 + "]" * 100_000,
        '{"emails": {"id": 3}} {"emails": {"id": 3}}',
        '{"a":' * 70 + '{"emails": {"id": 3}}' + "}" * 70,
        "[" * 70 + "]" * 70,
        "[not json]",
        "{}",
        "",
        '"emails"',
        {"content": [{"type": "text", "text": "no document"}, {"type": "image", "data": "aa"}]},
    ],
)
def test_what_is_no_document_is_prose(output):
    assert typed(output, "emails.id", "**.id") == []
    assert all(leaf.label == Label() for leaf in Labels().leaves(freeze(output)))


@pytest.mark.parametrize(
    "output",
    [
        {"content": [], "id": 3},
        {"content": "x", "id": 3},
        {"content": [{"type": "page"}], "id": 3},
        {"content": ["x"], "id": 3},
        {"id": 3},
    ],
)
def test_an_object_that_only_resembles_an_mcp_result_is_an_object(output):
    assert typed(output, "id") == ["$.id"]


def test_nothing_in_an_mcp_result_is_overlooked():
    output = {
        "content": [
            {"type": "text", "text": "one"},
            {"type": "text", "text": "two", "annotations": {"title": "three"}},
            {"type": "resource", "resource": {"uri": "four", "text": "five"}},
            {"type": "resource", "resource": {"uri": "six", "blob": "seven"}},
            {"type": "resource", "resource": "eight"},
            {"type": "resource_link", "uri": "nine"},
            {"type": "text"},
        ],
        "_meta": {"ten": "eleven"},
        "structuredContent": "twelve",
    }
    seen = {leaf.value for leaf in Labels().leaves(freeze(output))}
    assert seen >= set("one two three four five six seven eight nine ten eleven twelve".split())


def test_ways_through_patterns_are_kept_within_bounds():
    many = {f"key{i}": {"id": i} for i in range(5000)}
    assert len(typed(many, "*.id")) == 5000
