"""Of many places of one value few are kept, and of each label one."""

import pytest
from tests.core.provenance.sessions import EXTERNAL, INTERNAL, PRIVATE, PROMPT, PUBLIC, SECRET, TYPED

from blastwall.provenance import How, Origin
from blastwall.provenance.labels import Record
from blastwall.provenance.sightings import KEPT, Sighting, each, fewest, keep, newest
from blastwall.values import Label

ANY, OTHER = Label(), Label(INTERNAL, SECRET)


def sighting(label=ANY, turn=1, encoded=False):
    return Sighting("a.b", turn, label, "$", ".c", Record(), encoded=encoded)


def test_a_place_as_an_origin():
    assert sighting().origin(How.PART) == Origin("a.b", 1, "$.c", ANY, How.PART)
    found = sighting(encoded=True).origin(How.PART, prose=True, bound=True)
    assert (found.how, found.prose, found.bound) == (How.DECODED, True, True)


def test_the_newest_of_each_label():
    first, second, third = sighting(), sighting(OTHER), sighting(turn=2)
    assert newest(first, third) is third
    assert newest(first, second) == (first, second)
    assert newest((first, second), third) == (second, third)
    assert [each(None), each(first), each((first, second))] == [(), (first,), (first, second)]


@pytest.mark.parametrize(
    ("rare", "gone"), [({0}, {1, 2}), ({1}, {0, 2}), ({KEPT - 1}, {0, 1}), ({0, 1}, {0, 2})]
)
def test_when_there_are_too_many_the_oldest_goes_whose_label_has_others(rare, gone):
    several = [sighting(OTHER if i in rare else ANY, turn=i) for i in range(KEPT + 2)]
    kept = None
    for one in several[:KEPT]:
        kept = keep(kept, one)
    assert kept == several[:KEPT]
    for one in several[KEPT:]:
        kept = keep(kept, one)
    assert kept == [one for one in several if one.turn not in gone]


def origin(path, label=ANY, turn=1, tool="a.b", *, prose=False, bound=False):
    return Origin(tool, turn, path, label, How.EXACT, prose, bound)


def test_of_origins_each_kind_keeps_its_newest_the_most_trusted_first():
    said = Label(PROMPT, PUBLIC)
    origins = [
        origin("older", turn=1),
        origin("new, but not last", turn=3),
        origin("newest", turn=3),
        origin("old", turn=2),
        origin("prose", prose=True),
        origin("bound", bound=True),
        origin("secret", Label(EXTERNAL, SECRET)),
        origin("typed", Label(TYPED, PRIVATE)),
        origin("the user's", said, tool=""),
        origin("the user's, elsewhere", said),
    ]
    assert [found.path for found in fewest(origins)] == [
        "the user's",
        "the user's, elsewhere",
        "typed",
        "secret",
        "newest",
        "prose",
        "bound",
    ]
