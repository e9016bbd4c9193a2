"""A proxy that has served many calls holds no more than one that has served a few."""

import os
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from tests.adapters.mcp.rig import descendants
from tests.conformance import serving

CALLS, AT_ONCE = 1200, 30
GROWTH_KB = 4096
"""What the allocator may keep beyond the first third of the calls. A leak of a call would be larger."""


def holds(process: int) -> tuple[int, int, int]:
    """Give how many descriptors and processes it has, and its memory in kB."""
    status = Path(f"/proc/{process}/status").read_text()
    memory = int(status.partition("VmRSS:")[2].split()[0])
    return len(os.listdir(f"/proc/{process}/fd")), len(descendants(process)), memory


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_calls_leave_nothing_behind(tmp_path, mode):
    server = serving.launched(*serving.EVERYTHING, "--as", "test")
    command, *args = serving.proxy_command(serving.policy(tmp_path, {"test": server}))
    async with Client(StdioServerParameters(command=command, args=args), mode=mode, cache=None) as client:
        await client.list_tools()
        proxy = next(p for p in descendants(os.getpid()) if _is_ours(p, args))

        async def calls(number: int) -> None:
            for _ in range(number):
                assert not (await client.call_tool("test__simple_text")).is_error

        async def several(number: int) -> None:
            await calls(number // 2)
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(calls, number // 2 // AT_ONCE)

        await several(CALLS // 3)
        before = holds(proxy)
        await several(CALLS - CALLS // 3)
        after = holds(proxy)
        assert after[:2] == before[:2]
        assert after[2] - before[2] < GROWTH_KB


def _is_ours(process: int, args: list[str]) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return words[0].startswith(sys.prefix) and words[-4:-1] == args
