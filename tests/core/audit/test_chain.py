"""The chain: each record holds its number, the hash before it and the hash of itself."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.audit.chain import GENESIS, Head, follow, seal

bodies = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.integers(-5, 5) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=4,
).filter(lambda body: not {"hash", "n", "prev"} & body.keys())


@given(st.lists(bodies, max_size=6))
def test_what_is_sealed_follows(found):
    head = again = Head()
    for body in found:
        head, line = seal(head, body)
        assert line.endswith("\n")
        again = follow(again, line[:-1])
        assert again == head
    assert head.number == len(found)


def test_the_hash_is_the_documented_one():
    """Anybody can check a record without this code: SHA-256 over the line without its hash."""
    head, line = seal(Head(), {"event": "decision"})
    assert line == f'{{"hash":"{head.hash}","event":"decision","n":1,"prev":"{GENESIS}"}}\n'
    rest = f'{{"event":"decision","n":1,"prev":"{GENESIS}"}}'
    assert head == Head(1, hashlib.sha256(rest.encode()).hexdigest())


def test_a_record_can_not_claim_another_number_or_predecessor():
    head, line = seal(Head(), {"n": 77, "prev": "x"})
    assert json.loads(line)["n"] == 1
    assert follow(Head(), line[:-1]) == head


@given(bodies, st.data())
def test_no_changed_character_goes_unseen(body, data):
    head, line = seal(Head(4, "a" * 64), body)
    where = data.draw(st.integers(0, len(line) - 2))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != line[where]))
    with pytest.raises(ValueError, match="record"):
        follow(Head(4, "a" * 64), line[:where] + other + line[where + 1 : -1])
    assert follow(Head(4, "a" * 64), line[:-1]) == head


LINE = seal(Head(), {"event": "decision"})[1][:-1]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "this is not a JSON record"),
        ("{", "this is not a JSON record"),
        ("[" * 100_000, "this is not a JSON record"),
        ("9" * 5000, "this is not a JSON record"),
        ("[]", "this is not an audit record"),
        ("null", "this is not an audit record"),
        ('{"n":1,"prev":""}', "this is not an audit record"),
        (LINE.replace('"n":1', '"n":2'), "record 2 stands where 1 belongs"),
        (LINE.replace(GENESIS, "1" * 64), "this record does not follow the one before it"),
        (LINE.replace("decision", "Decision"), "this record was changed after it was written"),
        (LINE.replace('","event', '", "event'), "this record was changed after it was written"),
        (LINE + " ", "this record was changed after it was written"),
        (" " + LINE, "this record was changed after it was written"),
        (LINE[:-1] + ',"n":1}', "this record was changed after it was written"),
        (LINE.replace('"n":1', '"n":true'), "this record was changed after it was written"),
        (LINE.replace('"n":1', '"n":1.0'), "this record was changed after it was written"),
        ('{"hash":null,"n":1,"prev":"' + GENESIS + '"}', "this record was changed after it was written"),
    ],
)
def test_what_can_not_follow_says_why(line, problem):
    with pytest.raises(ValueError, match="record") as caught:
        follow(Head(), line)
    assert str(caught.value) == problem


def test_a_whole_record_elsewhere_does_not_follow():
    head, _ = seal(Head(), {})
    with pytest.raises(ValueError, match="record 1 stands where 2 belongs"):
        follow(head, LINE)
