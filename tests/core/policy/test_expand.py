"""Templates are laid under what the file itself says."""

import pytest
from tests.core.policies import policy

from blastwall.errors import PolicyError
from blastwall.policy import shipped
from blastwall.policy.expand import expanded

TEMPLATE = {
    "effects": {"get_*": ["read"], "send": ["network-send"]},
    "outputs": {"get_*": {"confidentiality": "public"}},
    "rules": [
        {"id": "read", "effect": "allow", "tools": ["get_*"]},
        {
            "id": "send",
            "effect": "allow",
            "tools": ["send"],
            "flow": {"control": {"to": ["prompt", "people"]}},
        },
    ],
}


@pytest.fixture(autouse=True)
def _shipped(monkeypatch):
    def expand(name, given):
        if given.keys() - {"roots"}:
            raise ValueError("template 'mail' has no such parameter")
        return TEMPLATE

    monkeypatch.setattr(shipped, "names", lambda: ("mail",))
    monkeypatch.setattr(shipped, "expand", expand)
    monkeypatch.setattr(shipped, "profiles", lambda: ("scratch",))
    monkeypatch.setattr(shipped, "profile", lambda name: {"memory_mb": 64, "timeout_s": 5})


def load(connector, **document):
    return policy({"version": 1, "connectors": {"mail": connector}} | document)


def test_the_template_s_rules_stand_beside_the_user_s():
    loaded = load({"template": "mail", "rules": [{"id": "own", "effect": "deny", "tools": ["drop"]}]})
    assert [rule.id for rule in loaded.connectors["mail"].rules] == ["mail.own", "mail.read", "mail.send"]


def test_the_digest_is_of_the_template_too(monkeypatch):
    before = load({"template": "mail"}).digest
    assert load({"template": "mail"}).digest == before
    other = TEMPLATE | {"rules": TEMPLATE["rules"][:1]}
    monkeypatch.setattr(shipped, "expand", lambda name, given: other)
    assert load({"template": "mail"}).digest != before


def test_a_rule_of_the_same_id_replaces_the_template_s():
    loaded = load({"template": "mail", "rules": [{"id": "send", "effect": "deny", "tools": ["send"]}]})
    assert [rule.effect.name for rule in loaded.connectors["mail"].rules] == ["DENY", "ALLOW"]


def test_effects_and_outputs_are_laid_entry_by_entry():
    data = {
        "version": 1,
        "connectors": {"mail": {"template": "mail", "effects": {"send": ["read"], "x": []}}},
    }
    laid = expanded(data, [])["connectors"]["mail"]
    assert laid["effects"] == {"get_*": ["read"], "send": ["read"], "x": []}
    assert laid["outputs"] == TEMPLATE["outputs"]


def test_records_that_a_template_speaks_of_are_empty_until_they_are_filled():
    assert (
        load({"template": "mail"}).connectors["mail"].rules[1].flow.controls[0].records[0].values
        == frozenset()
    )
    filled = load({"template": "mail"}, trusted_records={"people": ["Dana"]})
    assert filled.connectors["mail"].rules[1].flow.controls[0].records[0].covers("dana")


def test_a_profile_is_laid_under_a_sandbox():
    loaded = load({"rules": []}, sandboxes={"box": {"profile": "scratch", "timeout_s": 9}})
    assert (loaded.profiles["box"].memory_mb, loaded.profiles["box"].timeout_s) == (64, 9)


@pytest.mark.parametrize(
    ("connector", "document", "error"),
    [
        ({"template": "mial"}, {}, "connectors.mail.template: no template 'mial'; did you mean 'mail'?"),
        (
            {"template": "mail", "with": {"x": 1}},
            {},
            "connectors.mail.with: template 'mail' has no such parameter",
        ),
        ({"template": 5}, {}, "connectors.mail.template: must be text, not 5: put it in quotes"),
        ({"template": "mail", "with": []}, {}, "connectors.mail.with: must be a block of `key: value` lines"),
        ({"template": "mail", "rules": 5}, {}, "connectors.mail.rules: must be a list"),
        ({"template": "mail", "effects": 5}, {}, "connectors.mail.effects: must be a block"),
        ({"template": "mail", "rules": [5]}, {}, "connectors.mail.rules.0: must be a block"),
        ({"rules": []}, {"sandboxes": {"b": {"profile": "skratch"}}}, "did you mean 'scratch'?"),
        ({"rules": []}, {"sandboxes": {"b": {"profile": 5}}}, "sandboxes.b.profile: must be text"),
        ({"rules": []}, {"sandboxes": 5}, "sandboxes: must be a block"),
        ({"template": "mail"}, {"trusted_records": 5}, "trusted_records: must be a block"),
    ],
)
def test_what_is_wrong_is_told_where_it_is_written(connector, document, error):
    with pytest.raises(PolicyError) as caught:
        load(connector, **document)
    assert error in str(caught.value)


@pytest.mark.parametrize("connector", [{"template": "mial"}, {"template": "mail", "with": {"x": 1}}])
def test_what_can_not_be_laid_is_left_as_it_is_written(connector):
    data = {"connectors": {"mail": connector}, "sandboxes": {"box": {"profile": "skratch", "timeout_s": 9}}}
    mistakes = []
    assert expanded(data, mistakes) == data
    at = "with" if "with" in connector else "template"
    assert [mistake.loc for mistake in mistakes] == [
        ("connectors", "mail", at),
        ("sandboxes", "box", "profile"),
    ]


def test_data_that_is_no_policy_is_left_as_it_is():
    assert expanded([], []) == []
    assert expanded({"connectors": 5}, []) == {"connectors": 5}


def test_a_template_that_lacks_a_parameter_is_a_mistake_of_the_template_line(monkeypatch):
    def lacking(name, given):
        raise ValueError("template 'mail' needs `roots`")

    monkeypatch.setattr(shipped, "expand", lacking)
    with pytest.raises(PolicyError, match="connectors.mail.template: template 'mail' needs `roots`"):
        load({"template": "mail"})
