"""Foreign files: read with the place of everything, or one clear error."""

import json

import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from tests.core.imports.importing import draft, given

from blastwall.errors import PolicyError
from blastwall.imports import TRANSLATORS, fields, jsonc
from blastwall.policy.source import MAX_BYTES, MAX_DEPTH


def test_json_as_people_write_it():
    found = jsonc.read(
        '\ufeff// one\n{\n\t"a": [1, 2.5e1, -0, true, null,], /* two\n */ "b": {"c": "\\u00e9\\n"},\n}\n'
    )
    assert found.mistakes == []
    assert found.data == {"a": [1, 25.0, 0, True, None], "b": {"c": "é\n"}}
    assert found.keys[("a",)] == (3, 2)
    assert found.values[("a", 1)] == (3, 11)
    assert found.values[("b", "c")] == (4, 16)


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "the file is empty", (1, 1)),
        (" \n// x", "the file is empty", (2, 5)),
        ("{", "this bracket is never closed", (1, 1)),
        ('{"a": [1,', "this bracket is never closed", (1, 7)),
        ('{"a": [1', "this bracket is never closed", (1, 7)),
        ('{"a"', "a `:` must stand here", (1, 5)),
        ('{"a": ', "the file ends early", (1, 7)),
        ("{a: 1}", "a key in quotes must stand here", (1, 2)),
        ('{"a": 1 "b": 2}', "a `,` or `}` must stand here", (1, 9)),
        ("[1 2]", "a `,` or `]` must stand here", (1, 4)),
        ('{"a": 1,\n "a": 2}', "this key stands twice, first on line 1", (2, 2)),
        ('["x]', "this quote is never closed", (1, 2)),
        ('["x\ny"]', "this quote is never closed", (1, 2)),
        ('["\\q"]', "this is no escape of JSON", (1, 3)),
        ('["\\ud800"]', "text with a lone surrogate is not valid Unicode", (1, 2)),
        ("[1] 2", "there is something after the end of the data", (1, 5)),
        ("nope", "this is not JSON: a value must stand here", (1, 1)),
        ("[01]", "a `,` or `]` must stand here", (1, 3)),
        ("[" * 40, f"nested deeper than {MAX_DEPTH} levels", (1, MAX_DEPTH + 1)),
        ("/* x", "this is not JSON: a value must stand here", (1, 1)),
    ],
)
def test_what_is_no_json_says_where(text, message, place):
    (mistake,) = jsonc.read(text).mistakes
    assert (mistake.message, mistake.place) == (message, place)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@over(json_values, st.sampled_from([None, 1, "\t"]))
def test_whatever_json_is_written_is_read_alike(value, indent):
    found = jsonc.read(json.dumps(value, indent=indent))
    assert found.mistakes == []
    assert found.data == value or isinstance(value, float)


@over(st.text('{}[]:,"\\/* \n\tau01.e-', max_size=40) | st.text(max_size=20))
def test_no_text_breaks_the_reader(text):
    found = jsonc.read(text)
    assert all(line >= 1 and column >= 1 for m in found.mistakes for line, column in [m.place])
    try:
        known = json.loads(text)
    except ValueError:
        return
    assert found.data == known or found.mistakes or isinstance(known, float)


def test_places_are_right_in_a_long_file():
    text = "{\n" + ",\n".join(f'"k{i}": {i}' for i in range(3000)) + "\n}"
    assert jsonc.read(text).values[("k2500",)] == (2502, 10)


@pytest.mark.parametrize("product", sorted(TRANSLATORS))
@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "a.json:1:1: the file is empty"),
        (b"{", "a.json:1:1: this bracket is never closed"),
        (b"\xff", "a.json:1:1: this is not UTF-8 text"),
        (b'{\n"a": "\xff"}', "a.json:2:7: this is not UTF-8 text"),
        (b"[]", "a.json:1:1: must be a block of keys and values"),
        (b" " * (MAX_BYTES + 1), f"a.json: larger than {MAX_BYTES} bytes"),
        (b'{"mcpServers": []}', None),
        (b"{}", None),
    ],
)
def test_bad_files_get_one_clear_error(product, content, error):
    with pytest.raises(PolicyError) as caught:
        draft(product, ("a.json", content))
    assert len(caught.value.problems) == 1
    assert error is None or str(caught.value) == error


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[[rule]\n", "a.toml:1:7: this is not TOML: Expected ']]' at the end of an array declaration"),
        ('a = "x', "a.toml:1:1: this is not TOML: Unterminated string"),
        ("a = " + "[" * 100_000, "a.toml: nested too deeply"),
    ],
)
def test_toml_says_where(content, error):
    with pytest.raises(PolicyError) as caught:
        fields.of_toml(given("a.toml", content))
    assert str(caught.value).startswith(error.partition(":1:1")[0])
    assert "TOML" in str(caught.value) or "deeply" in str(caught.value)


def test_yaml_says_where():
    with pytest.raises(PolicyError, match=r"^a\.yaml:2:4: a YAML anchor is not allowed here: write it out$"):
        fields.of_yaml(given("a.yaml", "b:\n- c\na: &x 1\n".replace("b:\n- c\n", "b: 1\n")))


def test_a_key_twice_names_the_key():
    with pytest.raises(PolicyError, match=r"^a\.yaml:2:1: a: this key stands twice, first on line 1$"):
        fields.of_yaml(given("a.yaml", "a: 1\na: 2\n"))


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda f: f.block(), "must be a block of keys and values"),
        (lambda f: f.items(), "must be a list"),
        (lambda f: f.texts(), "must be text, or a list of texts"),
        (lambda f: f.text(), "must be text"),
        (lambda f: f.flag(), "must be true or false"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(ask, error):
    at = fields.of_json(given("a.json", '{"x":\n 5}')).needed("x")
    with pytest.raises(PolicyError) as caught:
        ask(at)
    assert str(caught.value) == f"a.json:2:2: x: {error}"


def test_fields_know_their_place():
    top = fields.of_json(given("a.json", {"a": {"b": ["x", "y"]}, "c": "z", "d": True}))
    assert [item.where for item in top.needed("a").needed("b").texts()] == ["a.json:1", "a.json:1"]
    assert [item.text() for item in top.listed("c")] == ["z"]
    assert top.listed("no") == []
    assert top.get("no") is None
    assert top.needed("d").flag() is True
    assert top.needed("c").one_of("y", "z") == "z"
    with pytest.raises(PolicyError, match="c: must be one of x, y, not 'z'"):
        top.needed("c").one_of("x", "y")
    with pytest.raises(PolicyError, match="the key 'q' is missing"):
        top.needed("q")
    assert fields.of_toml(given("a.toml", "x = 1\n")).needed("x").where == "a.toml"
