"""What the egress gate costs beside the direct way: one run, one machine, loopback, interleaved.

Server, gate and client are three processes. `opaque` is TLS end to end through the gate, `inspected` is TLS
that ends at the gate and begins anew, and both are held against TLS without it; `plain` is HTTP without TLS.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table

from blastwall.egress import CA_FILE, Gate
from blastwall.values import Destination

ROUNDS = 5
BUFFER = 1 << 20
OPAQUE, INSPECTED = "opaque.test", "inspected.test"
Row = dict[str, Any]


def certificate(folder: Path) -> Path:
    """Make a certificate for the two hosts, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(OPAQUE), x509.DNSName(INSPECTED)]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def serve(pem: Path, told: Connection) -> None:
    """Answer `GET /N` with N bytes, plain and over TLS, until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    ports = []
    for secure in (None, context):
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=_accept, args=(listener, secure), daemon=True).start()
        ports.append(listener.getsockname()[1])
    told.send(ports)
    threading.Event().wait()


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(client, context), daemon=True).start()


def _answer(client: socket.socket, context: ssl.SSLContext | None) -> None:
    block = bytes(BUFFER)
    with (
        suppress(OSError),
        client if context is None else context.wrap_socket(client, server_side=True) as stream,
    ):
        while request := stream.recv(65536):
            size = int(request.split(b" ", 2)[1].strip(b"/"))
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            while size:
                stream.sendall(block[:size])
                size -= min(size, BUFFER)


class Way:
    """One way to reach the server: directly, or through the gate."""

    def __init__(self, host: str, port: int, proxy: int | None, context: ssl.SSLContext | None) -> None:
        """Keep where to go; nothing is connected yet."""
        self.host, self.port, self.proxy, self.context = host, port, proxy, context

    def connect(self) -> socket.socket:
        """Connect."""
        sock = socket.create_connection(("127.0.0.1", self.proxy or self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is None:
            return sock
        if self.proxy is not None:
            place = f"{self.host}:{self.port}"
            sock.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            if b" 200 " not in (said := sock.recv(65536)):
                raise SystemExit(f"the gate refused: {said!r}")
        return self.context.wrap_socket(sock, server_hostname=self.host)

    def ask(self, sock: socket.socket, size: int, buffer: memoryview) -> None:
        """Ask for so many bytes, and take them all."""
        whole = self.proxy is not None and self.context is None
        target = f"http://{self.host}:{self.port}/{size}" if whole else f"/{size}"
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the gate refused: {head!r}")
        size -= len(head) - head.index(b"\r\n\r\n") - 4
        while size:
            size -= sock.recv_into(buffer)


def throughput(way: Way, connections: int, total: int) -> float:
    """Give MB/s over so many connections."""
    size = total // connections

    def one(sock: socket.socket) -> None:
        way.ask(sock, size, memoryview(bytearray(BUFFER // 4)))

    socks = [way.connect() for _ in range(connections)]
    with ThreadPoolExecutor(connections) as pool:
        began = time.perf_counter()
        list(pool.map(one, socks))
        took = time.perf_counter() - began
    for sock in socks:
        sock.close()
    return total / took / 1e6


def latency(way: Way, requests: int = 200) -> float:
    """Give the median of milliseconds for a small request on a connection that is open."""
    buffer, each = memoryview(bytearray(BUFFER)), []
    with closing(way.connect()) as sock:
        for _ in range(requests):
            began = time.perf_counter()
            way.ask(sock, 64, buffer)
            each.append((time.perf_counter() - began) * 1e3)
    return statistics.median(each)


def opening(way: Way, connections: int = 40) -> float:
    """Give the median of milliseconds for a connection and a small request on it."""
    buffer, each = memoryview(bytearray(BUFFER)), []
    for _ in range(connections):
        began = time.perf_counter()
        with closing(way.connect()) as sock:
            way.ask(sock, 64, buffer)
        each.append((time.perf_counter() - began) * 1e3)
    return statistics.median(each)


@contextmanager
def ways(folder: Path) -> Iterator[dict[str, tuple[Way, Way]]]:
    """Give each kind's direct way and the one through the gate."""
    pem = certificate(folder)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(pem, theirs), daemon=True)
    process.start()
    theirs.close()  # so that a server that could not start is an end, and not waited for
    plain, secure = ours.recv()
    root = pem.read_bytes()
    endless: dict[str, Any] = {"addresses": ("127.0.0.1",), "upload_kb": 1 << 40, "download_kb": 1 << 40}
    places = [
        Destination(OPAQUE, ports=(plain, secure), **endless),
        Destination(INSPECTED, ports=(secure,), paths=("/*",), **endless),
    ]
    try:
        roots = root[root.index(b"-----BEGIN CERT") :]
        with Gate(places, [], lambda _: None, roots=roots) as gate:
            listener = socket.create_server(("127.0.0.1", 0), backlog=256)
            line = gate.listener()
            with socket.socket(fileno=line) as sender, listener:
                socket.send_fds(sender, [b"x"], [listener.fileno()])
                port = listener.getsockname()[1]
            inside = ssl.create_default_context(cadata=gate.files[CA_FILE].decode())
            yield {
                "plain": (Way(OPAQUE, plain, None, None), Way(OPAQUE, plain, port, None)),
                "opaque": (Way(OPAQUE, secure, None, inside), Way(OPAQUE, secure, port, inside)),
                "inspected": (Way(INSPECTED, secure, None, inside), Way(INSPECTED, secure, port, inside)),
            }
    finally:
        process.kill()
        process.join()


def compare(what: str, unit: str, pair: tuple[Way, Way], measure: Callable[[Way], float], aim: str) -> Row:
    """Measure both ways in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for way, into in zip(pair, times, strict=True):
            into.append(measure(way))
    direct, ours = map(statistics.median, times)
    ratio = statistics.median(o / d for d, o in zip(*times, strict=True))
    added = statistics.median(o - d for d, o in zip(*times, strict=True))
    return {
        "what": what,
        "unit": unit,
        "direct": round(direct, 2),
        "blastwall": round(ours, 2),
        "ratio": round(ratio, 2),
        "added": round(added, 2) if unit == "ms" else None,
        "aim": aim,
    }


def rows(folder: Path, mb: int) -> list[Row]:
    """Measure everything."""
    found: list[Row] = []
    with ways(folder) as pairs:
        for kind, pair in pairs.items():
            for connections in (1, 64):
                move = partial(throughput, connections=connections, total=mb << 20)
                found.append(compare(f"{kind}, connections: {connections}", "MB/s", pair, move, "ratio 0.70"))
            found.append(compare(f"{kind}, a request", "ms", pair, latency, "added 2"))
            found.append(compare(f"{kind}, a connection and a request", "ms", pair, opening, ""))
    return found


def show(found: list[Row]) -> None:
    """Print the table."""
    table = Table(title=f"What the egress gate costs ({os.cpu_count()} processors)")
    columns = ("what", "unit", "direct", "blastwall", "ratio", "added", "aim")
    for heading in columns:
        table.add_column(heading, justify="left" if heading in ("what", "unit") else "right")
    for item in found:
        table.add_row(*("" if item[key] is None else str(item[key]) for key in columns))
    Console().print(table)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mb", type=int, default=256, help="MiB moved in each measurement of throughput")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = rows(Path(folder), chosen.mb)
    print(json.dumps(found)) if chosen.json else show(found)


if __name__ == "__main__":
    main()
