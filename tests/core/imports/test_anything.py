"""Whatever stands in a file, there is a policy that loads, or an error that names a place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.imports.importing import AROUND
from tests.core.imports.importing import given as file
from tests.core.imports.sources import DIRECTORY, resolve

from blastwall.errors import PolicyError
from blastwall.imports import TRANSLATORS, written
from blastwall.policy import parse

ODD = [
    "",
    " x ",
    "a\0b",
    "~/x",
    "$X",
    "a\nb: c",
    "\u2028",
    "é",
    "a|b",
    "x" * 300,
    "-x",
    "*",
    "a*",
    "https://h/*",
    "{}",
    "#",
]
WORDS = {
    "claude-code": [
        "permissions", "allow", "ask", "deny", "defaultMode", "additionalDirectories", "mcpServers", "command", "args",
        "env", "cwd", "timeout", "url", "Bash(npm test)", "Bash(x:*)", "Read(./a/**)", "Read( x )", "Edit(/a\0b)", "Edit(//)",
        "WebFetch(domain:x.example)", "mcp__a__b", "mcp__a b__c", "Agent(a:b)", "plan", "dontAsk", "*", "Read(~/a$b/**)",
    ],
    "gemini-cli": ["mcpServers", "command", "trust", "includeTools", "excludeTools", "tools", "exclude", "allowed", "mcp",
                   "excluded", "read_file", "run_shell_command", "web_fetch", "a b"],
    "docker-mcp": ["registry", "servers", "tools", "name", "image", "mcpServers", "command", "args", "mcp", "gateway", "run",
                   "--servers=a,b c", "--tools", "a:x", "docker", "services", "snapshot", "server"],
    "vscode": ["servers", "inputs", "mcp", "command", "args", "env", "chat.tools.terminal.autoApprove", "/^npm test$/", "x",
               "chat.tools.urls.autoApprove", "https://a.example/*", "https://-a.example/*", "approve", "approveRequest"],
}  # fmt: skip


def anything(words):
    text = st.sampled_from([*words, *ODD]) | st.text(max_size=4)
    return st.recursive(
        st.none() | st.booleans() | st.integers(-9, 10**6) | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=4),
        max_leaves=20,
    )


def check(product, *files):
    try:
        text = written(TRANSLATORS[product](files, AROUND))
    except PolicyError as error:
        assert error.problems
        return None
    return parse(text.encode(), file="p", directory=Path(DIRECTORY), state=Path("/state"), resolve=resolve)


@pytest.mark.parametrize("product", sorted(TRANSLATORS))
@given(st.data())
def test_whatever_a_file_holds(product, data):
    check(product, file("a.json", json.dumps(data.draw(anything(WORDS[product])))))


@pytest.mark.parametrize("odd", [*ODD, "Read( x )"])
def test_odd_texts_everywhere(odd):
    server = {"command": odd or "x", "args": [odd], "env": {odd: odd, "LOG_LEVEL": odd}, "cwd": odd}
    permissions = {
        "allow": [f"Read({odd})", f"Edit({odd}/**)", f"Bash({odd})", f"WebFetch(domain:{odd})"],
        "deny": [f"Read({odd})", f"Bash({odd} *)", f"Agent({odd}:{odd})", f"Agent({odd})"],
    }
    check("claude-code", file("a.json", {"permissions": permissions, "mcpServers": {odd: server}}))
    check("gemini-cli", file("a.json", {"mcpServers": {odd: server | {"trust": True}}}))
    terminal, urls = {f"/^{odd}$/": True, odd: False}, {f"https://{odd}/*": True}
    settings = {"chat.tools.terminal.autoApprove": terminal, "chat.tools.urls.autoApprove": urls}
    check("vscode", file("a.json", settings | {"servers": {odd: server}}))
    check("docker-mcp", file("a.json", {"registry": {odd: {}}}), file("b.json", {odd: []}))
