"""The folded view: how a text reads, and where in the original each part of it stands."""

import pytest

from blastwall.screening.fold import View, fold


@pytest.mark.parametrize(
    ("char", "read"),
    [
        ("a", "a"),
        ("\u0430", "a"),
        ("\uff41", "a"),
        ("\u00e9", "e"),
        ("\ufb01", "fi"),
        ("\u0142", "l"),
        ("\u0301", ""),
        ("\u00ad", ""),
        ("\u200b", ""),
        ("\u4e2d", "\u4e2d"),
    ],
)
def test_what_a_character_reads_as(char, read):
    assert fold(char) == read


@pytest.mark.parametrize("count", [1, 12, 13, 26])
def test_few_and_many_disguises_are_folded_alike(count):
    disguised = "".join(chr(0xFF41 + n) for n in range(count)) + "\u4e2d!"
    assert View(disguised, []).text == "abcdefghijklmnopqrstuvwxyz"[:count] + "\u4e2d!"


@pytest.mark.parametrize(
    ("original", "cuts", "text"),
    [
        ("abcdef", [], "abcdef"),
        ("abcdef", [(0, 2)], "cdef"),
        ("abcdef", [(4, 6)], "abcd"),
        ("abcdef", [(1, 2), (3, 4)], "acef"),
        ("abcdef", [(1, 3), (3, 5)], "af"),
        ("abcdef", [(1, 5), (2, 3)], "af"),
        ("abcdef", [(1, 3), (2, 5)], "af"),
        ("abcdef", [(0, 6)], ""),
        ("", [], ""),
    ],
)
def test_cuts_are_left_out_though_they_touch_or_overlap(original, cuts, text):
    assert View(original, cuts).text == text


@pytest.mark.parametrize(
    ("original", "cuts", "part", "span"),
    [
        ("abcdef", [], "bc", (1, 3)),
        ("abcdef", [], "abcdef", (0, 6)),
        ("abcdef", [(0, 2)], "c", (2, 3)),
        ("abcdef", [(1, 2), (3, 4)], "c", (2, 3)),
        ("abcdef", [(1, 2), (3, 4)], "acef", (0, 6)),
        ("abcdef", [(1, 2), (3, 4)], "ef", (4, 6)),
        ("a\ufb01b", [], "fi", (1, 2)),
        ("a\ufb01b", [], "f", (1, 2)),
        ("a\ufb01b", [], "ib", (1, 3)),
        ("a\ufb01b", [], "b", (2, 3)),
        ("ab\u00adc", [], "bc", (1, 4)),
        ("ab\u00adc", [], "c", (3, 4)),
        ("x\ufb01\u00ady\u200bz", [(4, 5)], "yz", (3, 6)),
    ],
)
def test_a_part_of_the_view_leads_back_to_where_it_stands(original, cuts, part, span):
    view = View(original, cuts)
    start = view.text.index(part)
    assert view.origin(start, start + len(part)) == span
