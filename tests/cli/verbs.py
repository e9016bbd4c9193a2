"""Verbs run in a folder with a policy, as their user runs them."""

import json
from pathlib import Path

from typer.testing import CliRunner

from blastwall.audit import AuditLog
from blastwall.cli import app
from blastwall.cli.output import SCHEMA
from blastwall.values import ToolCall


def blastwall(*words):
    return CliRunner().invoke(app, words)


def told(result):
    """Give the one JSON object that a command printed."""
    body = json.loads(result.stdout)
    assert body.pop("schema") == SCHEMA
    return body


def settle(tmp_path, monkeypatch, policy):
    """Make the folder, with the policy in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "blastwall.yaml").write_text(policy)


def logged(*decisions, path="state/audit.jsonl", **options):
    """Write decisions into an audit log: the call's name, its arguments and what the record says of it."""
    log = AuditLog(Path(path), **options)
    for name, arguments, details in decisions:
        log.write("s", "decision", ToolCall.of(*name.split("."), arguments), details)
    log.close()
