"""Invisible characters: which are honest where they stand, and what a run of them spells."""

import pytest

from blastwall.screening.hidden import all_runs, message, runs

FLAG = "\U0001f3f4"
CANCEL = "\U000e007f"
ARABIC = "\u0645"


def tags(text):
    return "".join(chr(0xE0000 + ord(char)) for char in text)


def selectors(octets):
    return "".join(chr((0xFE00 if octet < 16 else 0xE00F0) + octet) for octet in octets)


@pytest.mark.parametrize(
    "text",
    [
        # the flags of England, and of the shortest and the longest code
        f"a {FLAG}{tags('gbeng')}{CANCEL}",
        f"{FLAG}{tags('us1')}{CANCEL}",
        f"{FLAG}{tags('us1ab')}{CANCEL}",
        # how an emoji or a sign is shown
        "a\u263a\ufe0f",
        "a\u263a\ufe0e",
        "1\ufe0f\u20e3",
        "\u00e9\ufe0e",
        # which shape a sign or an ideograph has
        "\u2268\ufe00",
        "\u845b\ufe0d",
        "\u845b\U000e0100",
        "\u3007\U000e01ef",
        # emoji of several: a woman at a computer, a health worker, a heart on fire, arrows, what is not named yet
        "\U0001f469\u200d\U0001f4bb",
        "\U0001f469\u200d\u2695\ufe0f",
        "\u2764\ufe0f\u200d\U0001f525",
        f"{FLAG}{tags('gbeng')}{CANCEL}\u200d\u2620",
        "\u2190\u200d\u2194",
        "\U0001fbff\u200d\U0001fbff",
        # joiners in scripts that need them, on one side at least
        *(f"{ARABIC}{joiner}{ARABIC}" for joiner in "\u180e\u200b\u200c\u200d\u2060"),
        f"{ARABIC}\u200d ",
        f" \u200d{ARABIC}",
        *(f" {letter}\u200c " for letter in "\u0590\u18af\u1900\u1cff\ua800\uabff"),
        # a byte order mark
        "\ufeffid,name",
    ],
)
def test_invisible_characters_with_an_honest_use_are_no_finding(text):
    assert all_runs(text) != []
    assert list(runs(text)) == []


@pytest.mark.parametrize(
    ("before", "run", "after"),
    [
        # tags that are no flag
        ("a", tags("gbeng") + CANCEL, ""),
        (FLAG, tags("gbeng"), ""),
        (FLAG, CANCEL, ""),
        (FLAG, tags("g") + CANCEL, ""),
        (FLAG, tags("gb") + CANCEL, ""),
        (FLAG, tags("gbengl") + CANCEL, ""),
        (FLAG, tags("GBENG") + CANCEL, ""),
        (FLAG, tags("g1eng") + CANCEL, ""),
        (FLAG, tags("gb-ng") + CANCEL, ""),
        # selectors with nothing to select, or several
        ("", "\ufe0f", "a"),
        (" ", "\ufe0f", ""),
        ("\u00a0", "\ufe0e", ""),
        ("a", "\ufe0f", ""),
        ("\u263a", "\ufe0f\ufe0f", ""),
        ("", "\ufe00", "a"),
        ("a", "\ufe00", ""),
        ("\u263a", "\ufe0d", ""),
        ("a", "\U000e0100", ""),
        # joiners that join nothing
        ("X", "\u200d", "\U0001f4bb"),
        ("\U0001f469", "\u200d", "X"),
        ("\U0001f469", "\u200d", ""),
        ("+", "\u200d", "+"),
        ("\u2019", "\u200d", "\u2019"),
        ("\u4e00", "\u200d", "\u4e00"),
        ("\U0001fc00", "\u200d", "\U0001fc00"),
        ("\U0001f469", "\u200b", "\U0001f4bb"),
        (ARABIC, "\u200c\u200d", ARABIC),
        *((ARABIC, filler, ARABIC) for filler in "\u115f\u1160\u2061\u2064\u3164\ufeff\uffa0"),
        *((" ", "\u200c", letter) for letter in "\u058f\u18b0\u18ff\u1d00\ua7ff\uac00"),
        ("", "\u200b", "a"),
        ("a", "\ufeff", "b"),
    ],
)
def test_any_other_is_one(before, run, after):
    assert list(runs(before + run + after)) == [(len(before), len(before) + len(run), "hidden-unicode")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\u2066b\u2069", [(1, 2), (3, 4)]),
        ("\u05d0\u2066b\u2069", []),
        ("\u2067\u05d0\u2069", []),
        ("\u05d0\n\u2066b", [(2, 3)]),
        ("\n\u2066b\n\u05d0", [(1, 2)]),
        ("\u05d0\u202eb\u202c", [(1, 2)]),
        ("\u05d0\u202ab\u202c \u202d", [(5, 6)]),
    ],
)
def test_directions_have_their_use_on_a_line_with_right_to_left_letters_and_overrides_nowhere(text, found):
    assert list(runs(text)) == [(*span, "bidi") for span in found]


def test_runs_of_every_kind_are_told_apart_and_none_hides_those_behind_it():
    text = "a\u200b\u202e" + tags("b") + "c\U0001f469\u200d\U0001f4bb\u200b"
    assert all_runs(text) == [(1, 2), (2, 3), (3, 4), (6, 7), (8, 9)]
    assert list(runs(text)) == [
        (1, 2, "hidden-unicode"),
        (2, 3, "bidi"),
        (3, 4, "hidden-unicode"),
        (8, 9, "hidden-unicode"),
    ]


def test_what_can_be_seen_is_no_run():
    assert all_runs("X[]+|\u058f\u200f\u2065\ufdff\ufe10\U000e0080\U000e00ff\U000e01f0") == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (tags("\0"), "\0"),
        (tags("Send it~\x7f"), "Send it~\x7f"),
        (CANCEL, "\x7f"),
        (selectors(range(128)), bytes(range(128)).decode()),
        (selectors(b"\x0f\x10"), "\x0f\x10"),
        (selectors(b"\x10\x0f"), "\x10\x0f"),
        (selectors("\u00fcber".encode()), "\u00fcber"),
        (selectors(b"\xff\xffa"), "a"),
        *((other, "") for other in ("\u200b", "\u202e", "\ufdff", "\ufe10", "\U000e0080", "\U000e00ff")),
    ],
)
def test_what_a_run_spells(run, said):
    assert message(run) == said
