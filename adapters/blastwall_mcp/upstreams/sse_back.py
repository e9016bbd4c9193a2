"""A server over HTTP as it was before 2025-03-26: a stream of events comes, and messages go by POST."""

import asyncio
import logging
from dataclasses import replace
from urllib.parse import urljoin

from blastwall.errors import BackendError
from blastwall_mcp.upstreams.events import Event, Events
from blastwall_mcp.upstreams.posts import EVENTS, Posts
from blastwall_mcp.wire.channel import Closed
from blastwall_mcp.wire.lines import MAX_LINE
from blastwall_mcp.wire.pipes import Listener
from blastwall_mcp.wire.places import Place, place

WAITING = 1 << 20
"""Bytes that wait to be sent before who writes waits, too."""

SENT_S = 30.0
"""How long the server may take to accept one message."""

log = logging.getLogger(__name__)


class EventPipes:
    """Carries messages over a stream of events and POSTs, as if these were two pipes."""

    def __init__(self, listener: Listener, peer: str, url: str, posts: Posts) -> None:
        """Be not open yet."""
        self._listener = listener
        self._peer = peer
        self._url = url
        self._posts = posts
        self._endpoint: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._size = 0
        self._room = asyncio.Event()
        self._room.set()
        self._resumed = asyncio.Event()
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Wait for the server to say where messages go.

        Raises:
            BackendError: it says nothing that may be followed.

        """
        self._tasks.append(asyncio.create_task(self._read()))
        where = await self._endpoint
        self._tasks.append(asyncio.create_task(self._send(where)))

    @property
    def writable(self) -> bool:
        """Whether what is written has a chance to be read."""
        return not self._closed

    def resume(self) -> None:
        """Let the listener hear what arrives."""
        self._resumed.set()

    def write(self, data: bytes) -> int:
        """Let a message be sent; give the number of bytes that wait."""
        self._waiting.put_nowait(data)
        self._size += len(data)
        if self._size > WAITING:
            self._room.clear()
        return self._size

    async def drained(self) -> None:
        """Wait while too much waits."""
        if not self._room.is_set():
            await self._room.wait()

    def release(self) -> None:
        """Let nobody wait for that any more."""
        self._room.set()

    def close_source(self) -> None:
        """End both ways: neither is of use alone."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        self._posts.close()

    def close_sink(self) -> None:
        """End both ways."""
        self.close_source()

    async def _read(self) -> None:
        try:
            await self._stream()
            self._fail("its stream of events ended")
        except (BackendError, Closed) as error:
            self._fail(error.why if isinstance(error, Closed) else str(error))
        finally:
            self._closed = True
            self._listener.over()

    async def _stream(self) -> None:
        events = Events()
        async with self._posts.get("") as response:
            if response.status != 200 or response.kind != EVENTS:
                raise Closed(f"it gives no stream of events (HTTP status {response.status})")
            async for piece in response.pieces():
                for event in events.feed(piece):
                    await self._take(event)

    async def _take(self, event: Event) -> None:
        if event.name == "endpoint" and not self._endpoint.done():
            self._endpoint.set_result(self._within(event.data.decode(errors="replace")))
        elif event.name == "message":
            await self._resumed.wait()
            # A line break inside is white space between two tokens of JSON: in a text it would be escaped.
            self._listener.received((await self._posts.clean(event.data)).replace(b"\n", b" ") + b"\n")

    def _within(self, told: str) -> Place:
        """Follow the server to another path of itself, and nowhere else."""
        own, there = place(self._url), place(urljoin(self._url, told))
        if replace(there, target=own.target) != own:
            raise BackendError(f"{self._peer} sends messages to another host: that is refused")
        return there

    def _fail(self, why: str) -> None:
        if not self._endpoint.done():
            self._endpoint.set_exception(BackendError(f"{self._peer} can't be spoken to: {why}"))

    async def _send(self, where: Place) -> None:
        while True:
            data = await self._waiting.get()
            try:
                async with asyncio.timeout(SENT_S), self._posts.post(data, {}, where.target) as response:
                    await response.body(MAX_LINE)
                    if response.status >= 300:
                        log.info("%s refused a message with HTTP status %d", self._peer, response.status)
            except (TimeoutError, Closed, BackendError) as error:
                log.info("%s did not take a message: %s", self._peer, error)
                self._listener.over()
            self._size -= len(data)
            if self._size <= WAITING:
                self._room.set()
