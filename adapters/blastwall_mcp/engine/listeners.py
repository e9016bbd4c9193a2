"""A modern client's `subscriptions/listen`: a request that is told what changes, as long as it stays open."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY

from blastwall_mcp.engine.clients import Client, Context, Params

CHANGES: Mapping[str, str] = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}
"""What a client asks for to hear of each."""

UPDATED = "notifications/resources/updated"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


class Listener:
    """One open request to hear of changes.

    All that it is told says "this changed, look again", so what was not told yet need not be said twice: a
    client that does not read costs no memory.
    """

    def __init__(self, client: Client, context: Context, wanted: Mapping[str, Any]) -> None:
        """Want what the client asks for; nothing was told yet."""
        self.client = client
        self.kinds = frozenset(kind for kind in CHANGES.values() if wanted.get(kind) is True)
        self._context = context
        self._changed: dict[tuple[str, str], None] = {}
        self._something = asyncio.Event()

    @property
    def meta(self) -> Params:
        """What marks every word of this request's."""
        return {SUBSCRIPTION_ID_META_KEY: self._context.request_id}

    def hears(self, method: str, uri: str = "") -> bool:
        """Say whether this was asked for."""
        return uri in self.client.watched if method == UPDATED else CHANGES.get(method) in self.kinds

    def hear(self, method: str, uri: str = "") -> None:
        """Have something to tell."""
        self._changed[method, uri] = None
        self._something.set()

    async def acknowledge(self) -> None:
        """Say what will be told."""
        honoured: Params = dict.fromkeys(sorted(self.kinds), True)
        if self.client.watched:
            honoured["resourceSubscriptions"] = list(self.client.watched)
        await self._context.notify(ACKNOWLEDGED, {"notifications": honoured, "_meta": self.meta})

    async def tell(self) -> None:
        """Tell what changes, until cancelled."""
        async for method, uri in self._changes():
            told = {"uri": uri, "_meta": self.meta} if method == UPDATED else {"_meta": self.meta}
            await self._context.notify(method, told)

    async def _changes(self) -> AsyncIterator[tuple[str, str]]:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._changed:
                change = next(iter(self._changed))
                del self._changed[change]
                yield change
