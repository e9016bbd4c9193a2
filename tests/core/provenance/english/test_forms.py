"""Word forms, by rule and by table."""

import pytest

from blastwall.provenance.english.forms import (
    BASE,
    GERUND,
    NOUN,
    PAST,
    THIRD,
    inflections,
    is_past,
    is_plural,
    number,
    plural,
)


def forms(verb, kind):
    return {word for word, form in inflections(verb) if form == kind}


@pytest.mark.parametrize(
    ("verb", "third", "past", "gerund"),
    [
        ("send", "sends", {"sent"}, {"sending"}),
        ("delete", "deletes", {"deleted"}, {"deleting"}),
        ("reply", "replies", {"replied"}, {"replying"}),
        ("buy", "buys", {"bought"}, {"buying"}),
        ("play", "plays", {"played"}, {"playing"}),
        ("push", "pushes", {"pushed"}, {"pushing"}),
        ("fix", "fixes", {"fixed"}, {"fixing"}),
        ("plan", "plans", {"planned", "planed"}, {"planning", "planing"}),
        ("cancel", "cancels", {"cancelled", "canceled"}, {"cancelling", "canceling"}),
        ("tie", "ties", {"tied"}, {"tying"}),
        ("free", "frees", {"freed"}, {"freeing"}),
        ("dye", "dyes", {"dyed"}, {"dyeing"}),
        ("write", "writes", {"wrote", "written"}, {"writing"}),
        ("redo", "redoes", {"redid", "redone"}, {"redoing"}),
        ("turn off", "turns", {"turned"}, {"turning"}),
    ],
)
def test_inflections(verb, third, past, gerund):
    assert forms(verb, BASE) == {verb.split()[0]}
    assert forms(verb, THIRD) == {third}
    assert forms(verb, PAST) == past
    assert forms(verb, GERUND) == gerund


def test_what_is_made_when_a_verb_is_done():
    assert forms("pay", NOUN) == {"payment", "payments"}
    assert forms("send", NOUN) == set()


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("file", "files"),
        ("copy", "copies"),
        ("day", "days"),
        ("box", "boxes"),
        ("person", "people"),
        ("inbox", "inboxes"),
    ],
)
def test_plurals(noun, many):
    assert plural(noun) == many
    assert is_plural(many)
    assert not is_plural(noun)


@pytest.mark.parametrize("noun", ["address", "status", "news", "bus", "bob's", "is", "as", "gas", "s"])
def test_what_only_ends_like_a_plural(noun):
    assert not is_plural(noun)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("3", 3),
        ("1,000", 1000),
        ("three", 3),
        ("twenty-five", 25),
        ("dozen", 12),
        ("both", 2),
        ("9" * 5000, 999_999_999),
        ("٣", None),
        ("²", None),
        ("3.5", None),
        ("", None),
        ("twenty-odd", None),
        ("well-known", None),
        ("file", None),
    ],
)
def test_numbers(word, value):
    assert number(word) == value


@pytest.mark.parametrize(
    ("word", "past"),
    [
        ("sent", True),
        ("deleted", True),
        ("red", False),
        ("put", False),
        ("need", False),
        ("feed", False),
        ("speed", False),
        ("hundred", False),
    ],
)
def test_past_tenses(word, past):
    assert is_past(word) == past
