"""What a verb is asked to be done to, and how many times."""

import pytest

from blastwall.provenance.english.quantity import PLAIN, Manner, amount
from blastwall.provenance.english.reading import read

GOES = Manner(frozenset(("to",)), into=True)
INTO = Manner(into=True)


def asked(text, manner=PLAIN, *wanted):
    found = read(text)
    return amount(found, 0, len(found.words), lambda i: False, manner, frozenset(wanted))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("the file", 1),
        ("two files", 2),
        ("3 spam", 1),
        ("the file at times", 1),
        ("the files", None),
        ("the file and two mails", 3),
        ("the file and the mails", None),
        ("it twice", 2),
        ("the file three times", 3),
        ("the file and 5 euros", 1),
        ("5 euros and the file", 2),
        # a number and names
        ("the two files a.txt and b.txt", 2),
        ("the two files a.txt, b.txt and c.txt", 3),
        ("the two files a.txt", 2),
        ("two a.txt", 2),
        ("two a.txt and b.txt", 2),
        ("rows 3 and 4", 2),
        ("rows 3 and 4 files", 5),
        ("3 and 4", 4),
        ("two events, one on Monday and one on Tuesday", 2),
        ("two events and one on Monday", 2),
        ("two events and a task", 3),
        ("an event, one on Monday and one on Tuesday", 3),
        # places
        ("the file from all folders", None),
        ("the file from all folders and the trash", None),
        ("everything in two pages", None),
        ("the file on each Monday", None),
        ("the file from the folder", 1),
        ("the file about all folders", 1),
    ],
)
def test_how_often(text, count):
    assert asked(text).count == count


@pytest.mark.parametrize(
    ("text", "count", "reached"),
    [
        ("the mail to Bob and Carol", 2, 2),
        ("the mail about Bob and Carol", 1, 0),
        ("a mail to Bob twice", 2, 2),
        ("two mails to Bob", 2, 1),
        ("no mail to Bob", 0, 1),
        ("a mail to all", None, None),
        ("one mail to all", 1, None),
        ("1 mail to all", 1, None),
        ("one mail to Bob and Carol", 2, 2),
        ("two mails to all", None, None),
        ("100 to Bob", 1, 1),
        ("100 mails to Bob", 100, 1),
        ("the file in #a and #b", 2, 2),
        ("the file in #a and the b", 1, 0),
        ("the file about #a and #b", 1, 0),
        ("the file from all folders to Bob", None, 1),
        # whom it goes to, before what they get
        ("Bob", 1, 1),
        ("Bob the note", 1, 1),
        ("Bob and Carol the note", 2, 2),
        ("Bob and Carol the notes", None, 2),
        ("my friends the note", None, None),
        ("the note", 1, 0),
        ("him", 1, 1),
    ],
)
def test_how_often_what_goes_to_somebody(text, count, reached):
    found = asked(text, GOES)
    assert (found.count, found.reached) == (count, reached)


def test_a_number_alone_is_a_sum_only_where_it_goes_to_somebody():
    assert asked("100 to Bob").count == 100
    assert asked("the file to all folders").count is None


@pytest.mark.parametrize(
    ("text", "manner", "wanted", "nouns"),
    [
        ("the title in the page", PLAIN, "page", {"title"}),
        ("the title in the page", INTO, "page", {"title", "page"}),
        ("the title in the page", GOES, "page", {"title", "page"}),
        ("the title in the page", INTO, "title", {"title"}),
        ("the title in the page", INTO, "text", {"title"}),
        ("the title from the page", INTO, "page", {"title"}),
        ("the title with a logo in the page", INTO, "page", {"title", "page"}),
        ("the title via mail", GOES, "mail", {"title", "mail"}),
        ("the title via mail", PLAIN, "mail", {"title"}),
        ("the page's title", PLAIN, "page", {"title"}),
        ("the page's title", INTO, "page", {"title", "page"}),
        ("the title in the page's text", INTO, "page", {"title"}),
        ("everything in the page", PLAIN, "page", {"page"}),
        ("everything in the page via mail", PLAIN, "page", {"page", "mail"}),
        ("all files in the page", PLAIN, "page", {"files"}),
        ("all files in the page", INTO, "page", {"files"}),
    ],
)
def test_what_it_is_about(text, manner, wanted, nouns):
    assert asked(text, manner, wanted).nouns == nouns


def test_what_a_thing_is_put_into_is_counted_where_it_is_looked_for():
    assert asked("the title in two pages", INTO, "pages").count == 2
    assert asked("the title in two pages", INTO, "title").count == 1


@pytest.mark.parametrize(
    ("text", "bare", "person"),
    [
        ("it", True, False),
        ("", True, False),
        ("them", True, True),
        ("one", False, False),
        ("ones", False, False),
        ("it now", True, False),
        ("the file", False, False),
        ("it and the file", False, False),
        ("Bob", False, True),
        ("him", True, True),
        ("it to Bob", True, True),
        ("to the team", False, False),
    ],
)
def test_pronouns_and_persons(text, bare, person):
    found = asked(text, GOES)
    assert (found.bare, found.person) == (bare, person)
    assert found.end == len(read(text).words)
