"""Servers in processes of their own, reached over loopback, that end with the test."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EVERYTHING = [sys.executable, str(HERE / "everything.py")]
EVERY_RULE: list[dict[str, Any]] = [
    {"id": "tools", "effect": "allow", "tools": ["*"]},
    {
        "id": "asks",
        "effect": "allow",
        "messages": ["sampling/createMessage", "elicitation/create", "roots/list"],
        "budget": {"session": 100_000},
    },
    {
        "id": "messages",
        "effect": "allow",
        "messages": ["resources/*", "prompts/*", "completion/*", "logging/*", "notifications/*"],
    },
]
"""Permits every tool and every message; what a server may ask of its client needs a bound."""
PATIENCE_S = 30.0


def policy(folder: Path, connectors: dict[str, Any], **proxy: Any) -> Path:
    """Write a policy file (JSON is YAML) that permits everything."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "blastwall.yaml"
    whole = {
        "version": 1,
        "defaults": {"state": {"directory": str(folder / "state")}},
        "connectors": {name: {"server": s, "rules": EVERY_RULE} for name, s in connectors.items()},
    }
    file.write_text(json.dumps(whole | ({"proxy": proxy} if proxy else {})))
    return file


def launched(*words: str) -> dict[str, Any]:
    """Give the `server` block of a command."""
    return {"command": words[0], "args": list(words[1:]), "sandbox": "none"}


@contextmanager
def everything(*arguments: str) -> Generator[str]:
    """Serve the server that does everything; give its address."""
    with _ending(
        subprocess.Popen([*EVERYTHING, "--http", *arguments], stdout=subprocess.PIPE, text=True)
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"


def proxy_command(file: Path) -> list[str]:
    """Give the command of the proxy on stdio."""
    return [str(Path(sys.executable).with_name("blastwall")), "proxy", "--policy", str(file)]


@contextmanager
def proxied(file: Path, port: int) -> Generator[str]:
    """Serve a policy over HTTP; give the address."""
    with _ending(subprocess.Popen([*proxy_command(file), "--http"])) as process:
        _await(process, port)
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def everything_proxied(folder: Path, **server: Any) -> Generator[str]:
    """Serve the proxy over the server that does everything; give its address.

    Its connectors are called as the suite's names begin, so that those come out of it as the suite knows them.
    """
    servers = {name: launched(*EVERYTHING, "--as", name) | server for name in ("test", "json")}
    port = free_port()
    with proxied(policy(folder, servers, separator="_", http={"port": port}), port) as url:
        yield url


def free_port() -> int:
    """Give a port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _await(process: "subprocess.Popen[Any]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, "the proxy ended by itself"
            assert time.monotonic() < deadline, "the proxy never listened"
            time.sleep(0.02)


@contextmanager
def _ending(process: "subprocess.Popen[Any]") -> Generator["subprocess.Popen[Any]"]:
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
