"""CONNECT, SOCKS5, TLS and WebSockets: which tunnels open, and what may be spoken in them."""

import asyncio
import base64
import hashlib
import json
import os
import socket
import ssl
import threading
import time

import pytest
from tests.core.egress.sites import HELD, PLACEHOLDER, SECRET, allow, drained, exactly, reply, upto

from blastwall.egress import hello
from blastwall.egress.connection import Connection
from blastwall.egress.proxy import Limits, Proxy
from blastwall.egress.streams import Pulse, SocketStream

THROUGH = ["connect", "socks"]


def context_of(authority):
    return ssl.create_default_context(cadata=authority.pem.decode())


def ask(stream, host, path="/", *headers):
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    stream.sendall("\r\n".join(lines).encode())
    head = upto(stream, b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return head, exactly(stream, int(length[0].split(b":")[1])) if length else b""


@pytest.mark.parametrize("through", THROUGH)
def test_tls_from_end_to_end(inside, secure_site, authority, through):
    gate = inside(allow("api.test", secure_site))
    raw = gate.tunnel("api.test", secure_site.port, through)
    with context_of(authority).wrap_socket(raw, server_hostname="api.test") as stream:
        for number in range(2):
            head, _ = ask(stream, "api.test", f"/{number}")
            assert head.startswith(b"HTTP/1.1 200")
    (opened,) = gate.allowed
    assert (opened.host, opened.method, opened.path) == ("api.test", "CONNECT", "")
    assert len(secure_site.asked) == 2


@pytest.mark.parametrize("through", THROUGH)
def test_much_data_both_ways(inside, secure_site, authority, through):
    secure_site.answer = lambda handler, asked: reply(handler, asked.body)
    gate = inside(allow("api.test", secure_site, upload_kb=1 << 20))
    raw = gate.tunnel("api.test", secure_site.port, through)
    body = os.urandom(3 << 20)
    with context_of(authority).wrap_socket(raw, server_hostname="api.test") as stream:
        head = f"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        stream.sendall(head + body)
        upto(stream, b"\r\n\r\n")
        assert exactly(stream, len(body)) == body
    for _ in range(100):
        if gate.decisions[-1].method == "CLOSE":
            break
        time.sleep(0.05)
    assert gate.decisions[-1].sent > len(body)
    assert gate.decisions[-1].received > len(body)


@pytest.mark.parametrize("through", THROUGH)
def test_tls_that_ends_at_the_gate(inside, secure_site, through):
    gate = inside(allow("api.test", secure_site, paths=("/open",)))
    raw = gate.tunnel("api.test", secure_site.port, through)
    with gate.context.wrap_socket(raw, server_hostname="api.test") as stream:
        assert ask(stream, "api.test", "/open")[0].startswith(b"HTTP/1.1 200")
        head, said = ask(stream, f"api.test:{secure_site.port}", "/closed")
        assert head.startswith(b"HTTP/1.1 403")
        assert b"the path is not allowed" in said
        assert stream.recv(1) == b""
    assert [asked.path for asked in secure_site.asked] == ["/open"]
    assert [(d.method, d.path) for d in gate.allowed] == [("CONNECT", ""), ("GET", "/open")]


def test_an_address_whose_tls_ends_at_the_gate(inside, secure_site):
    gate = inside(allow("127.0.0.1", secure_site, addresses=(), paths=("/**",)))
    raw = gate.tunnel("127.0.0.1", secure_site.port)
    with gate.context.wrap_socket(raw, server_hostname="127.0.0.1") as stream:
        assert ask(stream, "127.0.0.1")[0].startswith(b"HTTP/1.1 200")


def test_a_mistake_of_our_own_lets_nothing_through(site, monkeypatch):
    decisions = []

    async def record(decision):
        decisions.append(decision)
        return True

    async def serve():
        proxy = Proxy([allow("api.test", site)], [], record)
        monkeypatch.setattr(proxy, "dial", None)
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(f"GET http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test\r\n\r\n".encode())
            with pytest.raises(TypeError):
                await Connection(proxy, SocketStream(ours, Pulse()), Pulse()).serve()
            assert drained(theirs) == b""

    asyncio.run(serve())
    assert [d.allowed for d in decisions] == [True, False]
    assert site.connections == 0


def test_a_credential_over_tls(inside, secure_site):
    gate = inside(allow("api.test", secure_site), held=[HELD])
    raw = gate.tunnel("api.test", secure_site.port)
    with gate.context.wrap_socket(raw, server_hostname="api.test") as stream:
        ask(stream, "api.test", "/", f"Authorization: Bearer {PLACEHOLDER}")
        ask(stream, "api.test")
    assert secure_site.connections == 1
    assert secure_site.asked[0].header("authorization") == [f"Bearer {SECRET}"]


def test_the_session_s_authority_is_good_for_inspected_hosts_only(inside, secure_site):
    gate = inside(allow("api.test", secure_site, paths=("/",)))
    authority = gate.proxy.authority
    for host, good in (("api.test", True), ("other.test", False), ("127.0.0.1", False)):
        ours, theirs = socket.socketpair()
        server = threading.Thread(target=_shake, args=(authority.context(host), theirs))
        server.start()
        try:
            if good:
                gate.context.wrap_socket(ours, server_hostname=host).close()
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    gate.context.wrap_socket(ours, server_hostname=host)
        finally:
            ours.close()
            server.join()


def _shake(context, sock):
    with sock:
        try:
            context.wrap_socket(sock, server_side=True).close()
        except OSError:
            pass


def test_a_host_whose_certificate_nobody_trusts(inside, secure_site):
    gate = inside(allow("evil.test", secure_site, paths=("/",)))
    raw = gate.tunnel("evil.test", secure_site.port)
    with gate.context.wrap_socket(raw, server_hostname="evil.test") as stream:
        head, said = ask(stream, "evil.test")
    assert head.startswith(b"HTTP/1.1 502")
    assert b"no trusted TLS connection" in said
    assert secure_site.asked == []


@pytest.mark.parametrize("through", THROUGH)
@pytest.mark.parametrize("host", ["api.test", "other.test"])
def test_another_name_in_the_handshake(inside, secure_site, authority, through, host):
    """Domain fronting: the tunnel is to an allowed host, the name asked for is another one."""
    gate = inside(allow("api.test", secure_site))
    raw = gate.tunnel("api.test", secure_site.port, through)
    context = context_of(authority)
    if host == "api.test":
        context.wrap_socket(raw, server_hostname=host).close()
        assert gate.refused == []
        return
    with raw, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw, server_hostname=host)
    assert "asks for another host" in gate.refused[0]
    assert secure_site.asked == []


def test_another_name_where_tls_ends_at_the_gate(inside, secure_site):
    gate = inside(allow("api.test", secure_site, paths=("/",)))
    with gate.tunnel("api.test", secure_site.port) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
        gate.context.wrap_socket(raw, server_hostname="other.test")
    assert "asks for another host" in gate.refused[0]


def test_no_name_in_the_handshake(inside, secure_site):
    gate = inside(allow("api.test", secure_site))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with gate.tunnel("api.test", secure_site.port) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(raw)
    assert "names no host" in gate.refused[0]


def test_an_address_that_the_policy_names_needs_no_name(inside, secure_site, authority):
    gate = inside(allow("127.0.0.1", secure_site, addresses=()))
    raw = gate.tunnel("127.0.0.1", secure_site.port)
    with context_of(authority).wrap_socket(raw, server_hostname="127.0.0.1") as stream:
        assert ask(stream, "127.0.0.1")[0].startswith(b"HTTP/1.1 200")


def with_extension(kind, data):
    """Give a ClientHello of api.test that has one extension more."""
    record = client_hello("api.test")
    extension = kind.to_bytes(2) + len(data).to_bytes(2) + data
    body = bytearray(record[9:])
    at = 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2])
    at += 1 + body[at]
    length = int.from_bytes(body[at : at + 2]) + len(extension)
    body[at : at + 2] = length.to_bytes(2)
    body += extension
    message = b"\x01" + len(body).to_bytes(3) + bytes(body)
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def client_hello(host):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_hidden_name(inside, secure_site):
    record = with_extension(0xFE0D, b"\0" * 40)
    assert hello.read(record).encrypted
    gate = inside(allow("api.test", secure_site))
    with gate.tunnel("api.test", secure_site.port) as raw:
        raw.sendall(record)
        assert drained(raw) == b"\x15\x03\x03\x00\x02\x02\x31"
    assert "encrypted client hello" in gate.refused[0]


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x00\x05\x02aaaa",
        b"\0" * 40,
        b"\x80\x2e\x01\x03\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_something_else_in_a_tunnel(inside, secure_site, said):
    gate = inside(allow("api.test", secure_site), limits=Limits(head_s=0.5))
    with gate.tunnel("api.test", secure_site.port) as raw:
        raw.sendall(said)
        drained(raw)
    assert len(gate.refused) == 1
    assert secure_site.asked == []


def test_a_host_that_waits_to_be_spoken_to(inside, secure_site):
    gate = inside(allow("api.test", secure_site), limits=Limits(head_s=0.3))
    with gate.tunnel("api.test", secure_site.port) as raw:
        assert drained(raw) == b""
    assert gate.refused == ["nothing that can be judged was said in time"]


@pytest.mark.parametrize("through", THROUGH)
def test_plain_http_in_a_tunnel_is_judged_like_any(inside, site, through):
    gate = inside(allow("api.test", site, paths=("/open",)))
    with gate.tunnel("api.test", site.port, through) as raw:
        assert ask(raw, "api.test", "/open")[0].startswith(b"HTTP/1.1 200")
        assert ask(raw, "api.test", "/closed")[0].startswith(b"HTTP/1.1 403")
    assert len(site.asked) == 1


def test_what_was_said_before_the_answer_is_not_lost(inside, site):
    gate = inside(allow("api.test", site))
    place = f"api.test:{site.port}"
    answer = gate.say(
        f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n"
        f"GET /early HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode()
    )
    assert b"200 Connection established" in answer
    assert b"/early" in answer


# --- SOCKS5 by the letter ---


def socks(gate, request, greeting=b"\5\1\0"):
    return gate.say(greeting, request)


def test_socks_with_addresses(inside, site):
    gate = inside(allow("127.0.0.1", site, addresses=()), allow("::1", site, addresses=()))
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    port = site.port.to_bytes(2)
    assert b"200 OK" in socks(gate, b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + port + request)
    mapped = socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")
    assert b"200 OK" in socks(gate, b"\5\1\0\4" + mapped + port + request)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"\5\2\0\3\x08api.test\x01\xbb", b"\5\0\5\7"),  # BIND
        (b"\5\3\0\3\x08api.test\x01\xbb", b"\5\0\5\7"),  # UDP ASSOCIATE
        (b"\5\1\0\5\x08api.test\x01\xbb", b"\5\0\5\x08"),
        (b"\5\1\0\3\x08api.test\0\0", b"\5\0\5\2"),
        (b"\5\1\0\3\0\x01\xbb", b"\5\0\5\2"),
        (b"\5\1\0\3\x09evil.test\x01\xbb", b"\5\0\5\2"),
        (b"\5\1\1\3\x08api.test\x01\xbb", b"\5\0"),
        (b"\4\1\0\3\x08api.test\x01\xbb", b"\5\0"),
        (b"\5\1\0\3\xffapi.test", b"\5\0"),
        (b"", b"\5\0"),
    ],
)
def test_socks_requests_that_are_refused(inside, site, request_, answer):
    gate = inside(allow("api.test", site), limits=Limits(head_s=0.5))
    said = gate.say(b"\5\1\0", request_, end=True)
    assert said[: len(answer)] == answer
    assert site.connections == 0


def test_socks_with_a_password_is_not_spoken(inside, site):
    gate = inside(allow("api.test", site))
    assert gate.say(b"\5\1\2") == b"\5\xff"


# --- WebSockets ---


def websocket(site, send_back=b"\x81\x05hello"):
    def answer(handler, asked):
        key = asked.header("sec-websocket-key")[0]
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        handler.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        handler.end_headers()
        handler.wfile.write(send_back)
        handler.wfile.write(b"GOT:" + handler.connection.recv(100))
        handler.close_connection = True

    site.answer = answer


UPGRADE = (
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: permessage-deflate",
)


@pytest.mark.parametrize("held", [(), (HELD,)])
@pytest.mark.parametrize("secure", [False, True])
def test_a_websocket(inside, request, held, secure):
    site = request.getfixturevalue("secure_site" if secure else "site")
    websocket(site)
    gate = inside(allow("api.test", site, paths=("/**",)), held=held)
    raw = gate.tunnel("api.test", site.port)
    with gate.context.wrap_socket(raw, server_hostname="api.test") if secure else raw as raw:
        head, _ = ask(raw, "api.test", "/", *UPGRADE, f"Authorization: {PLACEHOLDER}" if held else "X: y")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert exactly(raw, 7) == b"\x81\x05hello"
        raw.sendall(b"frame")
        assert drained(raw) == b"GOT:frame"
    (asked,) = site.asked
    assert asked.header("upgrade") == ["websocket"]
    assert bool(asked.header("sec-websocket-extensions")) is not bool(held)
    if held:
        assert asked.header("authorization") == [SECRET]


def test_a_websocket_that_sends_a_credential_back_is_ended(inside, site):
    websocket(site, b"\x81\x30" + SECRET.encode())
    gate = inside(allow("api.test", site), held=[HELD])
    with gate.tunnel("api.test", site.port) as raw:
        ask(raw, "api.test", "/", *UPGRADE)
        assert SECRET.encode() not in drained(raw)
    assert gate.refused == ["the host sent a credential back"]


def test_an_upgrade_that_the_host_declines(inside, site):
    gate = inside(allow("api.test", site))
    with gate.tunnel("api.test", site.port) as raw:
        for _ in range(2):
            head, said = ask(raw, "api.test", "/", *UPGRADE)
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(said)["path"] == "/"


def test_the_budget_of_a_tunnel(inside, secure_site, authority):
    gate = inside(allow("api.test", secure_site, upload_kb=64))
    raw = gate.tunnel("api.test", secure_site.port)
    with context_of(authority).wrap_socket(raw, server_hostname="api.test") as stream:
        with pytest.raises(OSError):  # noqa: PT011, PT012
            stream.sendall(
                b"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 999999\r\n\r\n" + bytes(900_000)
            )
            stream.sendall(bytes(90_000))
            raise OSError if stream.recv(1) == b"" else AssertionError
    assert "upload budget" in gate.refused[0]
    assert sum(len(asked.body) for asked in secure_site.asked) < 64 << 10
