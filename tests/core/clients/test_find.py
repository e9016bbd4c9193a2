"""Every client is found where it keeps its servers, and its own way to write one down is understood."""

import json
import os

import pytest
from tests.core.clients.machines import SAMPLES, full, put, user_file

from blastwall.clients.find import Machine, find, running
from blastwall.clients.table import CLIENTS, named


def servers(machine, client, project=""):
    return {s.name: s for one in find(machine, project, [named(client)]) for s in one.servers}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_client_is_found_on_every_platform(tmp_path, platform):
    machine = full(tmp_path, platform)
    found = list(find(machine))
    assert [one.client.name for one in found] == [
        client.name for client in CLIENTS for _ in range(1 + (client.name == "claude-code"))
    ]
    assert not any(one.problem for one in found)
    assert all(one.servers for one in found)


def test_the_documented_paths(tmp_path):
    home = "/home/u"
    paths = {
        platform: {c.name: str(user_file(c, Machine(home, {"APPDATA": "/A"}, platform))) for c in CLIENTS}
        for platform in ("linux", "darwin", "win32")
    }
    mac = f"{home}/Library/Application Support"
    assert paths["linux"] == {
        "claude-desktop": f"{home}/.config/Claude/claude_desktop_config.json",
        "claude-code": f"{home}/.claude.json",
        "cursor": f"{home}/.cursor/mcp.json",
        "vscode": f"{home}/.config/Code/User/mcp.json",
        "windsurf": f"{home}/.codeium/windsurf/mcp_config.json",
        "zed": f"{home}/.config/zed/settings.json",
        "gemini-cli": f"{home}/.gemini/settings.json",
        "codex": f"{home}/.codex/config.toml",
        "lm-studio": f"{home}/.lmstudio/mcp.json",
        "junie": f"{home}/.junie/mcp/mcp.json",
        "jetbrains": f"{home}/.ai/mcp/mcp.json",
    }
    assert paths["darwin"]["claude-desktop"] == f"{mac}/Claude/claude_desktop_config.json"
    assert paths["darwin"]["vscode"] == f"{mac}/Code/User/mcp.json"
    assert paths["darwin"]["zed"] == f"{home}/.config/zed/settings.json"
    assert paths["win32"]["claude-desktop"] == "/A/Claude/claude_desktop_config.json"
    assert paths["win32"]["zed"] == "/A/Zed/settings.json"


def test_variables_that_move_files_count(tmp_path):
    env = {"CLAUDE_CONFIG_DIR": "/c", "CODEX_HOME": "/x", "XDG_CONFIG_HOME": "/g"}
    machine = Machine("/home/u", env, "linux")
    assert str(user_file(named("claude-code"), machine)) == "/c/.claude.json"
    assert str(user_file(named("codex"), machine)) == "/x/config.toml"
    assert str(user_file(named("zed"), machine)) == "/g/zed/settings.json"
    relative = Machine("/home/u", {"CODEX_HOME": "x", "XDG_CONFIG_HOME": "g"}, "linux")
    assert str(user_file(named("codex"), relative)) == "/home/u/.codex/config.toml"
    assert str(user_file(named("zed"), relative)) == "/home/u/.config/zed/settings.json"


def test_a_home_with_odd_letters_is_a_home(tmp_path):
    machine = full(tmp_path / "a[b]*c?")
    assert len(list(find(machine))) == len(CLIENTS) + 1


def test_claude_code_has_servers_for_all_projects_and_for_each(tmp_path):
    found = servers(full(tmp_path), "claude-code")
    assert found["memory"].command == ("npx", "-y", "@modelcontextprotocol/server-memory@2026.8.31")
    assert (found["memory"].line, found["memory"].keys) == (5, ("mcpServers",))
    assert (found["sentry"].transport, found["sentry"].url) == ("http", "https://mcp.sentry.dev/mcp")
    assert found["db"].keys == ("projects", "/srv/app", "mcpServers")


def test_projects_bring_servers_along(tmp_path):
    project = tmp_path / "project"
    for name in (
        ".mcp.json",
        ".cursor/mcp.json",
        ".gemini/settings.json",
        ".junie/mcp/mcp.json",
        ".ai/mcp/mcp.json",
    ):
        put(SAMPLES / "claude-code-project.json", project / name)
    put(SAMPLES / "vscode.json", project / ".vscode/mcp.json")
    put(SAMPLES / "zed.json", project / ".zed/settings.json")
    put(SAMPLES / "codex.toml", project / ".codex/config.toml")
    found = list(find(Machine(str(tmp_path), {}), str(project)))
    assert [one.client.name for one in found] == [
        "claude-code",
        "cursor",
        "vscode",
        "zed",
        "gemini-cli",
        "codex",
        "junie",
        "jetbrains",
    ]
    assert all(server.project == str(project) for one in found for server in one.servers)
    api = found[0].servers[0]
    assert api.expanded == ["${API_KEY}", "${API_BASE_URL:-https://api.example.com}"]


def test_the_forms_of_each_client(tmp_path):
    machine = full(tmp_path)
    zed = servers(machine, "zed")
    assert zed["older"].command == ("node", "/opt/older/index.js")
    assert zed["older"].env == (("TZ", "UTC"),)
    assert zed["from-an-extension"].own == ("an extension of the client starts it",)
    gemini = servers(machine, "gemini-cli")
    assert {name: s.transport for name, s in gemini.items()} == {
        "python": "stdio",
        "stream": "http",
        "old": "sse",
    }
    assert gemini["python"].directory == "/srv/mcp-servers/python"
    assert gemini["python"].expanded == ["$DB_CONNECTION_STRING", "${EXTERNAL_API_KEY}"]
    windsurf = servers(machine, "windsurf")
    assert windsurf["figma"].url == "https://figma.example.com/mcp"
    assert windsurf["old"].disabled
    codex = servers(machine, "codex")
    assert codex["figma"].headers == (("X-Figma-Region", "us-east-1"),)
    assert codex["figma"].own == ("`bearer_token_env_var` is the client's own",)
    assert codex["local tool"].disabled
    assert servers(machine, "cursor")["linear"].transport == "sse"
    assert servers(machine, "vscode")["paid"].expanded == ["${input:key}"]


def test_the_settings_of_jetbrains_ides(tmp_path):
    put(SAMPLES / "jetbrains.xml", tmp_path / ".config/JetBrains/PyCharm2026.1/options/llm.mcpServers.xml")
    found = servers(Machine(str(tmp_path), {}, "linux"), "jetbrains")
    assert found["nx-mcp"].command == ("npx", "-y", "nx-mcp@latest")
    assert found["nx-mcp"].env == (("NX_TOKEN", "nx-secret-value"),)
    assert list(found) == ["nx-mcp"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "line 1, column 1: this bracket is never closed"),
        (
            b'{"mcpServers": {}, "mcpServers": {}}',
            "line 1, column 20: this key stands twice, first on line 1",
        ),
        (b'{\n"x": "\xff"}', "line 2: this is not UTF-8 text"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "line 1, column 121: nested deeper than 24 levels"),
    ],
)
def test_what_can_t_be_read_is_told(tmp_path, content, problem):
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_bytes(content)
    (found,) = find(Machine(str(tmp_path), {}))
    assert found.problem == problem


@pytest.mark.parametrize(
    "block",
    [
        None,
        7,
        "x",
        [],
        {"command": 7},
        {"command": []},
        {"command": "x", "args": "y"},
        {"command": "x", "args": [1]},
        {"command": "x", "env": ["A"]},
        {"command": "x", "env": {"A": {}}},
        {"url": ["x"]},
        {"command": {}},
        {},
    ],
)
def test_a_block_may_hold_anything(tmp_path, block):
    put_text(tmp_path / ".cursor/mcp.json", json.dumps({"mcpServers": {"odd": block}}))
    ((server,),) = [one.servers for one in find(Machine(str(tmp_path), {}))]
    assert server.odd
    put_text(tmp_path / ".cursor/mcp.json", json.dumps({"mcpServers": block}))
    assert all(not s.odd or s.name for one in find(Machine(str(tmp_path), {})) for s in one.servers)


def put_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "xml",
    [
        "<application>",
        '<!DOCTYPE a [<!ENTITY b "c">]><application>&b;</application>',
        "\x00",
        "<a>" * 40 + "</a>" * 40,
    ],
)
def test_xml_that_is_no_settings_file(tmp_path, xml):
    put_text(tmp_path / ".config/JetBrains/X/options/llm.mcpServers.xml", xml)
    (found,) = find(Machine(str(tmp_path), {}, "linux"))
    assert found.problem


def test_a_user_s_file_may_be_a_link_and_a_project_s_may_not(tmp_path):
    real = put(SAMPLES / "cursor.json", tmp_path / "dotfiles/cursor.json")
    project = tmp_path / "project"
    for folder in (tmp_path, project):
        (folder / ".cursor").mkdir(parents=True)
        (folder / ".cursor/mcp.json").symlink_to(real)
    own, theirs = find(Machine(str(tmp_path), {}), str(project))
    assert own.file.real == str(real)
    assert len(own.servers) == 3
    assert "symlink" in theirs.problem


def test_a_pipe_does_not_hold_us_up(tmp_path):
    (tmp_path / ".cursor").mkdir()
    os.mkfifo(tmp_path / ".cursor/mcp.json")
    (found,) = find(Machine(str(tmp_path), {}))
    assert found.problem == "is no regular file"


def test_what_else_a_project_runs(tmp_path):
    put_text(
        tmp_path / ".claude/settings.json",
        '{\n"hooks": {"SessionStart": [{"hooks": []}]},\n"apiKeyHelper": "./x"}',
    )
    put_text(
        tmp_path / ".vscode/tasks.json",
        '{"tasks": [{"label": "a"}, {"runOptions": {"runOn": "folderOpen"}}, 7]}',
    )
    put_text(tmp_path / ".gemini/settings.json", '{"tools": {"discoveryCommand": "./x"}, "hooks": {}}')
    put_text(tmp_path / ".cursor/hooks.json", "{")
    found = [(os.path.relpath(path, tmp_path), line, what) for path, line, what in running(str(tmp_path))]
    assert found == [
        (".claude/settings.json", 2, "hooks"),
        (".claude/settings.json", 3, "a helper command"),
        (".gemini/settings.json", 1, "a command that discovers tools"),
        (".vscode/tasks.json", 1, "a task that starts when the folder is opened"),
    ]


def test_no_client_of_that_name():
    with pytest.raises(ValueError, match="no client is called 'emacs': there are claude-desktop, "):
        named("emacs")


@pytest.mark.parametrize("text", ["[", "a = 1\na = 2\n", "x = " + "[" * 5000])
def test_toml_that_is_none(tmp_path, text):
    put_text(tmp_path / ".codex/config.toml", text)
    (found,) = find(Machine(str(tmp_path), {}))
    assert "TOML" in found.problem or "nested too deeply" in found.problem


@pytest.mark.parametrize(
    "text", ['{"mcpServers": {"a": {"command": "\\ud800"}}}', '{"x": NaN}', '{"x": 1e99999}']
)
def test_json_that_only_some_readers_take(tmp_path, text):
    put_text(tmp_path / ".cursor/mcp.json", text)
    list(find(Machine(str(tmp_path), {})))


def test_halves_of_characters_are_no_text_and_pairs_are(tmp_path):
    put_text(tmp_path / ".cursor/mcp.json", '{"mcpServers": {"\\ud83d\\ude00": {"command": "x"}}}')
    assert list(servers(Machine(str(tmp_path), {}), "cursor")) == ["\U0001f600"]
    put_text(tmp_path / ".cursor/mcp.json", '{"mcpServers": {"\\ud83d": {"command": "x"}}}')
    (found,) = find(Machine(str(tmp_path), {}))
    assert "not valid Unicode" in found.problem


def test_files_that_are_too_large_or_closed(tmp_path, monkeypatch):
    path = tmp_path / ".cursor/mcp.json"
    put_text(path, "{}" + " " * 100)
    monkeypatch.setattr("blastwall.clients.reading.MAX_BYTES", 50)
    (found,) = find(Machine(str(tmp_path), {}))
    assert found.problem == "larger than 0 MiB"
    path.unlink()
    path.symlink_to("nowhere")
    (found,) = find(Machine(str(tmp_path), {}))
    assert found.problem.startswith("can't be read: ")


def test_a_hook_file_that_is_none(tmp_path):
    put_text(tmp_path / ".vscode/tasks.json", "{")
    put_text(tmp_path / ".claude/settings.json", "[]")
    assert list(running(str(tmp_path))) == []
