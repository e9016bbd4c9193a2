"""Plain HTTP through the gate: what passes, what changes on the way, and what a connection may not become."""

import base64
import http.client
import json
import socket
import time
import urllib.request

import pytest
from tests.core.egress.sites import (
    HELD,
    PLACEHOLDER,
    SECRET,
    allow,
    gzipped,
    reply,
    upto,
)

from blastwall.egress.proxy import Limits


def body(answer):
    return answer.partition(b"\r\n\r\n")[2]


def echoed(answer):
    return json.loads(body(answer))


def test_a_request_and_its_answer(inside, site):
    gate = inside(allow("api.test", site))
    answer = gate.get(f"http://api.test:{site.port}/a/b?c=d", "X-Mine: 1")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert echoed(answer)["path"] == "/a/b?c=d"
    assert site.asked[0].header("host") == [f"api.test:{site.port}"]
    assert site.asked[0].header("x-mine") == ["1"]
    asked, closed = gate.decisions
    assert (asked.allowed, asked.host, asked.port, asked.method, asked.path) == (
        True,
        "api.test",
        site.port,
        "GET",
        "/a/b",
    )
    assert closed.method == "CLOSE"
    assert closed.sent > 50
    assert closed.received > 100


def test_the_query_is_not_recorded(inside, site):
    gate = inside(allow("api.test", site))
    gate.get(f"http://api.test:{site.port}/a?token=hush")
    assert "hush" not in repr(gate.decisions)


def test_ordinary_clients(inside, site):
    gate = inside(allow("api.test", site))
    proxies = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{gate.port}"})
    opener = urllib.request.build_opener(proxies)
    with opener.open(f"http://api.test:{site.port}/x", data=b"posted", timeout=10) as answer:
        assert json.loads(answer.read())["body"] == "posted"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        opener.open("http://evil.test/", timeout=10)


def test_a_connection_is_kept(inside, site):
    gate = inside(allow("api.test", site))
    client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    for number in range(3):
        client.request("POST", f"http://api.test:{site.port}/{number}", body=b"x" * number)
        assert json.loads(client.getresponse().read())["path"] == f"/{number}"
    client.close()
    assert site.connections == 1
    assert len(gate.allowed) == 3


def test_a_host_that_hangs_up_in_between(inside, site):
    def answer(handler, asked):
        reply(handler, b"once")
        handler.close_connection = True

    site.answer = answer
    gate = inside(allow("api.test", site))
    client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    for _ in range(3):
        client.request("GET", f"http://api.test:{site.port}/")
        assert client.getresponse().read() == b"once"
    client.close()
    assert site.connections == 3


@pytest.mark.parametrize("size", [0, 1, 70_000, 5 << 20])
def test_bodies_of_all_sizes_both_ways(inside, site, size):
    site.answer = lambda handler, asked: reply(handler, asked.body)
    gate = inside(allow("api.test", site, upload_kb=20 << 10))
    client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    sent = bytes(range(256)) * (size // 256 + 1)
    for _ in range(2):
        client.request("POST", f"http://api.test:{site.port}/", body=sent[:size])
        assert client.getresponse().read() == sent[:size]
    client.close()
    assert site.connections == 1


def test_chunks_both_ways(inside, site):
    def answer(handler, asked):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n4;x=y\r\n" + asked.body[:4] + b"\r\n0\r\nX-Trailer: 1\r\n\r\n")

    site.answer = answer
    gate = inside(allow("api.test", site))
    client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    for _ in range(2):
        client.request(
            "POST", f"http://api.test:{site.port}/", body=iter([b"de", b"fg"]), encode_chunked=True
        )
        assert client.getresponse().read() == b"abcdefg"
    client.close()


def test_a_body_that_ends_with_the_connection(inside, site):
    def answer(handler, asked):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nto the end")
        handler.close_connection = True

    site.answer = answer
    gate = inside(allow("api.test", site))
    assert b"to the end" in gate.get(f"http://api.test:{site.port}/")


def test_a_client_that_waits_to_be_told_to_go_on(inside, site):
    gate = inside(allow("api.test", site))
    with gate.connect() as sock:
        head = f"POST http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test:{site.port}\r\n"
        sock.sendall(f"{head}Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode())
        assert upto(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        sock.sendall(b"body")
        assert upto(sock, b"}").endswith(b'"body": "body"}')
    assert site.asked[0].header("expect") == []


def test_an_answer_before_the_whole_question(inside, site):
    listener = socket.create_server(("127.0.0.1", 0))
    site.port = listener.getsockname()[1]
    gate = inside(allow("api.test", site))
    with gate.connect() as sock, listener:
        head = f"POST http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test:{site.port}\r\nContent-Length: 9999\r\n\r\n"
        sock.sendall(head.encode() + b"x" * 10)
        client, _ = listener.accept()
        with client:
            upto(client, b"\r\n\r\n")
            client.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            assert upto(sock, b"big").startswith(b"HTTP/1.1 413")
            assert sock.recv(10) == b""


def test_head_has_no_body(inside, site):
    gate = inside(allow("api.test", site))
    client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    for _ in range(2):
        client.request("HEAD", f"http://api.test:{site.port}/")
        answer = client.getresponse()
        assert int(answer.getheader("content-length")) > 10
        assert answer.read() == b""
    client.close()


def test_what_concerns_one_hop_stays_there(inside, site):
    def answer(handler, asked):
        reply(
            handler,
            b"",
            headers=[("Connection", "x-hop"), ("X-Hop", "1"), ("Alt-Svc", 'h3=":443"'), ("X-Kept", "1")],
        )

    site.answer = answer
    gate = inside(allow("api.test", site))
    answer = gate.get(
        f"http://api.test:{site.port}/",
        "Proxy-Authorization: Basic aGlkZGVu",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Connection: X-Dropped, HTTP2-Settings, Upgrade",
        "X-Dropped: 1",
        "X-Kept: 1",
    )
    names = {name.lower() for name, _ in site.asked[0].headers}
    assert "x-kept" in names
    assert not names & {
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
        "x-dropped",
        "connection",
    }
    assert b"x-kept" in answer.lower()
    assert b"x-hop" not in answer.lower()
    assert b"alt-svc" not in answer.lower()


@pytest.mark.parametrize(
    ("path", "method", "reason"),
    [
        ("/open/x", "GET", None),
        ("/open/x?q=/../..", "GET", None),
        ("/%6fpen/x", "GET", None),
        ("/open/x", "POST", "method"),
        ("/closed", "GET", "path is not allowed"),
        ("/open/../closed", "GET", "several ways"),
        ("/open/%2e%2e/closed", "GET", "several ways"),
        ("/open/%2E./closed", "GET", "several ways"),
        ("/open/..%2fclosed", "GET", "several ways"),
        ("/open//x", "GET", "several ways"),
        ("/open/..;/closed", "GET", "several ways"),
        ("/open/%252e%252e/closed", "GET", "several ways"),
        ("/open/a/b", "GET", "path is not allowed"),
        ("/deep/a/b", "GET", None),
    ],
)
def test_methods_and_paths(inside, site, path, method, reason):
    gate = inside(allow("api.test", site, methods=("GET", "HEAD"), paths=("/open/*", "/deep/**")))
    answer = gate.get(f"http://api.test:{site.port}{path}", method=method)
    assert answer.startswith(b"HTTP/1.1 403" if reason else b"HTTP/1.1 200")
    assert len(site.asked) == (reason is None)
    assert gate.refused == [] if reason is None else reason in gate.refused[0]


def test_a_refusal_says_why_and_closes(inside, site):
    gate = inside(allow("api.test", site))
    answer = gate.get("http://evil.test/")
    assert answer.startswith(b"HTTP/1.1 403 Blocked by blastwall")
    assert body(answer) == b"blastwall refused this: evil.test is not an allowed destination.\n"
    assert b"Connection: close" in answer


def test_without_an_audit_nothing_leaves(inside, site):
    gate = inside(allow("api.test", site))
    gate.recorded = False
    assert gate.get(f"http://api.test:{site.port}/").startswith(b"HTTP/1.1 503")
    assert gate.tunnel("api.test", site.port) is None
    assert site.connections == 0


def test_a_host_that_is_not_there(inside):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    gate = inside(
        allow("api.test", type("Site", (), {"place": {"ports": (port,), "addresses": ("127.0.0.1",)}}))
    )
    assert b"does not answer" in gate.get(f"http://api.test:{port}/")
    assert "does not answer" in gate.refused[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 101 Nope\r\n\r\n",
        b"",
    ],
)
def test_a_host_that_breaks_the_rules(inside, site, answer):
    def broken(handler, asked):
        handler.wfile.write(answer)
        handler.close_connection = True

    site.answer = broken
    gate = inside(allow("api.test", site))
    said = gate.get(f"http://api.test:{site.port}/")
    assert not said.startswith(b"HTTP/1.1 200") or b"Content-Length: 10" in said.title()


# --- Credentials ---


def bound(inside, site, **options):
    return inside(allow("api.test", site, **options), held=[HELD])


def test_a_placeholder_becomes_the_value_in_headers(inside, site):
    gate = bound(inside, site)
    answer = gate.get(
        f"http://api.test:{site.port}/", f"Authorization: Bearer {PLACEHOLDER}", f"X-Key: k={PLACEHOLDER};"
    )
    assert site.asked[0].header("authorization") == [f"Bearer {SECRET}"]
    assert site.asked[0].header("x-key") == [f"k={SECRET};"]
    assert SECRET.encode() not in answer
    assert f'"Bearer {PLACEHOLDER}"'.encode() in answer


@pytest.mark.parametrize("pair", ["user:{}", "{}:", "{}:x-oauth-basic"])
def test_a_placeholder_becomes_the_value_in_basic_authentication(inside, site, pair):
    gate = bound(inside, site)
    told = base64.b64encode(pair.format(PLACEHOLDER).encode()).decode()
    gate.get(f"http://api.test:{site.port}/", f"Authorization: Basic {told}")
    (came,) = site.asked[0].header("authorization")
    assert base64.b64decode(came.split()[1]).decode() == pair.format(SECRET)


def test_a_placeholder_elsewhere_stays_one(inside, site):
    gate = bound(inside, site)
    answer = gate.say(
        f"POST http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test:{site.port}\r\nConnection: close\r\n"
        f"X-Encoded: {base64.b64encode(PLACEHOLDER.encode()).decode()}\r\n"
        f"X-Cut: {PLACEHOLDER[:-1]}\r\n"
        f"Content-Length: {len(PLACEHOLDER)}\r\n\r\n{PLACEHOLDER}".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert site.asked[0].body == PLACEHOLDER.encode()
    assert SECRET not in repr(site.asked)


@pytest.mark.parametrize(
    "where", [f"/{PLACEHOLDER}", f"/?key={PLACEHOLDER}", "/" + PLACEHOLDER.replace("-", "%2D")]
)
def test_a_placeholder_in_a_url_is_refused(inside, site, where):
    gate = bound(inside, site)
    assert b"never replaced" in gate.get(f"http://api.test:{site.port}{where}")
    assert site.asked == []


def test_a_placeholder_for_somebody_else_is_refused(inside, site):
    gate = inside(allow("api.test", site), allow("other.test", site), held=[HELD])
    for value in (f"Bearer {PLACEHOLDER}", "Basic " + base64.b64encode(f"u:{PLACEHOLDER}".encode()).decode()):
        answer = gate.get(f"http://other.test:{site.port}/", f"Authorization: {value}")
        assert b"the credential api is not for other.test" in answer
    assert site.asked == []
    assert len(gate.refused) == 2


def spellings(secret):
    yield secret
    yield base64.b64encode(f"user:{secret}".encode()).decode()
    yield base64.urlsafe_b64encode(f"u:{secret}".encode()).decode()
    yield "".join(f"%{ord(c):02x}" for c in secret)
    yield urllib.request.quote(secret, safe="")
    yield json.dumps(secret).replace("/", "\\/")
    yield secret.encode().hex()
    yield secret.replace("=", "&#61;").replace("+", "&#x2B;")


@pytest.mark.parametrize("spelled", list(spellings(SECRET)))
@pytest.mark.parametrize("how", ["whole", "chunked", "gzip"])
def test_the_value_does_not_come_back(inside, site, spelled, how):
    text = f"before {spelled} after".encode()

    def answer(handler, asked):
        headers = [("X-Echo", spelled)]
        if how == "gzip":
            return reply(handler, gzipped(text), headers=[*headers, ("Content-Encoding", "gzip")])
        if how == "whole":
            return reply(handler, text, headers=headers)
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for letter in text:
            handler.wfile.write(b"1\r\n" + bytes([letter]) + b"\r\n")
        return handler.wfile.write(b"0\r\n\r\n")

    site.answer = answer
    client = http.client.HTTPConnection("127.0.0.1", bound(inside, site).port, timeout=10)
    client.request("GET", f"http://api.test:{site.port}/")
    answered = client.getresponse()
    got = answered.read()
    client.close()
    assert spelled.encode() not in got
    assert got.startswith(b"before ")
    assert got.endswith(b" after")
    assert PLACEHOLDER.encode() in got
    assert spelled not in repr(answered.getheaders())
    assert answered.getheader("content-encoding") is None


def test_answers_are_asked_for_in_a_form_that_can_be_searched(inside, site):
    gate = bound(inside, site)
    gate.get(f"http://api.test:{site.port}/", "Accept-Encoding: br, gzip", "Range: bytes=0-5", "If-Range: x")
    assert site.asked[0].header("accept-encoding") == ["identity"]
    assert site.asked[0].header("range") == []


@pytest.mark.parametrize(
    ("encoding", "data"), [("br", b"\x0b\x02\x80abc\x03"), ("gzip, gzip", b"x"), ("gzip", b"no gzip")]
)
def test_answers_that_cannot_be_searched_are_refused(inside, site, encoding, data):
    site.answer = lambda handler, asked: reply(handler, data, headers=[("Content-Encoding", encoding)])
    gate = bound(inside, site)
    gate.get(f"http://api.test:{site.port}/")
    assert "answer is" in gate.refused[0]


def test_a_stream_of_events_is_not_held_back(inside, site):
    def answer(handler, asked):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"data: one\n\n")
        time.sleep(5)
        handler.close_connection = True

    site.answer = answer
    gate = bound(inside, site)
    with gate.connect() as sock:
        sock.sendall(
            f"GET http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test:{site.port}\r\n\r\n".encode()
        )
        began = time.monotonic()
        upto(sock, b"data: one\n\n")
        assert time.monotonic() - began < 3


# --- Budgets and patience ---


def test_the_upload_budget_is_the_session_s(inside, site):
    gate = inside(allow("api.test", site, upload_kb=64))
    url = f"http://api.test:{site.port}/"
    sent = 0
    for _ in range(10):
        client = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
        client.request("POST", url, body=b"x" * 10_000)
        sent += client.getresponse().status == 200
        client.close()
    assert sent == 6
    assert sum(len(asked.body) for asked in site.asked) <= 64 << 10
    assert gate.refused[0] == "the upload budget of api.test is used up (upload_kb)"


def test_the_download_budget_is_the_session_s(inside, site):
    site.answer = lambda handler, asked: reply(handler, bytes(100_000))
    gate = inside(allow("api.test", site, download_kb=150))
    answers = [gate.get(f"http://api.test:{site.port}/") for _ in range(3)]
    assert sum(map(len, answers)) <= 150 << 10
    assert any("download budget" in reason for reason in gate.refused)


def test_headers_count_too(inside, site):
    gate = inside(allow("api.test", site, upload_kb=8))
    for _ in range(3):
        gate.get(f"http://api.test:{site.port}/", "X-Stolen: " + "x" * 5000)
    assert len(site.asked) == 1


def test_subdomains_share_one_budget(inside, site):
    gate = inside(allow("*.test", site, upload_kb=8))
    for number in range(3):
        gate.get(f"http://a{number}.test:{site.port}/", "X-Stolen: " + "x" * 5000)
    assert len(site.asked) == 1


def test_a_slow_head_is_not_waited_for(inside, site):
    gate = inside(allow("api.test", site), limits=Limits(head_s=0.3))
    began = time.monotonic()
    with gate.connect() as sock:
        sock.sendall(b"GET http://api")
        assert sock.recv(100).startswith(b"HTTP/1.1 408")
    with gate.connect() as sock:
        assert sock.recv(100) == b""
    assert time.monotonic() - began < 5
    assert gate.refused == ["the request does not come to its end"]


def test_what_rests_too_long_is_ended(inside, site):
    gate = inside(allow("api.test", site), limits=Limits(idle_s=0.4))
    site.answer = lambda handler, asked: time.sleep(3)
    began = time.monotonic()
    assert gate.get(f"http://api.test:{site.port}/") == b""
    assert time.monotonic() - began < 2.5


def test_more_connections_than_there_may_be_wait(inside, site):
    gate = inside(allow("api.test", site), limits=Limits(connections=2))
    first, second = gate.connect(), gate.connect()
    time.sleep(0.1)
    with gate.connect() as third:
        third.settimeout(0.3)
        third.sendall(
            f"GET http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test:{site.port}\r\n\r\n".encode()
        )
        with pytest.raises(TimeoutError):
            third.recv(10)
        first.close()
        third.settimeout(10)
        assert upto(third, b"\r\n").startswith(b"HTTP/1.1 200")
    second.close()
