"""Demands on where data comes from: what each source admits, and what content may leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.frozen import FrozenDict, freeze
from blastwall.policy.flows import SOURCES, Bounded, Content, Control, Flow, Wanted, confidentiality
from blastwall.policy.records import Records
from blastwall.provenance import Context, Intent, Link, Origin, Traced
from blastwall.values import Charge, Confidentiality, Integrity, Label, Reason

PUBLIC, PRIVATE, SECRET = Confidentiality
PEOPLE = Records.of("people", ["dana@corp.example"])
SITES = Records.of("sites", ["https://corp.example/"])


def origin(integrity, level=PRIVATE, **more):
    tool = "" if integrity is Integrity.PROMPT else "mail.get"
    return Origin(tool, 1, "$.a", Label(integrity, level), **more)


PROMPT = origin(Integrity.PROMPT, PUBLIC)
TYPED = origin(Integrity.TYPED)
BOUND = origin(Integrity.TYPED, bound=True)
INTERNAL = origin(Integrity.INTERNAL)
EXTERNAL = origin(Integrity.EXTERNAL)
MENTION = origin(Integrity.EXTERNAL, prose=True)


def control(*sources, path=("to",), records=(), but=()):
    return Control(path, frozenset(sources), records, but)


def steers(demand, *whole, value="x", path=("to",), links=()):
    leaf = Traced(path, value, whole, (), links)
    return not list(demand.unmet(FrozenDict(), Context((leaf,))))


@pytest.mark.parametrize(
    ("source", "admitted", "refused"),
    [
        ("prompt", [(PROMPT,), (EXTERNAL, PROMPT)], [(), (TYPED,), (BOUND,), (INTERNAL,), (EXTERNAL,)]),
        ("typed", [(TYPED,), (PROMPT,), (TYPED, MENTION)], [(), (INTERNAL,), (EXTERNAL,), (MENTION,)]),
        ("bound", [(BOUND,), (BOUND, MENTION)], [(), (TYPED,), (PROMPT,), (INTERNAL,), (EXTERNAL,)]),
        ("unmentioned", [(TYPED,), (TYPED, EXTERNAL)], [(), (TYPED, MENTION), (INTERNAL,), (MENTION,)]),
        ("internal", [(INTERNAL,), (TYPED,), (PROMPT,)], [(), (EXTERNAL,), (MENTION,)]),
    ],
)
def test_a_source_admits_what_it_means_and_nothing_else(source, admitted, refused):
    assert all(steers(control(source), *whole) for whole in admitted)
    assert not any(steers(control(source), *whole) for whole in refused)


def test_one_source_is_enough():
    assert steers(control("prompt", "bound"), BOUND)
    assert not steers(control("prompt", "bound"), TYPED)


def test_a_trusted_record_may_always_steer():
    demand = control("prompt", records=(PEOPLE,))
    assert steers(demand, value="Dana@corp.example")
    assert not steers(demand, value="eve@evil.example")


def test_other_arguments_are_left_alone_and_list_members_are_not():
    demand = control("prompt")
    assert steers(demand, path=("body",))
    assert not steers(demand, path=("to", 1))
    assert not steers(control("prompt", path=("a", "b")), path=("a", 0, "b", "c"))


def test_null_and_empty_text_steer_nothing():
    assert steers(control("prompt"), value=None)
    assert steers(control("prompt"), value="")
    assert not steers(control("prompt"), value=True)


def test_the_star_speaks_of_every_other_argument():
    demand = control("prompt", path=("*",), but=(("body",), ("to",)))
    assert steers(demand, path=("body",))
    assert steers(demand, path=("to", 0))
    assert not steers(demand, path=("bcc",))


def test_a_name_with_dots_can_not_hide_an_argument():
    demand = control("prompt", path=("a", "b"))
    unmet = (Reason.FLOW, "a.b is written in a form that can't be followed")
    assert list(demand.unmet(freeze({"a.b": "x"}), Context())) == [unmet]


@pytest.mark.parametrize(
    ("value", "origins", "admitted"),
    [
        ("a@x.example, b@x.example", (PROMPT, PROMPT), True),
        ("a@x.example; <b@x.example>", (PROMPT, PROMPT), True),
        ("a@x.example, b@x.example", (PROMPT, EXTERNAL), False),
        ("a@x.example and b@x.example", (PROMPT, PROMPT), False),
        ("a@x.example, a@x.example", (PROMPT,), False),
        (", ", (), False),
    ],
)
def test_text_that_is_a_list_of_addresses_is_followed_one_by_one(value, origins, admitted):
    links = tuple(
        Link(text, (found,)) for text, found in zip(("a@x.example", "b@x.example"), origins, strict=False)
    )
    assert steers(control("prompt"), value=value, links=links) is admitted


def test_the_words_of_a_refusal_name_places_and_quote_nothing():
    [(_, message)] = control("prompt", "bound", records=(PEOPLE,)).unmet(
        FrozenDict(), Context((Traced(("to",), "eve@evil.example", (EXTERNAL,)),))
    )
    assert message == (
        "to must come from the user's words or a typed field of a record that the user's words name or the"
        " trusted people, and was seen in mail.get $.a (external, private; exact)"
    )
    [(_, message)] = control("prompt").unmet(FrozenDict(), Context((Traced(("to", 0), "eve"),)))
    assert message == "to.0 must come from the user's words, and was seen nowhere"


def leaf(value="long enough", whole=(), parts=(), links=()):
    return Traced(("body",), value, whole, parts, links)


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (leaf(), PUBLIC),
        (leaf(whole=(EXTERNAL,)), PRIVATE),
        (leaf(parts=(origin(Integrity.TYPED, SECRET), EXTERNAL)), SECRET),
        (leaf(whole=(PROMPT, origin(Integrity.TYPED, SECRET)), parts=(EXTERNAL,)), PUBLIC),
        (leaf("abc", whole=(EXTERNAL,)), PUBLIC),
        (leaf("abc", parts=(EXTERNAL,)), PRIVATE),
    ],
)
def test_how_secret_a_value_is(found, level):
    assert confidentiality(found, Context()) is level


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (leaf(), SECRET),
        (leaf(whole=(PROMPT,)), PUBLIC),
        (leaf(whole=(origin(Integrity.TYPED, PUBLIC),)), PUBLIC),
        (leaf(12345), PUBLIC),
        (leaf("abc"), PUBLIC),
    ],
)
def test_once_something_is_forgotten_unknown_text_is_as_secret_as_that_was(found, level):
    assert confidentiality(found, Context(forgotten=True, confidentiality=SECRET)) is level


def leaves(content, *found):
    return not list(content.unmet(Context(found)))


def test_nothing_above_the_limit_leaves():
    assert leaves(Content(PRIVATE), leaf(whole=(EXTERNAL,)))
    assert not leaves(Content(PUBLIC), leaf(whole=(EXTERNAL,)))
    assert leaves(Content(SECRET), leaf(parts=(origin(Integrity.EXTERNAL, SECRET),)))


@pytest.mark.parametrize(
    ("links", "found", "free"),
    [
        ("any", (Link("evil.example"),), True),
        ("none", (Link("evil.example"),), False),
        ("none", (), True),
        ("traced", (Link("evil.example"),), False),
        ("traced", (Link("evil.example", (EXTERNAL,)),), False),
        ("traced", (Link("evil.example", (MENTION, INTERNAL)),), True),
        ("traced", (Link("x.example", (PROMPT,)), Link("evil.example", (EXTERNAL,))), False),
        ("traced", (Link("dana@corp.example", (EXTERNAL,)),), True),
    ],
)
def test_links_that_leave(links, found, free):
    assert leaves(Content(SECRET, links, (PEOPLE, SITES)), leaf(links=found)) is free


@pytest.mark.parametrize(
    ("arguments", "amount"),
    [
        ({"amount": 5}, 5.0),
        ({"amount": 0.5}, 0.5),
        ({"amount": 0}, 0.0),
        ({"amount": -1}, None),
        ({"amount": "5"}, None),
        ({"amount": True}, None),
        ({"amount": None}, None),
        ({}, None),
        ({"amount": {"amount": 5}}, None),
    ],
)
def test_what_can_be_counted(arguments, amount):
    bound = Bounded(("amount",), 10)
    assert bound.amount(freeze(arguments)) == amount
    assert bool(list(bound.unmet(freeze(arguments)))) is (amount is None)


def test_a_number_inside_an_argument_is_counted_there_and_nowhere_else():
    bound = Bounded(("a", "b"), 10)
    assert bound.amount(freeze({"a": {"b": 1}})) == 1
    assert bound.amount(freeze({"a": 1})) is None
    assert list(bound.unmet(freeze({"a": 1}))) == [(Reason.FLOW, "a.b must be a number that is not negative")]


class Said(Intent):
    def asked(self, verbs, objects=()):
        return {"never": 0, "once": 1, "always": None}[verbs[0]]


SAID = Context(intent=Said())


def test_what_the_user_did_not_ask_for_is_not_wanted():
    assert [reason for reason, _ in Wanted(("never",)).unmet(SAID)] == [Reason.INTENT]
    assert not list(Wanted(("once",)).unmet(SAID))
    assert not list(Wanted(("always",)).unmet(SAID))


def test_a_flow_demands_all_of_it_and_charges_what_it_bounds():
    flow = Flow(
        controls=(control("prompt"),),
        content=Content(PUBLIC),
        bounded=(Bounded(("amount",), 100, 60),),
        wanted=Wanted(("once",), count=True),
    )
    context = Context((Traced(("to",), "someone", (EXTERNAL,)),), Said())
    arguments = freeze({"to": "someone", "amount": "many"})
    assert len(list(flow.unmet(arguments, context))) == 3
    assert list(flow.charges("r", arguments, context, ask=True)) == [Charge("r asked for", 1, ask=True)]
    assert list(flow.charges("r", freeze({"amount": 5}), context, ask=False)) == [
        Charge("r sum amount", 100, 5.0, 60),
        Charge("r asked for", 1),
    ]
    assert not list(Flow().unmet(arguments, context))
    unbounded = Flow(wanted=Wanted(("always",), count=True))
    assert not list(unbounded.charges("r", arguments, SAID, ask=False))
    assert not list(Flow(wanted=Wanted(("once",))).charges("r", arguments, SAID, ask=False))


integrities = st.sampled_from(Integrity)
origins = st.lists(
    st.builds(
        Origin,
        st.just("t"),
        st.just(1),
        st.just("$"),
        st.builds(Label, integrities, st.sampled_from(Confidentiality)),
        prose=st.booleans(),
        bound=st.booleans(),
    ),
    max_size=3,
).map(tuple)


@given(origins, st.integers(0, 2), st.sampled_from([frozenset({s}) for s in SOURCES]))
def test_relabelling_downward_never_admits(whole, lowered, sources):
    demand = Control(("to",), sources)
    if lowered >= len(whole):
        return
    low = whole[lowered]
    down = Origin(
        low.tool,
        low.turn,
        low.path,
        Label(Integrity.EXTERNAL, low.label.confidentiality),
        prose=True,
        bound=low.bound,
    )
    after = whole[:lowered] + (down,) + whole[lowered + 1 :]
    assert steers(demand, *whole) or not steers(demand, *after)
