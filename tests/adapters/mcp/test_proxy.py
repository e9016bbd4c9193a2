"""What the proxy needs, and how it says that it is missing."""

import subprocess
import sys

import pytest
from tests.adapters.mcp.rig import policy

from blastwall.errors import BackendError
from blastwall.guard import Guard
from blastwall_mcp import serve_stdio


async def test_a_policy_without_servers_has_nothing_to_serve(tmp_path):
    rules = [{"id": "all", "effect": "allow", "tools": ["*"]}]
    guard = Guard.from_file(policy(tmp_path, {"it": {"rules": rules}}))
    with pytest.raises(BackendError, match="add one to have something to serve"):
        await serve_stdio(guard)


def test_without_the_sdk_the_import_says_what_to_install():
    code = "import sys; sys.modules['mcp'] = None; import blastwall_mcp"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: blastwall_mcp needs the MCP SDK: install blastwall[mcp]" in done.stderr
