"""What becomes of the files of Docker's MCP gateway."""

import pytest
from tests.core.imports.importing import draft, notes, rules

from blastwall.errors import PolicyError
from blastwall.imports.draft import Server

OWN: tuple[str, list[str], dict[str, str]] = ("deny", ["mcp-*", "code-mode", "find-tools"], {})
REGISTRY = ("registry.yaml", "registry:\n  github: {ref: ''}\n  files:\n    ref: ''\n")


def docker(*files):
    return draft("docker-mcp", *files)


def gateway(*flags):
    return (
        "mcp.json",
        {"mcpServers": {"d": {"command": "docker", "args": ["mcp", "gateway", "run", *flags]}}},
    )


def test_named_tools_are_allowed_and_others_denied():
    made = docker(REGISTRY, ("tools.yaml", "github:\n  - get_issue\n  - list\nother: [x]\n"))
    assert rules(made, "github") == [OWN, ("allow", ["get_issue", "list"], {})]
    assert rules(made, "files") == [OWN, ("ask", ["*"], {})]
    assert not made.asking
    assert notes(made) == [
        "registry.yaml:3:3: registry.files: every tool of files is served: here each is asked for, so name those that"
        " may run unasked"
    ] or notes(made)[0].startswith("registry.yaml:")


def test_the_gateway_starts_the_server_with_its_own_flags():
    made = docker(
        gateway("--servers=github", "--block-network", "--verify-signatures=true", "--block-secrets=false")
    )
    server = next(iter(made.connectors.values())).server
    args = ("mcp", "gateway", "run", "--servers=github", "--block-network", "--verify-signatures=true")
    assert server == Server("docker", args)


def test_a_name_that_is_an_option_starts_nothing():
    made = docker(("r.yaml", "registry: {'--x': {ref: ''}}\n"))
    assert next(iter(made.connectors.values())).server is None
    assert "this is no name that can stand in a command" in "".join(notes(made))


@pytest.mark.parametrize(
    ("flags", "tools"),
    [
        (["--tools=github:get"], ["get"]),
        (["--tools", "github:get,github:list"], ["get", "list"]),
        (["--tools", "get"], ["get"]),
        (["--tools", "files:get"], []),
        (["--tools", "github:get", "--tools", "github:list"], []),
    ],
)
def test_tools_in_the_flags(flags, tools):
    made = docker(gateway("--servers", "github", *flags))
    assert rules(made, "github") == [OWN, *([("allow", tools, {})] if tools else [])]


@pytest.mark.parametrize("flag", ["github:*", "*"])
def test_all_tools_in_the_flags(flag):
    assert rules(docker(gateway("--servers=github", "--tools", flag)), "github") == [OWN, ("ask", ["*"], {})]


def test_flags_that_are_not_carried_over():
    made = docker(gateway("--servers=github", "--interceptor", "before:exec:/bin/x", "--enable-all-servers", "--port", "80",
                          "--tools=github:x"))  # fmt: skip
    assert [note.message for note in made.notes] == [
        "an interceptor is a program that sees every call: it is not carried over",
        "not carried over: only servers that a file names are enabled here",
        "--port is not carried over",
    ]


def test_a_compose_file():
    compose = (
        "services:\n  gateway:\n    image: docker/mcp-gateway:latest\n    command:\n      - --servers=web\n"
    )
    assert rules(docker(("compose.yaml", compose + "      - --tools=web:get\n")), "web") == [
        OWN,
        ("allow", ["get"], {}),
    ]


def test_every_list_narrows():
    made = docker(
        REGISTRY, gateway("--servers=github,web", "--tools=github:get"), ("tools.yaml", "github: [get, x]\n")
    )
    assert list(made.connectors) == [(False, "github")]
    assert rules(made, "github") == [OWN, ("allow", ["get"], {})]
    assert [note.message for note in made.notes] == [
        "files is left out: another of the files does not enable it",
        "web is left out: another of the files does not enable it",
    ]


def test_a_profile():
    profile = """
version: 1
id: dev
servers:
  - {type: image, image: "mcp/github:latest", tools: [get, list]}
  - type: registry
    source: https://registry.example/v0/servers/abc/
    snapshot: {server: {name: web}}
  - {type: registry, source: "https://registry.example/v0/servers/71de"}
"""
    made = docker(("profile.yaml", profile))
    assert [name for _, name in made.connectors] == ["github", "web", "71de"]
    assert rules(made, "github") == [OWN, ("allow", ["get", "list"], {})]


def test_a_catalogue_names_the_tools():
    catalogue = {
        "registry": {
            "github": {
                "title": "x", "image": "mcp/github", "tools": [{"name": "get"}, {"name": "put"}],
                "secrets": [{"name": "github.token", "env": "TOKEN"}], "env": [],
            },
            "files": {"title": "x", "tools": []},
        }
    }  # fmt: skip
    made = docker(("catalog.json", catalogue), REGISTRY, ("tools.yaml", "github: [get, other]\n"))
    assert rules(made, "github") == [OWN, ("allow", ["get"], {})]
    assert rules(made, "files") == [OWN, ("ask", ["*"], {})]
    assert "`secrets` is the gateway's affair: it starts the server" in notes(made)[0]


def test_settings_stay_where_they_are():
    made = docker(REGISTRY, ("config.yaml", "files:\n  paths: [/x]\n"), ("empty.yaml", "# nothing\n"))
    assert (
        notes(made)[0]
        == "config.yaml:1:1: files: the settings of files stay where they are: the gateway reads them"
    )


@pytest.mark.parametrize(
    ("file", "error"),
    [
        (("t.yaml", "a: [x y]\n"), "t.yaml:1:5: a.0: 'x y' is no name of a tool"),
        (("t.yaml", "a: [5]\n"), "t.yaml:1:5: a.0: must be text"),
        (
            ("t.yaml", "a: 5\n"),
            "t.yaml:1:1: this is no catalogue, registry.yaml, tools.yaml, config.yaml or profile",
        ),
        (("t.yaml", "- a\n"), "t.yaml:1:1: must be a block of keys and values"),
        (
            ("t.json", {"mcpServers": {"a": {"command": "npx", "args": ["x"]}}}),
            "t.json:1:1: nothing in it runs `docker mcp gateway run`, and no service is the gateway",
        ),
        (
            ("t.yaml", "a: [b]\n"),
            "t.yaml: no server is enabled in it: name registry.yaml, a profile, or a file with --servers",
        ),
        (("t.yaml", "servers: [{type: image}]\n"), "t.yaml:1:11: servers.0: the key 'image' is missing"),
        (
            ("t.json", {"registry": {"a": {"tools": [{"name": "x y"}]}}}),
            "t.json:1:31: registry.a.tools.0: 'x y' is no name of a tool",
        ),
    ],
)
def test_a_mistake_is_named(file, error):
    with pytest.raises(PolicyError) as caught:
        docker(file)
    assert str(caught.value) == error


def test_a_catalogue_without_tools():
    made = docker(("catalog.json", {"registry": {"github": {"title": "x"}}}), REGISTRY)
    assert rules(made, "github") == [OWN, ("ask", ["*"], {})]
