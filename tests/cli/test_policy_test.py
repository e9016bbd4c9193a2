"""`blastwall test` as its user meets it."""

import pytest
from tests.cli.verbs import blastwall, settle, told

POLICY = """\
version: 1
defaults: {state: {directory: state}}
connectors:
  mail:
    rules:
      - id: read
        effect: allow
        tools: [search]
        examples: {match: [{tool: search}], no_match: [{tool: send}, {tool: drop}]}
      - {id: send, effect: ask, tools: [send], args: {to: {recipients: ["@corp.example"]}}}
"""
GOOD = """\
- prompt: Write to Dana
- {tool: mail.search, output: [], expect: allow, rule: mail.read}
- {tool: mail.send, args: {to: dana@corp.example}, expect: ask}
- {tool: mail.drop}
"""
BAD = """\
- {tool: mail.search, output: [], expect: deny}
- {tool: mail.send, args: {to: eve@evil.example}, expect: ask, rule: mail.send}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, POLICY)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def test_all_as_expected():
    result = blastwall("test", "good.yaml")
    assert (result.exit_code, result.stdout) == (
        0,
        "blastwall.yaml: 3 examples of the rules hold\ngood.yaml: 3 calls, 2 with an expectation\n",
    )


def test_the_rules_own_examples_alone():
    result = blastwall("test")
    assert (result.exit_code, result.stdout) == (0, "blastwall.yaml: 3 examples of the rules hold\n")


def test_a_failure_shows_both_and_why():
    result = blastwall("test", "good.yaml", "bad.yaml")
    assert result.exit_code == 1
    assert "bad.yaml: 2 calls, 2 with an expectation, 2 FAILED\n" in result.stdout
    assert (
        "\nbad.yaml:1: mail.search\n- deny     mail.read\n+ allow    mail.read\n"
        "  mail.read says allow: covers this tool, whatever its arguments\n"
    ) in result.stdout
    assert (
        "\nbad.yaml:2: mail.send\n- ask      mail.send\n+ deny     mail.send\n  blastwall refused"
        in result.stdout
    )
    assert "to must go to @corp.example only" in result.stdout


def test_as_json():
    body = told(blastwall("test", "good.yaml", "bad.yaml", "--json"))
    assert (body["ok"], body["examples"]) == (False, 3)
    assert body["recordings"] == [
        {"file": "good.yaml", "calls": 3, "expecting": 2, "failed": 0},
        {"file": "bad.yaml", "calls": 2, "expecting": 2, "failed": 2},
    ]
    assert body["failures"][0] | {"got": None} == {
        "file": "bad.yaml",
        "line": 1,
        "call": "mail.search",
        "expected": {"verdict": "deny", "rule": ""},
        "got": None,
    }
    assert told(blastwall("test", "good.yaml", "--json"))["ok"] is True


def test_a_broken_recording_is_told_with_the_rest(folder):
    (folder / "broken.yaml").write_text("- {tool: mail}")
    result = blastwall("test", "broken.yaml", "nowhere.yaml", "good.yaml")
    assert result.exit_code == 3
    assert "broken.yaml:1:10: 0.tool: must be `connector.tool`\n" in result.stderr
    assert "nowhere.yaml: can't be read" in result.stderr
    assert "good.yaml: 3 calls" in result.stdout
    body = told(blastwall("test", "broken.yaml", "--json"))
    assert (body["ok"], body["problems"][0]["line"]) == (False, 1)


def test_an_example_that_does_not_hold_is_a_mistake_of_the_policy(folder):
    (folder / "wrong.yaml").write_text(POLICY.replace("{tool: drop}", "{tool: search}"))
    result = blastwall("test", "-p", "wrong.yaml", "good.yaml")
    assert result.exit_code == 3
    assert "wrong.yaml:9:" in result.stderr


def test_several_layers(folder):
    (folder / "org.yaml").write_text(
        "version: 1\nconnectors: {mail: {rules: [{id: no, effect: deny, tools: [search]}]}}"
    )
    result = blastwall("test", "-p", "blastwall.yaml", "-p", "org.yaml", "good.yaml")
    assert result.exit_code == 1
    assert result.stdout.startswith("blastwall.yaml and org.yaml: 3 examples")
