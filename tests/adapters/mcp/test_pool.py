"""Many calls, many restarts and many principals leave nothing behind."""

import asyncio
import gc
import os
from pathlib import Path

import anyio
import pytest
from tests.adapters.mcp.pools import BOTH, pool, said, server, talkative
from tests.adapters.mcp.rig import alive, descendants
from tests.adapters.mcp.test_upstream import until
from tests.adapters.mcp.web_servers import at, ordinary, served

from blastwall.errors import BackendError
from blastwall.values import Profile
from blastwall_mcp.upstreams import keeper as _keeper
from blastwall_mcp.upstreams import pool as _pool
from blastwall_mcp.upstreams.offered import Offered


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_there_is_one_upstream_for_each_key(tmp_path):
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        one = servers.upstream("it", "ann")
        assert servers.upstream("it", "ann", Offered.of({}), None) is one
        others = [
            servers.upstream("it", "bob"),
            servers.upstream("it", "ann", Offered.of({"roots": {}})),
            servers.upstream("it", "ann", profile=Profile("box")),
        ]
        assert len({one, *others}) == 4
        assert Offered.of({"a": {}, "b": {}}) == Offered.of({"b": {}, "a": {}})


async def test_principals_share_no_process(tmp_path):
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        ann, bob = servers.upstream("it", "ann"), servers.upstream("it", "bob")
        first = await said(ann, "pid")
        with pytest.raises(BackendError):
            await said(bob, "crash")
        assert await said(ann, "pid") == first != await said(bob, "pid")


async def test_an_upstream_that_nobody_holds_is_forgotten_when_it_idles(tmp_path):
    async with pool(it=talkative(tmp_path, "modern", idle_s=0.2)) as servers:
        process = await said(servers.upstream("it"), "pid")
        assert await said(servers.upstream("it"), "pid") == process  # it runs, so it is known
        await until(lambda: not alive(process))
        await until(lambda: gc.collect() >= 0 and not servers._known)


async def test_there_is_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool, "MOST", 2)
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        held = [servers.upstream("it", name) for name in "ab"]
        with pytest.raises(BackendError, match="there are 2 servers already"):
            servers.upstream("it", "c")
        assert servers.upstream("it", "a") is held[0]


async def test_closing_ends_everything_and_for_good(tmp_path):
    before = descendants(os.getpid()).keys()
    async with pool(it=talkative(tmp_path, "modern"), slow=server("", command=("sleep", "60"))) as servers:
        upstream, slow = servers.upstream("it"), servers.upstream("slow")
        await upstream.ensure()
        starting = asyncio.ensure_future(slow.ensure())
        await anyio.sleep(0.1)
        ours = descendants(os.getpid()).keys() - before
        await servers.aclose()
        assert not any(map(alive, ours))
        with pytest.raises(BackendError, match="was stopped"):
            await starting
        for one in (upstream, slow):
            with pytest.raises(BackendError, match="was stopped"):
                await one.ensure()


@BOTH
async def test_many_calls_and_restarts_leave_nothing(era, tmp_path, monkeypatch):
    monkeypatch.setattr(_keeper, "FIRST_PAUSE_S", 0.0)
    processes = descendants(os.getpid()).keys()
    async with pool(it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        await said(upstream, "pid")
        gc.collect()
        before, tasks = descriptors(), len(asyncio.all_tasks())
        for _ in range(8):
            await asyncio.gather(*(said(upstream, "pid") for _ in range(50)))
            with pytest.raises(BackendError):
                await said(upstream, "crash")
        await said(upstream, "pid")
        await anyio.sleep(0.05)
        gc.collect()
        assert descriptors() == before
        assert len(asyncio.all_tasks()) <= tasks
        states = {pid: s for pid, s in descendants(os.getpid()).items() if pid not in processes}
        assert "Z" not in states.values()
        assert len(states) == 2  # the server and its leash
    assert not descendants(os.getpid()).keys() - processes
    assert (Path(tmp_path) / "starts").read_text() == "x" * 9


@pytest.mark.parametrize("way", ["modern", "legacy"])
async def test_many_calls_over_http_leave_nothing(way):
    async with served(ordinary().streamable_http_app()) as origin:
        gc.collect()
        before = descriptors()
        async with pool(it=at(f"{origin}/mcp", era=way)) as servers:
            upstream = servers.upstream("it")
            for _ in range(5):
                call = {"name": "echo", "arguments": {"text": "a"}}
                await asyncio.gather(*(upstream.request("tools/call", call) for _ in range(20)))
            waiting = asyncio.ensure_future(upstream.request("tools/call", call))
            await asyncio.sleep(0)
            waiting.cancel()
        await until(lambda: gc.collect() >= 0 and descriptors() == before)
