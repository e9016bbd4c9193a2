"""What is asked of each real server: a script with fixed arguments, the same with and without the proxy."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.node import Node

MODULES = ("mcp_server_git", "mcp_server_time", "mcp_server_fetch")
Step = tuple[str, dict[str, Any]]
OFFICIAL = "@modelcontextprotocol"
LEGACY = {"logging/setLevel", "resources/subscribe", "resources/unsubscribe", "ping"}
"""Requests that the protocol of 2026-07-28 doesn't have any more."""


@dataclass(frozen=True)
class Script:
    """One server and what is asked of it.

    Attributes:
        command: Starts it, given Node and a folder of its own.
        steps: What to ask after all its lists, given that folder.
        lists: The lists it has, but for tools.
        env: Variables of its environment; `{}` in a value is the folder.
        asks: Whether its tools ask the client back.

    """

    command: Callable[[Node, Path], list[str]]
    steps: Callable[[str], Iterator[Step]]
    lists: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    asks: bool = False


def call(tool: str, /, **arguments: Any) -> Step:
    return "tools/call", {"name": tool, "arguments": arguments}


def npm(package: str, *arguments: str) -> Callable[[Node, Path], list[str]]:
    def command(node: Node, folder: Path) -> list[str]:
        words = node.script(f"{OFFICIAL}/{package}", "dist/index.js")
        return [*words, *(argument.format(folder) for argument in arguments)]

    return command


def python(module: str, *arguments: str) -> Callable[[Node, Path], list[str]]:
    return lambda _, folder: [sys.executable, "-m", module, *(each.format(folder) for each in arguments)]


def everything(_: str) -> Iterator[Step]:
    static = "demo://resource/static/document/features.md"
    template = {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"}
    prompt = {"type": "ref/prompt", "name": "completable-prompt"}
    yield call("echo", message="hello, 世界 \u2028 \U0001f600")
    yield call("get-sum", a=1, b=2.5)
    yield call("get-sum", a="one", b=2)
    yield call("get-sum")
    yield call("get-tiny-image")
    yield call("get-annotated-message", messageType="error", includeImage=True)
    yield call("get-structured-content", location="Chicago")
    yield call("get-structured-content", location="Nowhere")
    yield call("get-resource-links", count=4)
    yield call("get-resource-reference", resourceType="Text", resourceId=2)
    yield call("get-resource-reference", resourceType="Blob", resourceId=-1)
    yield call("gzip-file-as-resource", name="a.gz", data="data:text/plain,hello", outputType="resourceLink")
    yield call("trigger-long-running-operation", duration=0.2, steps=4)
    yield call("trigger-sampling-request", prompt="Say something", maxTokens=7)
    yield call("trigger-elicitation-request")
    yield call("no-such-tool", a=1)
    yield "resources/read", {"uri": static}
    yield "resources/read", {"uri": "demo://resource/dynamic/text/7"}
    yield "resources/read", {"uri": "demo://resource/dynamic/blob/8"}
    yield "resources/read", {"uri": "demo://resource/dynamic/text/none"}
    yield "prompts/get", {"name": "simple-prompt"}
    yield "prompts/get", {"name": "args-prompt", "arguments": {"city": "Paris", "state": "Texas"}}
    yield "prompts/get", {"name": "args-prompt", "arguments": {}}
    yield "prompts/get", {"name": "resource-prompt", "arguments": {"resourceType": "Text", "resourceId": "3"}}
    yield "completion/complete", {"ref": prompt, "argument": {"name": "department", "value": "E"}}
    yield (
        "completion/complete",
        {
            "ref": prompt,
            "argument": {"name": "name", "value": ""},
            "context": {"arguments": {"department": "Sales"}},
        },
    )
    yield "completion/complete", {"ref": template, "argument": {"name": "resourceId", "value": "1"}}
    yield "logging/setLevel", {"level": "error"}
    yield "resources/subscribe", {"uri": static}
    yield "resources/unsubscribe", {"uri": static}
    yield "ping", {}


def filesystem(folder: str) -> Iterator[Step]:
    yield call("list_allowed_directories")
    yield call("write_file", path=f"{folder}/new.txt", content="one\ntwo\nthree\n")
    yield call("read_text_file", path=f"{folder}/new.txt", head=2)
    yield call("read_media_file", path=f"{folder}/dot.png")
    yield call("read_multiple_files", paths=[f"{folder}/new.txt", f"{folder}/none.txt"])
    edits = [{"oldText": "two", "newText": "2"}]
    yield call("edit_file", path=f"{folder}/new.txt", edits=edits, dryRun=True)
    yield call("create_directory", path=f"{folder}/sub")
    yield call("move_file", source=f"{folder}/new.txt", destination=f"{folder}/sub/moved.txt")
    yield call("list_directory", path=folder)
    yield call("directory_tree", path=folder)
    yield call("search_files", path=folder, pattern="**/*.txt")
    yield call("read_text_file", path="/etc/hostname")
    yield call("read_text_file", path=f"{folder}/../outside.txt")
    yield call("read_text_file", path=7)


def memory(_: str) -> Iterator[Step]:
    ada = {"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}
    engine = {"name": "Engine", "entityType": "machine", "observations": []}
    relation = {"from": "Ada", "to": "Engine", "relationType": "programmed"}
    yield call("create_entities", entities=[ada, engine])
    yield call("create_relations", relations=[relation])
    yield call("add_observations", observations=[{"entityName": "Ada", "contents": ["knew Babbage"]}])
    yield call("add_observations", observations=[{"entityName": "Nobody", "contents": ["is here"]}])
    yield call("search_nodes", query="program")
    yield call("open_nodes", names=["Ada", "Nobody"])
    yield call("read_graph")
    yield "resources/read", {"uri": "memory://knowledge-graph"}
    yield "resources/read", {"uri": "memory://nothing"}
    yield call("delete_relations", relations=[relation])
    yield call("delete_entities", entityNames=["Engine"])
    yield call("read_graph")


def thinking(_: str) -> Iterator[Step]:
    yield call(
        "sequentialthinking", thought="First", nextThoughtNeeded=True, thoughtNumber=1, totalThoughts=2
    )
    yield call(
        "sequentialthinking", thought="Last", nextThoughtNeeded=False, thoughtNumber=2, totalThoughts=2
    )
    yield call("sequentialthinking", thought="Half", thoughtNumber="x")


def git(folder: str) -> Iterator[Step]:
    repository = f"{folder}/repository"
    for name in ("git_status", "git_diff_unstaged", "git_diff_staged", "git_log"):
        yield call(name, repo_path=repository)
    yield call("git_show", repo_path=repository, revision="HEAD")
    yield call("git_diff", repo_path=repository, target="HEAD")
    yield call("git_add", repo_path=repository, files=["b.txt"])
    yield call("git_status", repo_path=repository)
    yield call("git_create_branch", repo_path=repository, branch_name="side")
    yield call("git_branch", repo_path=repository, branch_type="local")
    yield call("git_show", repo_path=repository, revision="none")
    yield call("git_status", repo_path="/")
    yield call("git_status")


def time(_: str) -> Iterator[Step]:
    yield call("get_current_time", timezone="UTC")
    yield call("get_current_time", timezone="Nowhere/Else")
    yield call("convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
    yield call("convert_time", source_timezone="UTC", time="25:00", target_timezone="Asia/Tokyo")


def fetch(_: str) -> Iterator[Step]:
    yield call("fetch", url="no address", max_length=-1)
    yield "prompts/get", {"name": "fetch", "arguments": {}}


SCRIPTS: dict[str, Script] = {
    "everything": Script(
        npm("server-everything", "stdio"),
        everything,
        ("prompts/list", "resources/list", "resources/templates/list"),
        asks=True,
    ),
    "filesystem": Script(npm("server-filesystem", "{}"), filesystem),
    "memory": Script(
        npm("server-memory"), memory, ("resources/list",), env={"MEMORY_FILE_PATH": "{}/memory.jsonl"}
    ),
    "thinking": Script(npm("server-sequential-thinking"), thinking),
    "git": Script(python("mcp_server_git", "--repository", "{}/repository"), git),
    "time": Script(python("mcp_server_time", "--local-timezone", "UTC"), time),
    "fetch": Script(python("mcp_server_fetch"), fetch, ("prompts/list",)),
}


def prepared(folder: Path) -> Path:
    """Make the folder of one server: two files, and a repository that always has the same hashes."""
    repository = folder / "repository"
    repository.mkdir(parents=True)
    (folder / "dot.png").write_bytes(bytes.fromhex("89504e470d0a1a0a"))
    (folder / "outside.txt").touch()
    (repository / "a.txt").write_text("one\n")
    fixed = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00+0000",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "PATH": os.environ.get("PATH", os.defpath),
    }
    fixed |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in fixed.items() if "AUTHOR" in name}
    for words in (["init", "-q", "-b", "main"], ["add", "a.txt"], ["commit", "-q", "-m", "the first"]):
        subprocess.run(["git", *words], cwd=repository, env=fixed, check=True)
    (repository / "a.txt").write_text("one\ntwo\n")
    (repository / "b.txt").write_text("new\n")
    return folder
