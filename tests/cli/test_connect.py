"""`blastwall connect` and `disconnect` as their user meets them: one undoes the other, whatever happened between."""

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.cli.verbs import blastwall, told
from tests.conformance.node import needed
from tests.core.clients.machines import SAMPLES, full, put, user_file

from blastwall.clients import files
from blastwall.clients.find import Machine, find
from blastwall.clients.reading import read
from blastwall.clients.table import CLIENTS, named
from blastwall.egress import credentials
from blastwall.policyfile import load
from blastwall.trust.reading import read_untrusted
from blastwall.trust.store import Store

NAMES = [client.name for client in CLIENTS]
POLICY = ".config/blastwall/blastwall.yaml"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def own(name):
    return user_file(named(name), Machine.here())


def tree(folder):
    """Everything below a folder: mode and bytes."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in paths
    }


def servers(name):
    return {
        s.name: s for one in find(Machine.here(), "", [named(name)]) for s in one.servers if len(s.keys) == 1
    }


def cursor(home, text):
    path = home / ".cursor/mcp.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_client_goes_behind_blastwall_and_comes_back(home, name):
    full(home)
    before, there = tree(home), servers(name)
    result = blastwall("connect", name, "--json")
    body = told(result)
    (file,) = body["files"]
    assert file["taken"].keys() | file["left"].keys() == there.keys()
    assert result.exit_code == (1 if file["left"] else 0)
    if name == "lm-studio":  # its one server has no token yet
        assert tree(home) == before
        return
    now = servers(name)
    proxy = now.pop("blastwall")
    assert now.keys() == file["left"].keys()
    assert os.path.isabs(proxy.command[0])
    assert proxy.command[1:] == ("proxy", "--policy", str(home / POLICY))
    assert load(home / POLICY).connectors.keys() == set(file["taken"].values())
    back = blastwall("disconnect", name)
    assert (back.exit_code, tree(home)) == (0, before)


def test_what_is_kept_of_the_text_around(home):
    full(home)
    blastwall("connect", "zed")
    text = own("zed").read_text()
    assert text.startswith("// Zed settings\n//\n// For information")
    assert '"theme": "One Dark", // at night\n' in text
    assert text.endswith('"vim_mode": true,\n}\n')
    blastwall("connect", "vscode")
    content = own("vscode").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf{\r\n  // asked for once")
    assert b"\n" not in content.replace(b"\r\n", b"")
    blastwall("connect", "codex")
    text = own("codex").read_text()
    assert text.startswith('model = "gpt-5.2-codex"  # the big one\n')
    assert text.endswith("enabled = false\n# the end\n")
    assert tomllib.loads(text)["mcp_servers"].keys() == {"blastwall", "figma", "local tool"}


def test_what_can_t_go_along_stays_and_is_told(home):
    full(home)
    said = blastwall("connect", "gemini-cli").stdout
    assert (
        "python: stays, unguarded: the client fills in $DB_CONNECTION_STRING, and a policy fills in nothing"
        in said
    )
    said = blastwall("connect", "windsurf").stdout
    assert "old: stays, unguarded: it is turned off" in said


def test_a_secret_that_goes_along_is_told_and_not_shown(home):
    full(home)
    said = blastwall("connect", "claude-desktop").stdout
    assert "a GitHub token, in env.GITHUB_PERSONAL_ACCESS_TOKEN, goes along into" in said
    assert "ghp_" not in said
    assert stat.S_IMODE((home / POLICY).stat().st_mode) == 0o600


def test_a_bearer_token_goes_into_a_file_of_its_own(home):
    headers = {"authorization": "Bearer tok-0123456789", "X-Region": "eu"}
    cursor(
        home,
        json.dumps({"mcpServers": {"r": {"url": "https://mcp.example.com:8443/mcp", "headers": headers}}}),
    )
    before = tree(home)
    result = blastwall("connect", "cursor")
    kept = home / ".config/blastwall/credentials/r"
    assert result.exit_code == 0
    assert f"goes along into {kept}" in result.stdout
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "tok-" not in (home / POLICY).read_text() + result.output
    policy = load(home / POLICY)
    server = policy.connectors["r"].server
    assert (server.url, server.headers, server.credential) == (
        "https://mcp.example.com:8443/mcp",
        (("X-Region", "eu"),),
        "r",
    )
    assert credentials.read(policy.credentials["r"]).value == "tok-0123456789"
    assert blastwall("disconnect", "cursor").exit_code == 0
    assert tree(home) == before


def test_two_tokens_are_two_credentials(home):
    block = {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer tok-0123456789"}}
    for path in (".cursor/mcp.json", ".lmstudio/mcp.json"):
        (home / path).parent.mkdir()
        (home / path).write_text(json.dumps({"mcpServers": {"r": block}}))
    blastwall("connect", "cursor")
    blastwall("connect", "lm-studio")
    policy = load(home / POLICY)
    assert policy.connectors.keys() == policy.credentials.keys() == {"r", "r-2"}
    assert (home / POLICY).read_text().count("credentials:\n") == 1


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({"url": "https://x.example/", "headers": {"X-Api-Key": "0123456789"}}, "X-Api-Key holds a secret"),
        (
            {"url": "https://x.example/", "headers": {"Authorization": "Basic 0123456789"}},
            "Authorization holds a secret",
        ),
        (
            {"url": "https://x.example/", "headers": {"Authorization": "Bearer <TOKEN>"}},
            "Authorization holds a secret",
        ),
        ({"url": "http://x.example/"}, "this is not encrypted"),
        ({"url": "https://u:p@x.example/"}, "is no URL"),
        ({"command": "x", "cwd": "here"}, "its folder is relative"),
        ({"command": "x", "envFile": ".env"}, "`envFile` is the client's own"),
        ({"command": "x", "args": [7]}, "is no list of texts"),
    ],
)
def test_what_no_policy_can_say_stays(home, block, why):
    cursor(home, json.dumps({"mcpServers": {"r": block}}))
    result = blastwall("connect", "cursor")
    assert result.exit_code == 1
    assert "r: stays, unguarded: " in result.stdout
    assert why in result.stdout
    assert not (home / POLICY).exists()


def test_a_server_on_this_machine(home):
    cursor(home, json.dumps({"mcpServers": {"r": {"url": "http://localhost:3000/mcp"}}}))
    assert blastwall("connect", "cursor").exit_code == 0
    assert load(home / POLICY).connectors["r"].server.private


def test_the_policy_allows_no_more_than_a_template_does(home):
    (home / "notes").mkdir()
    cursor(
        home,
        json.dumps(
            {
                "mcpServers": {
                    "files": {
                        "command": "npx",
                        "args": ["-y", "@modelcontextprotocol/server-filesystem", str(home / "notes")],
                    },
                    "all": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/"]},
                    "other": {"command": "other-mcp"},
                }
            }
        ),
    )
    assert blastwall("connect", "cursor").exit_code == 0
    text = (home / POLICY).read_text()
    assert f"    template: filesystem\n    with: {{roots: [{home}/notes]}}\n" in text
    assert "# instead of `rules`, once you know what to give it: template: filesystem\n" in text
    connectors = load(home / POLICY).connectors
    assert connectors["files"].rules
    assert connectors["all"].rules == connectors["other"].rules == ()


def test_a_backup_lies_beside_for_the_user_alone(home):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    before = path.read_bytes()
    path.chmod(0o640)
    blastwall("connect", "cursor")
    (backup,) = path.parent.glob("mcp.json.*.blastwall")
    assert backup.read_bytes() == before
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_only_our_change_is_undone(home):
    full(home)
    blastwall("connect", "claude-code")
    path = own("claude-code")
    data = json.loads(path.read_text())
    data["numStartups"] = 99
    data["mcpServers"]["new"] = {"type": "stdio", "command": "new"}
    path.write_text(json.dumps(data, indent=2))  # as Claude Code writes it
    (home / POLICY).write_text((home / POLICY).read_text() + "# mine\n")
    said = blastwall("disconnect", "claude-code").stdout
    wanted = json.loads((SAMPLES / "claude-code.json").read_text())
    wanted["numStartups"] = 99
    wanted["mcpServers"]["new"] = {"type": "stdio", "command": "new"}
    assert json.loads(path.read_text()) == wanted
    assert "stays: it was changed" in said
    assert (home / POLICY).exists()


def test_a_server_of_the_same_name_that_came_meanwhile_stays(home):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}, "b": {"command": "b"}}}')
    blastwall("connect", "cursor")
    data = json.loads(path.read_text())
    path.write_text(json.dumps({"mcpServers": {"a": {"command": "mine"}, **data["mcpServers"]}}))
    result = blastwall("disconnect", "cursor")
    assert json.loads(path.read_text())["mcpServers"] == {"a": {"command": "mine"}, "b": {"command": "b"}}
    assert "a: left as the client has it now; as it was, it is in" in result.stdout


def test_the_proxy_was_taken_out_by_hand(home):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    blastwall("connect", "cursor")
    path.write_text('{"mcpServers": {}}')
    assert blastwall("disconnect", "cursor").exit_code == 0
    assert json.loads(path.read_text()) == {"mcpServers": {"a": {"command": "a"}}}


@pytest.mark.parametrize("text", ["{}", "", "{", "[]"])
def test_a_file_that_can_t_be_restored_says_where_the_copy_is(home, text):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    blastwall("connect", "cursor")
    path.write_text(text)
    result = blastwall("disconnect", "cursor")
    assert (result.exit_code, path.read_text()) == (4, text)
    assert "As it was before, it is in" in result.stderr


def test_connected_already(home):
    full(home)
    blastwall("connect", "cursor")
    before = tree(home)
    result = blastwall("connect", "cursor")
    assert (result.exit_code, tree(home)) == (4, before)
    assert "is connected already: see `blastwall disconnect cursor`" in result.stderr


def test_not_connected(home):
    full(home)
    result = blastwall("disconnect", "cursor")
    assert (result.exit_code, result.stderr) == (4, "Cursor is not connected\n")


def test_nothing_to_connect(home):
    result = blastwall("connect", "cursor")
    assert (result.exit_code, result.stderr) == (4, "Cursor has no servers of its own\n")


def test_no_such_client():
    for verb in ("connect", "disconnect"):
        result = blastwall(verb, "emacs")
        assert result.exit_code == 2
        assert "no client is called 'emacs'" in result.stderr


def test_a_dry_run_writes_nothing(home):
    full(home)
    before = tree(home)
    result = blastwall("connect", "cursor", "--dry-run")
    assert "playwright: would go behind blastwall" in result.stdout
    assert tree(home) == before


def test_what_has_no_rules_yet_is_said_and_what_to_do(home):
    cursor(home, '{"mcpServers": {"a": {"command": "/opt/a"}}}')
    for words, where in ((), ""), (("--policy", "p.yaml"), f" --policy {home}/p.yaml"):
        said = blastwall("connect", "cursor", *words).stdout
        assert "a: goes behind blastwall, as connector a, which has no rules yet" in said
        assert f"`blastwall inspect a{where}` shows what there is to allow" in said
        assert "restart the client" in blastwall("disconnect", "cursor").stdout


@pytest.mark.parametrize(
    "text", ['{"mcpServers": {"a": {', '{"mcpServers": {"a": {"command": "x"}}, "mcpServers": {}}']
)
def test_a_file_that_is_not_understood_is_left_alone(home, text):
    path = cursor(home, text)
    result = blastwall("connect", "cursor")
    assert (result.exit_code, path.read_text()) == (4, text)


def test_servers_of_one_line_of_toml_are_left_alone(home):
    path = home / ".codex/config.toml"
    path.parent.mkdir()
    text = 'mcp_servers = {a = {command = "a"}}\n'
    path.write_text(text)
    result = blastwall("connect", "codex")
    assert (result.exit_code, path.read_text()) == (4, text)
    assert "write each as [mcp_servers.NAME]" in result.stderr


def test_a_linked_dotfile_stays_a_link(home):
    real = put(SAMPLES / "cursor.json", home / "dotfiles/mcp.json")
    path = home / ".cursor/mcp.json"
    path.parent.mkdir()
    path.symlink_to("../dotfiles/mcp.json")
    before = real.read_bytes()
    blastwall("connect", "cursor")
    assert path.is_symlink()
    assert b"blastwall" in real.read_bytes()
    blastwall("disconnect", "cursor")
    assert path.is_symlink()
    assert real.read_bytes() == before


def test_a_link_that_leads_elsewhere_by_now(home):
    for name in ("one", "two"):
        put(SAMPLES / "cursor.json", home / name)
    path = home / ".cursor/mcp.json"
    path.parent.mkdir()
    path.symlink_to("../one")
    blastwall("connect", "cursor")
    path.unlink()
    path.symlink_to("../two")
    result = blastwall("disconnect", "cursor")
    assert result.exit_code == 4
    assert f"leads to {home}/two now, and not to {home}/one" in result.stderr
    assert (home / "two").read_bytes() == (SAMPLES / "cursor.json").read_bytes()


def test_files_that_others_may_write_are_left_alone(home):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    path.chmod(0o666)
    result = blastwall("connect", "cursor")
    assert result.exit_code == 4
    assert "everybody can write it" in result.stderr
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert "the folder of" in blastwall("connect", "cursor").stderr
    path.parent.chmod(0o700)
    os.link(path, home / "other")
    assert "hard links" in blastwall("connect", "cursor").stderr
    assert not (home / POLICY).exists()


def test_a_policy_that_others_may_write_is_not_extended(home):
    full(home)
    (home / "p.yaml").write_text("version: 1\nconnectors:\n  a: {}\n")
    (home / "p.yaml").chmod(0o666)
    result = blastwall("connect", "cursor", "--policy", "p.yaml")
    assert result.exit_code == 3
    assert "can't be believed" in result.stderr


def test_a_file_that_changes_meanwhile_is_left_alone(home):
    path = cursor(home, '{"mcpServers": {}}')
    file = read(str(path))
    path.write_text('{"mcpServers": {"n": {"command": "n"}}}')
    with pytest.raises(files.BackendError, match="changed while it was being edited"):
        files.replace(file, b"{}")
    assert "n" in json.loads(path.read_text())["mcpServers"]
    assert [one.name for one in path.parent.iterdir()] == ["mcp.json"]
    path.unlink()
    with pytest.raises(files.BackendError, match="changed while it was being edited"):
        files.replace(file, b"{}")


def test_a_change_between_looking_and_writing_leaves_everything_as_it_was(home, monkeypatch):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    real = files.backup

    def slow(file):
        copy = real(file)
        path.write_text('{"mcpServers": {"theirs": {"command": "t"}}}')
        return copy

    monkeypatch.setattr(files, "backup", slow)
    assert blastwall("connect", "cursor").exit_code == 4
    assert json.loads(path.read_text()) == {"mcpServers": {"theirs": {"command": "t"}}}
    assert [one.name for one in path.parent.iterdir()] == ["mcp.json"]
    assert list((home / ".local/state/blastwall/connections").iterdir()) == []


def test_a_policy_of_the_user_s_own_grows_and_keeps_its_text(home):
    policy = home / "mine.yaml"
    text = "version: 1  # mine\nconnectors:\n    notes:\n        rules: []  # none\n\n# the rest\ndefaults: {unknown_tool: ask}\n"
    policy.write_text(text)
    cursor(home, '{"mcpServers": {"notes": {"command": "a"}, "b": {"command": "b"}}}')
    blastwall("connect", "cursor", "--policy", "mine.yaml")
    grown = policy.read_text()
    assert load(policy).connectors.keys() == {"notes", "notes-2", "b"}
    start, end = text.split("\n\n# the rest")
    assert grown.startswith(start)
    assert grown.endswith("\n\n# the rest" + end)
    blastwall("disconnect", "cursor")
    assert policy.read_text() == text


@pytest.mark.parametrize(
    "text", ["version: 1\nconnectors: {a: {}}\n", "version: 1\nconnectors:\n  {a: {}}\n"]
)
def test_a_policy_in_one_line_is_left_alone(home, text):
    (home / "p.yaml").write_text(text)
    path = cursor(home, '{"mcpServers": {"b": {"command": "b"}}}')
    result = blastwall("connect", "cursor", "--policy", "p.yaml")
    assert (result.exit_code, (home / "p.yaml").read_text()) == (3, text)
    assert "blastwall" not in path.read_text()


def test_two_clients_share_what_is_the_same(home):
    cursor(home, '{"mcpServers": {"a": {"command": "a"}, "b": {"command": "b"}}}')
    put(home / ".cursor/mcp.json", home / ".lmstudio/mcp.json")
    (home / ".lmstudio/mcp.json").write_text(
        '{"mcpServers": {"a": {"command": "a"}, "b": {"command": "other"}}}'
    )
    before = tree(home)
    blastwall("connect", "cursor")
    blastwall("connect", "lm-studio")
    assert load(home / POLICY).connectors.keys() == {"a", "b", "b-2"}
    blastwall("disconnect", "lm-studio")
    blastwall("disconnect", "cursor")
    assert tree(home) == before


def test_a_project_must_be_trusted_first(home):
    project = home / "project"
    path = put(SAMPLES / "claude-code-project.json", project / ".mcp.json")
    before = path.read_bytes()
    result = blastwall("connect", "claude-code", "--project", "project")
    assert result.exit_code == 4
    assert f"run `blastwall trust {path}`" in result.stderr
    Store().add(read_untrusted(path, project))
    result = blastwall("connect", "claude-code", "--project", "project")
    assert result.exit_code == 1
    now = json.loads(path.read_text())["mcpServers"]
    assert now.keys() == {"api", "blastwall"}
    assert blastwall("disconnect", "claude-code").exit_code == 4
    assert blastwall("disconnect", "claude-code", "--project", "project").exit_code == 0
    assert path.read_bytes() == before


def test_claude_code_s_own_servers_for_one_project(home):
    project = home / "app"
    project.mkdir()
    text = (SAMPLES / "claude-code.json").read_text().replace("/srv/app", str(project))
    path = home / ".claude.json"
    path.write_text(text)
    assert blastwall("connect", "claude-code", "--project", "app").exit_code == 0
    data = json.loads(path.read_text())
    assert data["projects"][str(project)]["mcpServers"].keys() == {"blastwall"}
    assert data["mcpServers"].keys() == {"memory", "sentry"}
    blastwall("disconnect", "claude-code", "--project", "app")
    assert path.read_text() == text


def test_the_workspace_folder_is_filled_in_for_a_project(home):
    project = home / "project"
    path = put(SAMPLES / "vscode.json", project / ".vscode/mcp.json")
    Store().add(read_untrusted(path, project))
    result = blastwall("connect", "vscode", "--project", "project", "--json")
    (file,) = told(result)["files"]
    assert file["taken"].keys() == {"git", "docs"}
    assert load(home / POLICY).connectors["git"].server.command[-1] == str(project)


def test_settings_that_an_ide_overwrites_are_not_edited(home):
    put(SAMPLES / "jetbrains.xml", home / ".config/JetBrains/PyCharm2026.1/options/llm.mcpServers.xml")
    result = blastwall("connect", "jetbrains")
    assert result.exit_code == 1
    assert "nx-mcp: stays, unguarded: the IDE overwrites this file" in result.stdout
    assert not (home / POLICY).exists()


def test_what_is_said_in_json(home):
    full(home)
    body = told(blastwall("connect", "cursor", "--json"))
    assert (body["ok"], body["dry_run"], body["policy"]) == (False, False, str(home / POLICY))
    body = told(blastwall("disconnect", "cursor", "--json"))
    assert body["files"] == [{"path": str(home / ".cursor/mcp.json"), "kept": []}]


def test_a_record_that_is_none(home):
    full(home)
    blastwall("connect", "cursor")
    (record,) = (home / ".local/state/blastwall/connections").iterdir()
    record.write_text("{}")
    result = blastwall("disconnect", "cursor")
    assert result.exit_code == 4
    assert f"the record {record} can't be read" in result.stderr


def test_a_client_s_file_that_is_gone(home):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    blastwall("connect", "cursor")
    path.unlink()
    result = blastwall("disconnect", "cursor")
    assert result.exit_code == 4
    assert "is gone. As it was before, it is in" in result.stderr


def test_a_folder_that_can_t_be_written(home, monkeypatch):
    path = cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_create", full_disk)
    result = blastwall("connect", "cursor")
    assert result.exit_code == 4
    assert "can't be written: No space left on device" in result.stderr
    assert path.read_bytes() == before


def test_no_blastwall_to_start(home, monkeypatch):
    cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    monkeypatch.setattr(sys, "executable", str(home / "python"))
    monkeypatch.setenv("PATH", "")
    result = blastwall("connect", "cursor")
    assert result.exit_code == 4
    assert "there is no `blastwall` on the PATH" in result.stderr


def test_a_policy_that_can_t_be_read(home):
    cursor(home, '{"mcpServers": {"a": {"command": "a"}}}')
    (home / "p.yaml").mkdir()
    assert blastwall("connect", "cursor", "--policy", "p.yaml").exit_code == 3
    (home / "q.yaml").write_text("version: 1\nconnectors:\n  a: [\n")
    assert blastwall("connect", "cursor", "--policy", "q.yaml").exit_code == 3


@pytest.mark.parametrize(
    "text", ["version: 1\n", "version: 1\nconnectors:\n", "version: 1\r\nconnectors:\r\n  a: {}"]
)
def test_a_policy_with_a_place_for_connectors(home, text):
    policy = home / "p.yaml"
    policy.write_bytes(text.encode())
    cursor(home, '{"mcpServers": {"b": {"command": "b"}}}')
    result = blastwall("connect", "cursor", "--policy", "p.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "b" in load(policy).connectors
    blastwall("disconnect", "cursor")
    assert policy.read_bytes() == text.encode()


def rpc(process, number, method, params):
    process.stdin.write(
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"
    )
    process.stdin.flush()
    while True:
        message = json.loads(process.stdout.readline())
        if message.get("id") == number:
            return message["result"]


@pytest.mark.parametrize("server", ["script", "npm"])
def test_what_the_client_then_starts_is_the_proxy(home, server, monkeypatch):
    """As Claude Code does it: read the file, start the command, shake hands, list."""
    if server == "npm":
        node = needed()
        monkeypatch.setenv("PATH", str(node.binary.parent), prepend=os.pathsep)
        words, tool = [str(node.modules / ".bin" / "mcp-server-memory")], "read_graph"
    else:
        script = Path(__file__).parents[1] / "adapters/mcp/upstreams/good.py"
        words, tool = [sys.executable, str(script), str(home)], None
    block = {"type": "stdio", "command": words[0], "args": words[1:], "env": {}}
    path = home / ".claude.json"
    path.write_text(json.dumps({"numStartups": 1, "mcpServers": {"memory": block}}, indent=2))
    before = path.read_bytes()
    assert blastwall("connect", "claude-code").exit_code == 0
    policy = home / POLICY
    if tool is None:
        policy.write_text(
            policy.read_text().replace("rules: []", 'rules: [{id: all, effect: allow, tools: ["*"]}]')
        )
    entry = json.loads(path.read_text())["mcpServers"]["blastwall"]
    process = subprocess.Popen(
        [entry["command"], *entry["args"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    with process:
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "c", "version": "1"},
        }
        assert "tools" in rpc(process, 1, "initialize", hello)["capabilities"]
        process.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        names = [each["name"] for each in rpc(process, 2, "tools/list", {})["tools"]]
        process.stdin.close()
    assert names
    assert all(name.startswith("memory__") for name in names)
    assert tool is None or f"memory__{tool}" in names
    assert blastwall("disconnect", "claude-code").exit_code == 0
    assert path.read_bytes() == before
