"""`blastwall replay`: calls that a log recorded, decided again by another policy."""

import json

import pytest
import typer
from tests.cli.verbs import logged, settle
from typer.testing import CliRunner

from blastwall.cli.replay import replay

POLICY = """\
version: 1
defaults: {state: {directory: state}}
connectors:
  mail:
    rules:
      - {id: send, effect: allow, tools: [send], args: {to: {recipients: ["@corp.example"]}}}
      - {id: docs, effect: allow, messages: [resources/read]}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, POLICY)
    app = typer.Typer()
    app.command()(replay)
    return lambda *words: CliRunner().invoke(app, words)


def test_what_would_come_out_otherwise_is_told(run):
    logged(
        ("mail.send", {"to": "dana@corp.example"}, {"verdict": "ask", "rule": "mail.send"}),
        ("mail.send", {"to": "eve@evil.example"}, {"verdict": "allow", "rule": "mail.all"}),
        (
            "mail.mcp:resources/read",
            {"uri": "note://a"},
            {"verdict": "deny", "reason": "no-rule"},
        ),
        ("mail.delete", {}, {"verdict": "deny"}),
    )
    result = run("--policy", "blastwall.yaml")
    assert result.exit_code == 1
    assert "mail.send: ask (mail.send) → allow (mail.send)" in result.output
    assert "mail.send: allow (mail.all) → deny (mail.send)" in result.output
    assert "mail.mcp:resources/read: deny (no-rule) → allow (mail.docs)" in result.output
    assert "1 calls come out as before" in result.output


def test_nothing_to_tell_is_well(run, tmp_path):
    logged(("mail.delete", {}, {"verdict": "deny"}), path=str(tmp_path / "elsewhere"))
    result = run("--policy", "blastwall.yaml", "--log", str(tmp_path / "elsewhere"), "--json")
    assert result.exit_code == 0
    said = json.loads(result.output)
    assert (said["changes"], said["same"]) == ([], 1)


def test_a_log_that_is_not_there_is_said(run):
    assert run("--policy", "blastwall.yaml").exit_code == 4
