"""Which texts hold a word or a phrase: nothing is lost between texts, blocks and labels."""

import random

import pytest
from tests.core.provenance.sessions import EXTERNAL, INTERNAL, PRIVATE, PUBLIC, SECRET

from blastwall.provenance.labels import Record
from blastwall.provenance.mentions import BLOCK, LONGEST, Mentions
from blastwall.provenance.sightings import Sighting
from blastwall.values import Label

ANY = Label()
PAD = ["pad"] * BLOCK


def sighting(place="$", label=ANY):
    return Sighting("a.b", 1, label, place, "", Record())


def found(mentions, phrase, among=lambda label: True):
    return [s.place for s in mentions.phrase(phrase.split(), among)]


@pytest.fixture(params=["open", "sealed"])
def several(request):
    """Give texts of one label, in a block that goes on or in one that is full."""
    mentions = Mentions()
    for place in ("we meet at noon on ab12-c", "the end", "x-ab13 xab14 ab15x ab16", "go to the end now"):
        mentions.add(place.split(), sighting(place))
        assert found(mentions, "at noon") == ["we meet at noon on ab12-c"]
    if request.param == "sealed":
        for _ in range(BLOCK // 64):
            mentions.add(["pad"] * 16, sighting("pad"))
    return mentions


@pytest.mark.parametrize(
    ("phrase", "place"),
    [
        ("we meet", "we meet at noon on ab12-c"),
        ("we", "we meet at noon on ab12-c"),
        ("meet at noon on", "we meet at noon on ab12-c"),
        ("on ab12-c", "we meet at noon on ab12-c"),
        ("the", "the end"),
        ("end", "the end"),
        ("go", "go to the end now"),
        ("now", "go to the end now"),
        ("the end", "go to the end now"),
        ("to the end now", "go to the end now"),
    ],
)
def test_a_phrase_is_found_in_the_text_that_goes_on_around_it(several, phrase, place):
    assert found(several, phrase) == [place]


@pytest.mark.parametrize(
    "phrase",
    ["meet noon", "noon at", "ab12", "w", "e", "ab12-c the", "go to the end now", "the end x-ab13", "x"],
)
def test_no_phrase_is_found_in_pieces_over_two_texts_or_alone_in_one(several, phrase):
    assert found(several, phrase) == []


@pytest.mark.parametrize("text", ["a b", "a b c", "z a b"])
@pytest.mark.parametrize("before", [[], ["some", "text"]])
def test_a_text_that_is_nothing_but_the_phrase_holds_no_mention_of_it(text, before):
    mentions = Mentions()
    mentions.add(before, sighting("before"))
    mentions.add(text.split(), sighting())
    mentions.add(["more"], sighting("after"))
    assert found(mentions, "a b") == ([] if text == "a b" else ["$"])


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("ab12", ["we meet at noon on ab12-c"]),
        ("ab13", ["x-ab13 xab14 ab15x ab16"]),
        ("ab14", []),
        ("ab15", []),
        ("ab16", ["x-ab13 xab14 ab15x ab16"]),
        ("xab14", ["x-ab13 xab14 ab15x ab16"]),
        ("ab17", []),
    ],
)
def test_an_odd_word_is_found_inside_of_another_but_not_of_its_letters(several, word, places):
    assert [s.place for s in several.word(word)] == places


def test_nothing_is_found_where_nothing_is():
    assert found(Mentions(), "a") == found(Mentions(), "a b") == list(Mentions().word("ab12")) == []
    empty = Mentions()
    empty.add([], sighting())
    assert found(empty, "a") == []


def test_each_label_has_its_own_answer_the_newest():
    labels = [Label(i, c) for i in (EXTERNAL, INTERNAL) for c in (PUBLIC, PRIVATE, SECRET)]
    mentions = Mentions()
    for turn in range(3):
        for label in labels[:-1]:
            mentions.add(["the", "needle", *PAD], sighting(f"{turn} {label}", label))
        mentions.add(["no", "needle", *PAD], sighting("none", labels[-1]))
    assert found(mentions, "the needle") == [f"2 {label}" for label in labels[:-1]]
    mentions.add(["the", "needle", "again"], sighting("open", labels[0]))
    assert found(mentions, "the needle", lambda label: label.integrity is EXTERNAL) == [
        "open",
        *(f"2 {label}" for label in labels[1:3]),
    ]
    assert found(mentions, "the needle", lambda label: False) == []


# --- Texts that are cut


@pytest.fixture(scope="module")
def words():
    chosen = random.Random(7)
    return [f"w{chosen.randrange(40_000)}" for _ in range(6_000)]


@pytest.fixture(scope="module")
def long_text(words):
    mentions = Mentions()
    mentions.add(words, sighting())
    return mentions


def test_every_phrase_of_a_long_text_is_found(words, long_text):
    """Blocks overlap by the longest phrase, so that none is lost where a text is cut."""
    for at in range(len(words) - 36):
        phrase = " ".join(words[at : at + 36])[:LONGEST].rpartition(" ")[0]
        assert found(long_text, phrase) == ["$"], phrase


def test_nothing_else_is(words, long_text):
    present = set(words)
    assert not any(found(long_text, f"w{i}") for i in range(40_000, 40_500))
    assert not found(long_text, f"{words[0]} {words[5]}")
    cut = sorted({word[:-1] for word in words} - present)
    assert not any(found(long_text, word) for word in cut[:500])


def test_a_word_that_is_too_long_for_a_block_is_left_out():
    mentions = Mentions()
    long = [letter * (2 * BLOCK) for letter in "xy"]
    mentions.add(["at", "first", long[0], "before", "it", long[1], "after", "it"], sighting())
    assert all(found(mentions, phrase) == ["$"] for phrase in ("at first", "before it", "after it", "after"))
    nowhere = (*long, "first x", "x before", "y after", "first before")
    assert not any(found(mentions, phrase) for phrase in nowhere)


def test_a_long_word_before_a_cut_costs_no_phrase():
    mentions = Mentions()
    near = "w" * 90
    mentions.add(["z" * (BLOCK - 100), near, "after", "it"], sighting())
    assert all(found(mentions, phrase) == ["$"] for phrase in ("after", f"{near} after", f"{near} after it"))
