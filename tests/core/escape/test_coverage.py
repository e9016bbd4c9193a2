"""That nothing of the list is missing, and that no attack is without its control."""

import re
from collections import Counter
from pathlib import Path

import pytest
from tests.core.escape import table
from tests.core.escape.items import groups, item, items

from blastwall.sandbox.escape import _inside as inside
from blastwall.sandbox.escape.attacks import BACKENDS, FOLDER, attacks

LISTED = range(1, 147)
"""The numbers of the list that the suite was asked for; what is added here has numbers from 200 on."""


@item(146, "be a test that would pass with no wall at all", "harness")
def test_every_attack_has_a_control():
    """`test_without_the_wall_it_works` runs the control of each, and only root's may be left out, for want of root."""
    source = Path(__file__).with_name("test_escape.py").read_text("utf-8")
    assert '@pytest.mark.parametrize("attack", attacks()' in source
    for attack in attacks():
        assert (attack.control == "roomy") == bool(attack.roomy), attack.key
        if attack.expected("os")[0] != "works":
            assert re.search(r"\b(escaped|done|kernel_answers)\(", attack.python), attack.key


def test_every_item_of_the_list_is_tried():
    numbers = {number for number, _ in groups()}
    assert set(LISTED) - numbers == set()
    assert all(number in LISTED or number >= 200 for number in numbers)


def test_no_two_attacks_have_one_name():
    keys = [(each.item, each.name) for each in (*attacks(), *items())]
    assert [key for key, count in Counter(keys).items() if count > 1] == []


def test_every_group_has_a_title():
    assert set(groups().values()) == set(table.GROUPS)
    assert {file.stem for file in FOLDER.glob("*.yaml")} <= set(table.GROUPS)


def test_what_counts_as_held_is_a_kind_of_error():
    for attack in attacks():
        inside.numbers(attack.held)
        assert (
            not inside.numbers(attack.held) & {14, 22} or "EINVAL" in attack.held
        )  # EFAULT is a broken attack


@pytest.mark.parametrize("machine", inside.NUMBERS)
def test_a_machine_knows_every_call_that_is_made(machine):
    for attack in attacks():
        if attack.machine in ("", machine):
            made = set(re.findall(r"(?:call|kernel_answers)\(\"(\w+)\"", attack.python + attack.outside))
            assert made - inside.NUMBERS[machine].keys() == set(), attack.key


def test_the_table_tells_of_every_attack_what_the_suite_asserts():
    shown = table.read(table.PAGE.read_text("utf-8"))
    assert shown.keys() == groups().keys(), "run .venv/bin/python tests/core/escape/table.py"
    for attack in attacks():
        said = dict(zip(BACKENDS, shown[attack.item, attack.name], strict=True))
        assert said == {backend: attack.expected(backend)[0] for backend in BACKENDS}, attack.key
