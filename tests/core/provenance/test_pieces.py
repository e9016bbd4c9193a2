"""What is odd enough in a text to betray where it came from: codes and numbers, not times and chance."""

import pytest

from blastwall.provenance.pieces import glued, groups, is_time, is_title, joined, words


@pytest.mark.parametrize(
    "time",
    "2024 1999 2024-05-11 2024-05 2024.05.11 11.05.2024 5/11/2024 10:30 10:30:15 2024-05-11t10:00:00z 2024-05-11t10:00:00.123+02:00".split(),
)
def test_times_are_everybodys(time):
    assert is_time(time)
    assert not list(words([time]))
    assert not list(glued([time]))


@pytest.mark.parametrize("code", "4711 ab12 2124 20240511 1.234.567 10:3 2024-99-11x1".split())
def test_codes_are_not(code):
    assert not is_time(code)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ab12", ["ab12"]),
        ("ab1", []),
        ("abcd", []),
        ("id-ab12", ["ab12"]),
        ("ab12/cd34", ["ab12", "cd34"]),
        ("abc 12 x123y", ["x123y"]),
    ],
)
def test_a_word_of_four_characters_with_a_digit_is_odd(text, found):
    assert list(words(text.split())) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("abcde0", [b"abcde0"]),
        ("abcde9", [b"abcde9"]),
        ("abcd1", []),
        ("12345678", [b"12345678"]),
        ("1234567", []),
        ("12345\u063a", [b"12345\x3a"]),
        ("ab-12345", [b"ab12345"]),
        ("x-ab12345", [b"xab12345", b"ab12345"]),
        ("de89 3704 0044", [b"de8937040044"]),
        ("1 2 3 4 5 6 7", []),
        ("abcdef", []),
    ],
)
def test_a_code_of_six_characters_or_a_number_of_eight_is_found_glued_to_others(text, found):
    assert list(glued(text.split())) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pay de89 3704 0044 now 1 2 a 3", ["de8937040044", "12a3"]),
        ("1 2 now", ["12"]),
        ("a 1", ["a1"]),
        ("1 a", ["1a"]),
        ("12345 6", ["123456"]),
        ("123456 7", []),
        ("2024 1", []),
        ("12", []),
        ("", []),
    ],
)
def test_pieces_that_stand_in_a_row_are_put_together(text, found):
    assert list(groups(text.split())) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 2 3 4", ["1234"]),
        ("1 2 3", []),
        ("2 0 2 4", []),
        ("9-0-4-1-7 1 2", ["90417"]),
    ],
)
def test_what_comes_to_an_odd_word_when_it_is_put_together(text, found):
    assert list(joined(text.split())) == found


@pytest.mark.parametrize(
    ("text", "title"), [("falcon land", True), ("falcon lan", False), ("falconland", False)]
)
def test_a_title_is_two_words_or_more_with_ten_letters(text, title):
    assert is_title(text.replace(" ", "").encode(), text.split()) == title
