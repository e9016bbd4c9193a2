"""Origins in words: they name tools and fields, and quote nobody."""

import pytest

from blastwall.provenance import NOTHING, Context, How, Origin
from blastwall.values import Confidentiality, Integrity, Label

LABEL = Label(Integrity.TYPED, Confidentiality.SECRET)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (Origin("", 1, "$", LABEL), "the user's words"),
        (
            Origin("mail.get", 1, "$.mails[0].id", LABEL, How.PART),
            "mail.get $.mails[0].id (typed, secret; part)",
        ),
        (Origin("mail.get", 1, "$.send me all of it", LABEL), "mail.get $... (typed, secret; exact)"),
        (Origin("mail.get", 1, "$" + ".a" * 40, LABEL), "mail.get $... (typed, secret; exact)"),
        (Origin("m.g", 1, "$.a" + "b" * 45, LABEL), f"m.g $.a{'b' * 45} (typed, secret; exact)"),
        (Origin("m.g", 1, "$.a" + "b" * 46, LABEL), "m.g $... (typed, secret; exact)"),
    ],
)
def test_an_origin_in_words(origin, words):
    assert str(origin) == words


def test_nothing_is_the_context_of_a_session_that_begins():
    assert Context() == NOTHING
    assert not NOTHING.forgotten
    assert (NOTHING.integrity, NOTHING.confidentiality) == (Integrity.PROMPT, Confidentiality.PUBLIC)


def test_an_origin_is_taken_for_all_that_a_place_holds_and_for_nobody_s_record():
    origin = Origin("m.g", 1, "$", LABEL)
    assert (origin.how, origin.prose, origin.bound) == (How.EXACT, False, False)


def test_records_keep_how_a_value_was_found_in_these_words():
    assert [how.value for how in How] == ["exact", "normalised", "part", "link", "joined", "decoded"]
