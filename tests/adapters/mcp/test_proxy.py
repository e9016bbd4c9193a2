"""The proxy's own failures, and what it needs."""

import subprocess
import sys

import anyio
import pytest
from mcp import Client, MCPError
from tests.adapters.mcp.rig import ERAS, behind, call, policy

from blastwall.guard import Guard
from blastwall_mcp._proxy import Proxy


class Breaking:
    async def tools(self):
        raise RuntimeError("SECRET-detail")

    async def find(self, name):
        raise RuntimeError("SECRET-detail")


@ERAS
async def test_a_failure_inside_the_proxy_is_told_without_its_words(mode, tmp_path):
    guard = Guard.from_file(policy(tmp_path, {"good": behind("good.py", tmp_path)}))
    async with anyio.create_task_group() as tasks:
        proxy = Proxy(guard.current, tasks)
        proxy._catalogue = Breaking()
        async with Client(proxy.server(), mode=mode, cache=None) as client:
            failed, text = await call(client, "good__echo", text="hi")
            with pytest.raises(MCPError) as caught:
                await client.list_tools()
    assert failed
    assert "check-failed" in text
    assert "SECRET" not in text
    assert "SECRET" not in str(caught.value)


def test_without_the_sdk_the_import_says_what_to_install():
    code = "import sys; sys.modules['mcp'] = None; import blastwall_mcp"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: blastwall_mcp needs the MCP SDK: install blastwall[mcp]" in done.stderr
