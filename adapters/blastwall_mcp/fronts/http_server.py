"""The HTTP server itself: sockets, time limits of heads, and an end that waits for what is being answered."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Generator
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from blastwall.errors import BackendError

HEAD_S = 10.0
"""How long the head of a request may take, from its connection's or its own first byte on."""

IDLE_S = 65
"""How long a connection without a request is kept: longer than most load balancers keep theirs."""

GRACE_S = 5
"""How long calls may go on once we were told to end."""

CONNECTIONS = 1024
BACKLOG = 256
HEAD_BYTES = 32 * 1024


class _Joined:
    """A transport on which the head of an answer leaves together with what follows: for most, all of it.

    Something always does follow, if only the nothing that a body begins with.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        data, self._head = self._head + data, b""
        self._transport.write(data)


class Protocol(H11Protocol):
    """One connection, on which nobody can wait forever to say what they want."""

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many already."""
        super().connection_made(_Joined(transport))  # type: ignore[arg-type]  # it gives all else as the transport does
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Read on; the time is up when a head is still not complete."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._overdue is None:
            self._expect_head()

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile, which may be half a head."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._stop()
        self._overdue = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class HttpServer(uvicorn.Server):
    """uvicorn, without its own handling of signals: who runs us says when to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


def server(app: Any) -> HttpServer:
    """Build the server around an ASGI application."""
    return HttpServer(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            log_level="error",  # whoever reaches the port could fill the log with what they send
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whoever connects could say who they are
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises:
        BackendError: it can't be had.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns off the delay of small packets for no other sockets.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        why = error.strerror
        raise BackendError(f"{host}:{port} can't be listened on: {why}; name another port") from None
    return listening


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address. A name is not resolved: it could change its mind."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
