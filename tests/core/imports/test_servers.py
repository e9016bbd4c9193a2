"""`mcpServers`: what starts a server is carried over where it is certain, and no secret ever is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.imports.importing import draft, notes, text

from blastwall.errors import PolicyError
from blastwall.imports.draft import Server

SECRETS = [
    "ghp_0123456789abcdefghij", "sk-proj-abcdefghijklmnop", "xoxb-1-2-abcdef", "AKIAIOSFODNN7EXAMPLE", "hunter2",
    "postgres://me:pw@db.example/x", "Bearer abc", "eyJhbGciOi.J9", "0123456789abcdef0123456789abcdef",
]  # fmt: skip


def one(block, **more):
    return draft("vscode", ("mcp.json", {"servers": {"s": block}} | more))


def server(block):
    return next(iter(one(block).connectors.values())).server


def test_a_plain_server_is_carried_over_whole():
    block = {
        "command": "npx",
        "args": ["-y", "@scope/server", "${workspaceFolder}/data"],
        "env": {"LOG_LEVEL": "info"},
    }
    args = ("-y", "@scope/server", "/home/me/project/data")
    assert server(block | {"cwd": "${workspaceFolder}/x"}) == Server("npx", args, (("LOG_LEVEL", "info"),))
    assert (
        next(iter(one(block | {"cwd": "${workspaceFolder}/x"}).connectors.values())).directory
        == "/home/me/project/x"
    )


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_of_env_is_copied_or_told(secret):
    block = {
        "command": "x",
        "env": {"GITHUB_TOKEN": secret, "LOG_LEVEL": f"{secret}/key", "weird name": secret},
    }
    made = one(block)
    assert secret not in text("vscode", ("mcp.json", {"servers": {"s": block}}))
    assert any("the value of GITHUB_TOKEN may be a secret and is not copied" in note for note in notes(made))
    assert any("{env: GITHUB_TOKEN, hosts: [...], variable: GITHUB_TOKEN}" in note for note in notes(made))
    assert any("{env: NAME," in note for note in notes(made))


@pytest.mark.parametrize("name", ["API", "MODE", "DATABASE_URL"])
@given(st.text(min_size=1, max_size=30))
def test_no_value_of_an_unknown_variable_is_copied(name, value):
    made = one({"command": "x", "env": {name: value}})
    assert next(iter(made.connectors.values())).server == Server("x")
    assert len(made.notes) == 1


@pytest.mark.parametrize(
    "args",
    [
        ["--api-key", "abc"],
        ["--token=abc"],
        ["postgres://me:pw@db.example/x"],
        ["-H", "Authorization: Bearer abc"],
        ["ghp_0123456789"],
        ["a" * 40],
    ],
)
def test_an_argument_that_may_be_a_secret_leaves_the_server_out(args):
    made = one({"command": "x", "args": args})
    assert next(iter(made.connectors.values())).server is None
    assert args[-1] not in "".join(notes(made))
    assert "this may hold a secret" in notes(made)[0]


@pytest.mark.parametrize("word", ["$HOME/x", "${env:X}", "~/x", "%APPDATA%", "`x`", "{{y}}"])
def test_what_a_client_would_expand_leaves_the_server_out(word):
    assert server({"command": "x", "args": [word]}) is None
    assert server({"command": word}) is None
    made = one({"command": "x", "cwd": word})
    assert next(iter(made.connectors.values())).directory is None
    assert "`directory` is left out" in notes(made)[0]


@pytest.mark.parametrize("key", ["url", "httpUrl", "serverUrl"])
def test_a_server_behind_a_url_has_rules_only(key):
    made = one({key: "https://example.com/mcp", "headers": {"Authorization": "x"}})
    assert next(iter(made.connectors.values())).server is None
    assert len(made.notes) == 2


def test_a_server_without_a_command_has_rules_only():
    assert "there is no `command`" in notes(one({}))[0]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ({"command": ""}, "mcp.json:1:31: servers.s.command: must not be empty"),
        ({"command": 5}, "mcp.json:1:31: servers.s.command: must be text"),
        ({"command": "x", "args": [5]}, "mcp.json:1:45: servers.s.args.0: must be text"),
        ({"command": "x", "env": []}, "mcp.json:1:43: servers.s.env: must be a block of keys and values"),
        (
            {"command": "x", "timeout": "1"},
            "mcp.json:1:47: servers.s.timeout: must be a number of milliseconds",
        ),
        (
            {"command": "x", "timeout": True},
            "mcp.json:1:47: servers.s.timeout: must be a number of milliseconds",
        ),
        (
            {"command": "x", "timeout": 0},
            "mcp.json:1:47: servers.s.timeout: must be a number of milliseconds",
        ),
        ([], "mcp.json:1:19: servers.s: must be a block of keys and values"),
    ],
)
def test_a_wrong_server_is_named(block, error):
    with pytest.raises(PolicyError) as caught:
        one(block)
    assert str(caught.value) == error


def test_a_timeout_is_in_seconds_here():
    assert server({"command": "x", "timeout": 1500}) == Server("x", call_s=1.5)
    assert server({"command": "x", "timeout": 10**9}) == Server("x")
