"""Verbs that are as often nouns: what follows them tells which they are."""

import pytest

from blastwall.provenance.english.ambiguity import has_object, is_subject, past_adverbs, verb_at
from blastwall.provenance.english.forms import BASE, PAST
from blastwall.provenance.english.reading import read

FORMS = {"frobnicate": (("frobnicate", BASE),), "frobnicated": (("frobnicate", PAST),)}


def at(find, text, *further):
    """Ask about the word that follows a star."""
    found = read(text.replace("*", ""))
    place = read(text.partition("*")[0]).words if "*" in text else ()
    return find(found, len(place), len(found.words), *further)


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("delete", True),
        ("do", True),
        ("let", True),
        ("the", False),
        ("frobnicate", True),
        ("frobnicated", False),
        ("frobnicated the file", True),
        ("zorch the file", True),
        ("zorch it", True),
        ("zorch me", True),
        ("zorch file", False),
        ("zorch", False),
        ("Zorch the file", False),
        ("a.b the file", False),
        ("order", False),
        ("order the pizza", True),
        ("", False),
    ],
)
def test_where_a_verb_stands(text, verb):
    assert at(verb_at, text, FORMS) == verb


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("reply", True),
        ("reply.", True),
        ("reply,", False),
        ("order", False),
        ("order.", False),
        ("order 'x'", True),
        ("order one", True),
        ("order the", True),
        ("email me", True),
        ("email us", True),
        ("order it", True),
        ("order that", True),
        ("email anyone", True),
        ("comment on", True),
        ("comment to", False),
        ("order to", True),
        ("order in", False),
        ("order 12", False),
        ("order 12 and", False),
        ("order 2 pizzas", True),
        ("order now", False),
        ("order now please 2 pizzas", True),
        ("order pizza", False),
        ("order pizzas", True),
        ("order Pizza", True),
        ("order a.b", True),
        ("restart haproxy", True),
        ("restart date", False),
        ("restart dates", True),
        ("order haproxy", False),
        ("read it and *restart haproxy", True),
        ("the stop and *restart procedure", False),
        ("stop and *restart procedure", False),
        ("and *restart haproxy", True),
        ("and *restart haproxy order", True),
        ("delete and *restart haproxy", True),
        ("stop or *restart haproxy", True),
    ],
)
def test_what_only_a_verb_has_behind_it(text, found):
    assert at(has_object, text) == found


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("order 12 is late", True),
        ("order is", True),
        ("order was", True),
        ("order must", True),
        ("order could", True),
        ("order can", True),
        ("order needs", True),
        ("order x y z is", True),
        ("order w x y z is", False),
        ("order the is", False),
        ("order", False),
        ("email: bob@corp.example", True),
        ("delete: bob@corp.example", False),
        ("search of", True),
        ("email from Bob", True),
        ("delete of", False),
        ("sell 5", False),
        ("sell 5 shares of it", False),
        ("sell 5 share of it", True),
        ("sell x shares of it", True),
        ("sell 5 of it", True),
        ("delete is", True),
    ],
)
def test_a_noun_that_a_sentence_is_about(text, subject):
    assert at(is_subject, text) == subject


@pytest.mark.parametrize(
    ("text", "place"), [("delete", 0), ("now please not delete", 3), ("now", 1), ("the now", 0), ("", 0)]
)
def test_adverbs_are_passed_over(text, place):
    assert at(past_adverbs, text) == place
