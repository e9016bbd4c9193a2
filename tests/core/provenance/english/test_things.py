"""One thing that a verb is done to: how many it is, and what it is called."""

import pytest

from blastwall.provenance.english.nouns import SHAPES
from blastwall.provenance.english.reading import read
from blastwall.provenance.english.things import (
    ANYTHING,
    antecedent,
    at_most,
    heads,
    is_somebody,
    number_in,
    parts_of,
    shapes,
    times,
    total,
)


def thing(text):
    found = read(text)
    return found, list(range(len(found.words)))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the file", 1),
        ("files", None),
        ("the files", None),
        ("two files", 2),
        ("the 3 files", 3),
        ("3", 3),
        ("3 spam", 1),
        ("3 a.txt", 3),
        ("one files", 1),
        ("no files", 0),
        ("none", 0),
        ("both files", 2),
        ("both", 2),
        ("some file", 1),
        ("some files", None),
        ("any mail", 1),
        ("any", None),
        ("all file", None),
        ("them", None),
        ("these 3", 3),
        ("these file", 1),
        ("3 ones", 3),
        ("two hundred", 200),
        ("a.txt", 1),
        ("files a.txt", 1),
        ("two files a.txt", 2),
        ("two file a.txt", 1),
        ("issues 12", 1),
        ("Files", 1),
        ("2 nights", 1),
        ("nights", None),
        ("the nights", None),
        ("Bob 2 files", 2),
        ("Bob the files", None),
        ("Bob 20 each", 1),
        ("Bob each", 1),
        ("the files each", None),
        ("both file", 2),
        ("Bob both", 2),
        ("each", None),
        ("the mails this week", None),
    ],
)
def test_how_many_a_thing_is(text, count):
    assert times(*thing(text)) == count


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("3 files", 3),
        ("the 3 files", 3),
        ("last 3 files", 3),
        ("file 3", None),
        ("3 file 4", 4),
        ("4 3", 4),
        ("3 4", 4),
        ("two hundred files", 200),
        ("two thousand files", 2000),
        ("two dozen files", 24),
        ("a dozen files", 12),
        ("half a dozen files", 6),
        ("half a 10 files", 10),
        ("5 euros", None),
        ("2 files 5 euros", None),
        ("the 5 euros", None),
        ("5", 5),
        ("files", None),
        ("", None),
    ],
)
def test_which_number_counts(words, value):
    assert number_in(words.split()) == value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Bob a mail", ["bob", "a mail"]),
        ("Bob 2 mails", ["bob", "2 mails"]),
        ("rows 3", ["rows 3"]),
        ("the mails this week", ["the mails", "this week"]),
        ("the 2 mails", ["the 2 mails"]),
        ("all the mails", ["all the mails"]),
        ("both both mails", ["both both mails"]),
        ("mails both days", ["mails", "both days"]),
        ("a b the c the d", ["a b", "the c", "the d"]),
        ("Bob both", ["bob both"]),
        ("Bob the 2 mails", ["bob", "the 2 mails"]),
        ("these 3 mails", ["these 3 mails"]),
    ],
)
def test_a_thing_is_cut_before_its_second_article_or_number(text, parts):
    found, positions = thing(text)
    cut = parts_of(found, positions)
    assert [" ".join(found.words[i] for i in part) for part in cut] == parts


PERSON = SHAPES["person"]


@pytest.mark.parametrize(
    ("word", "nouns"),
    [
        ("#dev", SHAPES["channel"]),
        ("#a1", SHAPES["channel"]),
        ("#12", PERSON | {ANYTHING}),
        ("https://a.b/c@d", SHAPES["url"]),
        ("www.a", SHAPES["url"]),
        ("a@b.example", PERSON),
        ("$5", SHAPES["money"]),
        ("\u00a35", SHAPES["money"]),
        ("euros", SHAPES["money"]),
        ("a/b.txt", SHAPES["path"]),
        ("a.txt", SHAPES["file"]),
        ("a.b", SHAPES["file"]),
        ("a.", frozenset()),
        ("2.5", PERSON | {ANYTHING}),
        ("web-03", PERSON | {ANYTHING}),
        ("12", frozenset()),
        ("mail", frozenset()),
    ],
)
def test_what_the_shape_of_a_name_stands_for(word, nouns):
    assert shapes(word) == nouns


@pytest.mark.parametrize(
    ("text", "owners", "nouns"),
    [
        ("the team mail", False, {"mail"}),
        ("it", False, set()),
        ("all", False, set()),
        ("it the file", False, {"file"}),
        ("the file a.txt", False, {"file", "a.txt"} | SHAPES["file"]),
        ("Bob", False, {"bob"} | PERSON),
        ("bob", False, {"bob"}),
        ("issue 12", False, {"12", "issue"}),
        ("Bob a mail", False, {"bob", "mail"} | PERSON),
        ("the page's title", False, {"title"}),
        ("the page's title", True, {"title", "page"}),
    ],
)
def test_what_a_thing_may_be_called(text, owners, nouns):
    assert set(heads(*thing(text), owners=owners)) == nouns


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("find the two largest files and delete", 2),
        ("find the largest files and delete", None),
        ("find two nice very largest files", 2),
        ("two b c d files", 2),
        ("two b c d e files", None),
        ("two files and the mails", None),
        ("two", None),
        ("files " + "x " * 39, None),
        ("two files " + "x " * 38, 2),
        ("two files " + "x " * 40, None),
        ("2 files", 2),
        ("and two files", 2),
        ("two files and", 2),
        ("two files 7", 2),
    ],
)
def test_what_them_points_back_to(text, count):
    found = read(text)
    assert antecedent(found, len(found.words)) == count


@pytest.mark.parametrize(
    ("word", "somebody"),
    [
        ("Bob", True),
        ("a@b", True),
        *((word, True) for word in "him her them me us".split()),
        ("bob", False),
        ("it", False),
    ],
)
def test_who_is_somebody(word, somebody):
    assert is_somebody(read(word), 0) == somebody


@pytest.mark.parametrize(
    ("counts", "added", "largest"),
    [([], 0, 0), ([0], 0, 0), ([1, 3], 4, 3), ([1, None], None, None)],
)
def test_nothing_bounds_the_sum_of_what_nothing_bounds(counts, added, largest):
    assert (total(counts), at_most(counts)) == (added, largest)
