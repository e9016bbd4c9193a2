"""`blastwall lint` as its user meets it."""

import json

import pytest
from tests.cli.verbs import blastwall, logged, settle, told

POLICY = """\
version: 1
defaults: {state: {directory: state}}
connectors:
  files:
    effects: {"*": [read]}
    match: {tools: ["*_file"]}
    rules:
      - {id: read, effect: allow, tools: [read_file, raed_file]}
  mail:
    match: {tools: ["*_mail"]}
    rules:
      - {id: send, effect: ask, tools: ["*_mail"]}
"""
FILES = [
    {"name": "read_file", "inputSchema": {"properties": {"path": {}}}, "annotations": {"readOnlyHint": True}}
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, POLICY)
    (tmp_path / "tools.json").write_text(json.dumps({"tools": FILES}))
    return tmp_path


def test_nothing_to_say():
    result = blastwall("lint", "blastwall.yaml")
    assert (result.exit_code, result.stdout) == (0, "blastwall.yaml: nothing to say\n")


def test_a_finding_says_where_and_what_to_do():
    result = blastwall("lint", "blastwall.yaml", "--tools", "files=tools.json")
    assert result.exit_code == 1
    assert result.stdout == (
        "blastwall.yaml:8:54: dead-glob: 'raed_file' covers none of the 1 known tools of files\n"
        "    write one that is there, or take it out: read_file\n"
    )


def test_as_json():
    body = told(blastwall("lint", "blastwall.yaml", "--tools", "tools.json", "--json"))
    assert body["ok"] is False
    (found,) = body["findings"]
    assert (found["code"], found["line"], found["column"]) == ("dead-glob", 8, 54)
    assert found["path"] == "connectors.files.rules.0.tools.1"
    assert told(blastwall("lint", "blastwall.yaml", "--json"))["ok"] is True


def test_the_tools_of_a_log():
    logged(("files.read_file", {}, {"verdict": "allow"}), ("mail.send_mail", {}, {"verdict": "ask"}))
    result = blastwall("lint", "blastwall.yaml", "--log", "state/audit.jsonl")
    assert "'raed_file' covers none" in result.stdout
    both = blastwall("lint", "blastwall.yaml", "--log", "state/audit.jsonl", "--tools", "files=tools.json")
    assert both.stdout == result.stdout


def test_strict_tells_more(folder):
    (folder / "tools.json").write_text(json.dumps([*FILES, {"name": "write_file"}]))
    assert "unspoken" not in blastwall("lint", "blastwall.yaml", "-t", "tools.json").stdout
    assert (
        "no rule speaks of write_file"
        in blastwall("lint", "blastwall.yaml", "-t", "tools.json", "--strict").stdout
    )


def test_a_layer_over_it(folder):
    (folder / "org.yaml").write_text(
        "version: 1\nconnectors: {mail: {rules: [{id: no, effect: deny, tools: ['*']}]}}"
    )
    result = blastwall("lint", "blastwall.yaml", "--over", "org.yaml")
    assert "the layer org.yaml refuses all its tools" in result.stdout


CREDENTIALS = """\
credentials:
  there: {env: BLASTWALL_TEST_THERE, hosts: [a.example]}
  unset: {env: BLASTWALL_TEST_UNSET, hosts: [a.example]}
  file: {file: nowhere.txt, hosts: [a.example]}
  program: {command: [blastwall-no-such-program], hosts: [a.example]}
  known: {command: [sh, -c, exit 9], hosts: [a.example]}
  ring: {keyring: [service, user], hosts: [a.example]}
"""


def test_credentials_that_are_not_there(folder, monkeypatch):
    monkeypatch.setenv("BLASTWALL_TEST_THERE", "canary-secret")
    (folder / "blastwall.yaml").write_text(POLICY + CREDENTIALS)
    body = told(blastwall("lint", "blastwall.yaml", "--json"))
    assert [(one["line"], one["path"], one["message"]) for one in body["findings"]] == [
        (15, "credentials.unset.env", "the variable BLASTWALL_TEST_UNSET is not set here"),
        (16, "credentials.file.file", f"there is no file {folder}/nowhere.txt"),
        (17, "credentials.program.command", "there is no program blastwall-no-such-program"),
    ]
    assert "canary-secret" not in json.dumps(body)


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ("{", "tools.json", "no JSON that can be read"),
        ("7", "tools.json", "no list of tools"),
        ('{"tools": 7}', "tools.json", "no list of tools"),
        ("[{}]", "tools.json", "a tool without a name"),
        ("[7]", "tools.json", "a tool without a name"),
        ('[{"name": "fetch"}]', "tools.json", "--tools CONNECTOR=tools.json"),
        ('[{"name": "fetch"}]', "web=tools.json", "no connector 'web'"),
        ("[]", "nowhere.json", "nowhere.json is no JSON that can be read"),
    ],
)
def test_tools_that_can_not_be_read(folder, content, words, said):
    (folder / "tools.json").write_text(content)
    result = blastwall("lint", "blastwall.yaml", "--tools", words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())


def test_hints_and_schemas_of_any_shape(folder):
    odd = [{"name": "read_file", "inputSchema": 7, "annotations": {"readOnlyHint": "yes", "x": True}}]
    (folder / "tools.json").write_text(json.dumps(odd))
    assert blastwall("lint", "blastwall.yaml", "-t", "tools.json").exit_code == 1


def test_a_policy_with_one_connector_has_all_the_tools(folder):
    (folder / "one.yaml").write_text(
        "version: 1\nconnectors: {web: {rules: [{id: r, effect: ask, tools: [x]}]}}"
    )
    assert "of web" in blastwall("lint", "one.yaml", "-t", "tools.json").stdout


def test_a_broken_policy_and_a_broken_log(folder):
    (folder / "broken.yaml").write_text("version: 3")
    assert blastwall("lint", "broken.yaml").exit_code == 3
    assert blastwall("lint", "blastwall.yaml", "--log", "nowhere.jsonl").exit_code == 4
