"""A pair of pipes in the event loop: bytes in, bytes out, and word of the end of either."""

import asyncio
import os
import stat
from typing import IO, Protocol


class Listener(Protocol):
    """Who is told what happens to a pair of pipes."""

    def received(self, data: bytes) -> None:
        """Something arrived."""

    def over(self) -> None:
        """Nothing more will arrive."""

    def unheard(self) -> None:
        """Nothing more that is written will be read."""


class Carrier(Protocol):
    """What carries messages, one a line."""

    @property
    def writable(self) -> bool:
        """Whether what is written has a chance to be read."""
        ...

    def resume(self) -> None:
        """Let the listener hear what arrives."""

    def write(self, data: bytes) -> int:
        """Write; give the number of bytes that wait to be read by the other side."""
        ...

    async def drained(self) -> None:
        """Wait while too much waits to be read."""

    def release(self) -> None:
        """Let nobody wait for that any more."""

    def close_source(self) -> None:
        """Read no more."""

    def close_sink(self) -> None:
        """Close once what was written is through."""


class Pipes:
    """The pipe that is read and the pipe that is written."""

    def __init__(self, listener: Listener) -> None:
        """Be not open yet."""
        self._listener = listener
        self._source: asyncio.ReadTransport | None = None
        self._sink: asyncio.WriteTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    async def open(self, source: IO[bytes], sink: IO[bytes]) -> None:
        """Begin, but read nothing before `resume`, save what comes in the same turn of the event loop."""
        loop = asyncio.get_running_loop()
        self._source, _ = await loop.connect_read_pipe(lambda: _Source(self._listener), source)
        self._source.pause_reading()
        self._sink, _ = await loop.connect_write_pipe(lambda: _Sink(self._listener, self._writable), sink)

    def resume(self) -> None:
        """Read on."""
        if self._source is not None:
            self._source.resume_reading()

    @property
    def writable(self) -> bool:
        """Whether what is written has a chance to be read."""
        return self._sink is not None and not self._sink.is_closing()

    def write(self, data: bytes) -> int:
        """Write; give the number of bytes that wait to be read by the other side."""
        if self._sink is None:
            return 0
        self._sink.write(data)
        return self._sink.get_write_buffer_size()

    async def drained(self) -> None:
        """Wait while the pipe is full."""
        if not self._writable.is_set():
            await self._writable.wait()

    def release(self) -> None:
        """Let nobody wait for a pipe that nobody empties."""
        self._writable.set()

    def close_source(self) -> None:
        """Read no more."""
        if self._source is not None:
            self._source.close()

    def close_sink(self) -> None:
        """Close once what was written is through."""
        if self._sink is not None:
            self._sink.close()


class _Source(asyncio.Protocol):
    """What the event loop tells of the pipe that is read."""

    def __init__(self, listener: Listener) -> None:
        self.data_received = listener.received  # type: ignore[method-assign]  # a call less for each message
        self._listener = listener

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.over()


class _Sink(asyncio.Protocol):
    """What the event loop tells of the pipe that is written."""

    def __init__(self, listener: Listener, writable: asyncio.Event) -> None:
        self._listener = listener
        self._writable = writable

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._listener.unheard()


async def reading(source: IO[bytes], limit: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    """Read a pipe in the running event loop."""
    lines = asyncio.StreamReader(limit=limit)
    protocol = asyncio.StreamReaderProtocol(lines)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, source)
    return lines, transport


def is_pipe(descriptor: int) -> bool:
    """Say whether the event loop can wait for this descriptor: a pipe, or a socket as Node uses for one."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
