"""Lists that come in pages: followed to their end, if there is one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from blastwall.errors import BackendError
from blastwall_mcp.wire.lines import MAX_LINE

MAX_PAGES = 100
"""Pages of a list that are followed; a server whose list never ends is refused."""

MOST_ITEMS = 10_000
"""Items of a list after which no further page is asked for."""

LONGEST_MS = 24 * 3600 * 1000
"""The longest time for which a server is believed that its list stays as it is."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole list.

    Attributes:
        items: What is in it, as it came.
        ttl_ms: How long it may be taken for fresh: as long as each of its pages.

    """

    items: list[Any]
    ttl_ms: int = 0


async def followed(
    peer: object, ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], key: str
) -> Listing:
    """Fetch a list page by page; `ask` is given the parameters of each.

    Raises:
        BackendError: it is none, or has no end. `peer` names the server.

    """
    items: list[Any] = []
    ttl_ms, size = LONGEST_MS, 0
    cursors: list[Any] = [None]
    while len(cursors) <= MAX_PAGES:
        page = await ask({} if cursors[-1] is None else {"cursor": cursors[-1]})
        listed, cursor = page.get(key), page.get("nextCursor")
        if not isinstance(listed, list):
            raise BackendError(f"{peer} gave no list of {key}")
        size += len(msgspec.json.encode(listed))
        if size > MAX_LINE:
            raise BackendError(f"{peer} gave a list of {key} of more than {MAX_LINE >> 20} MiB")
        items += listed
        ttl_ms = min(ttl_ms, lasting(page.get("ttlMs")))
        if not isinstance(cursor, str) or len(items) > MOST_ITEMS:
            return Listing(items, ttl_ms)
        if cursor in cursors:
            raise BackendError(f"{peer} gave a list of {key} that goes round in circles")
        cursors.append(cursor)
    raise BackendError(f"{peer} lists more than {MAX_PAGES} pages")


def lasting(told: Any) -> int:
    """Read a `ttlMs`: one that is missing, or no number of milliseconds, means that nothing is sure."""
    if not isinstance(told, int) or isinstance(told, bool):
        return 0
    return max(0, min(told, LONGEST_MS))
