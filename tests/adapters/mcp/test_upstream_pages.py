"""Lists of servers: followed over their pages, no further than is good for us, and how long they last."""

import pytest
from tests.adapters.mcp.pools import BOTH, pool, talkative

from blastwall.errors import BackendError
from blastwall_mcp.upstreams import pages as _pages
from blastwall_mcp.upstreams.pages import LONGEST_MS, MAX_PAGES, followed
from blastwall_mcp.wire.lines import MAX_LINE


async def fetched(*pages):
    """Follow a list whose pages are these, the last one over and over."""
    asked = []

    async def ask(params):
        asked.append(params)
        return pages[min(len(asked), len(pages)) - 1]

    return await followed("the server", ask, "tools"), asked


def page(*items, **more):
    return {"tools": list(items)} | more


async def test_it_is_followed_page_by_page():
    listing, asked = await fetched(page(1, nextCursor="a"), page(nextCursor=""), page(2, 3, nextCursor=None))
    assert listing.items == [1, 2, 3]
    assert asked == [{}, {"cursor": "a"}, {"cursor": ""}]


@pytest.mark.parametrize(
    ("told", "ttl_ms"),
    [
        ([5000], 5000),
        ([5000, 200, 9000], 200),
        ([5000, None], 0),
        ([None], 0),
        ([0], 0),
        ([-1], 0),
        ([True], 0),
        ([1.5], 0),
        (["5000"], 0),
        ([10**30], LONGEST_MS),
    ],
)
async def test_it_lasts_as_long_as_each_of_its_pages(told, ttl_ms):
    hints = [{} if ms is None else {"ttlMs": ms} for ms in told]
    pages = [page(number, nextCursor=str(number), **hint) for number, hint in enumerate(hints)]
    listing, _ = await fetched(*pages, page(ttlMs=LONGEST_MS))
    assert listing.ttl_ms == ttl_ms


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(nextCursor="same")], "goes round in circles"),
        ([page(nextCursor="a"), page(nextCursor="b"), page(nextCursor="a")], "goes round in circles"),
        ([page(nextCursor=str(n)) for n in range(MAX_PAGES)], f"more than {MAX_PAGES} pages"),
        ([{"tools": {}}], "gave no list of tools"),
        ([page("x" * MAX_LINE)], "of more than 16 MiB"),
    ],
    ids=["same", "alternating", "endless", "none", "long"],
)
async def test_it_has_an_end_or_is_refused(pages, why):
    with pytest.raises(BackendError, match=f"the server .*{why}"):
        await fetched(*pages)


async def test_nobody_asks_for_more_than_can_be_kept(monkeypatch):
    monkeypatch.setattr(_pages, "MOST_ITEMS", 3)
    listing, asked = await fetched(page(1, 2, nextCursor="a"), page(3, 4, nextCursor="b"))
    assert (listing.items, len(asked)) == ([1, 2, 3, 4], 2)


@BOTH
async def test_only_the_modern_era_has_promises(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        listing = await servers.upstream("it").listing("tools/list", "tools")
    assert listing.ttl_ms == (7000 if era == "modern" else 0)
