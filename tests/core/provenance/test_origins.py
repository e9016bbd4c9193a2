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
    ],
)
def test_an_origin_in_words(origin, words):
    assert str(origin) == words


def test_nothing_is_the_context_of_a_session_that_begins():
    assert Context() == NOTHING
