"""The loop of the gate's process: listeners and channels in, connections served, until the host hangs up."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Coroutine
from typing import Any

from blastwall.egress.channel import Channel, MuxStream
from blastwall.egress.connection import Connection
from blastwall.egress.control import Control, listener, readable
from blastwall.egress.proxy import Proxy
from blastwall.egress.streams import Pulse, SocketStream, Stream


class Service:
    """Everything that one gate serves."""

    def __init__(self, proxy: Proxy) -> None:
        """Serve nothing yet."""
        self._proxy = proxy
        self._room = asyncio.Semaphore(proxy.limits.connections)
        self._serving: dict[asyncio.Task[None], Pulse] = {}
        self._others: set[asyncio.Task[None]] = set()

    async def obey(self, control: Control) -> None:
        """Serve what the host orders, until it hangs up."""
        watch = self._start(self._watch())
        try:
            async for what, sock in control.orders():
                self._start(self._sandbox(sock) if what == "listener" else self._machine(sock))
        finally:
            watch.cancel()
            await self._stop([*self._serving, *self._others])

    async def accept(self, sock: socket.socket) -> None:
        """Serve what connects to a listener; when this is cancelled, nothing of it goes on."""
        sock.setblocking(False)
        own: set[asyncio.Task[None]] = set()
        try:
            while True:
                await self._room.acquire()
                try:
                    client, _ = await asyncio.get_running_loop().sock_accept(sock)
                except OSError:
                    self._room.release()
                    await asyncio.sleep(0.05)  # out of descriptors, or a client that left already
                    continue
                except BaseException:
                    self._room.release()
                    raise
                pulse = Pulse()
                task = self._serve(SocketStream(client, pulse), pulse)
                own.add(task)
                task.add_done_callback(own.discard)
        finally:
            sock.close()
            await self._stop(own)

    async def _sandbox(self, line: socket.socket) -> None:
        """Take the listener of a sandbox, and serve it as long as the process lives that sent it."""
        got = await listener(line)
        if got is None:
            return
        sock, sender = got
        serving = self._start(self.accept(sock))
        try:
            await readable(sender)
        finally:
            os.close(sender)
            serving.cancel()

    async def _machine(self, sock: socket.socket) -> None:
        """Serve the streams of a machine's channel."""
        own: set[asyncio.Task[None]] = set()

        def accept(stream: MuxStream) -> None:
            task = self._start(self._admit(stream))
            own.add(task)
            task.add_done_callback(own.discard)

        try:
            await Channel(SocketStream(sock, Pulse()), accept).serve()
        finally:
            await self._stop(own)

    async def _admit(self, stream: MuxStream) -> None:
        await self._room.acquire()
        serving = self._serve(stream, stream.pulse)
        try:
            await asyncio.wait([serving])
        finally:
            serving.cancel()

    def _serve(self, stream: Stream, pulse: Pulse) -> asyncio.Task[None]:
        task = asyncio.create_task(Connection(self._proxy, stream, pulse).serve())
        self._serving[task] = pulse
        task.add_done_callback(self._served)
        return task

    def _served(self, task: asyncio.Task[None]) -> None:
        del self._serving[task]
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a connection", "exception": error})

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)
        return task

    async def _watch(self) -> None:
        """End connections that nothing moves on any more."""
        patience = self._proxy.limits.idle_s
        while True:
            await asyncio.sleep(patience / 4)
            for task, pulse in list(self._serving.items()):
                if time.monotonic() - pulse.at > patience:
                    task.cancel()

    async def _stop(self, tasks: "set[asyncio.Task[None]] | list[asyncio.Task[None]]") -> None:
        for task in list(tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
