"""HTTP requests and their answers, on connections that are kept for the next one."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import h11

from blastwall.errors import BackendError
from blastwall_mcp.upstreams.addresses import Route
from blastwall_mcp.wire.channel import Closed
from blastwall_mcp.wire.places import Streams

MOST_CONNECTIONS = 128
"""Connections to one server at once. Requests beyond wait."""

KEPT_S = 4.0
"""How long a connection is kept for the next request. Servers close theirs after 5 s, and a request that is
sent just then may or may not have been seen."""

MOST_KEPT = 32

FINISHED_S = 0.5
MOST_LEFT = 8
"""How long, and for how many pieces, the end of a stream is waited for after the answer."""

MOST_INTERIM = 16
"""Interim answers before the real one."""

_CHUNK = 1 << 16

Pairs = list[tuple[str, str]]


class Response:
    """The answer to one request; its body is read while the exchange is open."""

    def __init__(self, head: h11.Response, connection: "_Connection") -> None:
        """Take its head."""
        self.status: int = head.status_code
        self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        self._connection = connection

    def header(self, name: str) -> str:
        """Give a header by its name in small letters; "" if there is none."""
        return self._headers.get(name, "")

    @property
    def kind(self) -> str:
        """The media type of the body."""
        return self.header("content-type").partition(";")[0].strip().lower()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes."""
        while (piece := await self._connection.piece()) is not None:
            yield piece

    def enough(self) -> None:
        """Want no more of the body: it ends soon, and the connection is of use again then."""
        self._connection.ending = True

    async def body(self, most: int) -> bytes:
        """Give all of the body.

        Raises:
            Closed: it is too long.

        """
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > most:
                raise Closed(f"its answer is longer than {most >> 20} MiB")
        return bytes(found)


class Exchanges:
    """All that is asked of one server."""

    def __init__(self, route: Route) -> None:
        """Connect to nothing yet."""
        self._route = route
        self._kept: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_CONNECTIONS)

    @asynccontextmanager
    async def ask(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b""
    ) -> AsyncGenerator[Response]:
        """Send a request; give its answer.

        Raises:
            Closed: there is none, or it can't be read.
            BackendError: the server must not be connected to, or be sent this.

        """
        async with self._room:
            connection = self._reusable() or await self._new()
            try:
                yield Response(await connection.ask(method, target, headers, body), connection)
            except (OSError, h11.RemoteProtocolError, ssl.CertificateError, EOFError) as error:
                raise Closed(_told(error)) from None
            except h11.LocalProtocolError:
                raise BackendError("a header can't be sent: correct `headers` in the policy") from None
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close all connections; what is open ends."""
        for task in self._finishing:
            task.cancel()
        for connection in (*self._open, *self._kept):
            connection.close()
        self._kept = []

    async def _finish(self, connection: "_Connection") -> None:
        """Read what is left of a body, which should be nearly nothing."""
        with suppress(OSError, h11.RemoteProtocolError, EOFError):  # a timeout, too
            async with asyncio.timeout(FINISHED_S):
                for _ in range(MOST_LEFT):
                    if await connection.piece() is None:
                        break
        self._keep(connection)

    def _reusable(self) -> "_Connection | None":
        while self._kept:
            connection = self._kept.pop()
            if connection.fresh():
                self._open.add(connection)
                return connection
            connection.close()
        return None

    async def _new(self) -> "_Connection":
        try:
            connection = _Connection(await self._route.dial())
        except OSError as error:
            raise Unconnected(_told(error)) from None
        self._open.add(connection)
        return connection

    def _give_back(self, connection: "_Connection") -> None:
        """Keep a connection for the next request, at once or when its answer has ended."""
        if connection.ending and not connection.ended():
            task = asyncio.create_task(self._finish(connection))
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)
        else:
            self._keep(connection)

    def _keep(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        if len(self._kept) < MOST_KEPT and connection.again():
            self._kept.append(connection)
        else:
            connection.close()


class Unconnected(Closed):
    """Nobody answers there: what was to be sent was seen by nobody."""


class _Connection:
    """One connection, with one exchange at a time."""

    def __init__(self, streams: Streams) -> None:
        self._reader, self._writer = streams
        self._talk = h11.Connection(h11.CLIENT)
        self._since = time.monotonic()
        self.ending = False

    async def ask(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> h11.Response:
        length = [("content-length", str(len(body)))] if body else []
        head = h11.Request(method=method, target=target, headers=[*headers, *length])
        sent = [
            self._talk.send(head),
            self._talk.send(h11.Data(data=body)),
            self._talk.send(h11.EndOfMessage()),
        ]
        self._writer.write(b"".join(filter(None, sent)))
        await self._writer.drain()
        for _ in range(MOST_INTERIM):
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
        raise EOFError

    async def piece(self) -> bytes | None:
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _event(self) -> h11.Event:
        while (event := self._talk.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_CHUNK)
            if not data and self._talk.their_state is h11.SEND_RESPONSE:
                raise EOFError
            self._talk.receive_data(data)
        if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise EOFError
        return event  # type: ignore[return-value]  # neither NEED_DATA nor PAUSED

    def ended(self) -> bool:
        """Say whether the end of the body is here already."""
        with suppress(h11.RemoteProtocolError):
            while isinstance(event := self._talk.next_event(), h11.Data | h11.EndOfMessage):
                if isinstance(event, h11.EndOfMessage):
                    return True
        return False

    def again(self) -> bool:
        """Say whether another request may follow, and make ready for it."""
        if self._talk.our_state is not h11.DONE or self._talk.their_state is not h11.DONE:
            return False
        self._talk.start_next_cycle()
        self._since = time.monotonic()
        self.ending = False
        return not self._writer.is_closing()

    def fresh(self) -> bool:
        """Say whether the server can be expected to listen still."""
        quiet = (
            not self._reader.at_eof() and not self._writer.is_closing() and not self._talk.trailing_data[0]
        )
        return quiet and time.monotonic() - self._since < KEPT_S

    def close(self) -> None:
        self._writer.transport.abort()


def _told(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError | ssl.CertificateError):
        return "its certificate does not hold"
    if isinstance(error, h11.RemoteProtocolError):
        return "its answer is no HTTP"
    if isinstance(error, EOFError):
        return "it closed the connection"
    return f"{type(error).__name__}"
