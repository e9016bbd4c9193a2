"""How long lists last, and who is told when one is not what it was: whatever the reason, and not too often."""

import asyncio

import pytest
from tests.adapters.mcp.engines import ERAS, Context, desk, text
from tests.adapters.mcp.shelves import EVERYTHING

from blastwall.errors import BackendError
from blastwall_mcp.catalogue import shelf as _shelf
from blastwall_mcp.engine import calm as _calm

TOOLS, PROMPTS = "notifications/tools/list_changed", "notifications/prompts/list_changed"


def tool(name):
    return {"name": name, "inputSchema": {"type": "object"}}


def offering(**lists):
    """Have a server list this, for a minute."""

    def setting(back):
        back.capabilities = {"tools": {}, "prompts": {}, "resources": {}}
        back.lists, back.ttl_ms = lists, 60_000

    return setting


async def answering(*_):
    return text("hi")


def restarted(back, **lists):
    """Do what an upstream does when its server was started again."""
    back.lists = lists
    back.version += 1
    back.hooks.on_start(back)


async def settled():
    for _ in range(20):
        await asyncio.sleep(0.001)


def told(channel):
    return [method for method, _ in channel.told]


@pytest.fixture
async def here(tmp_path):
    """Give a desk with one client, which saw the tools and the prompts, and what it is told."""
    lists = offering(tools=[tool("do")], prompts=[{"name": "p"}])
    async with desk(tmp_path, answering, EVERYTHING, lists) as at:
        channel = Context()
        client = at.client("legacy", channel=channel)
        await at.engine.opened(client)
        for method in ("tools/list", "prompts/list"):
            await at.ask(client, method)
        yield at, client, next(iter(at.fakes.made.values())), channel


# --- How long -----------------------------------------------------------------------------------------


@ERAS
async def test_a_list_lasts_as_the_server_says_and_is_for_one_client(era, tmp_path):
    async with desk(tmp_path, answering, EVERYTHING, offering(tools=[tool("do")])) as at:
        page = await at.ask(at.client(era), "tools/list")
    if era == "legacy":
        assert not page.keys() & {"ttlMs", "cacheScope"}
    else:
        assert 0 < page["ttlMs"] <= 60_000
        assert page["cacheScope"] == "private"


async def test_it_is_fetched_again_when_its_time_is_over_but_not_for_a_call(here, monkeypatch):
    at, client, back, channel = here
    back.lists["tools"] = [tool("do"), tool("new")]
    later = _shelf.monotonic() + 61
    monkeypatch.setattr(_shelf, "monotonic", lambda: later)
    await at.do(client)
    assert (await at.fails(client, name="it__new")).message == "there is no tool of this name"
    page = await at.ask(client, "tools/list")
    assert [item["name"] for item in page["tools"]] == ["it__do", "it__new"]
    await settled()
    assert told(channel) == [TOOLS], "another client was shown the old one"


# --- Who is told --------------------------------------------------------------------------------------


async def test_a_server_that_starts_again_with_another_list_is_told_of(here):
    _, _, back, channel = here
    restarted(back, tools=[tool("do"), tool("new")], prompts=[{"name": "p"}])
    await settled()
    assert told(channel) == [TOOLS]


async def test_one_with_the_same_lists_is_nobodys_business(here):
    _, _, back, channel = here
    restarted(back, **back.lists)
    await settled()
    assert told(channel) == []


async def test_one_that_is_down_is_not_started_for_that(here):
    _, _, back, channel = here

    async def ensure():
        raise AssertionError("it was started")

    back.up, back.ensure = False, ensure
    restarted(back, tools=[])
    await settled()
    assert told(channel) == []


async def test_what_was_missing_from_a_list_is_told_when_it_comes_back(here):
    at, client, back, channel = here
    up = back.ensure

    async def ensure():
        raise BackendError("it does not start")

    back.ensure = ensure
    assert (await at.ask(client, "tools/list"))["tools"] == []
    back.ensure = up
    await at.do(client)
    await settled()
    assert told(channel) == [TOOLS]


async def test_who_was_told_is_not_told_again_when_it_looks(here):
    at, client, back, channel = here
    back.lists["tools"], back.version = [tool("new")], 2
    await back.hooks.on_notice(back, TOOLS, {})
    await at.ask(client, "tools/list")
    await settled()
    assert told(channel) == [TOOLS]


async def test_a_flood_of_changes_is_told_at_a_pace_of_ours(here, monkeypatch):
    _, _, back, channel = here
    monkeypatch.setattr(_calm, "REST_S", 0.05)
    for _ in range(1000):
        await back.hooks.on_notice(back, TOOLS, {})
    await back.hooks.on_notice(back, PROMPTS, {})
    assert told(channel) == [TOOLS, PROMPTS], "the first one is told at once"
    await asyncio.sleep(0.2)
    assert told(channel) == [TOOLS, PROMPTS, TOOLS], "and the last one is never lost"
