"""An imported policy never says less than its source: over rules and calls made at random."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.imports import sources
from tests.core.imports.importing import AROUND, toml
from tests.core.imports.importing import given as file
from tests.core.imports.sources import DIRECTORY, STRICTNESS, absolute, resolve, target

from blastwall.errors import PolicyError
from blastwall.imports import TRANSLATORS, written
from blastwall.policy import parse
from blastwall.values import Allow, Deny, Sandbox, ToolCall


def imported(product, **files):
    """Import files, given as data or text, and load what comes out."""
    draft = TRANSLATORS[product](
        [file(name.replace("__", "."), text) for name, text in files.items()], AROUND
    )
    text = written(draft)
    policy = parse(text.encode(), file="p", directory=Path(DIRECTORY), state=Path("/state"), resolve=resolve)
    return draft, policy


def says(policy, connector, tool, arguments):
    """Give what a policy says of a call, in the sources' words."""
    call = ToolCall.of(connector, tool, arguments)
    resolved = {path: resolve(path, policy.directory(connector)) for path in policy.paths(call)}
    match policy.decide(call, resolved):
        case Allow() | Sandbox():
            return "allow"
        case Deny():
            return "deny"
        case _:
            return "ask"


def no_wider(ours, theirs):
    assert STRICTNESS.index(ours) >= STRICTNESS.index(theirs), f"{ours}, where the source says {theirs}"


# --- Claude Code ------------------------------------------------------------------------------------

COMMANDS = [
    "npm run build", "npm run test", "npm run test -- -u", "npm run build && rm -rf x", "npm run build; ls", "ls -la",
    "git push origin main", "git status", "git  push", "cd src && git push", "timeout 5 git push origin", "FOO=1 git push",
    "rm -rf build", "xargs rm -rf", "echo x > src/a", "cat .env", "cat src/a.py", "make lint", "lsof", "npm run build > x",
    "npm run build\nrm x", "nohup rm x", "pytest tests/a.py", "farm rm", "echo $(rm x)", "",
]  # fmt: skip
BASH = [
    "Bash", "Bash(*)", "Bash(npm run build)", "Bash(npm run test:*)", "Bash(npm run *)", "Bash(git push:*)",
    "Bash(git push *)", "Bash(rm *)", "Bash(rm:*)", "Bash(* main)", "Bash(ls*)", "Bash(make lint)", "Bash(git * main)",
    "Bash(cat .env)", "Bash(cat src/a.py)", "Bash(pytest tests/a.py)", "Bash(npm run build && rm -rf x)", "Bash(lsof)",
    "Bash(run_in_background:true)", "Bash(rm -rf build)", "Bash(git status)",
]  # fmt: skip
PATHS = [
    "/home/me/project/src/a.py", "src/a.py", "./src/a.py", "src/../secrets/key", "secrets/key", "src/out/passwd",
    "/etc/passwd", "notes/key", "/home/me/elsewhere/a.py", "docs/readme.md", ".env", "src/.env", "src/hook/pre-commit",
    ".git/config", ".claude/settings.json", "../other/x", "vendor/src/b.py", "src", "/home/me/.ssh/id", "a.pem",
    "src/deep/a.pem", "SRC/a.py", "docs/../src/a.py", "src//a.py", "src/cert", "src/key",
]  # fmt: skip
PATTERNS = [
    "./src/**", "src/**", "/src/**", "/docs/**", "//etc/**", "~/.ssh/**", ".env", "./.env", "**/.env", "*.pem",
    "secrets/**", "./secrets/**", "/secrets/**", "src/deep/**", "docs/readme.md", "//home/me/project/src/**", "src/*",
    "**", "./**", "/home/**", "../other/**", "/.git/**", "src/deep/*.pem", "notes",
]  # fmt: skip
URLS = [
    "https://docs.example.com/a", "https://DOCS.example.com./", "http://example.com", "https://example.com:8443/",
    "https://evil.example.com.evil.test/", "https://a.b.example.com/x", "https://docs.example.com@evil.test/",
]  # fmt: skip
DOMAINS = ["docs.example.com", "*.example.com", "example.com", "*", "example.*", "EXAMPLE.com"]
MCP = [
    "mcp__github", "mcp__github__*", "mcp__github__get_issue", "mcp__github__get_*", "mcp__*", "*", "mcp__my_server",
    "mcp__my_server__run", "mcp__git*", "mcp__github__create_issue", "mcp__claude-code__Bash", "mcp__claude-code",
    "WebSearch", "Web*", "Agent", "Agent(model:opus)", "mcp__github__get_issue(repo:secret*)", "Cd(/x)",
]  # fmt: skip

rules = (
    st.sampled_from(BASH)
    | st.builds("{}({})".format, st.sampled_from(["Read", "Edit", "Write"]), st.sampled_from(PATTERNS))
    | st.sampled_from(["Read", "Edit", "Write", "WebFetch", "Grep"])
    | st.builds("WebFetch(domain:{})".format, st.sampled_from(DOMAINS))
    | st.sampled_from(MCP)
)
permissions = st.fixed_dictionaries(
    {},
    optional={
        "allow": st.lists(rules, max_size=4),
        "ask": st.lists(rules, max_size=2),
        "deny": st.lists(rules, max_size=2),
        "defaultMode": st.sampled_from(["default", "acceptEdits", "plan", "dontAsk", "bypassPermissions"]),
    },
)
SERVERS = {"github": {"command": "x"}, "my server": {"command": "x"}, "claude-code": {"command": "x"}}


def claude_calls():
    for command in COMMANDS:
        yield None, "Bash", {"command": command, "run_in_background": True}
        yield None, "Bash", {"command": command}
    for tool in ("Read", "Edit", "Write"):
        for path in PATHS:
            yield None, tool, {"file_path": path}
    for url in URLS:
        yield None, "WebFetch", {"url": url, "prompt": "x"}
    yield from (
        (None, "WebSearch", {}),
        (None, "Agent", {"model": "opus"}),
        (None, "Agent", {"model": "haiku"}),
    )
    for server in SERVERS:
        for tool in ("get_issue", "create_issue", "run", "Bash"):
            yield server, tool, {"repo": "secret-one", "command": "ls"}


CLAUDE_CALLS = list(claude_calls())


def claude_no_wider(files, calls=CLAUDE_CALLS):
    data = {"a__json": {"permissions": files[0], "mcpServers": SERVERS}}
    data |= {f"f{i}__json": {"permissions": each} for i, each in enumerate(files[1:])}
    draft, policy = imported("claude-code", **data)
    for server, tool, arguments in calls:
        theirs = sources.claude(files, tool, arguments, server)
        connector = draft.connectors.get((server is None, server or "claude-code"))
        ours = says(policy, connector.name if connector else "claude-code", tool, arguments)
        linked = "file_path" in arguments and target(path := absolute(arguments["file_path"])) != path
        theirs = "ask" if linked and theirs == "deny" else theirs  # a link with another name is asked about
        assert STRICTNESS.index(ours) >= STRICTNESS.index(theirs), (
            f"{server} {tool} {arguments}: {ours}, where Claude Code says {theirs}"
        )


@given(st.lists(permissions, min_size=1, max_size=3))
def test_claude_code_never_says_no_to_what_we_allow(files):
    claude_no_wider(files)


@pytest.mark.parametrize("kind", ["allow", "ask", "deny"])
@pytest.mark.parametrize("rule", [*BASH, *MCP, *[f"{t}({p})" for t in ("Read", "Edit") for p in PATTERNS]])
def test_every_single_rule_is_no_wider(rule, kind):
    claude_no_wider([{kind: [rule]}])


@pytest.mark.parametrize("deny", PATTERNS)
@pytest.mark.parametrize("allow", ["Read", "Read(./src/**)", "Edit(/src/**)"])
def test_every_folder_beside_every_pattern_is_no_wider(allow, deny):
    files = [call for call in CLAUDE_CALLS if "file_path" in call[2]]
    claude_no_wider([{"allow": [allow], "deny": [f"Read({deny})"]}], files)


def test_a_later_file_widens_nothing():
    first, second = {"allow": ["WebSearch"]}, {"allow": ["Bash(make lint)", "WebSearch"]}
    draft, policy = imported("claude-code", a__json={"permissions": first}, b__json={"permissions": second})
    assert says(policy, "claude-code", "Bash", {"command": "make lint"}) == "ask"
    assert says(policy, "claude-code", "WebSearch", {}) == "allow"
    assert [note.path for note in draft.notes] == ["permissions.allow.0"]


# --- Gemini CLI -------------------------------------------------------------------------------------

NAMES = [
    "run_shell_command",
    "write_file",
    "read_file",
    "web_fetch",
    "*",
    "search",
    "mcp_jira_*",
    "mcp_*",
    "get_*",
]
base = {
    "decision": st.sampled_from(["allow", "ask_user", "deny"]),
    "priority": st.sampled_from([5, 50, 100, 200]),
}
about_tools = st.fixed_dictionaries(
    base,
    optional={
        "toolName": st.sampled_from(NAMES) | st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
        "mcpName": st.sampled_from(["jira", "*", "wiki"]),
        "argsPattern": st.sampled_from(['"file_path":".*\\.env"', "secret", '"command":"git ', "a.b"]),
        "modes": st.just(["plan"]),
    },
)
prefixes = st.sampled_from(["git push", ["rm", "npm run build"], "rm -rf"])
regexes = st.sampled_from(
    ["git (commit|push)", "rm\\s+-rf", "rm .*x", "(?!git)", "npm|rm", "[a-z]+ push", "g.t"]
)
shell = {"toolName": st.just("run_shell_command")}
gemini_rules = (
    about_tools
    | st.fixed_dictionaries(base | shell | {"commandPrefix": prefixes})
    | st.fixed_dictionaries(base | shell | {"commandRegex": regexes})
)


GEMINI_CALLS = [
    *((None, "run_shell_command", {"command": command}) for command in COMMANDS),
    *((None, tool, {"file_path": path}) for tool in ("write_file", "read_file") for path in (".env", "src/a", "x.env.b")),
    (None, "web_fetch", {"prompt": "secret"}),
    *((server, tool, {"q": q}) for server in ("jira", "wiki") for tool in ("search", "get_issue") for q in ("secret", "")),
]  # fmt: skip


@given(st.lists(gemini_rules, min_size=1, max_size=5))
def test_gemini_cli_never_says_no_to_what_we_allow(rule_list):
    servers = {"mcpServers": {"jira": {"command": "x"}, "wiki": {"command": "x"}}}
    _, policy = imported("gemini-cli", rules__toml=toml(rule_list), settings__json=servers)
    for server, tool, arguments in GEMINI_CALLS:
        theirs = sources.gemini(rule_list, tool, arguments, server)
        ours = says(policy, server or "gemini-cli", tool, arguments)
        assert STRICTNESS.index(ours) >= STRICTNESS.index(theirs), (
            f"{server} {tool} {arguments}: {ours}, where Gemini CLI says {theirs}"
        )


# --- VS Code ----------------------------------------------------------------------------------------

ENTRIES = [
    "npm run build", "npm", "/^npm run build$/", "/^make lint$/", "/git (status|show)/", "rm", "/rm/", "git", "/^lsof$/",
    "/^npm run build; ls$/", "/NPM/i", "make", "/^rm -rf build$/",
]  # fmt: skip
SITES = [
    "https://docs.example.com/*", "https://*.example.com/*", "https://example.com/api/*", "https://docs.example.com",
    "http://docs.example.com/*", "https://*/*", "*", "https://a.b.example.com/*",
]  # fmt: skip
approvals = st.booleans() | st.builds(lambda a: {"approve": a, "matchCommandLine": True}, st.booleans())
both = st.booleans() | st.builds(
    lambda a, b: {"approveRequest": a, "approveResponse": b}, st.booleans(), st.booleans()
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "chat.tools.terminal.autoApprove": st.dictionaries(
            st.sampled_from(ENTRIES), approvals | st.none(), max_size=4
        ),
        "chat.tools.terminal.enableAutoApprove": st.booleans(),
        "chat.tools.urls.autoApprove": st.dictionaries(st.sampled_from(SITES), both, max_size=4),
        "chat.tools.eligibleForAutoApproval": st.dictionaries(st.just("fetch_webpage"), st.booleans()),
        "chat.tools.global.autoApprove": st.just(False),
    },
)


@given(settings)
def test_vs_code_never_asks_about_what_we_allow(data):
    data = data | {"servers": {"m": {"command": "x"}}}
    _, policy = imported("vscode", settings__json=data)
    calls = [("run_in_terminal", {"command": command}) for command in COMMANDS]
    calls += [("fetch_webpage", {"urls": [url]}) for url in URLS] + [("fetch_webpage", {"urls": URLS[:3]})]
    calls += [("create_file", {"filePath": "x"})]
    for tool, arguments in calls:
        no_wider(says(policy, "vscode", tool, arguments), sources.vscode(data, tool, arguments))
    assert says(policy, "m", "anything", {}) == "ask"


# --- Docker -----------------------------------------------------------------------------------------

names = st.sampled_from(["github", "files", "web"])
tools = st.sampled_from(["get", "list", "mcp-add"])


@given(
    st.lists(names, max_size=3),
    st.none() | st.dictionaries(names, st.lists(tools, max_size=2), min_size=1),
    st.none() | st.lists(names, min_size=1, max_size=2),
    st.lists(st.builds("{}:{}".format, names, tools | st.just("*")) | tools, max_size=2),
)
def test_docker_serves_whatever_we_allow(enabled, listed, chosen, flagged):
    files = {"registry__yaml": json.dumps({"registry": {name: {"ref": ""} for name in enabled}})}
    files |= {"tools__yaml": json.dumps(listed)} if listed else {}
    words = ["mcp", "gateway", "run", *([f"--servers={','.join(chosen)}"] if chosen else [])]
    words += [word for flag in flagged for word in ("--tools", flag)]
    files |= {"client__json": {"mcpServers": {"d": {"command": "docker", "args": words}}}}
    try:
        _, policy = imported("docker-mcp", **files)
    except PolicyError:
        assert not (set(enabled) & set(chosen or enabled)) or (not enabled and not chosen) or not enabled
        return
    for server in ("github", "files", "web"):
        for tool in ("get", "list", "mcp-add", "other"):
            served = (not chosen or server in chosen) and (not enabled or server in enabled)
            served = served and (not listed or server not in listed or tool in listed[server])
            flags = {f"{server}:{tool}", f"{server}:*", tool}
            served = served and (not flagged or bool(flags & set(flagged)))
            ours = says(policy, server, tool, {})
            assert ours != "allow" or served
            assert ours == "deny" or served or server in policy.connectors
