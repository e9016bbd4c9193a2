"""YAML as it looks: no surprises in the data, and every thing remembers where it stood."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from blastwall.policy.source import MAX_BYTES, MAX_DEPTH, Source, read


def mistakes(text):
    return [(m.message, m.place) for m in read(text).mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("NO", "NO"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2026-01-31", "2026-01-31"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0123", 123),
        ("+7", 7),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("0b1", "0b1"),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".inf", ".inf"),
        ("-.INF", "-.INF"),
        (".nan", ".nan"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("'1'", "1"),
        ('"true"', "true"),
        ("'~'", "~"),
        ("9" * 30, int("9" * 30)),
        ("9" * 5000, float("inf")),
        ("0x" + "f" * 5000, "0x" + "f" * 5000),
    ],
)
def test_a_scalar_means_what_it_looks_like(text, value):
    found = read(f"key: {text}\n")
    assert found.mistakes == []
    assert found.data == {"key": value}
    assert type(found.data["key"]) is type(value)


def test_without_yaml_1_2_some_of_this_would_mean_something_else():
    """The control: what PyYAML's own safe loader makes of it."""
    assert yaml.safe_load("no") is False
    assert yaml.safe_load("0123") == 83
    assert yaml.safe_load("12:30:45") == 45045
    assert yaml.safe_load("a: 1\na: 2") == {"a": 2}


def test_keys_are_text_whatever_they_look_like():
    assert read("1: a\ntrue: b\n~: c\n1.5: d\n").data == {"1": "a", "true": "b", "~": "c", "1.5": "d"}


def test_every_key_and_value_remembers_its_place():
    found = read("a:\n  - x\n  - b: y\n")
    assert found.keys == {("a",): (1, 1), ("a", 1, "b"): (3, 5)}
    assert found.values[("a", 0)] == (2, 5)
    assert found.values[("a", 1, "b")] == (3, 8)


@pytest.mark.parametrize(
    ("loc", "key", "place"),
    [
        (("a", "b"), False, (2, 6)),
        (("a", "b"), True, (2, 3)),
        (("a", "missing"), False, (2, 3)),
        (("a", "missing"), True, (2, 3)),
        (("not", "here"), False, (1, 1)),
    ],
)
def test_what_is_not_there_is_placed_at_the_nearest_thing_around_it(loc, key, place):
    assert read("a:\n  b: c\n").place(loc, key=key) == place


def test_nothing_at_all_is_placed_at_the_start():
    assert Source().place(("a",)) == (1, 1)


def test_a_byte_order_mark_inside_is_no_white_space():
    assert read("a: \ufeffb").data == {"a": "\ufeffb"}


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a: 1\nb:\n  a: 1\n  a: 2\n", "this key stands twice, first on line 3", (4, 3)),
        ("{a: 1, 'a': 2}", "this key stands twice, first on line 1", (1, 8)),
        ("a: &x 1\n", "a YAML anchor is not allowed here: write it out", (1, 4)),
        ("a: *x\n", "a YAML alias is not allowed here: write it out", (1, 4)),
        ("a: !!str 1\n", "a YAML tag is not allowed here: write it out", (1, 4)),
        ("a: ! 1\n", "a YAML tag is not allowed here: write it out", (1, 4)),
        ("? [a]\n: b\n", "a key must be plain text", (1, 3)),
        ("a:\n\tb: 1\n", "a tab can't stand here: indent with spaces", (2, 1)),
        ("a: 1\n---\nb: 1\n", "a policy is one document: take this `---` out", (2, 1)),
        ("a: [1, 2\n", "this bracket is never closed", (1, 4)),
        ('a: "x\n', "this quote is never closed", (1, 4)),
        ("a: b: c\n", "a second `key:` on one line: text with a colon belongs in quotes", (1, 5)),
        ("a: 1\n  b: 2\n", "a second `key:` on one line: text with a colon belongs in quotes", (2, 4)),
        ("a: @b\n", "text that starts like this belongs in quotes", (1, 4)),
        ("a:\n  b: 1\n c: 1\n", "this is not indented like the lines above it", (3, 2)),
        ("a: 1\nb: \x1b\n", "the character U+001B is not allowed", (2, 4)),
        ("a: \0\n", "the character U+0000 is not allowed", (1, 4)),
        ("a: x\ufffe", "the character U+FFFE is not allowed", (1, 5)),
        ('a: "\\q"\n', "this is not YAML: found unknown escape character 'q'", (1, 6)),
    ],
)
def test_what_yaml_would_swallow_or_say_darkly_is_a_mistake_with_its_place(text, message, place):
    assert (message, place) in mistakes(text)


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "[?", "{a: [", "a: {b: "])
def test_deep_nesting_is_refused_before_it_costs_anything(opening):
    """PyYAML alone takes minutes for 256 KiB of brackets."""
    assert any(
        message == f"nested deeper than {MAX_DEPTH} levels" for message, _ in mistakes(opening * 20_000)
    )


def test_closed_brackets_do_not_count_as_depth():
    assert read("[" + "[1], " * 1000 + "]").mistakes == []


@pytest.mark.parametrize(
    "text",
    ["#\n" * 100_000, "a" * MAX_BYTES, '"' + "\\n" * 100_000 + '"', "&a " * 1000, "[" + "a," * 20_000 + "]"],
)
def test_a_large_file_is_read_to_its_end(text):
    assert isinstance(read(text[:MAX_BYTES]), Source)


@given(st.text(max_size=200) | st.text("[]{}:,-?!&*#|>%@`'\"\\ \n\tab01.~", max_size=80))
def test_no_text_breaks_the_reader(text):
    found = read(text)
    assert all(line >= 1 and column >= 1 for _, (line, column) in mistakes(text))
    assert found.data is None or not any("not YAML" in m.message for m in found.mistakes)
