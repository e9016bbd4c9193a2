"""The index behind a memory: nothing is lost between blocks, and it stays within its bounds."""

import base64
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.provenance.sessions import (
    EXTERNAL,
    INTERNAL,
    PRIVATE,
    SECRET,
    leaf,
    session,
    whole,
)

from blastwall.frozen import freeze
from blastwall.provenance import Labels, Memory
from blastwall.provenance.encoded import decoded
from blastwall.provenance.index import FOUND, ODD_VALUE, RUN, Index
from blastwall.provenance.labels import Record
from blastwall.provenance.memory import LEAF
from blastwall.provenance.sightings import Sighting
from blastwall.values import Label

ANY = Label()


def sighting(label=ANY, path="$", turn=1):
    return Sighting("a.b", turn, label, path, "", Record())


def seen(found):
    """Give the places that were found, each with where it begins and ends."""
    return [(start, end, sighting.place) for start, end, sighting in found]


def test_so_long_a_run_is_found_wherever_it_begins():
    """Runs are kept at every `STEP`th place: among so many characters, one of them is whole."""
    assert (RUN, FOUND) == (15, 26)


def test_all_places_of_a_form_are_given():
    index = Index()
    assert list(index.whole("x")) == []
    index.add_whole("x", sighting(path="$.a"))
    assert [s.place for s in index.whole("x")] == ["$.a"]
    index.add_whole("x", sighting(path="$.b"))
    assert [s.place for s in index.whole("x")] == ["$.a", "$.b"]
    assert list(index.whole("y")) == []


LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("length", "runs"), [(14, []), (15, [(0, 15)]), (26, [(0, 15)]), (27, [(0, 15), (12, 27)])]
)
def test_every_twelfth_run_of_fifteen_is_kept(length, runs):
    index = Index()
    index.add_runs(LETTERS[:length], sighting())
    assert seen(index.runs(LETTERS)) == [(*run, "$") for run in runs]
    assert seen(index.runs(LETTERS[:length])) == [(*run, "$") for run in runs]


def test_of_a_run_each_label_keeps_its_newest_place():
    index = Index()
    for turn in (1, 2):
        for label in (ANY, Label(INTERNAL, SECRET)):
            index.add_runs(LETTERS[:RUN], sighting(label, turn=turn))
    assert [(s.turn, s.label) for _, _, s in index.runs(LETTERS)] == [(2, ANY), (2, Label(INTERNAL, SECRET))]


@pytest.mark.parametrize(
    "value", [b"code99x", b"99code", b"abcdefg1", b"a1bcdefgh", b"secret", b"longersecret", LETTERS[:25]]
)
@pytest.mark.parametrize("around", [(b"", b""), (b"..", b""), (b"", b".."), (b"1" * 9, b"1" * 9)])
def test_an_odd_value_is_found_wherever_it_stands(value, around):
    index = Index()
    index.add_odd(value, sighting())
    before, after = around
    assert (len(before), len(before) + len(value), "$") in seen(index.odd(before + value + after))
    assert seen(index.odd(before + value[:-1] + b"!" + after)) == []
    assert seen(index.odd(before + b"!" + value[1:] + after)) == []
    assert seen(index.odd(value[1:] + after)) == []
    assert index.size == ODD_VALUE


def test_odd_values_are_given_first_to_last():
    index = Index()
    for value in (b"code99x", b"code99y"):
        index.add_odd(value, sighting(path=value.decode()))
    text = b"." * 20 + b"code99y" + b"." * 37 + b"code99x"
    assert seen(index.odd(text)) == [(20, 27, "code99y"), (64, 71, "code99x")]


def test_a_value_that_runs_find_is_kept_as_runs_alone():
    index = Index()
    index.add_odd(b"a1" * (FOUND // 2), sighting())
    assert list(index.odd(b"a1" * FOUND)) == []
    assert index.size == 0


def test_a_short_secret_is_found_as_a_word():
    index = Index()
    for label in (Label(EXTERNAL, SECRET), Label(INTERNAL, SECRET)):
        index.add_short("rose", sighting(label))
    assert [(word, s.label.integrity) for word, s in index.short(["a", "rose"])] == [
        ("rose", EXTERNAL),
        ("rose", INTERNAL),
    ]
    assert list(index.short(["roses"])) == []


@pytest.mark.parametrize(
    ("title", "text", "found"),
    [
        ("falcon launch", "falcon launch", True),
        ("falcon launch", "the falcon launch party", True),
        ("falcon launch party", "a falcon launch party", True),
        ("falcon launch party", "falcon launch", False),
        ("falcon launch party", "falcon launch day", False),
        ("falcon launch", "falcon the launch", False),
        (f"a {'x' * (2 * FOUND - 3)}", f"a {'x' * (2 * FOUND - 3)}", True),
        (f"a {'x' * (2 * FOUND - 2)}", f"a {'x' * (2 * FOUND - 2)}", False),
    ],
)
def test_a_title_is_found_among_words(title, text, found):
    index = Index()
    index.add_title(title.split(), sighting())
    assert [name for name, _ in index.titles(text.split())] == [title] * found
    assert index.size == (0 if len(title) == 2 * FOUND else ODD_VALUE)


def test_titles_with_one_beginning_are_all_found():
    index = Index()
    for title in ("falcon launch party", "falcon launch"):
        index.add_title(title.split(), sighting())
    assert [title for title, _ in index.titles("falcon launch party".split())] == [
        "falcon launch party",
        "falcon launch",
    ]


def test_outside_texts_are_compared_as_they_read_and_others_as_they_are_written():
    index = Index()
    index.add_words(["ask", "jose", "diaz"], sighting(path="outside"))
    index.add_words(["ask", "jos\u00e9", "diaz"], sighting(Label(INTERNAL, PRIVATE), "inside"))
    read, strict = ["jose", "diaz"], ["jos\u00e9", "diaz"]
    assert [s.place for s in index.phrase(read, strict)] == ["outside", "inside"]
    assert [s.place for s in index.phrase(read, [])] == ["outside"]
    assert [s.place for s in index.phrase([], strict)] == ["inside"]
    assert list(index.phrase(strict, read)) == list(index.phrase([], [])) == []


def test_values_with_one_beginning_are_kept_within_bounds():
    index = Index()
    for i in range(65):
        index.add_odd(b"2024invoice%06d" % i, sighting())
    assert [seen(index.odd(b"2024invoice%06d" % i)) for i in (0, 1, 64)] == [
        [],
        [(0, 17, "$")],
        [(0, 17, "$")],
    ]


def test_the_newer_of_the_same_value_with_its_label_takes_its_place():
    index = Index()
    for turn in (1, 2):
        index.add_odd(b"code99x", sighting(turn=turn))
        index.add_odd(b"code99x", sighting(Label(INTERNAL, SECRET), turn=turn))
        index.add_odd(b"ode99xy", sighting(turn=turn))
    assert [(s.turn, s.label) for _, _, s in index.odd(b"..code99x")] == [
        (2, ANY),
        (2, Label(INTERNAL, SECRET)),
    ]


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


def test_what_counts():
    encoded = base64.b64encode(b"reply to zebra now").decode()
    read = sum(len(said) + LEAF for said in decoded(encoded, 24))
    for value, size in (
        ("x", 1 + LEAF),
        ("code99x", 7 + LEAF + ODD_VALUE),
        (encoded, 24 + LEAF + read + 2 * ODD_VALUE),
    ):
        (index,) = session({"note": value})._indexes
        assert index.size == size, value


def test_forgetting_bounds_the_memory():
    memory = session(*(f"line {i} " * 40 for i in range(1000)), limit=50_000)
    assert sum(index.size for index in memory._indexes) <= 50_000
    assert whole(memory, "line 999") == {"mention"}
    assert whole(memory, "line 1") == set()
