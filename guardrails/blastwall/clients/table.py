"""Where each client keeps its MCP servers: one row per client, from the client's own documentation.

Tried on Linux. The paths for macOS and Windows are those that the sources name, and were not tried.
"""

from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """How a file is written. JSON may hold comments and trailing commas."""

    JSON = "json"
    TOML = "toml"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Place:
    """One file, and where in it the servers are.

    Attributes:
        linux: The file. It starts with `~` (home), `{config}` (`$XDG_CONFIG_HOME`), or, of a project, with
            nothing. A `*` stands for any one folder.
        keys: What leads to the servers; `*` stands for every key, `{project}` for the project's folder.
        form: How it is written.
        macos, windows: The file there, where it is another one; `%APPDATA%` as Windows has it.
        project: Whether a project brings it along.
        moved_by: A variable that names another folder for it.

    """

    linux: str
    keys: tuple[str, ...] = ("mcpServers",)
    form: Form = Form.JSON
    macos: str = ""
    windows: str = ""
    project: bool = False
    moved_by: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Attributes:
        name: How the command line calls it.
        title: How people call it.
        source: The page that documents the places and the form.
        places: Where servers are.
        typed: Whether an entry says `"type": "stdio"`.

    """

    name: str
    title: str
    source: str
    places: tuple[Place, ...]
    typed: bool = False


_MAC = "~/Library/Application Support"


def _project(path: str, *keys: str, form: Form = Form.JSON) -> Place:
    return Place(path, keys or ("mcpServers",), form, project=True)


CLIENTS = (
    Client(
        "claude-desktop",
        "Claude Desktop",
        "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
        (
            Place(
                "{config}/Claude/claude_desktop_config.json",
                macos=f"{_MAC}/Claude/claude_desktop_config.json",
                windows="%APPDATA%/Claude/claude_desktop_config.json",
            ),
        ),
    ),
    Client(
        "claude-code",
        "Claude Code",
        "https://code.claude.com/docs/en/mcp",
        (
            Place("~/.claude.json", moved_by="CLAUDE_CONFIG_DIR"),
            Place("~/.claude.json", ("projects", "{project}", "mcpServers"), moved_by="CLAUDE_CONFIG_DIR"),
            _project(".mcp.json"),
        ),
        typed=True,
    ),
    Client(
        "cursor",
        "Cursor",
        "https://cursor.com/docs/mcp",
        (Place("~/.cursor/mcp.json"), _project(".cursor/mcp.json")),
    ),
    Client(
        "vscode",
        "VS Code",
        "https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
        (
            Place(
                "{config}/Code/User/mcp.json",
                ("servers",),
                macos=f"{_MAC}/Code/User/mcp.json",
                windows="%APPDATA%/Code/User/mcp.json",
            ),
            Place("~/.copilot/mcp-config.json", moved_by="COPILOT_HOME"),
            _project(".vscode/mcp.json", "servers"),
        ),
        typed=True,
    ),
    Client(
        "windsurf",
        "Windsurf",
        "https://docs.windsurf.com/windsurf/cascade/mcp",
        (Place("~/.codeium/windsurf/mcp_config.json"),),
    ),
    Client(
        "zed",
        "Zed",
        "https://zed.dev/docs/ai/mcp",
        (
            Place(
                "{config}/zed/settings.json",
                ("context_servers",),
                macos="~/.config/zed/settings.json",
                windows="%APPDATA%/Zed/settings.json",
            ),
            _project(".zed/settings.json", "context_servers"),
        ),
    ),
    Client(
        "gemini-cli",
        "Gemini CLI",
        "https://github.com/google-gemini/gemini-cli/blob/main/docs/tools/mcp-server.md",
        (Place("~/.gemini/settings.json"), _project(".gemini/settings.json")),
    ),
    Client(
        "codex",
        "Codex",
        "https://developers.openai.com/codex/mcp",
        (
            Place("~/.codex/config.toml", ("mcp_servers",), Form.TOML, moved_by="CODEX_HOME"),
            _project(".codex/config.toml", "mcp_servers", form=Form.TOML),
        ),
    ),
    Client(
        "lm-studio",
        "LM Studio",
        "https://lmstudio.ai/docs/app/mcp",
        (Place("~/.lmstudio/mcp.json"),),
    ),
    Client(
        "junie",
        "JetBrains Junie",
        "https://www.jetbrains.com/help/junie/model-context-protocol-mcp.html",
        (Place("~/.junie/mcp/mcp.json"), _project(".junie/mcp/mcp.json")),
    ),
    # Not on its help pages: the plugin's own registry keys, `llm.mcp.client.*.mcp.json.path`, name the JSON
    # files (https://github.com/dyoshikawa/rulesync/issues/2600), and JetBrains' tracker the XML one, in
    # LLM-22682.
    Client(
        "jetbrains",
        "JetBrains AI Assistant",
        "https://www.jetbrains.com/help/ai-assistant/mcp.html",
        (
            Place("~/.ai/mcp/mcp.json"),
            Place(
                "{config}/JetBrains/*/options/llm.mcpServers.xml",
                form=Form.XML,
                macos=f"{_MAC}/JetBrains/*/options/llm.mcpServers.xml",
                windows="%APPDATA%/JetBrains/*/options/llm.mcpServers.xml",
            ),
            _project(".ai/mcp/mcp.json"),
        ),
    ),
)
"""Every client that is known here."""

RUNS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (".claude/settings.json", ("hooks",), "hooks"),
    (".claude/settings.json", ("apiKeyHelper",), "a helper command"),
    (".claude/settings.json", ("awsAuthRefresh",), "a helper command"),
    (".claude/settings.json", ("awsCredentialExport",), "a helper command"),
    (".claude/settings.json", ("otelHeadersHelper",), "a helper command"),
    (".claude/settings.json", ("statusLine",), "a status line command"),
    (".claude/settings.json", ("enableAllProjectMcpServers",), "the start of all its MCP servers"),
    (".claude/settings.local.json", ("hooks",), "hooks"),
    (".claude/settings.local.json", ("enableAllProjectMcpServers",), "the start of all its MCP servers"),
    (".cursor/hooks.json", ("hooks",), "hooks"),
    (".gemini/settings.json", ("hooks",), "hooks"),
    (".gemini/settings.json", ("tools", "discoveryCommand"), "a command that discovers tools"),
    (".gemini/settings.json", ("tools", "callCommand"), "a command that calls tools"),
)
"""Settings of a project, beside servers, that make a client run something: file, keys, and what."""


def named(name: str) -> Client:
    """Give the client of this name.

    Raises:
        ValueError: naming those that there are.

    """
    found = {client.name: client for client in CLIENTS}
    if name not in found:
        raise ValueError(f"no client is called {name!r}: there are {', '.join(found)}")
    return found[name]
