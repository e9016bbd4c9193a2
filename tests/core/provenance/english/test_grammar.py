"""The table of states is closed, and every state of it can be reached."""

from blastwall.provenance.english.grammar import ASKING, DENIED, FOREIGN, KIND, OPEN, TABLE, WEAK

SHAPES = {"verb", "word", "inf"}
"""Kinds that no list gives: what a word is found to be where it stands."""


def test_every_state_is_defined_and_knows_what_else_to_do():
    for row in TABLE.values():
        assert row.keys() >= {"*", "end"}
        assert {state for state, _ in row.values()} <= TABLE.keys()
        assert {mood for _, mood in row.values()} <= {None, OPEN, WEAK, FOREIGN, DENIED}


def test_every_state_can_be_reached():
    reached, new = set(), {"start"}
    while new:
        reached |= new
        new = {state for name in new for state, _ in TABLE[name].values()} - reached
    assert reached == set(TABLE)


def test_the_end_of_a_sentence_begins_the_next():
    assert {row["end"][0] for row in TABLE.values()} == {"start"}


def test_the_kinds_in_the_table_exist():
    kinds = set(KIND.values()) | SHAPES
    assert {kind for row in TABLE.values() for kind in row} - {"*"} <= kinds


def test_no_state_behind_a_denial_asks():
    for row in TABLE.values():
        for state, mood in row.values():
            if mood in (FOREIGN, DENIED):
                assert all(state not in states for states in ASKING.values()) or state == "next"
