"""The scalars of a call's arguments, and those names of fields that may say something."""

import pytest

from blastwall.frozen import freeze
from blastwall.provenance.arguments import leaves, names

ARGUMENTS = freeze({"to": ["a", {"b c": 1}], "n": None, "x y": {"z": True}})


def test_every_scalar_has_its_path():
    assert list(leaves(ARGUMENTS)) == [
        (("to", 0), "a"),
        (("to", 1, "b c"), 1),
        (("n",), None),
        (("x y", "z"), True),
    ]
    assert list(leaves("a")) == [((), "a")]


def test_names_that_are_no_plain_names_have_theirs():
    assert list(names(ARGUMENTS)) == [(("to", 1, "b c"), "b c"), (("x y",), "x y")]


@pytest.mark.parametrize("name", ["to", "_meta", "$ref", "Content-Type", "a", "k" * 41])
def test_a_plain_name_says_nothing(name):
    assert list(names({name: 1})) == []


@pytest.mark.parametrize("name", ["", "to eve", "to\n", "-x", "a.b", "4711", "id2", "\u00fcber", "k" * 42])
def test_any_other_may(name):
    assert list(names({name: 1})) == [((name,), name)]
