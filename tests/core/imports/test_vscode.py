"""What becomes of VS Code's settings."""

import pytest
from tests.core.imports.importing import draft, notes, rules

from blastwall.errors import PolicyError

TERMINAL = "chat.tools.terminal.autoApprove"
URLS = "chat.tools.urls.autoApprove"


def vscode(*settings):
    return draft("vscode", *[(f"settings{i}.json", each) for i, each in enumerate(settings)])


def test_a_whole_command_is_allowed():
    made = vscode(
        {TERMINAL: {"/^npm run build$/": True, "/^make lint$/": {"approve": True, "matchCommandLine": True}}}
    )
    assert rules(made, "vscode") == [
        ("allow", ["run_in_terminal"], {"command": {"enum": ["npm run build", "make lint"]}})
    ]
    assert made.notes == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({TERMINAL: {"mkdir": True}}, "what starts or reads like it may do anything"),
        ({TERMINAL: {"/^git (status|show)$/": True}}, "what starts or reads like it may do anything"),
        ({TERMINAL: {"/^rm x$/": True}}, "VS Code may ask about it all the same"),
        ({TERMINAL: {"/^cat x$/": True}}, "VS Code may ask about it all the same"),
        ({TERMINAL: {"/^npm test$/": True, "npm": False}}, "another entry asks about it"),
        ({TERMINAL: {"/^npm test$/": True, "/x/": {"approve": False}}}, "another entry asks about it"),
        (
            {TERMINAL: {"/^npm test$/": True}, "chat.tools.terminal.enableAutoApprove": False},
            "automatic approval of commands is turned off",
        ),
        ({TERMINAL: {"rm": None}}, "only unsets a default"),
        ({URLS: {"https://example.com/api/*": True}}, "only a whole site"),
        ({URLS: {"*": True}}, "only a whole site"),
        ({URLS: {"https://-/*": True}}, "only a whole site"),
        (
            {URLS: {"https://example.com/*": True, "https://example.com/x": False}},
            "another entry may ask about it",
        ),
        ({URLS: {"https://example.com/*": True, "*": False}}, "another entry may ask about it"),
        (
            {URLS: {"https://example.com/*": True}, "chat.tools.eligibleForAutoApproval": {"fetch": False}},
            "wants a person to approve each fetch",
        ),
        ({"github.copilot.chat.agent.terminal.allowList": {"npm": True}}, "an old list of commands"),
        ({"chat.tools.global.autoApprove": True}, "what no rule allows is asked for"),
        ({"chat.tools.edits.autoApprove": {"**": True}}, "what no rule allows is asked for"),
    ],
)
def test_what_is_not_allowed_says_why(settings, why):
    made = vscode(settings)
    assert not any(effect == "allow" for c in made.connectors.values() for effect, *_ in rules(made, c.name))
    assert any(why in note for note in notes(made))


def test_a_site_is_allowed_as_it_is_spelt():
    made = vscode({URLS: {"https://docs.example.com/*": True, "https://other.test/*": {"approveRequest": False,
                          "approveResponse": True}}})  # fmt: skip
    assert rules(made, "vscode") == [
        (
            "allow",
            ["fetch_webpage"],
            {"urls": {"hosts": ["docs.example.com"], "pattern": r"(?s)https://docs\.example\.com/.*"}},
        )
    ]


def test_a_site_with_subdomains_that_are_both_approved():
    value = {"approveRequest": True, "approveResponse": True}
    made = vscode({URLS: {"https://*.example.com/*": value}})
    assert rules(made, "vscode")[0][2]["urls"]["pattern"] == r"(?s)https://[a-z0-9.-]+\.example\.com/.*"


def test_a_later_file_widens_nothing():
    made = vscode({"servers": {}}, {TERMINAL: {"/^npm test$/": True}, URLS: {"https://example.com/*": True}})
    assert made.connectors == {}
    assert all("a later file can't allow more than the first" in note for note in notes(made))
    assert len(made.notes) == 2


def test_nested_settings_are_read_alike():
    made = vscode(
        {"chat": {"tools": {"terminal": {"autoApprove": {"/^npm test$/": True}}}}, "editor": {"fontSize": 1}}
    )
    assert rules(made, "vscode") == [("allow", ["run_in_terminal"], {"command": {"enum": ["npm test"]}})]


def test_servers_and_inputs():
    content = {"inputs": [{"id": "k"}], "servers": {"a": {"command": "x"}}, "mcp": {"servers": {"b": {"command": "x"}},
               "inputs": [{"id": "l"}]}, "mcpServers": {"c": {"command": "x"}}}  # fmt: skip
    made = vscode(content)
    assert [name for _, name in made.connectors] == ["a", "c", "b"]
    assert [note.path for note in made.notes] == ["inputs.0", "mcp.inputs.0"]


def test_comments_are_no_mistake():
    made = draft("vscode", ("settings.json", '// x\n{\n\t"servers": {"a": {"command": "x",},}, /* y */\n}\n'))
    assert [name for _, name in made.connectors] == ["a"]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({TERMINAL: {"x": 5}}, f"settings0.json:1:43: {TERMINAL}.x: must be true or false"),
        ({TERMINAL: {"x": {}}}, f"settings0.json:1:43: {TERMINAL}.x: the key 'approve' is missing"),
        ({URLS: {"x": "yes"}}, f"settings0.json:1:39: {URLS}.x: must be true or false"),
        ({URLS: []}, f"settings0.json:1:33: {URLS}: must be a block of keys and values"),
        ({"x": 1}, "settings0.json: there are no servers and no settings of agents in it"),
    ],
)
def test_a_mistake_is_named(settings, error):
    with pytest.raises(PolicyError) as caught:
        vscode(settings)
    assert str(caught.value) == error
