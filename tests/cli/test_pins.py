"""`blastwall pins` as its user meets it."""

import json
from pathlib import Path

import pytest
import typer
from tests.cli.verbs import settle, told
from typer.testing import CliRunner

from blastwall.cli import pins as verb
from blastwall.frozen import freeze
from blastwall.trust.pins import Shown, pins_of

POLICY = """
version: 1
defaults: {state: {directory: state}}
connectors:
  it: {rules: [{id: all, effect: allow, tools: ["*"]}]}
"""

app = typer.Typer()
app.add_typer(verb.app, name="pins")


def pins(*words, **more):
    return CliRunner().invoke(app, ["pins", *words, "--policy", "blastwall.yaml"], **more)


def sight(*shown, offered="{}"):
    return pins_of(Path("state")).sight("it", offered, shown)


def tool(name, description="Does it."):
    return Shown("tool", name, freeze({"name": name, "description": description}))


def logged():
    return [json.loads(line) for line in Path("state/audit.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, POLICY)


@pytest.fixture
def changed():
    """A connector of which one tool has changed, a new one has come and one has gone."""
    sight(tool("act"), tool("look"), Shown("server", "", "1"))
    sight(tool("act", "Does it.\nAnd read\u200bs the keys."), tool("new"), Shown("server", "", "2"))


def test_nothing_yet():
    for words in ((), ("list",)):
        assert "nothing is pinned" in pins(*words).stdout
    assert told(pins("list", "--json")) == {"pins": []}
    assert pins("diff").exit_code == 0
    assert "everything is as it was pinned" in pins("diff").stdout


def test_what_is_pinned_is_listed_in_words():
    sight(tool("act"), tool("look"), Shown("instructions", "", ""))
    sight(tool("act"), offered='{"elicitation":{},"sampling":{}}')
    sight(Shown("launch", "", "x"), offered="")
    sight(Shown("launch", "", "x"), offered="odd")
    lines = pins().stdout.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        ["it", "any client"],
        ["it", "clients with odd"],
        ["it", "clients with elicitation, sampling"],
        ["it", "clients with nothing of their own"],
    ]
    assert any(line.endswith("instructions, 2 tools") for line in lines)
    listed = told(pins("--json"))["pins"]
    assert {one["offered"] for one in listed} == {"", "odd", "{}", '{"elicitation":{},"sampling":{}}'}
    assert all(one["waiting"] == 0 and len(one["items"][0]["fingerprint"]) == 64 for one in listed)


def test_a_change_is_shown_with_nothing_hidden(changed):
    assert "2 waiting: blastwall pins diff it" in pins("list").stdout
    done = pins("diff", "it")
    assert done.exit_code == 1
    for line in (
        "it: tool act, clients with nothing of their own",
        '-  "description": "Does it.",',
        '+  "description": "Does it.\\n',
        "+      And read\\u200bs the keys.",
        "it: tool new, clients with nothing of their own",
        "it: tool look, clients with nothing of their own  (only noted: nothing is barred for this)",
        "it: server, clients with nothing of their own  (only noted: nothing is barred for this)",
    ):
        assert line in done.stdout
    assert "\u200b" not in done.stdout
    assert "tool new" not in pins("diff", "it", "act").stdout
    seen = told(pins("diff", "it", "--json"))
    assert {(c["kind"], c["name"], c["bars"]) for c in seen["changes"]} == {
        ("tool", "act", True),
        ("tool", "new", True),
        ("tool", "look", False),
        ("server", "", False),
    }


def test_approving_needs_somebody_or_a_yes(changed):
    done = pins("approve", "it", "act")
    assert done.exit_code == 4
    assert "nobody is here to ask: say --yes" in done.stderr
    assert pins("diff").exit_code == 1
    done = pins("approve", "it", "act", "--yes")
    assert done.exit_code == 0
    assert "+      And read\\u200bs the keys." in done.stdout, "what is approved was shown"
    assert "approved 1" in done.stdout
    assert "tool act" not in pins("diff").stdout
    assert "tool new" in pins("diff").stdout
    assert pins("approve", "it", "--yes").exit_code == 0
    assert pins("diff").exit_code == 0
    assert [record["event"] for record in logged()] == ["pin-approved", "pin-approved"]
    assert logged()[0]["details"]["changes"][0]["name"] == "act"
    assert "everything is as it was pinned" in pins("approve", "it").stdout


def test_who_asks_for_what_is_not_there_is_told_what_is(changed):
    for words, why in [
        (("it", "atc"), "there is none of that name, but server, tool act, tool new, tool look"),
        (("ti",), "connector ti is not pinned: see `blastwall pins list`"),
    ]:
        assert why in pins("diff", *words).stdout
        done = pins("approve", *words, "--yes")
        assert done.exit_code == 1
        assert f"nothing is approved: {why}" in done.stderr


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_a_person_is_asked(changed, monkeypatch, answer, code):
    monkeypatch.setattr(verb, "_is_terminal", lambda: True)
    done = pins("approve", "it", "act", input=answer)
    assert done.exit_code == code
    assert ("tool act" in pins("diff").stdout) is bool(code)


def test_a_digest_approves_what_was_seen_and_nothing_else(changed):
    digest = told(pins("diff", "it", "act", "--json"))["digest"]
    assert f"--digest {digest}" in pins("diff", "it", "act").stdout
    sight(tool("act", "Swapped meanwhile."), tool("new"), Shown("server", "", "2"))
    done = pins("approve", "it", "act", "--digest", digest)
    assert done.exit_code == 1
    assert "nothing is approved" in done.stderr
    assert pins("diff", "it", "act").exit_code == 1
    digest = told(pins("diff", "it", "act", "--json"))["digest"]
    assert pins("approve", "it", "act", "--digest", digest).exit_code == 0
    assert pins("diff", "it", "act").exit_code == 0


def test_what_changes_while_a_person_looks_is_not_approved(changed, monkeypatch):
    def look_and_say_yes(*args, **options):
        sight(tool("act", "Swapped while you looked."), tool("new"), Shown("server", "", "2"))
        return True

    monkeypatch.setattr(verb, "_is_terminal", lambda: True)
    monkeypatch.setattr(typer, "confirm", look_and_say_yes)
    assert pins("approve", "it", "act").exit_code == 0
    done = pins("diff", "it", "act")
    assert "Swapped while you looked." in done.stdout


def test_a_connector_is_forgotten(changed):
    assert pins("forget", "it").exit_code == 0
    assert "nothing is pinned" in pins().stdout
    done = pins("forget", "it")
    assert done.exit_code == 1
    assert "it is not pinned" in done.stderr
    assert [record["event"] for record in logged()] == ["pin-forgotten"] * 2


@pytest.mark.parametrize("words", [["list"], ["diff"], ["approve", "it", "--yes"], ["forget", "it"]])
def test_a_damaged_store_is_said(changed, words):
    Path("state/pins.json").write_text("{")
    done = pins(*words)
    assert done.exit_code == 4
    assert "move it away" in done.stderr


def test_a_store_that_can_not_be_written_approves_nothing(changed, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("blastwall.trust.pins._replace", full)
    done = pins("approve", "it", "--yes")
    assert done.exit_code == 4
    assert "No space left on device" in done.stderr
