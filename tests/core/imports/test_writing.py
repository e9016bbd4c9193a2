"""The policy that is written: read back as it was meant, whatever the source put into names and comments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.imports.importing import draft, text

from blastwall.errors import PolicyError
from blastwall.imports import counted
from blastwall.imports.draft import Draft, fitting
from blastwall.imports.writing import remark, scalar, written
from blastwall.policy.source import read


@given(
    st.text()
    | st.sampled_from(["no", "true", "1", "~", "- x", "a: b", "# x", "", " x ", "{}", "'", '"', "é", "@x"])
)
def test_every_text_is_read_back(value):
    try:
        found = read(f"k: {scalar(value)}\n")
    except UnicodeEncodeError:
        return
    assert found.mistakes == []
    assert found.data == {"k": value}


@pytest.mark.parametrize("value", [True, False, None, 1, -2, 1.5])
def test_every_scalar_is_read_back(value):
    found = read(f"k: {scalar(value)}\n").data["k"]
    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_a_remark_is_one_comment(said):
    assert read(f"a: 1\n# {remark(said)}\nb: 2\n").data == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("github", "github"),
        ("my server", "my_server"),
        ("a__b", "a_b"),
        ("@scope/pkg", "scope_pkg"),
        ("…", "connector"),
        ("", "connector"),
        ("x" * 40, "x" * 32),
        ("-x-", "x"),
        ("a\nb: evil", "a_b_evil"),
    ],
)
def test_names_are_bent(name, fits):
    assert fitting(name) == fits


@given(st.text(max_size=50), st.sets(st.text("ab_", max_size=3)))
def test_a_bent_name_is_always_a_free_name(name, taken):
    fits = fitting(name, taken)
    assert fits not in taken
    assert read(f"version: 1\nconnectors: {{{scalar(fits)}: {{}}}}\n").mistakes == []
    assert 0 < len(fits) <= 32


def test_two_servers_never_share_a_connector():
    """A rule on the one would speak of the other."""
    servers = {name: {"command": "x"} for name in ("a b", "a_b", "a__b")}
    made = draft("vscode", ("mcp.json", {"servers": servers}))
    assert [each.name for each in made.connectors.values()] == ["a_b", "a_b-2", "a_b-3"]
    assert [note.message for note in made.notes] == [
        "a connector can't be called 'a b': it is 'a_b' here",
        "a connector can't be called 'a_b': it is 'a_b-2' here",
        "a connector can't be called 'a__b': it is 'a_b-3' here",
    ]


def test_what_a_source_writes_never_leaves_its_comment():
    rule = "Bash(x\n  evil:\n    rules: []\n# \u2028 \x1b[31m:*)"
    made = text("claude-code", (".claude/settings.json", {"permissions": {"allow": [rule], "ask": [rule]}}))
    assert "\x1b" not in made
    assert list(read(made).data["connectors"]) == ["claude-code"]


def test_nothing_is_no_policy():
    with pytest.raises(PolicyError, match=r"^the import: nothing of X is left to make a policy of$"):
        written(Draft("X"))


def test_the_whole_text_is_readable():
    made = draft(
        "claude-code",
        (
            ".claude/settings.json",
            {
                "permissions": {
                    "allow": ["Bash(npm test)", "mcp__github__get_issue", "Bash(npm run:*)"],
                    "deny": ["Bash(rm *)", "Agent(model:opus)"],
                },
                "mcpServers": {"github": {"command": "npx", "args": ["-y", "server"], "cwd": "sub"}},
            },
        ),
    )
    assert counted(made) == "1 thing"
    assert (
        written(made)
        == """\
# Imported from Claude Code. Deny beats ask beats allow, and silence denies.
# 1 thing could not be carried over unchanged:
#   .claude/settings.json:1:72: permissions.allow.2: Bash(npm run:*) is asked for, not allowed: what starts like it \
may do anything behind a `;`: name whole commands
version: 1
defaults: {unknown_tool: ask}  # as there: what no rule speaks of is asked for
connectors:
  # .claude/settings.json:1
  github:
    directory: /home/me/project/sub
    server:
      command: npx
      args: ["-y", server]
    rules:
      # .claude/settings.json:1: allow mcp__github__get_issue
      - id: allow-1
        effect: allow
        tools: [get_issue]
  # .claude/settings.json:1
  claude-code:
    rules:
      # .claude/settings.json:1: deny Bash(rm *)
      - id: deny-1
        effect: deny
        tools: [Bash]
        args:
          command:
            pattern: "(?s)(?:.*\\\\W)?rm(?:\\\\W.*)?"
      # .claude/settings.json:1: deny Agent(model:opus)
      - id: deny-2
        effect: deny
        tools: [Agent, Task]
        args:
          model:
            enum: [opus]
      # other calls of these are asked for, as there
      - id: ask-1
        effect: ask
        tools: [Agent, Task]
      # .claude/settings.json:1: allow Bash(npm test)
      - id: allow-1
        effect: allow
        tools: [Bash]
        args:
          command:
            enum: ["npm test"]
        otherwise: ask
"""
    )


def test_nothing_that_is_left_says_what_became_of_everything():
    made = draft("vscode", ("settings.json", {"chat.tools.global.autoApprove": True}))
    with pytest.raises(PolicyError) as caught:
        written(made)
    assert [problem.message for problem in caught.value.problems] == [
        "not carried over: what no rule allows is asked for",
        "nothing of VS Code is left to make a policy of",
    ]


def test_what_asks_nobody_asks_nobody_here():
    made = text("docker-mcp", ("r.yaml", "registry: {m: {ref: ''}}\n"), ("t.yaml", "m: [get]\n"))
    assert "unknown_tool" not in made
    assert "otherwise" not in made


def test_variables_and_times_of_a_server():
    block = {"command": "x", "env": {"LOG_LEVEL": "info", "NO_COLOR": "1"}, "timeout": 2500}
    server = read(text("vscode", ("mcp.json", {"servers": {"s": block}}))).data["connectors"]["s"]["server"]
    assert server == {"command": "x", "env": {"LOG_LEVEL": "info", "NO_COLOR": "1"}, "call_s": 2.5}
