"""The index behind a memory: nothing is lost between blocks, and it stays within its bounds."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.provenance.sessions import (
    EXTERNAL,
    INTERNAL,
    PRIVATE,
    PUBLIC,
    SECRET,
    TYPED,
    leaf,
    session,
    whole,
)

from blastwall.frozen import freeze
from blastwall.provenance import How, Labels, Memory
from blastwall.provenance.index import FOUND, Index
from blastwall.provenance.labels import Record
from blastwall.provenance.mentions import BLOCK, LONGEST, Mentions
from blastwall.provenance.pieces import glued, groups, is_time, joined, words
from blastwall.provenance.sightings import KEPT, Sighting, each, fewest, keep, newest
from blastwall.values import Label

ANY = Label()


def sighting(label=ANY, path="$", turn=1):
    return Sighting("a.b", turn, label, path, "", Record())


def found(mentions, phrase):
    return [s.place for s in mentions.phrase(phrase.split(), lambda label: True)]


@pytest.fixture(scope="module")
def long_text():
    chosen = random.Random(7)
    return [f"w{chosen.randrange(40_000)}" for _ in range(30_000)]


@pytest.fixture(scope="module")
def mentions(long_text):
    mentions = Mentions()
    mentions.add(long_text, sighting())
    return mentions


def test_every_phrase_of_a_long_text_is_found(long_text, mentions):
    """Blocks overlap by the longest phrase, so that none is lost where a text is cut."""
    chosen = random.Random(8)
    for _ in range(2000):
        at = chosen.randrange(len(long_text) - 30)
        phrase = " ".join(long_text[at : at + 30])[:LONGEST].rpartition(" ")[0]
        assert found(mentions, phrase) == ["$"], phrase


def test_nothing_else_is(long_text, mentions):
    present = set(long_text)
    assert all(
        not found(mentions, word) for word in (f"w{i}" for i in range(40_000, 40_500)) if word not in present
    )
    assert not found(mentions, f"{long_text[0]} {long_text[5]}")
    cut = {word[:-1] for word in long_text} - present
    assert all(not found(mentions, word) for word in list(cut)[:500])


def test_a_word_that_no_block_holds_is_left_out():
    mentions = Mentions()
    mentions.add(["before", "it", "x" * (2 * BLOCK), "after", "it", "y" * (2 * BLOCK)], sighting())
    assert found(mentions, "before") == found(mentions, "after") == ["$"]
    assert found(mentions, "x" * LONGEST) == []


def test_each_label_has_its_own_answer(long_text):
    mentions = Mentions()
    labels = [Label(i, c) for i in (EXTERNAL, INTERNAL) for c in (PUBLIC, PRIVATE, SECRET)]
    for _ in range(3):
        for label in labels:
            mentions.add(
                ["the", "needle", *long_text[:1500], str(label.confidentiality.name)], sighting(label)
            )
    assert {s.label for s in mentions.phrase(["the", "needle"], lambda label: True)} == set(labels)
    assert {s.label for s in mentions.phrase(["SECRET"], lambda label: label.integrity is EXTERNAL)} == {
        Label(EXTERNAL, SECRET)
    }


def test_odd_words_are_found_inside_of_others():
    mentions = Mentions()
    mentions.add(["a-ab12-c", "xab12y", *["pad"] * BLOCK], sighting())
    mentions.add(["only", "xab13y"], sighting())
    assert [s.place for s in mentions.word("ab12")] == ["$"]
    assert [s.place for s in mentions.word("ab13")] == []


def test_of_many_sightings_each_label_keeps_one():
    kept = None
    rare = sighting(Label(INTERNAL, SECRET))
    for one in (sighting(), rare, *(sighting(turn=i) for i in range(KEPT * 3))):
        kept = keep(kept, one)
    assert len(kept) == KEPT
    assert rare in kept
    assert kept[-1].turn == KEPT * 3 - 1
    first, second = sighting(), sighting(Label(INTERNAL, SECRET))
    assert newest(first, sighting(turn=2)).turn == 2
    assert each(newest(first, second)) == (first, second)
    assert each(None) == ()


def test_of_origins_each_kind_keeps_its_newest():
    origins = [sighting(turn=i).origin(How.EXACT) for i in (1, 3, 2)] + [
        sighting(Label(TYPED, PUBLIC)).origin(How.PART)
    ]
    assert [(o.turn, o.label.integrity) for o in fewest(origins)] == [(1, TYPED), (3, EXTERNAL)]


def test_values_with_one_beginning_are_kept_within_bounds():
    index = Index()
    for i in range(1000):
        index.add_odd(b"invoice2024%06d" % i, sighting())
    assert [s.place for _, _, s in index.odd(b"xxinvoice2024000999yy")] == ["$"]
    assert list(index.odd(b"invoice2024000001")) == []
    index.add_odd(b"a1" * FOUND, sighting())
    assert list(index.odd(b"a1" * FOUND)) == []


def test_the_newer_of_the_same_value_takes_its_place():
    index = Index()
    for turn in (1, 2):
        index.add_odd(b"code99x", sighting(turn=turn))
    index.add_odd(b"code99y", sighting())
    assert [(s.turn, start, end) for start, end, s in index.odd(b"..code99x")] == [(2, 2, 9)]


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


def test_pieces_of_words():
    assert list(words(["id-ab12", "abc", "12", "x123y"])) == ["ab12", "x123y"]
    assert list(groups("pay de89 3704 0044 now 1 2 a 3".split())) == ["de8937040044", "12a3"]
    assert list(groups(["12"])) == list(groups([])) == []
    assert list(joined("9-0-4-1-7 1 2".split())) == ["90417"]
    assert set(glued(["ab-12345", "12345678", "1234567"])) == {b"ab12345", b"12345678"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200_000), st.integers(FOUND, 80))
def test_runs_are_found_wherever_they_are(start, length):
    text = LONG[start : start + length]
    assert {o.label for o in leaf(SEEN, f"- {text} -").parts} == {Label(EXTERNAL, SECRET)}


_CHOSEN = random.Random(3)
LONG = "".join(_CHOSEN.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(200_100))
SEEN = session({"password": LONG})


def test_memory_grows_with_what_counts_and_no_faster():
    """A dozen bytes for each character that counts, of prose, of records, and of nothing but codes."""
    chosen = random.Random(5)
    names = ["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(20_000)]
    outputs = [
        [" ".join(chosen.choices(names, k=400)) for _ in range(30)],
        [{"id": f"m{i}", "name": f"{chosen.choice(names)} {chosen.choice(names)}"} for i in range(1500)],
        [" ".join(f"{chosen.randrange(10**9):x}" for _ in range(400)) for _ in range(15)],
    ]
    for output in map(freeze, outputs):
        tracemalloc.start()
        memory = Memory()
        memory.remember("a.b", output, Labels())
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert held < 13 * sum(index.size for index in memory._indexes) + 2**20


def test_forgetting_bounds_the_memory():
    memory = session(*(f"line {i} " * 40 for i in range(1000)), limit=50_000)
    assert sum(index.size for index in memory._indexes) <= 50_000
    assert whole(memory, "line 999") == {"mention"}
    assert whole(memory, "line 1") == set()
