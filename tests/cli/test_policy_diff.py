"""`blastwall diff OLD NEW` as its user meets it."""

import pytest
from tests.cli.verbs import blastwall, logged, settle, told

from blastwall.provenance.origins import Context, Origin, Traced
from blastwall.provenance.recorded import as_json
from blastwall.values import Confidentiality, Integrity, Label

OLD = """\
version: 1
defaults: {state: {directory: state}}
connectors:
  mail:
    rules:
      - {id: read, effect: allow, tools: [search]}
      - {id: send, effect: ask, tools: [send]}
"""
NEW = """\
version: 1
defaults: {state: {directory: state}}
connectors:
  mail:
    rules:
      - {id: send, effect: allow, tools: [send], args: {to: {recipients: ["@corp.example"]}}}
"""
ALLOWED = {"verdict": "allow", "rule": "mail.read"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path


def test_what_changes_is_grouped_and_counted():
    logged(
        ("mail.search", {"q": "bills"}, ALLOWED),
        ("mail.search", {"q": "letters"}, ALLOWED),
        ("mail.send", {"to": "dana@corp.example", "body": "\x1b[31mhi"}, {"verdict": "ask"}),
        ("mail.send", {"to": "eve@evil.example"}, {"verdict": "ask"}),
        ("mail.delete", {}, {"verdict": "deny"}),
    )
    result = blastwall("diff", "blastwall.yaml", "new.yaml")
    assert result.exit_code == 1
    assert result.stdout == (
        "newly allowed\n"
        "      1 x mail.send: ask (mail.send) → allow (mail.send)\n"
        "          such as record 3: body=\\u001b[31mhi, to=dana@corp.example\n"
        "newly denied\n"
        "      2 x mail.search: allow (mail.read) → deny (no-rule)\n"
        "          such as record 2: q=letters\n"
        "      1 x mail.send: ask (mail.send) → deny (mail.send)\n"
        "          such as record 4: to=eve@evil.example\n"
        "1 calls come out as before\n"
    )


def test_as_json():
    logged(("mail.search", {"q": "bills"}, ALLOWED), path="other.jsonl")
    body = told(blastwall("diff", "blastwall.yaml", "new.yaml", "--log", "other.jsonl", "--json"))
    assert body == {
        "changes": [
            {
                "newly": "denied",
                "call": "mail.search",
                "before": "allow (mail.read)",
                "after": "deny (no-rule)",
                "count": 1,
                "example": {"record": 1, "arguments": "q=bills"},
            }
        ],
        "same": 0,
        "unrecorded": 0,
        "uncertain": 0,
    }


def test_what_runs_in_another_place(folder):
    (folder / "new.yaml").write_text(
        OLD.replace("tools: [search]", "tools: [search], sandbox: box") + "sandboxes: {box: {}}\n"
    )
    logged(("mail.search", {}, ALLOWED))
    result = blastwall("diff", "blastwall.yaml", "new.yaml")
    assert result.stdout.startswith(
        "moved into, out of or between sandboxes\n"
        "      1 x mail.search: allow (mail.read) → sandbox box (mail.read)\n"
    )


def test_nothing_changes():
    logged(("mail.search", {}, ALLOWED))
    result = blastwall("diff", "blastwall.yaml", "blastwall.yaml")
    assert (result.exit_code, result.stdout) == (0, "nothing changes\n1 calls come out as before\n")


def test_what_is_unknown_is_said(folder):
    (folder / "new.yaml").write_text(
        NEW.replace("args: {to: {recipients", "flow: {control: {to: [prompt]}}, args: {to: {recipients")
    )
    logged(("mail.search", {"q": "secret"}, ALLOWED), arguments="digest")
    logged(("mail.send", {"to": "dana@corp.example"}, {"verdict": "ask"}))
    result = blastwall("diff", "blastwall.yaml", "new.yaml")
    assert "1 are unknown: only their digest was recorded" in result.stdout
    assert "1 are unknown: nothing tells where their values came from" in result.stdout


def test_an_example_shows_nothing_secret():
    secret = Origin("vault.get", 1, "$.key", Label(Integrity.TYPED, Confidentiality.SECRET))
    plain = Traced(("n",), 1, parts=(Origin("a.b", 1, "$", Label()),))
    odd = Traced(("the canary",), "the canary", (secret,))
    context = Context((Traced(("q",), "canary", (secret,)), plain, odd))
    arguments = {"q": "canary", "n": 1, "the canary": 2}
    logged(("mail.search", arguments, ALLOWED | {"context": as_json(context)}))
    shown = blastwall("diff", "blastwall.yaml", "new.yaml").stdout
    assert "n=1, q=•••, •••=•••" in shown
    assert "canary" not in shown


def test_what_can_not_be_read(folder):
    assert blastwall("diff", "blastwall.yaml", "nowhere.yaml").exit_code == 3
    assert blastwall("diff", "blastwall.yaml", "new.yaml").exit_code == 4
