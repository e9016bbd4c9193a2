"""What becomes of each kind of Claude Code's rules."""

import pytest
from tests.core.imports.importing import draft, notes, rules
from tests.core.imports.sources import DIRECTORY, HOME

from blastwall.errors import PolicyError


def claude(path=f"{DIRECTORY}/.claude/settings.json", servers=None, **permissions):
    content = {"permissions": permissions} | ({"mcpServers": servers} if servers else {})
    return draft("claude-code", ("settings.json", content, path))


def own(**permissions):
    return [
        rule
        for rule in rules(claude(**permissions), "claude-code")
        if rule[0] != "ask" or permissions.get("ask")
    ]


PROTECTED_ASK = 2


def test_whole_commands_become_one_rule():
    made = claude(allow=["Bash(npm test)", "Bash(make lint)", "Bash(npm test)"])
    assert rules(made, "claude-code") == [
        ("allow", ["Bash"], {"command": {"enum": ["npm test", "make lint"]}})
    ]
    assert made.notes == []


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("Bash", "a whole shell"),
        ("Bash(*)", "a whole shell"),
        ("PowerShell", "a whole shell"),
        ("PowerShell(Get-ChildItem)", "too many names"),
        ("Bash(npm run:*)", "behind a `;`"),
        ("Bash(npm * build)", "behind a `;`"),
        ("Bash(npm test && x)", "plain words"),
        ("Bash(rm -rf x)", "plain words"),
        ("Bash(run_in_background:true)", "one parameter"),
        ("Agent(Explore)", "one parameter"),
        ("Agent(model:opus)", "one parameter"),
        ("Edit", "name a folder"),
        ("Write", "name a folder"),
        ("Read(*.py)", "only one file"),
        ("Read(~/$x/**)", "only one file"),
        ("Read(notes/**)", "behind a link"),
        ("WebFetch(domain:example.*)", "no plain domain"),
        ("WebFetch(https://example.com)", "no plain domain"),
        ("WebFetch(domain:example.com:80)", "no plain domain"),
        ("mcp__*", "names no one server"),
        ("mcp__*__x", "names no one server"),
        ("mcp__a__b(c:d)", "no specifier"),
        ("*", "skips it"),
        ("B*", "skips it"),
    ],
)
@pytest.mark.parametrize("mode", ["default", "dontAsk"])
def test_what_is_not_allowed_says_why(rule, why, mode):
    made = claude(allow=[rule], defaultMode=mode)
    assert not any(effect == "allow" for c in made.connectors.values() for effect, *_ in rules(made, c.name))
    (note,) = notes(made)
    assert f"{rule} is {'denied' if mode == 'dontAsk' else 'asked for'}, not allowed: " in note
    assert why in note


def test_a_folder_is_allowed_as_it_is_spelt():
    assert ("allow", ["Read"], {
        "file_path": {"under": [f"{DIRECTORY}/src"], "pattern": f"(?s)(?:{DIRECTORY}/src|(?:\\./)?src)(?:/.*)?"}
    }) in own(allow=["Read(./src/**)"])  # fmt: skip


def test_edits_of_a_folder_leave_what_is_protected_to_a_person():
    made = rules(claude(allow=["Edit(/src/**)"]), "claude-code")
    assert [effect for effect, *_ in made] == ["ask", "ask", "allow"]
    assert f"{DIRECTORY}/.git" in made[0][2]["file_path"]["under"]
    assert f"{DIRECTORY}/src/.git" in made[0][2]["file_path"]["under"]
    silent = rules(claude(allow=["Edit(/src/**)"], defaultMode="dontAsk"), "claude-code")
    assert [effect for effect, *_ in silent] == ["deny", "deny", "allow"]


def test_a_tool_that_other_rules_speak_of_is_asked_for():
    assert own(allow=["Read"]) == [("allow", ["Read"], {})]
    assert own(allow=["Grep"]) == [("allow", ["Grep"], {})]
    assert not any(e == "allow" for e, *_ in own(allow=["Read"], deny=["Read(.env)"]))
    assert not any(e == "allow" for e, *_ in own(allow=["Grep"], deny=["Read(//etc/**)"]))
    assert any(e == "allow" for e, *_ in own(allow=["Read"], deny=["Read(//etc/**)"]))
    assert not any(e == "allow" for e, *_ in own(allow=["Read(./src/**)"], deny=["Read(.env)"]))
    assert not any(e == "allow" for e, *_ in own(allow=["Bash(cat x.txt)"], deny=["Read(//etc/**)"]))
    assert any(e == "allow" for e, *_ in own(allow=["Bash(make lint)"], deny=["Read(//etc/**)"]))


def test_what_is_denied_as_a_whole():
    editors = ["Edit", "Write", "MultiEdit", "NotebookEdit"]
    assert own(deny=["Edit"]) == [("deny", editors, {})]
    assert own(deny=["Read"])[0][1] == ["Read", "NotebookRead", "Grep", "Glob", "LS", *editors]
    assert own(deny=["Task"]) == [("deny", ["Agent", "Task"], {})]
    assert own(deny=["WebSearch"]) == [("deny", ["WebSearch"], {})]
    assert own(deny=["Bash(*)"]) == [("deny", ["Bash"], {})]


@pytest.mark.parametrize(
    ("rule", "tools"),
    [
        ("PowerShell(Remove-Item *)", ["PowerShell"]),
        ("WebFetch(domain:example.*)", ["WebFetch"]),
        ("WebFetch(x)", ["WebFetch"]),
        ("Skill(x)", ["Skill"]),
        ("Edit(**)", ["Edit", "Write", "MultiEdit", "NotebookEdit"]),
    ],
)
def test_what_can_not_be_said_closely_is_denied_as_a_whole(rule, tools):
    made = claude(deny=[rule])
    assert ("deny", tools, {}) in rules(made, "claude-code")
    assert f"{rule} stops {' and '.join(tools)} as a whole" in notes(made)[0]


def test_domains():
    assert own(allow=["WebFetch(domain:Example.com.)"]) == [
        ("allow", ["WebFetch"], {"url": {"hosts": ["example.com"]}})
    ]
    assert own(allow=["WebFetch(domain:*)"]) == [("allow", ["WebFetch"], {})]
    assert own(deny=["WebFetch(domain:*.evil.test)"])[0] == (
        "deny", ["WebFetch"], {"url": {"hosts": ["*.evil.test"]}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "demand"),
    [
        ("Agent(model:opus)", {"model": {"enum": ["opus"]}}),
        ("Agent(model: opus )", {"model": {"enum": ["opus"]}}),
        ("Agent(tools:x)", {"tools": {"enum": ["x"]}}),
        ("Agent(self:x)", {"self": {"enum": ["x"]}}),
        ("Agent(isolation:*)", {"isolation": {"pattern": "(?s).*"}}),
        ("Agent(Explore)", {"subagent_type": {"enum": ["Explore"]}}),
        ("Bash(run_in_background:true)", {"run_in_background": {"enum": [True, "true"]}}),
        ("Bash(timeout:5)", {"timeout": {"enum": [5, "5"]}}),
    ],
)
def test_parameters(rule, demand):
    assert own(deny=[rule])[0][2] == demand


def test_path_rules_that_claude_code_never_consults():
    made = claude(allow=["Write(a/**)"], deny=["Glob(secrets/x/**)"])
    assert not any(effect == "allow" for effect, *_ in rules(made, "claude-code"))
    assert [note.partition(": Claude")[2] for note in notes(made)] == [
        " Code never consults Glob(secrets/x/**): write Read(secrets/x/**)",
        " Code never consults Write(a/**): write Edit(a/**)",
    ]
    assert any(effect == "deny" and "Read" in tools for effect, tools, _ in rules(made, "claude-code"))


def test_mcp_tools():
    servers = {"my server": {"command": "x"}, "git": {"command": "x"}, "git__hub": {"command": "x"}}
    made = claude(servers=servers, allow=["mcp__my_server__run", "mcp__git__hub__x", "mcp__new__y", "mcp__git"],
                  deny=["mcp__git__hub__z", "mcp__*"], ask=["*", "mcp__my*(a:b)"])  # fmt: skip
    assert rules(made, "my_server") == [("deny", ["*"], {}), ("ask", ["*"], {}), ("allow", ["run"], {})]
    assert ("deny", ["hub__z", "*"], {}) in rules(made, "git")
    assert ("deny", ["z", "*"], {}) in rules(made, "git_hub")
    assert ("allow", ["*"], {}) in rules(made, "git")
    assert ("allow", ["y"], {}) in rules(made, "new")
    assert any(
        "mcp__git__hub__x is asked for, not allowed: it names no one server" in note for note in notes(made)
    )
    assert any("the specifier is left out" in note for note in notes(made))


def test_an_mcp_tool_with_a_parameter():
    made = claude(deny=["mcp__a__b(repo:secret*)"], allow=["mcp__a"])
    assert rules(made, "a") == [("deny", ["b"], {"repo": {"pattern": "(?s)secret.*"}}), ("allow", ["*"], {})]


def test_a_glob_over_own_tools():
    made = rules(claude(deny=["Web*"], allow=["WebSearch"]), "claude-code")
    assert made == [("deny", ["Web*"], {}), ("allow", ["WebSearch"], {})]
    assert ("deny", ["*"], {}) in rules(claude(deny=["*"], allow=["WebSearch"]), "claude-code")


@pytest.mark.parametrize("mode", ["acceptEdits", "auto", "bypassPermissions"])
def test_a_mode_that_allows_is_not_carried_over(mode):
    assert f"{mode} is not carried over" in notes(claude(allow=["WebSearch"], defaultMode=mode))[0]


def test_a_mode_that_denies_is():
    assert ("deny", ["Edit", "Write", "MultiEdit", "NotebookEdit"], {}) in own(defaultMode="plan")
    made = claude(ask=["WebSearch"], defaultMode="dontAsk")
    assert not made.asking
    assert rules(made, "claude-code") == [("deny", ["WebSearch"], {})]


def test_where_a_slash_starts():
    """In the project for its own settings, in ~/.claude for the user's."""
    project = rules(claude(allow=["Read(/src/**)"]), "claude-code")
    user = rules(claude(f"{HOME}/.claude/settings.json", allow=["Read(/src/**)"]), "claude-code")
    other = rules(claude(f"{HOME}/x/managed.json", allow=["Read(/src/**)"]), "claude-code")
    assert [made[0][2]["file_path"]["under"] for made in (project, user, other)] == [
        [f"{DIRECTORY}/src"],
        [f"{HOME}/.claude/src"],
        [f"{HOME}/x/src"],
    ]


def test_everything_else_is_told():
    content = {
        "permissions": {"allow": ["Cd(/x)"], "additionalDirectories": ["../x"]},
        "hooks": {},
        "sandbox": {},
    }
    made = draft("claude-code", ("settings.json", content))
    assert [note.message for note in made.notes] == [
        "`hooks` is not carried over",
        "`sandbox` is not carried over",
        "files in a further folder are asked for: write an allow rule with `under`",
        "Cd rules are about a command of the user's, not about a tool",
    ]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"permissions": []}, "settings.json:1:17: permissions: must be a block of keys and values"),
        ({"permissions": {"allow": "Bash"}}, "settings.json:1:27: permissions.allow: must be a list"),
        ({"permissions": {"deny": [5]}}, "settings.json:1:27: permissions.deny.0: must be text"),
        (
            {"permissions": {"ask": ["Bash(x"]}},
            "settings.json:1:26: permissions.ask.0: 'Bash(x' is no rule: write Tool or Tool(specifier)",
        ),
        (
            {"permissions": {"defaultMode": "yolo"}},
            "settings.json:1:33: permissions.defaultMode: must be one of default, manual, acceptEdits, plan, auto,"
            " dontAsk, bypassPermissions, not 'yolo'",
        ),
        ({"x": 1}, "settings.json: there are no permissions and no mcpServers in it"),
    ],
)
def test_a_mistake_is_named(content, error):
    with pytest.raises(PolicyError) as caught:
        draft("claude-code", ("settings.json", content))
    assert str(caught.value) == error
