"""Recordings: read with every mistake at its place, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.recording import EXPECTED, MAX_BYTES, Called, Prompt, RecordingError, load, parse

STORY = """\
- prompt: Send the bill to Dana
- tool: mail.search
  args: {query: bill}
  output: {emails: [{from: dana@corp.example, n: 1}]}
- tool: mail.send
  args: {to: dana@corp.example}
  expect: allow
  rule: mail.send
- tool: mail.delete
  output: null
  error: true
  annotations: {destructiveHint: true}
"""


def test_a_story():
    prompt, search, send, delete = parse(STORY.encode(), "story.yaml")
    assert prompt == Prompt("Send the bill to Dana", 1)
    assert search == Called(
        "mail",
        "search",
        {"query": "bill"},
        answered=True,
        output={"emails": ({"from": "dana@corp.example", "n": 1},)},
        line=2,
    )
    assert (send.name, send.answered, send.expect, send.rule, send.line) == (
        "mail.send",
        False,
        "allow",
        "mail.send",
        5,
    )
    assert (delete.answered, delete.output, delete.error, delete.line) == (True, None, True, 9)
    assert delete.hints == {"destructiveHint": True}


@pytest.mark.parametrize("text", [*EXPECTED, "mail.send_it.now"])
def test_a_tool_may_have_dots_in_its_name(text):
    (step,) = parse(f"- {{tool: a.{text}}}".encode(), "x")
    assert (step.connector, step.tool) == ("a", text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x:1:1: a recording is a list of steps: `- prompt: TEXT` and `- tool: connector.tool`"),
        ("[]", "x:1:1: a recording is a list of steps: `- prompt: TEXT` and `- tool: connector.tool`"),
        ("a: 1", "x:1:1: a recording is a list of steps: `- prompt: TEXT` and `- tool: connector.tool`"),
        ("- 7", "x:1:3: 0: a step is a block with `prompt` or with `tool` in it"),
        ("- {args: {}}", "x:1:3: 0: a step is a block with `prompt` or with `tool` in it"),
        ("- {prompt: ''}", "x:1:12: 0.prompt: must be text"),
        ("- {prompt: 7}", "x:1:12: 0.prompt: must be text"),
        ("- {prompt: a, tool: b.c}", "x:1:21: 0.tool: unknown key 'tool' (there are prompt)"),
        ("- {tool: mail}", "x:1:10: 0.tool: must be `connector.tool`"),
        ("- {tool: .send}", "x:1:10: 0.tool: must be `connector.tool`"),
        ("- {tool: [a.b]}", "x:1:10: 0.tool: must be `connector.tool`"),
        ("- {tool: a.b, arg: {}}", "x:1:20: 0.arg: unknown key 'arg'; did you mean 'args'?"),
        ("- {tool: a.b, args: [1]}", "x:1:21: 0.args: must be a block of `name: value` lines"),
        (
            "- {tool: a.b, args: {n: 99999999999999999999}}",
            "x:1:21: 0.args: $.n: an integer of more than 63 bits",
        ),
        (
            "- {tool: a.b, output: 99999999999999999999}",
            "x:1:23: 0.output: $: an integer of more than 63 bits",
        ),
        ("- {tool: a.b, error: 1}", "x:1:22: 0.error: must be true or false"),
        ("- {tool: a.b, expect: maybe}", "x:1:23: 0.expect: must be allow, ask, deny or sandbox"),
        ("- {tool: a.b, expect: [allow]}", "x:1:23: 0.expect: must be allow, ask, deny or sandbox"),
        ("- {tool: a.b, rule: send}", "x:1:21: 0.rule: must be `connector.tool`"),
        (
            "- {tool: a.b, annotations: {readOnly: true}}",
            "x:1:28: 0.annotations: must be a block of readOnlyHint, destructiveHint",
        ),
        (
            "- {tool: a.b, annotations: {readOnlyHint: 1}}",
            "x:1:28: 0.annotations: must be a block of readOnlyHint",
        ),
        ("- {tool: a.b, annotations: 7}", "x:1:28: 0.annotations: must be a block of readOnlyHint"),
        ("- {tool: a.b, tool: c.d}", "x:1:15: 0.tool: this key stands twice, first on line 1"),
        ("- {tool: a.b", "x:1:3: this bracket is never closed"),
        ("- &a {tool: a.b}", "x:1:3: a YAML anchor is not allowed here: write it out"),
    ],
)
def test_a_mistake_is_told_at_its_place(text, problem):
    with pytest.raises(RecordingError) as caught:
        parse(text.encode(), "x")
    assert str(caught.value).startswith(problem)


def test_every_mistake_at_once_in_the_order_of_the_file():
    with pytest.raises(RecordingError) as caught:
        parse(b"- {tool: a.b, expect: x}\n- {prompt: 7}\n- 7\n", "x")
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_what_is_no_text_or_too_long():
    for content, said in ((b"\xff", "not UTF-8"), (b" " * (MAX_BYTES + 1), "larger than 1048576 bytes")):
        with pytest.raises(RecordingError, match=said):
            parse(content, "x")


def test_files(tmp_path):
    (tmp_path / "story.yaml").write_text("\ufeff" + STORY)
    assert len(load(tmp_path / "story.yaml")) == 4
    with pytest.raises(RecordingError, match=r"nowhere\.yaml: can't be read: No such file"):
        load(tmp_path / "nowhere.yaml")


@given(st.binary(max_size=40) | st.text("-{}[]:,'\" \nabtool.prmg7", max_size=40).map(str.encode))
def test_anything_is_read_or_refused(content):
    try:
        assert parse(content, "x")
    except RecordingError as error:
        assert error.problems
