"""Every expression of the table: texts that it must find, and near misses that nothing of its family may."""

import codecs
from itertools import groupby, product
from pathlib import Path

import pytest
import yaml

from blastwall.screening import DEFAULT_ACTIONS, engine
from blastwall.screening.examine import CUT
from blastwall.screening.fold import View
from blastwall.screening.patterns import PATTERNS, SPOKEN

TEXTS = yaml.safe_load(Path(__file__).with_name("patterns.yaml").read_text("utf-8"))
TABLE = {
    family: [pattern.regex for pattern in patterns]
    for family, patterns in groupby(PATTERNS, lambda pattern: pattern.family)
}


def texts(kind):
    return [
        pytest.param(family, number, text, id=f"{family}-{number}-{text}")
        for family, entries in TEXTS.items()
        for number, entry in enumerate(entries)
        for text in entry[kind]
    ]


def spans(regex, text):
    """Look at a text as `examine` does: as it stands, or as it reads."""
    return list(engine.spans(regex, text)) or list(engine.spans(regex, View(text, []).text))


def test_every_expression_has_texts():
    assert {family: len(entries) for family, entries in TEXTS.items()} == {
        family: len(regexes) for family, regexes in TABLE.items() if family != "encoded"
    }
    assert all(entry["finds"] and entry["misses"] for entries in TEXTS.values() for entry in entries)


@pytest.mark.parametrize(("family", "number", "text"), texts("finds"))
def test_it_finds(family, number, text):
    """Of a family that is cut, the text is all that is cut."""
    found = spans(TABLE[family][number], text)
    assert found == [(0, len(text))] if family in CUT else found


@pytest.mark.parametrize(("family", "number", "text"), texts("misses"))
def test_it_misses(family, number, text):
    assert not any(spans(regex, text) for regex in TABLE[family]), TABLE[family][number]


@pytest.mark.parametrize(
    "write", [lambda phrase: codecs.encode(phrase, "rot13"), lambda phrase: phrase[::-1]]
)
@pytest.mark.parametrize("middle", ["", "all ", "the ", "your ", "all your ", "all the "])
def test_the_plainest_overrides_are_found_in_rot13_and_backwards(write, middle):
    for verb, time in product(("ignore", "disregard", "forget"), ("previous", "prior", "above", "earlier")):
        text = write(f"{verb} {middle}{time} instructions")
        assert any(spans(regex, text) for regex in TABLE["encoded"]), text
        assert not any(spans(regex, text[1:-1]) for regex in TABLE["encoded"]), text


def test_every_family_is_one_of_the_settings():
    assert set(TABLE) <= set(DEFAULT_ACTIONS)
    assert SPOKEN <= set(TABLE)
