"""A real client, the real proxy process, and real servers behind it."""

import json
import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import pytest
from mcp import Client, StdioServerParameters, stdio_client

UPSTREAMS = Path(__file__).parent / "upstreams"
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
NEEDS_SANDBOX = pytest.mark.skipif(
    shutil.which("bwrap") is None and not os.environ.get("CI"), reason="bubblewrap is not installed"
)
PATIENCE_S = 30.0


def behind(script: str, *args: object, rules: list[Any] | None = None, **server: Any) -> dict[str, Any]:
    """Give a connector whose server is one of our scripts; everything is allowed unless said otherwise."""
    return {
        "server": {
            "command": sys.executable,
            "args": [str(UPSTREAMS / script), *map(str, args)],
            "sandbox": "none",
            **server,
        },
        "rules": rules or [{"id": "all", "effect": "allow", "tools": ["*"]}],
    }


def policy(folder: Path, connectors: dict[str, Any], **blocks: Any) -> Path:
    """Write a policy file (JSON is YAML)."""
    defaults = {"state": {"directory": str(folder / "state")}}
    file = folder / "blastwall.yaml"
    file.write_text(json.dumps({"version": 1, "defaults": defaults, "connectors": connectors, **blocks}))
    return file


def box(*read: object) -> dict[str, Any]:
    """Give a sandbox in which our scripts run."""
    paths = [sys.prefix, sys.base_prefix, str(UPSTREAMS), *map(str, read)]
    return {"box": {"read": paths, "env": {"PYTHONDONTWRITEBYTECODE": "1"}}}


def proxy_argv(file: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("blastwall")), "proxy", "--policy", str(file)]


@asynccontextmanager
async def proxied(
    file: Path, mode: str = "auto", errlog: TextIO = sys.stderr, before: str = ""
) -> AsyncGenerator[Client]:
    """Connect a client to a proxy of its own; `before` is Python that the proxy's process runs first."""
    command, *args = proxy_argv(file)
    if before:
        command, args = sys.executable, ["-c", f"{before}\nfrom blastwall.cli import main\nmain()", *args]
    transport = stdio_client(StdioServerParameters(command=command, args=args), errlog=errlog)
    async with Client(transport, mode=mode, cache=None) as client:
        yield client


async def result_of(client: Client, tool: str, arguments: dict[str, Any], **options: Any) -> Any:
    """Call a tool and give the result as the client has it."""
    return await client.session.call_tool(tool, arguments, **options)


async def call(client: Client, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Call a tool; say whether that failed, and what came of it."""
    result = await result_of(client, tool, arguments)
    return result.is_error, "\n".join(getattr(block, "text", "") for block in result.content)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another process to get there."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def alive(process: int) -> bool:
    """Say whether a process still runs; one that is dead and not yet reaped by init does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(process: int) -> dict[int, str]:
    """Give all processes below one, with their states."""
    children: dict[int, dict[int, str]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
            children.setdefault(int(parent), {})[int(entry)] = state
    found: dict[int, str] = {}
    queue = [process]
    while queue:
        below = children.get(queue.pop(), {})
        found |= below
        queue += below
    return found
