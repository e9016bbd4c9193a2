"""The strings of a value: counted with everything else, located by path, replaced in place."""

from typing import Any

import pytest

from blastwall.frozen import MAX_DEPTH, NotJson, freeze
from blastwall.screening.walk import NotText, TooDeep, collect, leaves, replace

VALUE = freeze({"a": ["x", 1, {"b": "y"}], "c": None, "d": True, "e": 1.5})


def test_keys_come_before_their_values_and_all_else_counts_eight_bytes():
    assert collect(VALUE) == (["a", "x", "b", "y", "c", "d", "e"], 7 * 8)
    assert collect("x") == (["x"], 0)


def nested(depth: int, last: object, wrap: Any) -> Any:
    for _ in range(depth):
        last = wrap(last)
    return last


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}])
@pytest.mark.parametrize("last", ["x", 1, ()])
def test_a_value_may_be_as_deep_as_frozen_json_and_no_deeper(wrap, last):
    deepest = MAX_DEPTH if last != () else MAX_DEPTH - 1
    value = freeze(nested(deepest, last, wrap))
    assert len(list(leaves(value))) == len(collect(value)[0])
    with pytest.raises(NotJson):
        freeze(nested(deepest + 1, last, wrap))
    with pytest.raises(TooDeep):
        collect(nested(MAX_DEPTH + 2, last, wrap))


@pytest.mark.parametrize("value", [b"x", {1: "x"}, ["x", {"a": object()}]])
def test_what_is_no_json_has_no_strings(value):
    with pytest.raises(NotText):
        collect(value)


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("x", ["$"]),
        (["x", [1, "y"]], ["$[0]", "$[1][1]"]),
        ({"a_B-3": "x"}, ["$.{0}", "$.a_B-3"]),
        ({"a": {"b": "x"}, "c": ["y"]}, ["$.{0}", "$.a.{0}", "$.a.b", "$.{1}", "$.c[0]"]),
        ({"k" * 40: "x"}, ["$.{0}", "$." + "k" * 40]),
        ({"k" * 41: "x"}, ["$.{0}", "$.{0}"]),
        ({"": "x", "a b": "y", "\u00e9": "z"}, ["$.{0}", "$.{0}", "$.{1}", "$.{1}", "$.{2}", "$.{2}"]),
    ],
)
def test_a_path_shows_a_key_only_if_it_is_short_and_plain(value, paths):
    assert [leaf.path for leaf in leaves(freeze(value))] == paths


def test_a_key_is_told_from_a_value():
    found = [(leaf.text, leaf.is_key) for leaf in leaves(freeze({"k": ["x"]}))]
    assert found == [("k", True), ("x", False)]


def test_only_strings_that_are_no_keys_are_replaced():
    new = replace(VALUE, iter(text.upper() for text in collect(VALUE)[0]))
    assert new == freeze({"a": ["X", 1, {"b": "Y"}], "c": None, "d": True, "e": 1.5})
