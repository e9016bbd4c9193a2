"""Diffs of definitions: what a person approves is what stands there, to the last hidden letter."""

import pytest

from blastwall.frozen import freeze
from blastwall.trust.differences import digest_of, name_of, shown
from blastwall.trust.pins import Change


def change(before, after, name="act"):
    return Change("it", "", "tool", name, freeze(before), freeze(after))


def test_a_diff_names_both_sides_and_breaks_texts_where_they_break():
    lines = shown(
        change({"name": "act", "description": "One.\nTwo."}, {"description": "One.\nTwo!\n", "name": "act"})
    )
    assert lines == [
        "--- pinned tool act",
        "+++ now tool act",
        "@@ -1,5 +1,6 @@",
        " {",
        '   "description": "One.\\n',
        '-      Two.",',
        "+      Two!\\n",
        '+      ",',
        '   "name": "act"',
        " }",
    ]


def test_a_backslash_before_an_n_is_no_break():
    assert '+  "a": "\\\\n"' in shown(change({"a": ""}, {"a": "\\n"}))


def test_what_is_new_or_gone_has_one_side():
    assert shown(change(None, "x"))[2:] == ["@@ -0,0 +1 @@", '+"x"']
    assert shown(change("x", None))[2:] == ["@@ -1 +0,0 @@", '-"x"']


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u200bb", "\\u200b"),
        ("a\u202eb", "\\u202e"),
        ("a\U000e0041b", "\\ue0041"),
        ("\x1b[2J", "\\u001b"),
        ("\x9b2J", "\\u009b"),
        ("сору", "\\u0441\\u043e\\u0440\\u0443"),
        ("pаy", "p\\u0430y"),
    ],
)
def test_nothing_hides(text, seen):
    lines = "\n".join(shown(change("", text)))
    assert seen in lines
    assert all(char.isprintable() or char == "\n" for char in lines)


def test_other_scripts_stay_readable():
    assert '+"Öl, 日本語, Привет"' in shown(change("", "Öl, 日本語, Привет"))


def test_a_name_can_not_write_on_the_terminal():
    assert "\x1b" not in name_of(change("", "x", "a\x1b[2J"))
    assert name_of(change("", "x", "")) == "tool"


def test_one_digest_for_exactly_these_changes():
    one, other = change("", "x"), change("", "y", "look")
    assert digest_of((one, other)) == digest_of((other, one))
    assert len({digest_of(c) for c in ((one,), (other,), (change("", "z"),), (), (change("", None),))}) == 5
