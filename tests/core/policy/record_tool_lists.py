"""Install the real servers into a temporary folder and record what tools they list. Run by hand.

    python tests/core/policy/record_tool_lists.py [NAME...]

Needs Python 3.12, `npm` and access to npm and PyPI. Each server gets an empty home, invented credentials and, where the
kernel lets us, no network at all; it is asked for its list and never called. Only names, annotations and the
shape of the arguments are kept, not the servers' prose.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("tool_lists")
PATIENCE_S = 60.0
Message = dict[str, Any]
PROSE = ("description", "title", "examples", "$schema")


@dataclass(frozen=True)
class Listed:
    """One server: where it comes from, how it starts, which template is for it.

    Attributes:
        template: The shipped template that must cover it.
        registry: `npm` or `pypi`.
        package: Its name there.
        command: What starts it; `{home}` is its empty home, the first word a program of the package.
        env: Invented credentials and the like.
        files: What must lie in its home.
        needs: Further requirements, where the newest dependencies broke it.
        part: What tells it from other lists of the same package.
        unpinned: Whether only `needs` are installed with it: one of its own pins can't be had.
        url: Where it listens, when it does not answer over stdio without its service.

    """

    template: str
    registry: str
    package: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    url: str = ""
    unpinned: bool = False
    part: str = ""

    @property
    def name(self) -> str:
        """The record's file name."""
        parts = (self.registry, self.package.strip("@").replace("/", "-"), self.part)
        return "-".join(filter(None, parts))


_GOOGLE = json.dumps(
    {"installed": {"client_id": "none", "client_secret": "none", "redirect_uris": ["http://localhost:3000"]}}
)
_WORKSPACE = {"GOOGLE_OAUTH_CLIENT_ID": "none", "GOOGLE_OAUTH_CLIENT_SECRET": "none"}
_OFFICIAL = "@modelcontextprotocol/server-"
_OLD_SDK = ("mcp<2",)

SERVERS = (
    Listed("filesystem", "npm", _OFFICIAL + "filesystem", ("mcp-server-filesystem", "{home}")),
    Listed("memory", "npm", _OFFICIAL + "memory", ("mcp-server-memory",)),
    Listed(
        "github",
        "npm",
        _OFFICIAL + "github",
        ("mcp-server-github",),
        {"GITHUB_PERSONAL_ACCESS_TOKEN": "none"},
    ),
    Listed(
        "slack",
        "npm",
        _OFFICIAL + "slack",
        ("mcp-server-slack",),
        {"SLACK_BOT_TOKEN": "xoxb-none", "SLACK_TEAM_ID": "T0"},
    ),
    Listed(
        "slack",
        "npm",
        "slack-mcp-server",
        ("slack-mcp-server", "--transport", "http"),
        {
            "SLACK_MCP_XOXC_TOKEN": "demo",
            "SLACK_MCP_XOXD_TOKEN": "demo",
            "SLACK_MCP_ADD_MESSAGE_TOOL": "true",
            "SLACK_MCP_REACTION_TOOL": "true",
            "SLACK_MCP_ATTACHMENT_TOOL": "true",
            "SLACK_MCP_MARK_TOOL": "true",
        },
        url="http://127.0.0.1:13080/mcp",
    ),
    Listed(
        "slack",
        "npm",
        "@zencoderai/slack-mcp-server",
        ("slack-mcp",),
        {"SLACK_BOT_TOKEN": "xoxb-none", "SLACK_TEAM_ID": "T0"},
    ),
    Listed(
        "mail",
        "npm",
        "@gongrzhe/server-gmail-autoauth-mcp",
        ("gmail-mcp",),
        files={".gmail-mcp/gcp-oauth.keys.json": _GOOGLE},
    ),
    Listed(
        "mail",
        "npm",
        "@codefuturist/email-mcp",
        ("email-mcp", "stdio"),
        {
            "MCP_EMAIL_ADDRESS": "me@example.com",
            "MCP_EMAIL_PASSWORD": "none",
            "MCP_EMAIL_IMAP_HOST": "127.0.0.1",
            "MCP_EMAIL_SMTP_HOST": "127.0.0.1",
        },
    ),
    Listed("mail", "pypi", "mcp-email-server", ("mcp-email-server", "stdio")),
    Listed(
        "calendar",
        "npm",
        "@cocal/google-calendar-mcp",
        ("google-calendar-mcp",),
        {"GOOGLE_OAUTH_CREDENTIALS": "{home}/keys.json"},
        {"keys.json": _GOOGLE},
    ),
    Listed("calendar", "pypi", "calendar-mcp", ("calendar-mcp",), needs=_OLD_SDK),
    Listed(
        "postgres",
        "npm",
        _OFFICIAL + "postgres",
        ("mcp-server-postgres", "postgresql://nobody@127.0.0.1:9/none"),
    ),
    Listed(
        "postgres",
        "pypi",
        "postgres-mcp",
        ("postgres-mcp", "postgresql://nobody@127.0.0.1:9/none"),
        unpinned=True,
        needs=(
            *_OLD_SDK,
            "attrs",
            "humanize",
            "instructor",
            "pglast>=7.20,<8",
            "psycopg[binary]",
            "psycopg-pool",
        ),
    ),
    Listed(
        "sqlite",
        "pypi",
        "mcp-server-sqlite",
        ("mcp-server-sqlite", "--db-path", "{home}/test.db"),
        needs=_OLD_SDK,
    ),
    Listed("git", "pypi", "mcp-server-git", ("mcp-server-git",)),
    Listed("git", "npm", "@cyanheads/git-mcp-server", ("git-mcp-server",)),
    *(
        Listed(template, "pypi", "workspace-mcp", ("workspace-mcp", "--tools", part), _WORKSPACE, part=part)
        for template, part in (("mail", "gmail"), ("calendar", "calendar"), ("drive", "drive"))
    ),
    Listed("fetch", "pypi", "mcp-server-fetch", ("mcp-server-fetch",)),
    Listed(
        "browser",
        "npm",
        "@playwright/mcp",
        ("playwright-mcp", "--caps=vision,pdf,testing,tracing,tabs,storage,network,devtools"),
    ),
    Listed("browser", "npm", _OFFICIAL + "puppeteer", ("mcp-server-puppeteer",)),
    Listed("browser", "npm", "chrome-devtools-mcp", ("chrome-devtools-mcp",)),
    Listed("shell", "pypi", "mcp-shell-server", ("mcp-shell-server",), {"ALLOW_COMMANDS": "ls"}),
    Listed("shell", "npm", "mcp-server-commands", ("mcp-server-commands",)),
    Listed("shell", "npm", "@wonderwhy-er/desktop-commander", ("desktop-commander",)),
    Listed("travel", "npm", "@openbnb/mcp-server-airbnb", ("mcp-server-airbnb",)),
)


_KIT = "langchain_community.tools."
TOOLKITS = {
    "filesystem": tuple(
        f"file_management.{verb}Tool"
        for verb in (
            "CopyFile",
            "DeleteFile",
            "FileSearch",
            "ListDirectory",
            "MoveFile",
            "ReadFile",
            "WriteFile",
        )
    ),
    "shell": ("shell.ShellTool",),
    "postgres": tuple(
        f"sql_database.tool.{verb}Tool"
        for verb in ("QuerySQLDatabase", "InfoSQLDatabase", "ListSQLDatabase", "QuerySQLChecker")
    ),
    "browser": tuple(
        f"playwright.{verb}Tool"
        for verb in (
            "Click",
            "CurrentWebPage",
            "ExtractHyperlinks",
            "ExtractText",
            "GetElements",
            "NavigateBack",
            "Navigate",
        )
    ),
    "mail": tuple(
        f"gmail.Gmail{verb}" for verb in ("CreateDraft", "GetMessage", "GetThread", "Search", "SendMessage")
    ),
    "chat": tuple(
        f"slack.Slack{verb}" for verb in ("GetChannel", "GetMessage", "ScheduleMessage", "SendMessage")
    ),
    "fetch": tuple(f"requests.tool.Requests{verb}Tool" for verb in ("Get", "Post", "Patch", "Put", "Delete")),
}
"""The tools of langchain-community, which no server lists, by the template that must cover them."""

READ_TOOLKITS = """
import importlib, inspect, json, sys
found = {}
for template, names in json.loads(sys.argv[1]).items():
    for module, name in (full.rsplit(".", 1) for full in names):
        tool = getattr(importlib.import_module(module), name)
        schema = tool.model_fields["args_schema"].default
        shape = schema.model_json_schema() if schema else {"type": "object", "properties": {
            name: {} for name in inspect.signature(tool._run).parameters if name not in ("self", "run_manager")}}
        found.setdefault(template, []).append({"name": tool.model_fields["name"].default, "inputSchema": shape})
print(json.dumps(found))
"""


def main() -> None:
    """Record the named servers, or all; exit 1 when one could not be asked."""
    wanted = sys.argv[1:]
    if not wanted or "langchain" in wanted:
        record_toolkits()
    failed = []
    for server in SERVERS:
        if wanted and server.name not in wanted:
            continue
        try:
            record(server)
        except (subprocess.SubprocessError, OSError, ValueError, TimeoutError) as error:
            failed.append(server.name)
            say(f"{server.name}: NOT RECORDED: {error}")
    sys.exit(f"not recorded: {', '.join(failed)}" if failed else 0)


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


def record(server: Listed) -> None:
    """Install one server, ask it, and write what it says."""
    with tempfile.TemporaryDirectory(prefix="tool-list-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        home = place / "home"
        home.mkdir()
        for name, text in server.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        install = _npm if server.registry == "npm" else _pypi
        programs, version, licence = install(server, place)
        tools = ask(server, programs, home)
    _write(server, server.name, server.template, version, licence, tools)


def record_toolkits() -> None:
    """Install langchain-community and write down the tools of its toolkits."""
    package = Listed("", "pypi", "langchain-community", ())
    with tempfile.TemporaryDirectory(prefix="tool-list-", ignore_cleanup_errors=True) as folder:
        programs, version, licence = _pypi(package, Path(folder))
        wanted = {name: [_KIT + tool for tool in tools] for name, tools in TOOLKITS.items()}
        read = [str(programs / "python"), "-W", "ignore", "-c", READ_TOOLKITS, json.dumps(wanted)]
        answer = subprocess.run(read, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
    for template, tools in json.loads(answer.stdout).items():
        _write(package, f"pypi-langchain-community-{template}", template, version, licence, tools)


def _write(
    server: Listed, name: str, template: str, version: str, licence: str, tools: list[Message]
) -> None:
    found = {
        "server": server.package,
        "registry": server.registry,
        "version": version,
        "licence": licence,
        "template": template,
        "tools": [_kept(tool) for tool in sorted(tools, key=lambda tool: str(tool["name"]))],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    say(f"{name} {version} ({licence}): {len(tools)} tools")


def _npm(server: Listed, place: Path) -> tuple[Path, str, str]:
    # No install scripts: puppeteer's would fetch a browser, which nobody here starts.
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", str(place)]
    subprocess.run(["npm", "install", *flags, server.package], check=True, cwd=place, timeout=300)
    folder = place / "node_modules" / server.package
    package = json.loads((folder / "package.json").read_text())
    licence = package.get("license", "")
    return place / "node_modules" / ".bin", package["version"], _licence([licence], folder)


def _pypi(server: Listed, place: Path) -> tuple[Path, str, str]:
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True, timeout=120)
    pip = [str(place / "venv" / "bin" / "python"), "-m", "pip", "install", "-qqq"]
    if server.unpinned:
        subprocess.run([*pip, *server.needs], check=True, timeout=580)
        subprocess.run([*pip, "--no-deps", server.package], check=True, timeout=580)
    else:
        subprocess.run([*pip, server.package, *server.needs], check=True, timeout=580)
    site = next((place / "venv" / "lib").glob("python*/site-packages"))
    found = next(iter(Distribution.discover(name=server.package, path=[str(site)])))
    about = found.metadata.json
    classifiers = [c for c in about.get("classifier", ()) if c.startswith("License ::")]
    said = [str(about.get(key, "")) for key in ("license_expression", "license")]
    folder = next(site.glob(f"{server.package.replace('-', '_')}-*.dist-info"))
    return place / "venv" / "bin", found.version, _licence([*said, *classifiers], folder)


def _licence(said: list[str], folder: Path) -> str:
    """Give what a package calls its licence, or how its licence file begins."""
    for text in said:
        if text.strip() and not text.startswith("SEE LICENSE"):
            return text.strip().splitlines()[0].rpartition(" :: ")[2]
    for file in sorted(folder.rglob("LICEN[CS]E*")):
        lines = [line.strip() for line in file.read_text(errors="replace").splitlines()]
        return f"its licence file: {' '.join(line for line in lines if line)[:60]}"
    return next(filter(None, said), "unknown")


def ask(server: Listed, programs: Path, home: Path) -> list[Message]:
    """Start the server and give the tools that it lists."""
    words = [word.replace("{home}", str(home)) for word in server.command]
    env = {"HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(home)}
    env |= {name: value.replace("{home}", str(home)) for name, value in server.env.items()}
    alone = ["unshare", "--net"] if not server.url and _may_unshare() else []
    process = subprocess.Popen(
        [*alone, str(programs / words[0]), *words[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(home / "stderr").open("wb"),
        env=env,
        cwd=home,
        text=True,
        start_new_session=True,
    )
    try:
        return list(_tools(Loopback(server.url) if server.url else Pipe(process)))
    except (TimeoutError, BrokenPipeError):
        said = (home / "stderr").read_text(errors="replace").strip()
        raise TimeoutError(f"no answer; it said: {said[-600:]}") from None
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # and what it started
        process.wait()


def _may_unshare() -> bool:
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    )


class Pipe:
    """A server that speaks on its standard input and output."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: Message) -> Message | None:
        """Send a message; give the answer, where one is due."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        if "id" not in message:
            return None
        while True:
            answer = _parsed(self._line())
            if answer.get("id") == message["id"] and "method" not in answer:
                return answer

    def _line(self) -> str:
        try:
            line = self._lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            line = None
        if line is None:
            raise TimeoutError
        return line

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


class Loopback:
    """A server that speaks HTTP on this machine."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def send(self, message: Message) -> Message | None:
        """Send a message; give the answer, where one is due."""
        request = urllib.request.Request(self._url, json.dumps(message).encode(), self._headers)
        for _ in range(int(PATIENCE_S)):
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                    if session := response.headers.get("Mcp-Session-Id"):
                        self._headers["Mcp-Session-Id"] = session
                    text = response.read().decode()
                return _parsed(text.removeprefix("event: message\n").removeprefix("data: ")) if text else None
            except urllib.error.HTTPError:
                raise
            except urllib.error.URLError:
                time.sleep(1)
        raise TimeoutError


def _parsed(line: str) -> Message:
    try:
        message = json.loads(line)
    except json.JSONDecodeError:
        return {}  # some servers log to stdout
    return message if isinstance(message, dict) else {}


def _tools(server: Pipe | Loopback) -> Iterator[Message]:
    client = {"name": "record-tool-lists", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    _result(server, 1, "initialize", hello)
    server.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    page: dict[str, str] = {}
    for number in range(2, 100):
        answer = _result(server, number, "tools/list", page)
        yield from answer["tools"]
        if not answer.get("nextCursor"):
            return
        page = {"cursor": answer["nextCursor"]}


def _result(server: Pipe | Loopback, number: int, method: str, params: Any) -> Any:
    answer = server.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) or {}
    if "result" not in answer:
        raise ValueError(f"{method}: {answer.get('error')}")
    return answer["result"]


def _kept(tool: dict[str, Any]) -> dict[str, Any]:
    kept = {"name": tool["name"], "inputSchema": _shape(tool["inputSchema"])}
    hints = {name: value for name, value in tool.get("annotations", {}).items() if isinstance(value, bool)}
    return kept | ({"annotations": hints} if hints else {})


def _shape(schema: Any) -> Any:
    """Leave prose out; an argument that is itself called `description` is no prose."""
    if isinstance(schema, list):
        return [_shape(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    prose = {name for name in PROSE if not isinstance(schema.get(name), dict)}
    return {name: _shape(value) for name, value in schema.items() if name not in prose}


if __name__ == "__main__":
    main()
