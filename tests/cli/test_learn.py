"""`blastwall learn` as its user meets it: what it prints is a policy, and nothing is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.verbs import blastwall, logged, settle, told

from blastwall import Delivered, Guard, ToolOutput
from blastwall.cli.proposed import flowed, quoted
from blastwall.policy.source import read
from blastwall.policyfile import load
from blastwall.provenance.origins import Context, Origin, Traced
from blastwall.provenance.recorded import as_json
from blastwall.recording import Called, Prompt
from blastwall.replay import replay
from blastwall.values import Label, ToolCall

POLICY = """\
version: 1
defaults: {enforcement: permissive, state: {directory: state}}
trusted_records: {people: ["@corp.example"], idle: [x]}
connectors:
  files:
    directory: notes
    effects: {"read*": [read]}
    rules:
      - {id: "no", effect: deny, tools: [drop]}
  mail:
    effects: {send: [network-send]}
    rules: []
"""
OVERLOOKED = {"verdict": "allow", "rule": "permissive", "reason": "no-rule"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    settle(tmp_path, monkeypatch, POLICY)
    return tmp_path


def observe():
    outside = (Origin("mail.search", 1, "$", Label()),)
    person = Context((Traced(("to",), "dana@corp.example", outside), Traced(("cc",), "yy", outside)))
    logged(
        ("files.read", {"path": "a.txt", "as": "no"}, OVERLOOKED),
        ("files.read", {"path": "sub/b.txt", "as": "no"}, OVERLOOKED),
        ("files.drop", {}, {"verdict": "deny", "rule": "files.no", "reason": "rule"}),
        ("mail.send", {"to": "dana@corp.example", "cc": "yy"}, OVERLOOKED | {"context": as_json(person)}),
    )


def test_it_prints_a_policy_that_loads(folder):
    observe()
    result = blastwall("learn", "--policy", "blastwall.yaml")
    assert result.exit_code == 0
    assert (
        result.stdout
        == f"""\
# Proposed from "{folder}/state/audit.jsonl". Nothing of it is in force: read each rule, and copy what is right.
# Left out: 1 of "files.drop" (3): "it was refused (files.no)"
version: 1
trusted_records:
  people: ["@corp.example"]
connectors:
  files:
    directory: "{folder}/notes"
    rules:
      # 2 calls
      - id: learned-read
        effect: allow
        tools: [read]
        args:
          as: {{enum: [no]}}
          path: {{under: ["{folder}/notes"]}}
  mail:
    rules:
      # 1 call
      # It asks: "it does network-send"
      # LOOK TWICE: outside text chose cc in records 4
      - id: learned-send
        effect: ask
        tools: [send]
        args:
          cc: {{enum: [yy]}}
          to: {{recipients: ["dana@corp.example"]}}
        flow:
          control: {{to: [people]}}
          content: {{links: none, max_confidentiality: private}}
"""
    )
    (folder / "proposed.yaml").write_text(result.stdout)
    loaded = load("proposed.yaml")
    call = ToolCall.of("files", "read", {"path": "c.txt", "as": "no"})
    assert loaded.decide(call, {"c.txt": f"{folder}/notes/c.txt"}).rule == "files.learned-read"
    assert (folder / "blastwall.yaml").read_text() == POLICY


def test_as_json():
    observe()
    body = told(blastwall("learn", "--log", "state/audit.jsonl", "-p", "blastwall.yaml", "--json"))
    assert [(each["connector"], each["tool"], each["calls"]) for each in body["proposals"]] == [
        ("files", "read", 2),
        ("mail", "send", 1),
    ]
    assert body["proposals"][1]["rule"]["flow"]["control"] == {"to": ["people"]}
    assert body["left_out"] == [
        {"call": "files.drop", "why": "it was refused (files.no)", "count": 1, "records": [3]}
    ]


def test_without_a_policy(folder):
    (folder / "state").mkdir()
    logged(("files.read", {"q": "x"}, OVERLOOKED), ("files.read", {}, OVERLOOKED | {"rule": "files.r"}))
    Path("state/audit.jsonl").rename("audit.jsonl")
    Path("state/audit.jsonl.head").rename("audit.jsonl.head")
    result = blastwall("learn", "--log", "audit.jsonl")
    assert "# 1 calls are permitted already.\n" in result.stdout
    assert "describe it under" in result.stdout
    (folder / "proposed.yaml").write_text(result.stdout)
    load("proposed.yaml")


def test_nothing_to_propose():
    logged(("files.drop", {}, {"verdict": "deny", "rule": "files.no", "reason": "rule"}))
    result = blastwall("learn", "-p", "blastwall.yaml")
    assert result.exit_code == 1
    assert "version" not in result.stdout


def test_many_that_are_left_out():
    logged(*[("files.drop", {}, {"verdict": "deny", "rule": "files.no", "reason": "rule"})] * 6)
    assert "(1, 2, 3, 4, 5, ...)" in blastwall("learn", "-p", "blastwall.yaml").stdout


def test_from_a_permissive_run_to_rules_that_carry_it(folder):
    """The whole way: observe, learn, put the rules into the policy, enforce; the same story runs or asks."""
    steps = [
        Called("files", "read", {"path": name}, answered=True, output="text") for name in ("a.txt", "b/c.txt")
    ] + [Called("mail", "send", {"to": "dana@corp.example"}, answered=True, output="sent")]
    with Guard.from_file("blastwall.yaml").session("Send my notes to dana@corp.example.") as session:
        for step in steps:
            done = session.call(step.connector, step.tool, step.arguments, lambda call: ToolOutput("text"))
            assert isinstance(done, Delivered)
    body = told(blastwall("learn", "-p", "blastwall.yaml", "--json"))
    assert body["proposals"][1]["rule"]["flow"]["control"] == {"to": ["prompt"]}
    policy = read(POLICY).data
    policy["defaults"]["enforcement"] = "enforcing"
    for each in body["proposals"]:
        policy["connectors"][each["connector"]]["rules"].append(each["rule"])
    (folder / "enforced.yaml").write_text(flowed(policy))
    story = [Prompt("Send my notes to dana@corp.example."), *steps]
    assert [done.verdict for done in replay(load("enforced.yaml"), story)] == ["allow", "allow", "ask"]
    assert [done.verdict for done in replay(load("enforced.yaml"), steps)] == ["allow", "allow", "deny"]


def test_the_user_s_home_is_no_folder_for_a_rule(folder):
    home = str(folder / "home")
    logged(*(("files.read", {"path": f"{home}/{name}"}, OVERLOOKED) for name in "ab"))
    body = told(blastwall("learn", "-p", "blastwall.yaml", "--json"))
    assert body["proposals"][0]["rule"]["args"] == {"path": {"under": [f"{home}/a", f"{home}/b"]}}


def test_no_log():
    assert blastwall("learn", "-p", "blastwall.yaml").exit_code == 4
    assert blastwall("learn").exit_code == 4


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
data = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(data)
def test_whatever_is_written_reads_back_as_it_was(value):
    source = read(f"key: {flowed(value)}\n")
    assert source.mistakes == []
    assert source.data == {"key": value}


@given(st.text())
def test_text_in_a_comment_stays_in_its_line(text):
    assert len(f"# {quoted(text)}".splitlines()) == 1
