"""The families and the user's settings."""

import copy
import pickle

import pytest

from blastwall.screening import DEFAULT_ACTIONS, FAMILIES, Screening
from blastwall.values import Action


def test_families_are_named_once_and_explained():
    assert len(DEFAULT_ACTIONS) == len(FAMILIES)
    assert all(family.meaning and family.action > Action.PASS for family in FAMILIES)
    assert [family.action for family in FAMILIES] == sorted((f.action for f in FAMILIES), reverse=True)


def test_the_names_that_policy_files_use_and_what_each_means_by_default():
    by_action: dict[Action, set[str]] = {}
    for name, action in DEFAULT_ACTIONS.items():
        by_action.setdefault(action, set()).add(name)
    assert by_action == {
        Action.QUARANTINE: set(
            "size schema key encoded override forged-turn forged-message delimiter".split()
        ),
        Action.REDACT: set("hidden-unicode bidi ansi hidden-html image-exfil script-link".split()),
        Action.MARK: set(
            "override-mention turn-token dialogue tool-call-shape authority secrecy tool-order persona memory "
            "data-request".split()
        ),
    }
    assert Screening().max_bytes == 1 << 20


def test_an_override_replaces_the_default_of_its_family_only():
    settings = Screening(actions={"ansi": Action.PASS})
    assert settings.action("ansi") is Action.PASS
    assert settings.action("bidi") is DEFAULT_ACTIONS["bidi"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_bytes": 1}, None),
        ({"actions": {"colour": Action.PASS}}, "no family is called 'colour'"),
        ({"actions": {"size": Action.PASS}}, "'size' can only be quarantined"),
        ({"actions": {"schema": Action.MARK}}, "'schema' can only be quarantined"),
        ({"actions": {"key": Action.REDACT}}, "'key' can only be quarantined"),
        ({"actions": {"turn-token": Action.REDACT}}, None),
        ({"actions": {"size": Action.QUARANTINE}}, None),
    ],
)
def test_settings_that_cannot_hold_are_refused(arguments, problem):
    if problem is None:
        Screening(**arguments)
        return
    with pytest.raises(ValueError, match=problem):
        Screening(**arguments)


def test_settings_keep_no_hold_on_the_callers_dict():
    actions = {"ansi": Action.MARK}
    settings = Screening(actions=actions)
    actions["ansi"] = Action.PASS
    assert settings.action("ansi") is Action.MARK


def test_settings_can_be_copied_and_pickled():
    settings = Screening(actions={"ansi": Action.MARK})
    assert copy.deepcopy(settings) == settings == pickle.loads(pickle.dumps(settings))
