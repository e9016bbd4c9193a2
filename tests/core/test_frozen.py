"""Frozen JSON: nothing changes it, nothing is lost in it, and one value has one text."""

import copy
import enum
import hashlib
import json
import math
import pickle
from collections import OrderedDict, UserDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall import frozen
from blastwall.frozen import MAX_DEPTH, FrozenDict, NotJson, canonical, digest, freeze, thaw

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)


@given(values)
def test_what_is_thawed_is_what_was_frozen(value):
    assert thaw(freeze(value)) == value
    assert json.loads(canonical(freeze(value))) == value


@given(values)
def test_freezing_twice_changes_nothing(value):
    assert freeze(freeze(value)) == freeze(value)


@given(values, values)
def test_different_values_have_different_texts(one, other):
    same = canonical(freeze(one)) == canonical(freeze(other))
    assert same == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@given(st.dictionaries(texts, scalars), st.randoms())
def test_the_order_of_keys_does_not_change_the_text(value, random):
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert canonical(freeze(dict(shuffled))) == canonical(freeze(value))


def test_the_canonical_text_is_sorted_and_without_white_space():
    assert (
        canonical(freeze({"b": [1, 2.0, None], "a": {"é": "ü\n"}})) == '{"a":{"é":"ü\\n"},"b":[1,2.0,null]}'
    )


def test_one_and_true_and_one_point_zero_are_three_values():
    assert len({canonical(freeze(value)) for value in (1, True, 1.0, "1")}) == 4
    assert canonical(freeze([True, False, None])) == "[true,false,null]"


def test_the_digest_is_sha_256_of_the_text_in_utf_8():
    assert digest("ü") == hashlib.sha256(b"\xc3\xbc").hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 2),
        lambda d: d.__delitem__("a"),
        lambda d: d.update(a=2),
        lambda d: d.setdefault("b", 2),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.clear(),
        lambda d: d.__ior__({"a": 2}),
    ],
)
def test_a_frozen_dict_refuses_to_change(change):
    frozen = freeze({"a": 1})
    with pytest.raises(TypeError, match=r"copy them with blastwall\.thaw"):
        change(frozen)
    assert frozen == {"a": 1}


def test_what_the_caller_changes_later_does_not_reach_the_copy():
    inner = [1, {"a": 2}]
    value = {"list": inner}
    frozen = freeze(value)
    inner.append(3)
    inner[1]["a"] = "changed"
    value["more"] = True
    assert frozen == {"list": (1, {"a": 2})}


def test_what_is_thawed_is_the_caller_s_own():
    frozen = freeze({"list": [1]})
    thaw(frozen)["list"].append(2)
    assert frozen == {"list": (1,)}


def test_copies_and_pickles_stay_frozen():
    frozen = freeze({"a": [1]})
    assert copy.copy(frozen) is frozen
    assert copy.deepcopy(frozen) is frozen
    assert type(pickle.loads(pickle.dumps(frozen))) is FrozenDict


class Text(str):
    def isascii(self):
        return True

    def encode(self, *_):
        return b"clean"

    __str__ = __repr__ = lambda self: "clean"


class Number(int):
    def bit_length(self):
        return 1

    __int__ = __index__ = lambda self: 7


class Real(float):
    __float__ = lambda self: 7.0  # noqa: E731


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Text("evil"), "evil"),
        (Number(5), 5),
        (Real(2.5), 2.5),
        (Level.HIGH, 3),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        ((1, 2), (1, 2)),
        ({Text("key"): 1}, {"key": 1}),
    ],
)
def test_subclasses_become_the_plain_type_whatever_they_override(value, plain):
    frozen = freeze(value)
    assert frozen == plain
    assert type(frozen) in (str, int, float, tuple, FrozenDict)
    assert not isinstance(frozen, FrozenDict) or all(type(key) is str for key in frozen)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), "$: a object is not JSON"),
        (b"", "$: a bytes is not JSON"),
        ({1, 2}, "$: a set is not JSON"),
        ({"a": [0, {"b": object()}]}, "$.a[1].b: a object is not JSON"),
        ([0, [0, float("nan")]], "$[1][1]: nan has no JSON form"),
        ({"a": -math.inf}, "$.a: -inf has no JSON form"),
        ({"a": 2**63}, "$.a: an integer of more than 63 bits is not read alike everywhere"),
        (-(2**63), "$: an integer of more than 63 bits is not read alike everywhere"),
        (Number(2**70), "$: an integer of more than 63 bits is not read alike everywhere"),
        (Text("\ud800"), "$: text with a lone surrogate is not valid Unicode"),
        ({"a": "x\udfff"}, "$.a: text with a lone surrogate is not valid Unicode"),
        ({"\ud800": 1}, "$: text with a lone surrogate is not valid Unicode"),
        ({1: "a"}, "$: a int is no key of JSON"),
        ({10**5000: 1}, "$: a int is no key of JSON"),
        ({"a": {None: 1}}, "$.a: a NoneType is no key of JSON"),
    ],
)
def test_what_has_no_exact_json_form_is_refused_with_its_place(value, error):
    with pytest.raises(NotJson) as caught:
        freeze(value)
    assert str(caught.value) == error
    assert f"{caught.value.path}: {caught.value.problem}" == error


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63) + 1, 0, -0.0, 1e308, 5e-324])
def test_the_outermost_numbers_are_kept_exactly(value):
    assert repr(thaw(freeze(value))) == repr(value)


@pytest.mark.parametrize("around", [lambda value: [value], lambda value: {"a": value}])
def test_nesting_is_limited(around):
    value = 0
    for _ in range(MAX_DEPTH):
        value = around(value)
    freeze(value)
    with pytest.raises(NotJson, match=r"nested deeper than 64 levels$") as caught:
        freeze(around(value))
    assert caught.value.path == "$" + ("[0]" if isinstance(value, list) else ".a") * MAX_DEPTH


def test_so_are_the_steps_towards_a_form():
    """What `other` gives stands one level deeper, each time."""
    steps = []

    def nearer(value):
        steps.append(value)
        return object() if len(steps) < MAX_DEPTH else "done"

    assert freeze(object(), nearer) == "done"
    steps.clear()
    with pytest.raises(NotJson, match="nested deeper"):
        freeze([object()], nearer)


@pytest.mark.parametrize(
    ("value", "size"),
    [("x" * 200, 200), ([0, 0], 2 * 64), ({"a": 0, "bc": 0}, 2 * 64 + 3), ([["x"], {"y": "zz"}], 4 * 64 + 4)],
)
def test_what_a_value_comes_to(value, size, monkeypatch):
    monkeypatch.setattr(frozen, "MAX_SIZE", size)
    freeze(value)
    monkeypatch.setattr(frozen, "MAX_SIZE", size - 1)
    with pytest.raises(
        NotJson, match=rf"larger than {size - 1} characters, where every value counts for 64$"
    ):
        freeze(value)


def test_the_whole_is_too_large(monkeypatch):
    monkeypatch.setattr(frozen, "MAX_SIZE", 1)
    with pytest.raises(NotJson) as caught:
        freeze("xx")
    assert caught.value.path == "$"


def test_a_list_that_contains_itself_is_refused():
    loop = []
    loop += [loop, loop]
    with pytest.raises(NotJson, match="nested deeper"):
        freeze(loop)


@pytest.mark.parametrize("leaf", ["lol", 0, {}, b"bytes"])
def test_a_bomb_of_shared_parts_is_refused_while_it_is_small(leaf):
    """What `yaml.safe_load` makes of an alias bomb: 10**20 values in 200 bytes."""
    bomb = leaf
    for _ in range(20):
        bomb = [bomb] * 10
    with pytest.raises(NotJson, match="larger than"):
        freeze(bomb, lambda value: str(value))


def test_one_long_text_shared_often_is_refused():
    with pytest.raises(NotJson, match="larger than"):
        freeze(["x" * 2**20] * 100)


def test_keys_that_read_alike_are_refused():
    """Screening would see one of them; the agent would be shown both."""
    with pytest.raises(NotJson, match=r"\$\.a: two keys read alike"):
        freeze({"a": {1: "seen", "1": "unseen"}}, lambda value: repr(value))


def test_other_values_and_keys_take_their_nearest_form_when_one_is_given():
    def nearer(value):
        return [str(value)] if isinstance(value, complex) else f"<{value}>"

    assert freeze({1: 2j, None: math.inf, "big": 2**70}, nearer) == {
        "1": ("2j",),
        "null": "<inf>",
        "big": f"<{2**70}>",
    }


def test_a_form_that_never_becomes_json_ends():
    with pytest.raises(NotJson, match="nested deeper"):
        freeze(object(), lambda value: object())
