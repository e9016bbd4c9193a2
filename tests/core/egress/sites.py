"""Web sites on loopback, and a gate in this process whose clients say exactly what they are told to say."""

import asyncio
import contextlib
import http.server
import json
import os
import shutil
import socket
import ssl
import threading
import zlib
from dataclasses import dataclass, field

import pytest

from blastwall.egress.decide import Decision
from blastwall.egress.placeholders import Held
from blastwall.egress.proxy import Limits, Proxy
from blastwall.egress.serve import Service
from blastwall.values import Destination

SECRET = "real-Secret/Value+0123456789="
PLACEHOLDER = "blastwall-placeholder-api-0123456789abcdef"
HELD = Held("api", PLACEHOLDER.encode(), SECRET.encode(), ("api.test", "*.bound.test"))


@dataclass
class Asked:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name):
        return [v for n, v in self.headers if n.lower() == name]


@dataclass
class Site:
    """A web site on loopback that keeps what it is asked."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    answer: object = None

    @property
    def place(self):
        return {"ports": (self.port,), "addresses": ("127.0.0.1",)}


def _handler(site):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            site.connections += 1

        def _body(self):
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _serve(self):
            asked = Asked(self.command, self.path, list(self.headers.items()), self._body())
            site.asked.append(asked)
            if site.answer is not None:
                return site.answer(self, asked)
            echo = json.dumps(
                {"path": self.path, "headers": asked.headers, "body": asked.body.decode("latin-1")}
            )
            return reply(self, echo.encode())

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = do_PATCH = _serve

        def log_message(self, *_):
            pass

    return Handler


def reply(handler, body, status=200, headers=()):
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, site, context=None):
        super().__init__(("127.0.0.1", 0), _handler(site))
        self.context = context
        site.port = self.server_address[1]

    def finish_request(self, request, client_address):
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        with contextlib.closing(request):
            super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


@contextlib.contextmanager
def running(context=None):
    site = Site(0)
    with Server(site, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Authority:
    """A certificate authority of the tests: what hosts on the internet have their certificates from."""

    pem: bytes
    sign: object

    def context(self, *hosts):
        chain = self.sign(hosts)
        descriptor = os.memfd_create("chain")
        os.write(descriptor, chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        os.close(descriptor)
        return context


@dataclass
class Inside:
    """What a program in a sandbox has: a port on loopback. And what the audit has seen."""

    port: int
    decisions: list[Decision]
    proxy: Proxy
    recorded: bool = True

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def say(self, *pieces, end=False):
        """Say this and give all that is answered until the connection ends."""
        with self.connect() as sock:
            for piece in pieces:
                sock.sendall(piece)
            if end:
                sock.shutdown(socket.SHUT_WR)
            return drained(sock)

    def get(self, url, *headers, method="GET"):
        """Ask for a URL, as a client of a proxy does."""
        host = url.split("/")[2]
        lines = [f"{method} {url} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
        return self.say("\r\n".join(lines).encode("latin-1"))

    def tunnel(self, host, port, through="connect"):
        """Give a connection to there, or None when it was refused."""
        sock = self.connect()
        if through == "connect":
            sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            if upto(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200"):
                return sock
        else:
            sock.sendall(b"\5\1\0")
            assert exactly(sock, 2) == b"\5\0"
            name = host.encode("latin-1")
            sock.sendall(b"\5\1\0\3" + bytes([len(name)]) + name + port.to_bytes(2))
            if exactly(sock, 10)[1] == 0:
                return sock
        sock.close()
        return None

    @property
    def context(self):
        assert self.proxy.authority is not None
        return ssl.create_default_context(cadata=self.proxy.authority.pem.decode())

    @property
    def allowed(self):
        return [d for d in self.decisions if d.allowed and d.method != "CLOSE"]

    @property
    def refused(self):
        return [d.reason for d in self.decisions if not d.allowed]


def drained(sock):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


def upto(sock, end):
    data = b""
    while end not in data:
        piece = sock.recv(1)
        if not piece:
            break
        data += piece
    return data


def exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


@contextlib.contextmanager
def gate(destinations, held, resolver, limits, roots):
    ready = threading.Event()
    got: list = []
    failures: list = []

    async def record(decision):
        made.decisions.append(decision)
        return made.recorded

    limits = limits or Limits(head_s=5)
    proxy = Proxy(destinations, held, record, roots=roots, resolver=resolver, limits=limits)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    made = Inside(listener.getsockname()[1], [], proxy)

    async def serve():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        service = Service(proxy)
        task = asyncio.create_task(service.accept(listener))
        watch = asyncio.create_task(service._watch())
        got.extend([made, asyncio.get_running_loop(), task])
        ready.set()
        await asyncio.wait([task])
        watch.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield got[0]
    finally:
        got[1].call_soon_threadsafe(got[2].cancel)
        thread.join(10)
        assert not thread.is_alive()
        assert failures == []


def needed(program):
    """Skip where a program is missing, but never in CI."""
    if shutil.which(program) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing")
        pytest.skip(f"{program} is not installed")


def gzipped(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def allow(host, site, **options):
    return Destination(host, **{**site.place, **options})
