"""`blastwall evaluate` as its user meets it."""

import json
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from blastwall.cli.evaluate import app

needs_agentdojo = pytest.mark.skipif(
    find_spec("agentdojo") is None, reason="the extra `agentdojo` is not installed"
)
quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the model vendors' packages


def evaluate(*arguments):
    return CliRunner().invoke(app, arguments)


def test_cases_are_shown_as_a_table():
    done = evaluate("cases")
    assert done.exit_code == 0, done.output
    assert "developed-home" in done.output
    assert "heldout-school" in done.output


def test_cases_are_printed_as_json():
    done = evaluate("cases", "--json")
    report = json.loads(done.output)
    assert report["ok"] is True
    assert {book["through"] for book in report["books"]} == {0}


def test_a_missing_extra_is_named(monkeypatch):
    from blastwall.evaluate import agentdojo
    from blastwall.evaluate.agentdojo import suite

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(suite.metadata, "version", missing)
    agentdojo.suites.cache_clear()
    done = evaluate("agentdojo")
    assert done.exit_code == 4
    assert "pip install 'blastwall[agentdojo]'" in done.output
    agentdojo.suites.cache_clear()


@needs_agentdojo
@quietly
def test_agentdojo_is_shown_as_tables():
    done = evaluate(
        "agentdojo", "--suite", "banking", "--attack", "direct", "--limit", "2", "--processes", "1"
    )
    assert done.exit_code == 0, done.output
    assert "nobody attacks" in done.output
    assert "scopes+user" in done.output


@needs_agentdojo
@quietly
def test_agentdojo_is_printed_as_json():
    arguments = "--suite banking --attack x_plain --guard none --guard scopes --limit 1 --processes 1 --json"
    report = json.loads(evaluate("agentdojo", *arguments.split()).output)
    found = {(s["guard"], s["attack"], s["suite"]): s for s in report["sums"]}
    assert found["none", "x_plain", "all"]["action"] == 9
    assert found["scopes", "x_plain", "all"]["action"] == 0


@needs_agentdojo
@quietly
def test_the_adaptive_attacker_is_told_of_one_by_one():
    arguments = "--suite banking --adaptive --guard none --limit 1 --processes 1"
    done = evaluate("agentdojo", *arguments.split())
    assert done.exit_code == 0
    assert "ride-link" in done.output
