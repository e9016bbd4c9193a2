"""The blocks of the file: strict, frozen, and in step with the values that they become."""

from pathlib import Path
from typing import get_args

import pytest
import re2
import yaml
from pydantic import ValidationError

from blastwall.policy import containment, model, scopes
from blastwall.policy.blocks import Block
from blastwall.policy.containment import NetworkBlock, SandboxBlock
from blastwall.policy.keys import KEYS
from blastwall.policy.model import ConnectorBlock, Constraint, Document, Hints, ScreeningBlock
from blastwall.policy.scopes import Effect
from blastwall.policy.servers import ServerBlock
from blastwall.screening.settings import FAMILIES, FIXED
from blastwall.values import Action, Annotations, Destination, Does, Lifetime, Profile, Server, Strength

EVERY_KEY = yaml.safe_load(Path(__file__).with_name("every_key.yaml").read_text(encoding="utf-8"))


def blocks():
    found = [
        value
        for room in (containment, model, scopes)
        for value in vars(room).values()
        if isinstance(value, type) and issubclass(value, Block) and value.__module__ == room.__name__
    ]
    assert len(found) > 10
    return found


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.__name__)
def test_every_block_is_strict_frozen_and_knows_only_its_own_keys(block):
    config = block.model_config
    assert (config["strict"], config["frozen"], config["extra"], config["allow_inf_nan"]) == (
        True,
        True,
        "forbid",
        False,
    )


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.__name__)
def test_no_key_takes_a_null(block):
    """`under:` with nothing behind it would demand nothing, and `sandbox:` would run it outside."""
    for name, field in block.model_fields.items():
        with pytest.raises(ValidationError) as caught:
            block.model_validate({field.alias or name: None})
        assert (field.alias or name,) in [error["loc"][:1] for error in caught.value.errors()]


def test_what_stands_in_the_file_is_what_is_held():
    """Every check lets a right value through as it was written."""
    assert Document.model_validate(EVERY_KEY).model_dump(by_alias=True, exclude_unset=True) == EVERY_KEY


@pytest.mark.parametrize(
    ("short", "written"),
    [
        ({"pin": "first-use"}, {"pin": {"first-use": ""}}),
        *(
            ({"outputs": {"*": {"fields": {"a": word}}}}, {"outputs": {"*": {"fields": {"a": {key: word}}}}})
            for word, key in (("internal", "integrity"), ("external", "integrity"), ("date", "format"))
        ),
    ],
)
def test_a_short_form_is_held_as_the_long_one(short, written):
    assert ConnectorBlock.model_validate(short).model_dump(exclude_unset=True) == written


def test_every_key_of_the_language_stands_in_that_file():
    found = {}

    def walk(value):
        if isinstance(value, Block):
            found.setdefault(type(value).__name__, set()).update(
                field.alias or name
                for name, field in type(value).model_fields.items()
                if name in value.model_fields_set
            )
            value = dict(value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    walk(Document.model_validate(EVERY_KEY))
    assert found == {name: set(keys) for name, keys in KEYS.items()}


def test_a_sandbox_has_the_defaults_of_a_profile():
    block, profile = SandboxBlock(), Profile("p")
    assert Strength(block.strength) is profile.strength
    assert Lifetime(block.lifetime) is profile.lifetime
    assert (block.copy_, block.workspace) == (profile.copy, profile.workspace)
    same = (
        "directory warm timeout_s cpu_s memory_mb processes open_files file_mb disk_mb scratch_mb output_kb"
    )
    for name in same.split():
        assert getattr(block, name) == getattr(profile, name)
    for name in ("read", "mask", "protect", "network", "credentials", "preload"):
        assert tuple(getattr(block, name)) == getattr(profile, name) == ()


def test_a_place_has_the_defaults_of_a_destination():
    block, place = NetworkBlock(host="example.com"), Destination("example.com")
    for name in ("host", "upload_kb", "download_kb"):
        assert getattr(block, name) == getattr(place, name)
    for name in ("ports", "methods", "paths", "addresses"):
        assert tuple(getattr(block, name)) == getattr(place, name)


def test_a_server_has_the_defaults_of_a_server():
    block, server = ServerBlock(command="c"), Server(("c",))
    assert (block.start_s, block.call_s) == (server.start_s, server.call_s)


def test_the_hints_are_mcp_s_and_the_annotations_ours():
    assert (*Hints.model_fields, "stated") == Annotations.__slots__
    assert [field.alias for field in Hints.model_fields.values()] == [
        "readOnlyHint",
        "destructiveHint",
        "idempotentHint",
        "openWorldHint",
    ]


def test_every_family_takes_every_action_that_can_be():
    for family in FAMILIES:
        for action in Action:
            wanted = {"actions": {family.name: action.name.lower()}}
            if family.name in FIXED and action is not Action.QUARANTINE:
                with pytest.raises(ValidationError, match="can only be quarantined"):
                    ScreeningBlock.model_validate(wanted)
            else:
                block = ScreeningBlock.model_validate(wanted)
                assert model.actions(block) == {family.name: action}


def test_the_deepest_block_is_far_from_the_limit_of_nesting():
    assert Document.model_validate({"version": 1, "connectors": {"files": {}}})


def test_a_wrong_pattern_is_said_once_and_not_on_stderr(capfd):
    with pytest.raises(ValidationError, match="no RE2 pattern"):
        Constraint.model_validate({"pattern": "(a"})
    assert capfd.readouterr().err == ""
    with pytest.raises(re2.error):
        re2.compile("(a")


def test_the_effects_of_the_file_are_the_effects_of_an_action():
    assert get_args(Effect) == tuple(map(str, Does))
