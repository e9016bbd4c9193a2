"""Documents are fetched from where the policy says, and from nowhere that this leads to."""

import asyncio
import contextlib
import socket
import threading
import time
from contextlib import asynccontextmanager, contextmanager

import pytest

from blastwall.egress.tls import Authority, upstream
from blastwall.errors import BackendError
from blastwall.policy.addresses import HostPattern
from blastwall_mcp.wire import fetch as _fetch
from blastwall_mcp.wire.fetch import LARGEST, Fetcher
from blastwall_mcp.wire.places import place


@asynccontextmanager
async def answering(*parts, wait_s=0.0):
    """Serve one answer to everybody, as bytes; note what was asked."""
    asked = []

    async def serve(reader, writer):
        served.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(wait_s)

    served = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    await asyncio.gather(*served)


def plain(body, head=b"HTTP/1.1 200 OK\r\n"):
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def test_a_document_is_read():
    async with answering(plain(b'{"keys": []}')) as (url, asked):
        assert await Fetcher(private=True).get(f"{url}/keys?x=1") == {"keys": []}
        assert await Fetcher(private=True).post(url, b"a=b", (("Authorization", "x"),)) == {"keys": []}
    assert asked[0].startswith(b"GET /keys?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"POST / HTTP/1.1" in asked[1]
    assert b"Content-Length: 3" in asked[1]


INSIDE = [
    "https://127.0.0.1/keys",
    "https://[::1]/keys",
    "https://localhost/keys",
    "https://10.0.0.1/keys",
    "https://169.254.169.254/latest",
    "https://[::ffff:169.254.169.254]/latest",
    "https://[fd00:ec2::254]/latest",
    "https://100.100.100.200/latest",
    "https://0.0.0.0/",
    "http://93.184.216.34/keys",
    "http://issuer.example/keys",
]


@pytest.mark.parametrize("url", INSIDE)
async def test_nothing_inside_is_asked_and_nothing_without_tls(url):
    began = time.monotonic()
    with pytest.raises(BackendError, match="can't be asked"):
        await Fetcher().get(url)
    assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/latest", "https://[fd00:ec2::254]/", "http://10.0.0.1/"]
)
async def test_not_even_where_the_policy_says_private(url):
    with pytest.raises(BackendError, match="can't be asked"):
        await Fetcher(private=True).get(url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://issuer.example/",
        "https:///keys",
        "https://user@issuer.example/",
        "https://issuer.example/#x",
        "https://issuer.example/a b",
        "https://issuer.example/\r\nX: y",
        "https://issuer.example:99999/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://issuér.example/",
        "keys",
        "",
    ],
)
def test_what_can_be_read_in_two_ways_is_no_place(url):
    with pytest.raises(BackendError, match="is no URL"):
        place(url)


WRONG = {
    "a redirect": plain(b"", b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"),
    "a failure": plain(b"{}", b"HTTP/1.1 500 Oops\r\n"),
    "no JSON": plain(b"<html>"),
    "deep JSON": plain(b"[" * 100_000),
    "too long": plain(b" " * (LARGEST + 1)),
    "too short": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
    "nothing": b"",
    "no HTTP": b"SSH-2.0-x\r\n",
    "compressed": plain(b"{}", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
}


@pytest.mark.parametrize("answer", WRONG)
async def test_any_other_answer_is_none(answer):
    async with answering(WRONG[answer]) as (url, _):
        with pytest.raises(BackendError):
            await Fetcher(private=True).get(url)


async def test_an_answer_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(_fetch, "TIME_S", 0.3)
    async with answering(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 100, wait_s=0.05) as (url, _):
        with pytest.raises(BackendError, match="no answer within"):
            await Fetcher(private=True).get(url)


@contextmanager
def proving(context):
    """Serve one answer over TLS."""

    def serve():
        with contextlib.suppress(OSError), listening.accept()[0] as plain_socket:
            with context.wrap_socket(plain_socket, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(plain(b"{}"))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}"
        thread.join(10)


async def test_only_who_can_prove_the_name_is_listened_to():
    authority = Authority([HostPattern.parse("localhost"), HostPattern.parse("other.example")])
    trusting = upstream(authority.pem.decode())
    with proving(authority.context("localhost")) as url:
        assert await Fetcher(private=True, context=trusting).get(url) == {}
    for host, trusted in (("other.example", trusting), ("localhost", None)):
        with proving(authority.context(host)) as url, pytest.raises(BackendError, match="can't be asked"):
            await Fetcher(private=True, context=trusted).get(url)
