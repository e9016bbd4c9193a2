"""The MCP proxies that are measured: ours, FastMCP's and mcp-proxy, over stdio and HTTP on both sides."""

import json
import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
from mcp import Client, StdioServerParameters, stdio_client

HERE = Path(__file__).parent
ECHO = [sys.executable, str(HERE / "echo_server.py")]
PEERS = {"fastmcp": "4.2.3", "mcp-proxy": "0.13.0"}
PATIENCE_S = 60.0
SILENCE = open(os.devnull, "w")
FASTMCP = """
import sys
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy
front, *back = sys.argv[1:]
proxy = create_proxy(back[0] if back[0].startswith("http") else StdioTransport(back[0], back[1:]))
if front == "stdio":
    proxy.run("stdio", show_banner=False)
else:
    options = {"log_level": "warning"}
    proxy.run("http", show_banner=False, port=int(front), path="/mcp", uvicorn_config=options)
"""


class Unavailable(Exception):
    """One of them can't be measured here."""


@dataclass(frozen=True)
class Cell:
    """What is spoken on both sides of a proxy."""

    front: str
    back: str

    def __str__(self) -> str:
        return f"{self.front} → {self.back}"


@dataclass(frozen=True)
class Connected:
    """One contender, ready to be called."""

    name: str
    client: Client
    tool: str
    process: psutil.Process | None

    async def call(self, text: str) -> None:
        """Call the tool once, and see that it worked."""
        result = await self.client.call_tool(self.tool, {"text": text})
        if result.is_error:
            raise SystemExit(f"{self.name} refused: {result}")

    def processor_s(self) -> float:
        """Give the seconds of processor time that the proxy has used so far."""
        if self.process is None:
            return 0.0
        used = self.process.cpu_times()
        return used.user + used.system


def ours(cell: Cell, back: list[str], port: int, folder: Path) -> list[str]:
    """Give the command of our proxy, with policy, screening and audit on."""
    folder.mkdir(parents=True, exist_ok=True)
    http = {"url": back[0], "transport": "http", "private": True}
    server = http if cell.back == "http" else {"command": back[0], "args": back[1:], "sandbox": "none"}
    rules = [{"id": "all", "effect": "allow", "tools": ["*"]}]
    whole = {
        "version": 1,
        "defaults": {"state": {"directory": "state", "durability": "process-crash"}},
        "connectors": {"echo": {"server": server, "rules": rules}},
    }
    if cell.front == "http":
        whole["proxy"] = {"http": {"port": port}}
    file = folder / "blastwall.yaml"
    file.write_text(json.dumps(whole))  # JSON is YAML
    command = [str(Path(sys.executable).with_name("blastwall")), "proxy", "--policy", str(file)]
    return [*command, "--http"] if cell.front == "http" else command


def fastmcp(cell: Cell, back: list[str], port: int, _: Path) -> list[str]:
    """Give the command of FastMCP's proxy, as its documentation makes one."""
    front = "stdio" if cell.front == "stdio" else str(port)
    return [str(peer("fastmcp") / "python"), "-c", FASTMCP, front, *back]


def mcp_proxy(cell: Cell, back: list[str], port: int, _: Path) -> list[str]:
    """Give the command of mcp-proxy, which only turns one transport into the other."""
    if cell.front == cell.back:
        raise Unavailable("it only turns one transport into the other")
    command = [str(peer("mcp-proxy") / "mcp-proxy"), "--log-level", "WARNING"]
    if cell.front == "stdio":
        return [*command, "--transport", "streamablehttp", *back]
    return [*command, "--port", str(port), "--", *back]


@cache
def peer(name: str) -> Path:
    """Install a peer in a virtual environment of its own, and give the folder of its programs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blastwall-tests"
    place = cache / f"{name}-{PEERS[name]}"
    ready = place / "ready"
    if not ready.exists():
        venv.create(place, clear=True, with_pip=True)
        words = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", f"{name}=={PEERS[name]}"]
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"pip can't install {name}") from error
        ready.touch()
    return place / "bin"


@contextmanager
def listening(command: list[str], port: int) -> Generator[psutil.Process]:
    """Start a server and wait until it listens."""
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing) as process:
        try:
            _await(process, port)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable("it does not start") from None
            time.sleep(0.05)


def free_port() -> int:
    """Give a port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def address(port: int) -> str:
    """Give the address of an MCP server on a port of this machine."""
    return f"http://127.0.0.1:{port}/mcp"


@asynccontextmanager
async def connected(
    name: str, front: str, command: list[str], port: int, tool: str, mode: str = "auto"
) -> AsyncGenerator[Connected]:
    """Start a proxy, or a server, and connect a client of the SDK to it."""
    if front == "http":
        with listening(command, port) as process:
            async with Client(address(port), mode=mode, cache=None) as client:
                await client.list_tools()
                yield Connected(name, client, tool, process)
        return
    before = {child.pid for child in psutil.Process().children()}
    transport = stdio_client(StdioServerParameters(command=command[0], args=command[1:]), errlog=SILENCE)
    async with Client(transport, mode=mode, cache=None) as client:
        await client.list_tools()
        found = [child for child in psutil.Process().children() if child.pid not in before]
        yield Connected(name, client, tool, found[0])
