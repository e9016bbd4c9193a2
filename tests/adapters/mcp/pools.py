"""A pool with servers of ours behind it, without the rest of the proxy."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.adapters.mcp.rig import UPSTREAMS

from blastwall.values import Credential, Server
from blastwall_mcp.upstreams.hooks import Hooks
from blastwall_mcp.upstreams.pool import Pool

BOTH = pytest.mark.parametrize("era", ["modern", "legacy"])


def no_sandbox(*_: Any) -> Any:
    raise AssertionError("nothing of this is confined")


def server(script: str, *args: object, **fields: Any) -> Server:
    """Give one of our scripts as a server."""
    command = (sys.executable, str(UPSTREAMS / script), *map(str, args))
    given: dict[str, Any] = {"command": command, "start_s": 10.0, "call_s": 10.0}
    return Server(**given | fields)


def talkative(folder: Path, speaks: str, **fields: Any) -> Server:
    return server("talkative.py", speaks, folder, **fields)


@asynccontextmanager
async def pool(
    hooks: Hooks | None = None, credentials: dict[str, Credential] | None = None, **servers: Server
) -> AsyncGenerator[Pool]:
    """Give a pool that ends with the block."""
    async with anyio.create_task_group() as tasks:
        found = Pool(servers, no_sandbox, tasks, hooks, credentials)
        try:
            yield found
        finally:
            with anyio.CancelScope(shield=True):
                await found.aclose()
            tasks.cancel_scope.cancel()


async def said(upstream: Any, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
    """Call a tool of the talkative server, and give what its text says."""
    result = await upstream.request("tools/call", {"name": tool, "arguments": arguments or {}}, **options)
    return json.loads(result["content"][0]["text"])
