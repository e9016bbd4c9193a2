"""Globs beside each other, against every name that there is."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from blastwall.policy.globs import meet, within
from blastwall.policy.rules import covered

NAMES = ["".join(letters) for length in range(5) for letters in product("ab", repeat=length)]
globs = st.text("ab?*", max_size=4)


@given(globs, globs)
def test_what_is_within_covers_no_other_name(inner, outer):
    if within(inner, outer):
        assert all(covered(name, (outer,)) for name in NAMES if covered(name, (inner,)))


@given(globs, globs)
def test_two_that_share_a_name_meet_and_no_others(one, other):
    # Names as long as both patterns together are enough: each `*` can take what the other pattern has.
    names = [n for length in range(9) for n in map("".join, product("ab", repeat=length))]
    shared = any(covered(name, (one,)) and covered(name, (other,)) for name in names)
    assert meet(one, other) is shared


def test_the_usual_ones():
    assert within("read_file", "read_*")
    assert within("read_*", "*")
    assert within("a?c", "a*")
    assert within("*", "*")
    assert within("abc", "a?c")
    assert within("a?c", "a?c")
    assert not within("*", "?")
    assert not within("read_*", "read_file")
    assert not within("?", "a")
    assert meet("read_*", "*_file")
    assert not meet("read_*", "write_*")


def test_globs_of_tools_and_of_messages_share_nothing():
    for one, other in (("mcp:*", "*"), ("*", "mcp:*"), ("mcp:roots/list", "*")):
        assert meet(one, other) is False
        assert within(one, other) is False
