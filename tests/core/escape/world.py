"""The canaries of the tests: those of the package, and a host that a gate allows."""

import contextlib
import socket

from blastwall.sandbox.escape.receiver import Receiver, length
from blastwall.sandbox.escape.world import GROUP, NOBODY, USER
from blastwall.sandbox.escape.world import World as Plain

__all__ = ["GROUP", "NOBODY", "PYTHON", "USER", "Receiver", "Upstream", "World"]

PYTHON = "/usr/bin/python3"
"""One that every user of this machine may start, as the controls must."""


class Upstream(Receiver):
    """The one host that is allowed: it answers, keeps its connections, and keeps what comes on them."""

    def answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        data, answered = b"", False
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.3)
            try:
                while more := connection.recv(65536):
                    data += more
                    head, gap, body = data.partition(b"\r\n\r\n")
                    connection.settimeout(10 if gap and not answered else 0.3)  # a body may come slowly
                    if gap and not answered and len(body) >= length(head):
                        answered = True
                        connection.sendall(self._response(head, body))
                        connection.settimeout(0.3)
            finally:
                self.received.append(data)

    def _response(self, head: bytes, body: bytes) -> bytes:
        target = head.split(b" ")[1] if head.count(b" ") > 1 else b""
        if target.endswith(b"/redirect"):
            where = b"http://redirected.test:%d/" % self.forbidden
            return b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n"
        if target.endswith(b"/upgrade"):
            return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        echo = head + b"\n" + body
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo

    forbidden = 0
    """The port that nobody may reach."""


class World(Plain):
    """The package's canaries, with the way to the upstream for attacks that have a gate to misuse."""

    def __init__(self, receiver, upstream):
        super().__init__(receiver)
        self._upstream = upstream
        self.proxy = None

    def __enter__(self):
        self._upstream.received.clear()
        return super().__enter__()

    @property
    def aims(self):
        way = {"allowed": self._upstream.port} | ({"proxy": self.proxy} if self.proxy is not None else {})
        return way | super().aims

    def arrived(self):
        return super().arrived() + [data for data in self._upstream.received if b"forbidden.test" in data]

    def settle(self):
        super().settle()
        self._upstream.settle()
