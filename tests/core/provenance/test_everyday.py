"""Everyday words: what they are made of, and what is none."""

import pytest

from blastwall.provenance.everyday import COMMON


@pytest.mark.parametrize("word", ["the", "zip", "september", "reschedule", "forward", "appointment"])
def test_these_name_no_record(word):
    assert word in COMMON


@pytest.mark.parametrize("word", ["dora", "4711", "acme", ""])
def test_these_may(word):
    assert word not in COMMON
