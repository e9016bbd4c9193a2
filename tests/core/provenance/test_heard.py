"""The user's own words: what they hold, and which records they name."""

import pytest

from blastwall.provenance.heard import LONGEST_PROMPT, MOST_HEARD, Heard


def heard(*texts):
    found = Heard()
    for text in texts:
        found.hear(text)
    return found


@pytest.mark.parametrize(
    ("prompt", "value", "held"),
    [
        ("Write to Bob Stone now", "bob stone", True),
        ("Write to Bob Stone now", "Bob", True),
        ("Write to Bob Stone now", "Bob now", False),
        ("Write to Bob-Stone", "Bob", False),
        ("Write to Bob, Stone", "Bob Stone", False),
        ("See rosebud, rosehip and rose", "rose", True),
        ("See rosebud, rosehip and roses", "rose", False),
        ("Hi!", "!", False),
        ("Hi!", "", False),
        ("Hi there!", "hi there!", True),
        # numbers
        ("Pay 1,250.50 euros", 1250.5, True),
        ("Pay 1,250.50 euros", 1250, False),
        ("Pay 1,250.50 euros", 50, False),
        ("Pay 30%", 30, True),
        ("Pay 7", 7.0, True),
        ("Pay 7", "7", True),
        ("Pay 7", 8, False),
        ("Pay 7", 77, False),
        ("Pay 123456789012345678", 123456789012345678, True),
        ("Take 1.2.3", "1.2.3", True),
        ("Take 1.2.3", 1.2, False),
        ("Meet on May 12 at 9", "9", True),
        ("Meet on May 12", "12", False),
        ("Meet on May 12", 12, False),
        ("Meet on May 12", "May 12", True),
        ("Meet on the 3rd of June", "3rd of June", True),
        ("1. call Bob\n2) call Eve\n\t(3) call Dora", "Bob", True),
        ("1. call Bob\n2) call Eve\n\t(3) call Dora", 1, False),
        ("1. call Bob\n2) call Eve\n\t(3) call Dora", 2, False),
        ("1. call Bob\n2) call Eve\n\t(3) call Dora", "3", False),
        ("Do this: 1. call Bob", "this: call Bob", True),
        ("Take version 1. And then go", 1, True),
        # addresses
        ("Write to 'bob@corp.example'", "BOB@corp.example", True),
        ("Write to bob@corp.example.", "ob@corp.example", False),
        ("Visit good.example", "https://good.example", True),
        ("Write to a@good.example", "https://good.example", False),
        ("Visit good", "https://good", False),
        ("Pay GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926819", True),
        ("Pay GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926810", False),
        # what stands apart
        ("Look at 'alpha'", "alpha", True),
        ("Look at acme/app", "app", True),
        ("Look at acme/app", "acme/app", True),
        ("Look at acme/app/x", "app", False),
        ("Look at acme/app", "acme app", True),
    ],
)
def test_what_the_users_words_hold(prompt, value, held):
    assert heard("Hello", prompt).holds(value) == held


def test_no_value_lies_in_two_messages():
    words = heard("see ab12", "cd34 and www.a.example")
    assert not words.holds("ab12 cd34")
    assert [words.holds_run(run) for run in (b"ab12", b"seeab12", b"ab12cd34")] == [True, True, False]
    assert words.odd == {"ab12", "cd34"}
    assert words.holds_link("//www.a.example/")
    assert not words.holds_link("//a.example/")
    assert words.texts == ("see ab12", "cd34 and www.a.example")


def test_words_that_repeat_themselves_hold_what_stands_apart_early_enough():
    assert heard(f"a {'a.' * 5000}").holds("a")
    assert not heard(f"{'a.' * 5000} a").holds("a")


def test_messages_are_heard_up_to_their_longest():
    words = heard(*["b" * LONGEST_PROMPT] * (MOST_HEARD // LONGEST_PROMPT))
    with pytest.raises(ValueError, match="begin a new session"):
        words.hear("c")
    assert len(words.texts) == 4
    with pytest.raises(ValueError, match="a prompt may have 1,048,576 characters"):
        Heard().hear("b" * (LONGEST_PROMPT + 1))


@pytest.mark.parametrize(
    ("value", "prompt", "named"),
    [
        ("Bob Stone", "Delete the file of Bob Stone", True),
        ("Bob Stone", "Delete the file of Bob", False),
        ("Bob", "Delete the file of Bob", True),
        ("Bo", "Delete the file of Bo", False),
        ("the", "Delete the file", False),
        ("file", "Delete the file", False),
        ("file", "Delete the one called 'file'", True),
        ("main list", "Read the main list", True),
        ("new list", "Read the new list", False),
        ("list 2024", "Read the list 2024", True),
        ("list 24", "Read the list 24", False),
        ("list4", "Read list4", True),
        ("123", "Delete 123", True),
        ("12", "Delete 12", False),
        ("\u00bd\u00bd\u00bd", "Delete \u00bd\u00bd\u00bd", False),
        # files
        ("zebra-plan.docx", "Open zebra plan", True),
        ("zebra_plan.docx", "Open zebra plan", True),
        ("zebra.docx", "Open zebra", True),
        ("zebra.docx", "Open zebras", False),
        ("zebra.document", "Open zebra", False),
        ("plan.docx", "Open the plan", False),
        ("meeting-notes.docx", "Open the meeting notes", True),
        ("zebra-plan.docx", "Open plan zebra", False),
        # addresses
        ("dora.heinz@corp.example", "Answer dora.heinz@corp.example!", True),
        ("dora.heinz@corp.example", "Answer Dora Heinz", True),
        ("dora.heinz@corp.example", "Answer Heinz or Dora", False),
        ("dora@corp.example", "Answer Dora", False),
        ("bob.li@corp.example", "Answer Bob Li", True),
        ("al.bo@corp.example", "Answer Al Bo", False),
        ("send.email@corp.example", "Please send email to Bob", False),
        ("https://corp.example/zebra", "Open https://corp.example/zebra", True),
        ("https://corp.example/zebra", "Open corp example zebra", False),
    ],
)
def test_a_value_is_named_by_words_that_tell_it_from_others(value, prompt, named):
    assert heard("Hello", prompt).names(value) == named


def test_what_later_words_name_is_named():
    words = heard("Look")
    assert not words.names("Bob Stone")
    words.hear("Take Bob Stone")
    assert words.names("Bob Stone")
