"""Other people's servers, of both eras, through the proxy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.adapters.mcp.rig import ERAS, call, policy, proxied

FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"


@pytest.fixture(scope="session")
def filesystem_server():
    """Install the server once, into the user's cache."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("npm is not installed: the filesystem server is written for Node")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blastwall-tests" / "npm"
    program = cache / "node_modules" / ".bin" / "mcp-server-filesystem"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(cache), FILESYSTEM],
            check=True,
            capture_output=True,
        )
    return str(program)


@ERAS
async def test_the_filesystem_server_within_its_scopes(mode, filesystem_server, tmp_path):
    inside = tmp_path / "project"
    inside.mkdir()
    (inside / "note.txt").write_text("a note")
    (tmp_path / "outside.txt").write_text("canary")
    # The server itself may reach the whole folder; the policy narrows that to a part of it.
    server = {"command": filesystem_server, "args": [str(tmp_path)], "sandbox": "none"}
    scope = {"path": {"under": [str(inside)]}}
    narrow = [
        {"id": "read", "effect": "allow", "tools": ["read_text_file", "list_directory"], "args": scope},
        {"id": "no-write", "effect": "deny", "tools": ["write_file", "edit_file", "move_file"]},
    ]
    everything = [{"id": "all", "effect": "allow", "tools": ["*"]}]

    async with proxied(policy(tmp_path, {"files": {"server": server, "rules": everything}}), mode) as client:
        all_of_them = (await client.list_tools()).tools
        outside = await call(client, "files__read_text_file", path=str(tmp_path / "outside.txt"))
    assert len(all_of_them) == 14
    assert outside == (False, "canary")

    async with proxied(policy(tmp_path, {"files": {"server": server, "rules": narrow}}), mode) as client:
        shown = {tool.name for tool in (await client.list_tools()).tools}
        inner = await call(client, "files__read_text_file", path=str(inside / "note.txt"))
        refused, why = await call(client, "files__read_text_file", path=str(inside / ".." / "outside.txt"))
        hidden, text = await call(client, "files__write_file", path=str(inside / "new"), content="x")
    assert shown == {"files__read_text_file", "files__list_directory"}
    assert inner == (False, "a note")
    assert refused
    assert "files.read" in why
    assert hidden
    assert "files.no-write" in text
    assert not (inside / "new").exists()


@pytest.fixture
def repository(tmp_path):
    """Make a repository with one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "--quiet"], [*who, "commit", "--quiet", "--allow-empty", "-m", "the first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@ERAS
async def test_the_git_server_within_its_scopes(mode, repository, tmp_path):
    argv = ["-m", "mcp_server_git", "--repository", str(repository)]
    server = {"command": sys.executable, "args": argv, "sandbox": "none"}
    where = {"repo_path": {"under": [str(repository)]}}
    rules = [
        {"id": "look", "effect": "allow", "tools": ["git_log", "git_branch"], "args": where},
        {"id": "branch", "effect": "allow", "tools": ["git_create_branch"], "args": where},
    ]

    def branches() -> str:
        return subprocess.run(
            ["git", "branch"], cwd=repository, check=True, capture_output=True, text=True
        ).stdout

    at = {"repo_path": str(repository)}
    async with proxied(policy(tmp_path, {"git": {"server": server, "rules": rules}}), mode) as client:
        failed, _ = await call(client, "git__git_create_branch", **at, branch_name="allowed")
    assert not failed
    assert "allowed" in branches()
    async with proxied(policy(tmp_path, {"git": {"server": server, "rules": rules[:1]}}), mode) as client:
        shown = {tool.name for tool in (await client.list_tools()).tools}
        failed, log = await call(client, "git__git_log", **at)
        refused, why = await call(client, "git__git_create_branch", **at, branch_name="forbidden")
    assert shown == {"git__git_log", "git__git_branch"}
    assert not failed
    assert "the first" in log
    assert refused
    assert "no-rule" in why
    assert "forbidden" not in branches()
