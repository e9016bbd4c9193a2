"""Byte streams of every kind that the gate speaks over, alike: sockets, and TLS over anything."""

import asyncio
import contextlib
import socket
import ssl
import time
from typing import Protocol

from blastwall.egress.budget import Meter

CHUNK = 1 << 18
"""Bytes read at once."""

_SENT = 2 * CHUNK
"""Bytes sent at once: all of what was read at once, with TLS around it."""

_RECORD = 1 << 14
"""Longest piece that TLS hands out at once."""


class Closed(Exception):
    """The other side is gone, or broke its protocol."""


class Stream(Protocol):
    """Bytes in both directions."""

    async def receive(self) -> bytes:
        """Wait for the next bytes; empty at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """Pass bytes on, and wait until there is room for more."""
        ...

    async def end(self) -> None:
        """Send no more; what comes can still be read."""
        ...

    def close(self) -> None:
        """Give it up at once."""
        ...


class Pulse:
    """When a connection last moved."""

    def __init__(self) -> None:
        """Begin now."""
        self.at = time.monotonic()

    def beat(self) -> None:
        """Note that it moves."""
        self.at = time.monotonic()


class SocketStream:
    """A connected socket. With a meter, whatever passes is charged first."""

    def __init__(self, sock: socket.socket, pulse: Pulse, meter: Meter | None = None) -> None:
        """Own the socket."""
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.pulse, self.meter = sock, pulse, meter
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> bytes:
        """Wait for the next bytes."""
        try:
            data = await self._loop.sock_recv(self.socket, CHUNK)
        except OSError:
            raise Closed from None
        self.pulse.beat()
        if self.meter is not None:
            self.meter.receiving(len(data))
        return data

    async def send(self, data: bytes) -> None:
        """Pass bytes on."""
        if self.meter is not None:
            self.meter.sending(len(data))
        try:
            view = memoryview(data)
            while view:
                await self._loop.sock_sendall(self.socket, view[:_SENT])
                self.pulse.beat()
                view = view[_SENT:]
        except OSError:
            raise Closed from None

    async def end(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give it up."""
        self.socket.close()

    def is_quiet(self) -> bool:
        """Say whether the other side has neither said anything nor left: whether it can be used once more."""
        try:
            self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class Front:
    """A stream whose first bytes were read already, and are to be read again."""

    def __init__(self, stream: Stream, first: bytes = b"") -> None:
        """Read `first` before anything else."""
        self.stream = stream
        self.first = first

    async def receive(self) -> bytes:
        """Wait for the next bytes."""
        if self.first:
            first, self.first = self.first, b""
            return first
        return await self.stream.receive()

    async def more(self) -> bool:
        """Look further ahead; False at the end."""
        data = await self.stream.receive()
        self.first += data
        return bool(data)

    async def send(self, data: bytes) -> None:
        """Pass bytes on."""
        await self.stream.send(data)

    async def end(self) -> None:
        """Send no more."""
        await self.stream.end()

    def close(self) -> None:
        """Give it up."""
        self.stream.close()


class TlsStream:
    """TLS over another stream."""

    def __init__(
        self, below: Stream, context: ssl.SSLContext, *, server: bool, name: str | None = None
    ) -> None:
        """Begin; `shake` comes next."""
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)
        self._sending = asyncio.Lock()

    async def shake(self) -> None:
        """Do the handshake.

        Raises:
            Closed: when it fails.

        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                continue
            except ssl.SSLError as error:
                with contextlib.suppress(Closed):
                    await self._flush()  # the alert
                raise Closed(error.reason or "no TLS") from None
            await self._flush()
            return

    async def receive(self) -> bytes:
        """Wait for the next bytes."""
        while True:
            try:
                pieces = [self._tls.read(_RECORD)]
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    while pieces[-1] and self._in.pending:
                        pieces.append(self._tls.read(_RECORD))
                return b"".join(pieces)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError:
                raise Closed from None

    async def send(self, data: bytes) -> None:
        """Pass bytes on."""
        view = memoryview(data)
        while view:
            try:
                self._tls.write(view[:CHUNK])
            except ssl.SSLError:
                raise Closed from None
            view = view[CHUNK:]
            await self._flush()

    async def end(self) -> None:
        """Send no more."""
        with contextlib.suppress(ssl.SSLError, Closed):
            self._tls.unwrap()
        with contextlib.suppress(Closed):
            await self._flush()
        await self._below.end()

    def close(self) -> None:
        """Give it up."""
        self._below.close()

    async def _fill(self) -> None:
        data = await self._below.receive()
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def _flush(self) -> None:
        async with self._sending:
            data = self._out.read()
            if data:
                await self._below.send(data)
