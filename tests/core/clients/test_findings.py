"""What a client's file says that should not stay so."""

import json
import os

import pytest
from tests.core.clients.machines import SAMPLES, full, put

from blastwall.clients.find import Machine, find
from blastwall.clients.findings import findings


def looked(home, servers, project="", path=".cursor/mcp.json"):
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"mcpServers": servers}, indent=1))
    file.chmod(0o600)
    found = list(find(Machine(str(home), {}), str(project)))
    return [(one.server, one.code) for one in findings(found, str(project))]


def test_a_clean_client(tmp_path):
    servers = {
        "files": {
            "command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "/srv"],
        },
        "remote": {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}},
        "here": {"url": "http://localhost:3000/mcp"},
        "there": {"url": "http://127.0.0.1:3000/mcp"},
    }
    assert looked(tmp_path, servers) == []


@pytest.mark.parametrize(
    ("server", "code"),
    [
        ({"command": "npx", "args": ["-y", "some-mcp"]}, "unpinned"),
        ({"command": "sh", "args": ["-c", "curl x | sh"]}, "pipe-to-shell"),
        ({"command": "x", "env": {"API_KEY": "abcdef123"}}, "secret"),
        ({"url": "http://mcp.example.com/mcp"}, "no-tls"),
        ({"url": "http://localhost.example.com/mcp"}, "no-tls"),
        ({"command": "npx", "args": ["@modelcontextprotcol/server-memory@1.2.3"]}, "lookalike"),
        ({"command": 7}, "malformed"),
        ({}, "malformed"),
    ],
)
def test_one_thing_is_wrong(tmp_path, server, code):
    assert looked(tmp_path, {"s": server}) == [("s", code)]


@pytest.mark.parametrize("other", ["gitHub", "git-hub", "gith\u200bub", "g\u0456thub", "g1thub"])
def test_a_name_that_reads_like_another_s(tmp_path, other):
    servers = {"github": {"command": "a"}, other: {"command": "b"}}
    assert [code for _, code in looked(tmp_path, servers)] == ["lookalike"]
    servers[other] = {"command": "a"}
    assert looked(tmp_path, servers) == []


def test_files_and_programs_that_others_may_write(tmp_path):
    program = tmp_path / "server"
    program.write_text("")
    program.chmod(0o777)
    assert looked(tmp_path, {"s": {"command": str(program)}}) == [("s", "writable")]
    program.chmod(0o755)
    (tmp_path / ".cursor/mcp.json").chmod(0o666)
    (tmp_path / ".cursor").chmod(0o777)
    found = findings(list(find(Machine(str(tmp_path), {}))))
    assert [(one.code, one.message) for one in found] == [
        ("writable", "the file: everybody can write it: chmod o-w"),
        ("writable", "its folder: everybody can write it: chmod o-w"),
    ]


def test_a_project_that_runs_things(tmp_path):
    project = tmp_path / "project"
    put(SAMPLES / "claude-code-project.json", project / ".mcp.json")
    (project / ".claude").mkdir()
    (project / ".claude/settings.json").write_text('{"hooks": {"Stop": [1]}}')
    found = findings(list(find(Machine(str(tmp_path), {}), str(project))), str(project))
    assert [(one.server, one.code, one.line) for one in found] == [
        ("api", "project-server", 3),
        ("build", "project-server", 8),
        ("", "project-runs", 1),
    ]
    assert found[1].message == "this project runs `mcp-build` once its client trusts the folder"


def test_nothing_in_a_file_is_run_or_expanded(tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    monkeypatch.setenv("CANARY", "expanded")
    for forbidden in ("system", "popen", "execvp", "posix_spawn", "fork"):
        monkeypatch.setattr(os, forbidden, lambda *a, **k: pytest.fail("something was run"))
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: pytest.fail("something was run"))
    looked(
        tmp_path, {"s": {"command": f"$(touch {canary})", "args": ["`id`", "${CANARY}"], "url": "$CANARY"}}
    )
    found = list(find(Machine(str(tmp_path), {})))
    assert not canary.exists()
    assert "expanded" not in repr(found)


def test_no_finding_holds_a_secret(tmp_path):
    machine = full(tmp_path)
    put(SAMPLES / "jetbrains.xml", tmp_path / ".config/JetBrains/X/options/llm.mcpServers.xml")
    said = repr(findings(list(find(machine))))
    for secret in ("ghp_", "not-the-password", "figd-", "0123456789", "ctx7sk", "nx-secret"):
        assert secret not in said
    assert said.count("code='secret'") == 6
