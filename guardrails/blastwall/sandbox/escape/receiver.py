"""Listens where nothing may arrive."""

import contextlib
import selectors
import socket
import threading

from blastwall.errors import BackendError

_PATIENCE_S = 30
"""Longest that a listener may take to keep what has come."""

_DISCARD = 9
"""A port where nobody listens, for a machine without IPv6."""


class Receiver:
    """Listens on loopback, over TCP, UDP and IPv6, and keeps what comes."""

    def __init__(self) -> None:
        """Start to listen, in a thread."""
        self.received: list[bytes] = []
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._settled = threading.Event()
        self.port = self._listen(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1")
        self.udp = self._listen(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1")
        try:
            self.port6 = self._listen(socket.AF_INET6, socket.SOCK_STREAM, "::1")
        except OSError:
            self.port6 = _DISCARD
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _listen(self, family: socket.AddressFamily, kind: socket.SocketKind, host: str) -> int:
        listener = socket.socket(family, kind)
        try:
            listener.bind((host, 0))
            if kind is socket.SOCK_STREAM:
                listener.listen(64)
        except OSError:
            listener.close()
            raise
        self._selector.register(listener, selectors.EVENT_READ, kind)
        return int(listener.getsockname()[1])

    def _serve(self) -> None:
        while True:
            events = self._selector.select()
            for key, _ in events:
                self._take(key)
            if any(key.data is None for key, _ in events):
                if self._woken.recv(1) == b"!":
                    return
                if len(events) == 1:
                    self._settled.set()
                else:
                    self._wake.send(b"?")

    def _take(self, key: selectors.SelectorKey) -> None:
        if not isinstance(key.fileobj, socket.socket):
            return
        if key.data is socket.SOCK_DGRAM:
            self.received.append(key.fileobj.recv(65536))
        elif key.data is socket.SOCK_STREAM:
            self.answer(key.fileobj)

    def settle(self) -> None:
        """Wait until whatever has come is kept.

        Raises:
            BackendError: when it takes too long.

        """
        self._settled.clear()
        self._wake.send(b"?")
        if not self._settled.wait(_PATIENCE_S):
            raise BackendError("a listener of the escape attempts hangs: try again")

    def answer(self, listener: socket.socket) -> None:
        """Take one connection and keep what comes on it."""
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.3)
            data = b""
            with contextlib.suppress(TimeoutError):
                while more := connection.recv(65536):
                    data += more
                    head, gap, body = data.partition(b"\r\n\r\n")
                    if gap and len(body) >= length(head):
                        break
            self.received.append(data)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def close(self) -> None:
        """Stop, and close every socket."""
        self._wake.send(b"!")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._wake.close()
        self._selector.close()


def length(head: bytes) -> int:
    """Give how long a message says that its body is."""
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
