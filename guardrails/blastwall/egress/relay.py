"""Bytes from one stream to another and back, not looked at; between sockets they never enter this process."""

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable

from blastwall.egress.streams import Closed, Front, SocketStream, Stream

_PIPE = 1 << 18
_MOST = 1 << 20
"""Bytes asked for at once: a pipe counts pieces, and those of a fast connection are larger than a page."""

_WORTH_A_PIPE = 1 << 16
"""Shorter bodies are moved faster by reading and writing them."""

Watch = Callable[[bytes], None]
"""Sees every piece that comes back, and may raise."""


async def relay(client: Stream, upstream: Stream, watch: Watch | None = None) -> None:
    """Move bytes both ways until both have ended.

    Raises:
        Closed: when one of them broke off.
        Spent: when a budget ran out.

    """
    async with together() as group:
        group.create_task(_move(client, upstream, None))
        group.create_task(_move(upstream, client, watch))


@contextlib.asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks of which the first failure ends all, and is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failed:  # `except*` makes a group of what it raises in some releases
        raise failed.exceptions[0] from None


async def _move(source: Stream, target: Stream, watch: Watch | None) -> None:
    plain_source, plain_target = _plain(source), _plain(target)
    if watch is None and plain_source and plain_target and hasattr(os, "splice"):
        if isinstance(source, Front) and source.first:
            await target.send(await source.receive())
        await _splice(plain_source, plain_target)
    else:
        while data := await source.receive():
            if watch is not None:
                watch(data)
            await target.send(data)
    await target.end()


def _plain(stream: Stream) -> SocketStream | None:
    below = stream.stream if isinstance(stream, Front) else stream
    return below if isinstance(below, SocketStream) else None


async def pour(source: Stream, target: Stream, size: int) -> None:
    """Move exactly so many bytes.

    Raises:
        Closed: when there are fewer, or when more came along with them.
        Spent: when a budget ran out.

    """
    plain_source, plain_target = _plain(source), _plain(target)
    if size > _WORTH_A_PIPE and plain_source and plain_target and hasattr(os, "splice"):
        size -= await _splice(plain_source, plain_target, size)
    while size > 0 and (data := await source.receive()):
        await target.send(data[:size])
        size -= len(data)
    if size:
        raise Closed("a body of another length than was said")


async def _splice(source: SocketStream, target: SocketStream, most: int = 1 << 62) -> int:
    left = most
    out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # the user's pipes may be full: a small one works too
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, _PIPE)
        while left and (
            size := await _through(source.socket.fileno(), into, min(left, _MOST), waits="source")
        ):
            left -= size
            source.pulse.beat()
            if source.meter is not None:
                source.meter.receiving(size)
            if target.meter is not None:
                target.meter.sending(size)
            while size:
                size -= await _through(out, target.socket.fileno(), size, waits="target")
                target.pulse.beat()
    except OSError as error:
        if error.errno == errno.EBADF:
            raise
        raise Closed from None
    finally:
        os.close(out)
        os.close(into)
    return most - left


async def _through(source: int, target: int, most: int, *, waits: str) -> int:
    """Splice some bytes, waiting for the end that is a socket: the pipe is empty or full by our own doing."""
    while True:
        try:
            return os.splice(source, target, most, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            await (_readable(source) if waits == "source" else _writable(target))


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
