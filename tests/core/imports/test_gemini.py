"""What becomes of Gemini CLI's rules and settings."""

import pytest
from tests.core.imports.importing import draft, notes, rules, toml
from tests.core.imports.sources import DIRECTORY

from blastwall.errors import PolicyError

RULE = {"decision": "allow", "priority": 100}


def gemini(*blocks, **settings):
    files = [("rules.toml", toml(blocks))] if blocks else []
    return draft("gemini-cli", *files, *([("settings.json", settings)] if settings else []))


def ask(**rule):
    return {"decision": "ask_user", "priority": 10} | rule


def deny(**rule):
    return {"decision": "deny", "priority": 50} | rule


def test_a_tool_of_a_server():
    made = gemini(RULE | {"mcpName": "jira", "toolName": ["search", "get_issue"]})
    assert rules(made, "jira") == [("allow", ["search", "get_issue"], {})]
    assert made.notes == []


def test_files_stay_in_the_workspace():
    made = gemini(RULE | {"toolName": ["read_file", "list_directory", "web_fetch", "glob"]})
    assert rules(made, "gemini-cli") == [
        ("allow", ["read_file"], {"file_path": {"under": [DIRECTORY]}}),
        ("allow", ["list_directory"], {"dir_path": {"under": [DIRECTORY]}}),
        ("allow", ["web_fetch"], {}),
    ]
    assert notes(made) == ["rules.toml: rule.0: glob is asked for: its arguments don't say where it looks"]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"toolName": "run_shell_command"}, "no rule contains a whole shell"),
        ({"toolName": "run_shell_command", "commandPrefix": "git"}, "behind a `;`"),
        ({"toolName": "run_shell_command", "commandRegex": "git"}, "behind a `;`"),
        ({"toolName": "write_file", "argsPattern": "x"}, "says little of one"),
        ({"toolName": "x", "modes": ["plan"]}, "some `modes` only"),
        ({"toolName": "x", "interactive": True}, "some `interactive` only"),
        ({"toolName": "x", "toolAnnotations": {"readOnlyHint": True}}, "some `toolAnnotations` only"),
        ({"toolName": "x", "subagent": "y"}, "some `subagent` only"),
        ({"toolName": "*"}, "name those that may run unasked"),
        ({}, "name those that may run unasked"),
        ({"toolName": "mcp_jira_search"}, "use mcpName"),
        ({"toolName": "jira__search"}, "use mcpName"),
    ],
)
def test_what_is_not_allowed_says_why(rule, why):
    rule = {key: value for key, value in rule.items() if key != "toolAnnotations"}
    text = toml([RULE | rule])
    if why.startswith("some `toolAnnotations"):
        text += "toolAnnotations = { readOnlyHint = true }\n"
    made = draft("gemini-cli", ("rules.toml", text))
    assert not any(effect == "allow" for c in made.connectors.values() for effect, *_ in rules(made, c.name))
    assert any(why in note for note in notes(made))


def test_an_empty_list_of_modes_is_no_condition():
    assert rules(gemini(RULE | {"toolName": "web_fetch", "modes": []}), "gemini-cli") == [
        ("allow", ["web_fetch"], {})
    ]


@pytest.mark.parametrize(
    ("about", "pattern"),
    [
        ({"commandPrefix": "git push"}, r"(?s)(?:.*\W)?git.*push(?:\W.*)?"),
        ({"commandPrefix": ["rm", "dd"]}, r"(?s)(?:(?:.*\W)?rm(?:\W.*)?|(?:.*\W)?dd(?:\W.*)?)"),
        ({"commandRegex": "git (commit|push)"}, "(?s).*(?:git (commit|push)).*"),
    ],
)
def test_commands_that_are_stopped(about, pattern):
    made = gemini(deny(toolName="run_shell_command", **about))
    assert rules(made, "gemini-cli")[0] == ("deny", ["run_shell_command"], {"command": {"pattern": pattern}})
    assert made.notes == []


@pytest.mark.parametrize(
    "about", [{"commandRegex": "(?!x)"}, {"argsPattern": '"command":"x"'}, {"commandPrefix": ["rm", "*"]}]
)
def test_what_can_not_be_said_in_re2_stops_the_whole_tool(about):
    made = gemini(deny(toolName="run_shell_command", **about))
    assert rules(made, "gemini-cli") == [("deny", ["run_shell_command"], {})]
    assert "the tool is stopped as a whole" in notes(made)[0]


def test_a_rule_that_stops_sometimes_stops_always():
    made = gemini(deny(toolName="x", modes=["plan"], denyMessage="no"), ask(toolName="y", deny_message="no"))
    assert rules(made, "gemini-cli") == [("deny", ["x"], {})]
    assert [note.message for note in made.notes] == [
        "`denyMessage` is not carried over: write `instead`",
        "`modes` is left out: the rule stops these calls always",
        "`deny_message` is not carried over: write `instead`",
    ]


def test_a_question_that_is_asked_anyway_hides_no_allow_rule():
    made = gemini(ask(toolName="*"), ask(mcpName="*"), RULE | {"mcpName": "jira", "toolName": "search"})
    assert rules(made, "jira") == [("allow", ["search"], {})]


@pytest.mark.parametrize("priority", [100, 200])
def test_a_question_that_outranks_an_allow_rule_is_asked(priority):
    made = gemini(ask(mcpName="*") | {"priority": priority}, RULE | {"mcpName": "jira", "toolName": "search"})
    assert rules(made, "jira") == [("ask", ["*"], {}), ("allow", ["search"], {})]


def test_a_question_of_another_file_is_asked():
    """It may be of a higher tier."""
    allow, question = toml([RULE | {"mcpName": "jira"}]), toml([ask(mcpName="jira")])
    made = draft("gemini-cli", ("a.toml", allow), ("b.toml", question))
    assert rules(made, "jira") == [("ask", ["*"], {}), ("allow", ["*"], {})]


def test_an_allow_rule_that_outranks_a_deny_rule_is_told():
    made = gemini(deny(mcpName="jira"), RULE | {"mcpName": "jira", "toolName": "search"})
    assert rules(made, "jira") == [("deny", ["*"], {}), ("allow", ["search"], {})]
    assert notes(made) == [
        "rules.toml: rule.1: its priority 100 outranks a deny or ask rule there; here that rule wins"
    ]
    assert gemini(deny(mcpName="wiki"), RULE | {"mcpName": "jira"}).notes == []


def test_a_rule_for_every_server_reaches_those_that_come_after_it():
    made = gemini(deny(mcpName="*", toolName="x"), deny(toolName="mcp_*"), RULE | {"mcpName": "late"})
    assert rules(made, "late") == [("deny", ["x", "*"], {}), ("allow", ["*"], {})]


def test_names_of_servers_in_the_names_of_tools():
    servers = {"my_server": {"command": "x"}, "my": {"command": "x"}}
    made = gemini(deny(toolName="mcp_my_server_run"), deny(toolName="mcp_new_tool"), deny(toolName="mcp_*_all"),
                  deny(toolName="my__old"), mcpServers=servers)  # fmt: skip
    assert rules(made, "my_server") == [("deny", ["run", "*"], {})]
    assert rules(made, "my") == [("deny", ["server_run", "*", "old"], {})]
    assert rules(made, "new") == [("deny", ["tool", "*"], {})]


def test_settings():
    made = gemini(
        mcpServers={
            "a": {"command": "x", "trust": True, "excludeTools": ["rm"]},
            "b": {"command": "x", "trust": True, "includeTools": ["get"]},
            "c": {"command": "x", "includeTools": [], "trust": True},
            "d": {"command": "x", "trust": False},
        },
        tools={"exclude": ["save_memory", "ShellTool", "write_file(x)"], "allowed": ["web_fetch", "ShellTool(git)"],
               "core": ["x"]},
        mcp={"excluded": ["d"], "allowed": ["a"]},
        excludeTools=["old"],
        allowedTools=["google_web_search"],
        hooks={},
    )  # fmt: skip
    assert rules(made, "a") == [("deny", ["rm"], {}), ("allow", ["*"], {})]
    assert rules(made, "b") == [("allow", ["get"], {})]
    assert rules(made, "c") == []
    assert rules(made, "d") == [("deny", ["*"], {})]
    assert rules(made, "gemini-cli") == [
        ("deny", ["old", "save_memory", "run_shell_command", "write_file"], {}),
        ("allow", ["google_web_search", "web_fetch"], {}),
    ]
    assert [note.message for note in made.notes] == [
        "a tool that is not included is not there at all; here it is asked for",
        "a tool that is not included is not there at all; here it is asked for",
        "`hooks` is not carried over",
        "the tool is denied as a whole: what stands in the parentheses is left out",
        "tools.allowed is not carried over: what no rule speaks of is asked for",
        "tools.core is not carried over: what no rule speaks of is asked for",
        "mcp.allowed is not carried over: what no rule speaks of is asked for",
    ]


def test_all_servers_can_be_excluded():
    made = gemini(mcpServers={"a": {"command": "x"}}, mcp={"excluded": ["*"]}, tools="odd")
    assert rules(made, "a") == [("deny", ["*"], {})]


def test_a_question_about_what_the_settings_allow_is_asked():
    made = gemini(ask(mcpName="a"), mcpServers={"a": {"command": "x", "trust": True}})
    assert rules(made, "a") == [("ask", ["*"], {}), ("allow", ["*"], {})]


def test_what_else_stands_in_a_policy_file_is_told():
    made = draft("gemini-cli", ("a.toml", "x = 1\n" + toml([deny(toolName="y")])))
    assert notes(made) == ["a.toml: x: `x` is not carried over"]


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"decision": "allow"}, "rule.0: the key 'priority' is missing"),
        ({"priority": 1}, "rule.0: the key 'decision' is missing"),
        (RULE | {"decision": "yes"}, "rule.0.decision: must be one of allow, ask_user, deny, not 'yes'"),
        (RULE | {"priority": 1000}, "rule.0.priority: must be a whole number from 0 to 999"),
        (RULE | {"priority": 1.5}, "rule.0.priority: must be a whole number from 0 to 999"),
        (RULE | {"tool": "x"}, "rule.0.tool: unknown key 'tool'"),
        (RULE | {"toolName": 5}, "rule.0.toolName: must be text, or a list of texts"),
        (RULE | {"toolName": "a|b"}, "rule.0.toolName: 'a|b' is no name of a tool"),
        (RULE | {"toolName": ""}, "rule.0.toolName: '' is no name of a tool"),
        (RULE | {"mcpName": 5}, "rule.0.mcpName: must be text"),
        (RULE | {"commandPrefix": "x"}, 'rule.0: commandPrefix needs toolName = "run_shell_command"'),
        (
            RULE | {"toolName": "run_shell_command", "commandPrefix": "x", "commandRegex": "y"},
            "rule.0: commandPrefix and commandRegex can't stand in one rule",
        ),
    ],
)
def test_a_mistake_is_named(rule, error):
    with pytest.raises(PolicyError) as caught:
        gemini(rule)
    assert str(caught.value) == f"rules.toml: {error}"


def test_nothing_is_a_mistake():
    with pytest.raises(PolicyError, match=r"^settings\.json: there are no rules and no mcpServers in it$"):
        gemini(x=1)


def test_a_name_in_the_settings_that_is_none():
    with pytest.raises(PolicyError, match=r"'a\[' is no name of a tool"):
        gemini(mcpServers={"a": {"command": "x"}}, tools={"exclude": ["a["]})
    with pytest.raises(PolicyError, match=r"excludeTools\.0: 'a\*' is no name of a tool"):
        gemini(mcpServers={"a": {"command": "x", "excludeTools": ["a*"]}})


def test_the_same_thing_is_told_once():
    assert len(gemini(RULE | {"toolName": ["a*", "b*"]}).notes) == 1
