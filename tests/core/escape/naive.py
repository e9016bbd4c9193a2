"""A proxy that makes the mistakes of the vulnerable ones, so that attacks on a proxy have something to succeed at."""

import re
import socket
import threading
from contextlib import suppress

FORBIDDEN = {"127.0.0.1", "forbidden.test", "evil.test"}
"""Compared letter by letter with what was asked for, as deny lists and suffix tests do."""


class Naive:
    """Use it as a context manager. Every name leads to loopback, whatever follows a NUL or a blank in it."""

    def __enter__(self) -> "Naive":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError, IndexError):
            client.settimeout(2)
            data = client.recv(1 << 18)
            if data[:1] == b"\x05":
                client.sendall(b"\x05\x00")
                asked = client.recv(4096)
                target, ahead = f"{asked[5:-2].decode()}:{int.from_bytes(asked[-2:])}", b""
                hello = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"
            else:
                target, ahead, hello = _target(data)
            _relay(client, target, ahead, hello)


def _target(data: bytes) -> tuple[str, bytes, bytes]:
    """Read the first line only, and forward whatever follows."""
    text = data.decode(errors="surrogateescape")
    connect = re.match(r"CONNECT (.*:\d+) HTTP/1", text, re.DOTALL)
    if connect:
        return connect[1], b"", b"HTTP/1.1 200 Connection established\r\n\r\n"
    address = re.match(r"[A-Z]+ (?:[a-zA-Z]*:)?(?://)?([^ ]*?:\d+)/[^ ]*(?= HTTP)", text)
    if address is None:
        raise ValueError
    return address[1], data, b""


def _relay(client: socket.socket, target: str, ahead: bytes, hello: bytes) -> None:
    host, _, port = target.rpartition(":")
    if host in FORBIDDEN:
        client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        return
    with socket.create_connection(("127.0.0.1", int(port) % 65536), 2) as server:
        client.sendall(hello)
        server.sendall(ahead)
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join(5)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
