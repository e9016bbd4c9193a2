"""The subscription at a modern server, which tells what changes to subscribers only."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY

from blastwall_mcp.wire.channel import Channel, Closed, Options

LISTS = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
"""The lists of which a server may say that they change, and how a subscription asks for that."""

LIST_CHANGES = frozenset(f"notifications/{name}/list_changed" for name in LISTS)

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""How long a subscription that was lost is not renewed: it doubles with each further time."""

_numbers = count(1)


def unmarked(params: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Take off a notification which of our subscriptions it is for."""
    told, meta = dict(params), params.get("_meta")
    if not isinstance(meta, dict) or SUBSCRIPTION_ID_META_KEY not in meta:
        return told, None
    del told["_meta"]
    if left := {key: value for key, value in meta.items() if key != SUBSCRIPTION_ID_META_KEY}:
        told["_meta"] = left
    return told, meta[SUBSCRIPTION_ID_META_KEY]


@dataclass(slots=True)
class _Stream:
    """One open subscription."""

    id: str
    acknowledged: "asyncio.Future[frozenset[str]]"
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def close(self) -> None:
        """End it."""
        if self.task is not None:
            self.task.cancel()
        self.acknowledged.cancel()


class Listening:
    """Keeps one subscription open, with whatever is wanted now.

    Attributes:
        honored: The resources that the server agreed to speak of.

    """

    def __init__(self, channel: Channel, on_open: Callable[[], None]) -> None:
        """Want nothing yet. `on_open`: what changed before was told to nobody."""
        self.honored: frozenset[str] = frozenset()
        self._channel = channel
        self._on_open = on_open
        self._envelope: Mapping[str, Any] = {}
        self._headers: Mapping[str, str] = {}
        self._lists: dict[str, bool] = {}
        self._uris: frozenset[str] = frozenset()
        self._stream: _Stream | None = None
        self._opening: dict[str, _Stream] = {}
        self._lock = asyncio.Lock()
        self._wanted = asyncio.Event()

    def prepare(
        self, capabilities: Mapping[str, Any], envelope: Mapping[str, Any], headers: Mapping[str, str]
    ) -> None:
        """Want word of all lists of which the server says that it tells their changes."""
        self._envelope, self._headers = envelope, headers
        able = {name: capabilities.get(name) for name in LISTS}
        self._lists = {
            LISTS[name]: True
            for name, one in able.items()
            if isinstance(one, dict) and one.get("listChanged") is True
        }

    def heard(self, method: str, params: Mapping[str, Any] | None) -> bool:
        """Take the acknowledgement of a subscription, in the order in which it came."""
        if method != ACKNOWLEDGED or params is None:
            return False
        meta, agreed = params.get("_meta"), params.get("notifications")
        number = meta.get(SUBSCRIPTION_ID_META_KEY) if isinstance(meta, dict) else None
        stream = self._opening.get(number) if isinstance(number, str) else None
        if stream is not None and isinstance(agreed, dict) and not stream.acknowledged.done():
            uris = agreed.get("resourceSubscriptions")
            texts = (uri for uri in uris if isinstance(uri, str)) if isinstance(uris, list) else ()
            stream.acknowledged.set_result(frozenset(texts))
        return True

    def current(self, number: Any) -> bool:
        """Say whether this is the id of the subscription that counts."""
        return self._stream is not None and self._stream.id == number

    def expect(self, uris: frozenset[str]) -> None:
        """Want word of these resources from the start."""
        self._uris = uris

    async def want(self, uris: frozenset[str]) -> None:
        """Let the server speak of these resources, too.

        Raises:
            MCPError: it refuses.

        """
        self._uris = uris
        await self._open()
        self._wanted.set()

    async def run(self) -> None:
        """Keep it open until cancelled."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                if not (self._lists or self._uris):
                    self._wanted.clear()
                    await self._wanted.wait()
                if self._stream is None:
                    await self._tried()
                if (stream := self._stream) is not None:
                    pause_s = FIRST_PAUSE_S
                    await stream.lost.wait()
                    if self._stream is not stream:
                        continue  # another one took its place
                    self._stream = None
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        finally:
            for stream in (*self._opening.values(), *([self._stream] if self._stream else ())):
                stream.close()

    async def _tried(self) -> None:
        try:
            await self._open()
        except MCPError:
            pass  # it offered that; perhaps it can later

    async def _open(self) -> None:
        """Replace what is open by what is wanted: the old one ends only when the new one stands."""
        async with self._lock:
            wanted = self._lists | ({"resourceSubscriptions": sorted(self._uris)} if self._uris else {})
            old, new = self._stream, await self._opened(wanted) if wanted else None
            self._stream = new
            if old is not None:
                old.close()
            if new is None:
                self.honored = frozenset()

    async def _opened(self, wanted: Mapping[str, Any]) -> _Stream:
        stream = _Stream(f"listen-{next(_numbers)}", asyncio.get_running_loop().create_future())
        self._opening[stream.id] = stream
        stream.task = asyncio.create_task(self._drive(stream, wanted))
        try:
            self.honored = await stream.acknowledged
        except BaseException:
            stream.close()
            raise
        finally:
            del self._opening[stream.id]
        self._on_open()
        return stream

    async def _drive(self, stream: _Stream, wanted: Mapping[str, Any]) -> None:
        params = {"notifications": wanted, "_meta": self._envelope}
        options: Options = {"request_id": stream.id, "headers": dict(self._headers)}
        failure: MCPError = Closed()
        try:
            await self._channel.send_raw_request("subscriptions/listen", params, options)
        except MCPError as error:
            failure = error
        finally:
            stream.lost.set()
            if not stream.acknowledged.done():
                stream.acknowledged.set_exception(failure)
                stream.acknowledged.exception()  # perhaps nobody waits for it any more
