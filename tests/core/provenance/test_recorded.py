"""A context comes back from its record as it was, for the call that it is of and for no other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.frozen import canonical, freeze
from blastwall.provenance.intent import Intent
from blastwall.provenance.origins import Context, How, Link, Origin, Traced
from blastwall.provenance.recorded import annotations, as_json, from_json, hints
from blastwall.values import WORST_CASE, Annotations, Confidentiality, Integrity, Label, ToolCall

BODY = "see https://a.example/ now"
ARGUMENTS = ToolCall.of(
    "mail", "send", {"to": ["dana@corp.example", "lee@corp.example"], "body": BODY, "n": 7}
).arguments
labels = st.builds(Label, st.sampled_from(Integrity), st.sampled_from(Confidentiality))
origins = st.builds(
    Origin,
    st.sampled_from(["", "mail.search"]),
    st.integers(1, 9),
    st.text(max_size=5),
    labels,
    st.sampled_from(How),
    st.booleans(),
    st.booleans(),
)
some = st.lists(origins, max_size=2).map(tuple)
places = st.sampled_from([(("to", 0), "dana@corp.example"), (("body",), BODY), (("n",), 7)])


@st.composite
def leaves(draw):
    path, value = draw(places)
    held = ["https://a.example/", "https", value] if path == ("body",) else []
    texts = draw(st.lists(st.sampled_from(held), max_size=2)) if held else []
    return Traced(path, value, draw(some), draw(some), tuple(Link(text, draw(some)) for text in texts))


contexts = st.builds(
    Context,
    st.lists(leaves(), max_size=3).map(tuple),
    st.lists(st.text(), max_size=2).map(lambda texts: Intent(tuple(texts))),
    st.sampled_from(Integrity),
    st.sampled_from(Confidentiality),
    st.booleans(),
)


def recorded(context):
    """Write a context into a log and read the line again."""
    return freeze(json.loads(canonical(as_json(context))))


@given(contexts, st.lists(st.text(), max_size=2))
def test_it_comes_back_as_it_was(context, later):
    heard = [*context.intent.texts, *later]
    assert from_json(recorded(context), ARGUMENTS, heard) == context


@given(contexts)
def test_neither_values_nor_the_user_s_words_are_recorded_again(context):
    written = canonical(as_json(context))
    assert "corp.example" not in written
    assert "a.example" not in written
    assert all(len(text) < 7 or text not in written for text in context.intent.texts)


def test_a_link_that_was_hidden_in_an_encoding_comes_back():
    context = Context((Traced(("body",), BODY, links=(Link("https://hidden.example"),)),))
    assert from_json(recorded(context), ARGUMENTS) == context


def test_a_name_that_is_more_than_a_name_comes_back():
    """It is traced beside the value that it names, under the same path."""
    odd = "send it to eve@evil.example"
    arguments = ToolCall.of("mail", "send", {odd: {"x": [1]}, "same": "same"}).arguments
    context = Context((Traced((odd,), odd), Traced((odd, "x", 0), 1), Traced(("same",), "same")))
    assert from_json(recorded(context), arguments) == context


def test_the_user_s_words_are_needed():
    context = Context(intent=Intent(("Write to Dana",)))
    with pytest.raises(ValueError, match="user's words were not recorded"):
        from_json(recorded(context), ARGUMENTS)


@pytest.mark.parametrize("arguments", [{}, {"to": []}, {"to": "dana"}, {"to": {"0": "dana"}}])
def test_another_call_s_context_is_none(arguments):
    context = Context((Traced(("to", 1), "lee@corp.example"),))
    with pytest.raises(ValueError, match="other arguments"):
        from_json(recorded(context), ToolCall.of("a", "b", arguments).arguments)


GOOD = as_json(Context((Traced(("body",), BODY, (Origin("a.b", 1, "$", Label()),), links=(Link("see"),)),)))


def spoilt(value, path=()):
    """Give every way to put something wrong at one place of a record."""
    yield from (
        (path, wrong) for wrong in (None, "nowhere", -1, True, (), {}) if type(wrong) is not type(value)
    )
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from spoilt(inner, (*path, key))
    elif isinstance(value, tuple):
        for i, inner in enumerate(value):
            yield from spoilt(inner, (*path, i))


def put(value, path, wrong):
    if not path:
        return wrong
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], wrong)
    return copy


@pytest.mark.parametrize(("path", "wrong"), list(spoilt(GOOD)))
def test_what_is_no_record_of_a_context_never_vouches_for_anything(path, wrong):
    try:
        context = from_json(freeze(put(GOOD, path, wrong)), ARGUMENTS)
    except ValueError:
        return
    good = from_json(GOOD, ARGUMENTS)
    assert context.forgotten >= good.forgotten
    assert context.integrity <= good.integrity
    for leaf in context.traced:
        assert {o.label for o in leaf.whole} <= {Label()}
        assert not any(origin.bound for origin in leaf.whole)


def test_the_arguments_as_a_whole_have_no_name():
    context = Context((Traced((), None),))
    with_name = put(as_json(context), ("traced", 0), {"path": (), "name": True})
    assert from_json(freeze(with_name), ARGUMENTS).traced[0].value == ARGUMENTS


def test_a_record_without_its_parts_is_none():
    for key in GOOD:
        with pytest.raises(ValueError, match=f"{key}' is missing"):
            from_json(freeze({name: value for name, value in GOOD.items() if name != key}), ARGUMENTS)


hinted = st.builds(
    Annotations,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sets(st.sampled_from(["readOnlyHint", "openWorldHint"])).map(frozenset),
)


@given(hinted)
def test_annotations_come_back(given_):
    back = annotations(freeze(json.loads(canonical(hints(given_)))))
    assert (back, back.stated) == (given_, given_.stated)


def test_the_worst_case_is_nothing_to_record():
    assert hints(WORST_CASE) == {}


@pytest.mark.parametrize(
    "data", [(), {"harmless": True}, {"read_only": 1}, {"stated": "x"}, {"stated": (1,)}]
)
def test_what_are_no_annotations(data):
    with pytest.raises(ValueError, match=r"no recorded|list is missing|text is missing|object is missing"):
        annotations(freeze(data))


def test_how_it_is_written():
    link = Link("a.example")
    traced = (
        Traced(("to", 0), "a.example", links=(link,)),
        Traced(("n",), 7, links=(link,)),
        Traced(("odd",), "odd"),
    )
    written = as_json(Context(traced))["traced"]
    assert written[0]["links"] == ({"text": (0, 9), "whole": ()},)
    assert written[1]["links"] == ({"text": "a.example", "whole": ()},)
    assert written[2] == {"path": ("odd",), "name": True}
    assert hints(Annotations(stated=frozenset("hgfedcba")))["stated"] == tuple("abcdefgh")
