"""`blastwall import` and `blastwall schema`, as their user runs them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from blastwall.cli import imports
from blastwall.cli.imports import import_
from blastwall.cli.output import SCHEMA
from blastwall.cli.schema import schema
from blastwall.policy.schema import document_schema
from blastwall.policyfile import load

SETTINGS = {"permissions": {"allow": ["Bash(npm test)"], "deny": ["Bash(rm *)"]}}

app = typer.Typer(pretty_exceptions_enable=False)
app.command("import")(import_)
app.command()(schema)


@pytest.fixture
def blastwall(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "project" / ".claude").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    write(".claude/settings.json", SETTINGS)
    return lambda *words: CliRunner().invoke(app, words)


def write(name, content):
    with open(name, "w", encoding="utf-8") as stream:
        stream.write(content if isinstance(content, str) else json.dumps(content))


def test_a_policy_on_the_standard_output_that_loads(blastwall):
    result = blastwall("import", "claude-code", ".claude/settings.json")
    assert result.exit_code == 0
    assert result.stderr == ""
    write("blastwall.yaml", result.stdout)
    assert [rule.id for rule in load("blastwall.yaml").connectors["claude-code"].rules] == [
        "claude-code.deny-1",
        "claude-code.allow-1",
    ]


def test_a_policy_in_a_file_and_what_is_lost_on_the_error_output(blastwall):
    write("local.json", {"permissions": {"allow": ["Bash(npm run:*)", "WebSearch"]}})
    result = blastwall(
        "import", "claude-code", ".claude/settings.json", "local.json", "--output", "blastwall.yaml"
    )
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "local.json:1:28: permissions.allow.0: a later file can't allow more than the first: move it there",
        "local.json:1:47: permissions.allow.1: a later file can't allow more than the first: move it there",
        "blastwall.yaml: written; 2 things could not be carried over unchanged",
    ]
    assert load("blastwall.yaml").connectors.keys() == {"claude-code"}


def test_nothing_lost_is_said_shortly(blastwall):
    result = blastwall("import", "claude-code", ".claude/settings.json", "-o", "p.yaml")
    assert (result.exit_code, result.stderr) == (0, "p.yaml: written\n")


def test_no_file_is_overwritten(blastwall):
    write("blastwall.yaml", "mine")
    result = blastwall("import", "claude-code", ".claude/settings.json", "-o", "blastwall.yaml")
    assert result.exit_code == 4
    assert result.stderr == "blastwall.yaml is there already: move it away, or name another file\n"
    with open("blastwall.yaml") as stream:
        assert stream.read() == "mine"


def test_a_file_that_can_not_be_written(blastwall):
    result = blastwall("import", "claude-code", ".claude/settings.json", "-o", "no/such/folder.yaml")
    assert (result.exit_code, result.stderr) == (
        4,
        "no/such/folder.yaml can't be written: No such file or directory\n",
    )


def test_json_for_machines(blastwall):
    write("x.json", {"permissions": {"allow": ["Bash"]}})
    result = blastwall("import", "claude-code", "x.json", "--json")
    body = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (body["schema"], body["ok"]) == (SCHEMA, True)
    assert body["policy"].startswith("# Imported from Claude Code.")
    assert body["notes"][0] | {"message": ""} == {
        "file": "x.json", "line": 1, "column": 28, "path": "permissions.allow.0", "message": "",
    }  # fmt: skip


def test_a_mistake_for_people_and_for_machines(blastwall):
    write("x.json", '{"permissions": {"allow": [5]}}')
    result = blastwall("import", "claude-code", "x.json")
    assert (result.exit_code, result.stderr) == (3, "x.json:1:28: permissions.allow.0: must be text\n")
    body = json.loads(blastwall("import", "claude-code", "x.json", "--json").stdout)
    assert (body["ok"], len(body["problems"])) == (False, 1)


def test_a_file_that_is_not_there(blastwall):
    result = blastwall("import", "vscode", "nope.json")
    assert (result.exit_code, result.stderr) == (3, "nope.json: can't be read: No such file or directory\n")


def test_a_product_that_is_not_known(blastwall):
    assert blastwall("import", "emacs", "x.json").exit_code == 2


def test_each_product(blastwall):
    write("mcp.json", {"servers": {"m": {"command": "x"}}})
    write("rules.toml", '[[rule]]\ntoolName = "web_fetch"\ndecision = "allow"\npriority = 1\n')
    write("registry.yaml", "registry: {m: {ref: ''}}\n")
    write("tools.yaml", "m: [get]\n")
    for words in (
        ("vscode", "mcp.json"),
        ("gemini-cli", "rules.toml"),
        ("docker-mcp", "registry.yaml", "tools.yaml"),
    ):
        result = blastwall("import", *words)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith("\n")


def test_the_folder_of_the_project_can_be_named(blastwall, tmp_path):
    write("x.json", {"permissions": {"allow": ["Read(./src/**)"]}})
    result = blastwall("import", "claude-code", "x.json", "--directory", str(tmp_path / "home"))
    assert f"under: [{tmp_path / 'home'}/src]" in result.stdout


def test_links_are_followed(blastwall, tmp_path):
    (tmp_path / "project" / "src").symlink_to("/etc")
    write("x.json", {"permissions": {"allow": ["Read(./src/**)"]}})
    assert "it lies behind a link" in blastwall("import", "claude-code", "x.json").stderr


def test_what_does_not_load_is_our_fault(blastwall, monkeypatch):
    monkeypatch.setattr(imports, "written", lambda draft: "version: 2\n")
    result = blastwall("import", "claude-code", ".claude/settings.json")
    assert result.exit_code == 4
    assert "This is a fault of blastwall" in result.stderr


def test_the_schema(blastwall):
    result = blastwall("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == document_schema()


def test_a_folder_that_can_not_stand_in_a_policy(blastwall, tmp_path):
    (tmp_path / "a$b").mkdir()
    result = blastwall("import", "claude-code", ".claude/settings.json", "-d", str(tmp_path / "a$b"))
    assert (result.exit_code, "can't stand in a policy" in result.stderr) == (4, True)
