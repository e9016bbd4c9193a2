"""Clients that people really use, through the gate: what they ask for arrives, and refusals reach them."""

import contextlib
import ssl
import threading

import pytest
from tests.core.egress.sites import HELD, PLACEHOLDER, SECRET, Site, allow, reply
from websockets.sync import client, server

httpx = pytest.importorskip("httpx")  # comes with the frameworks that the adapters are for


def context_of(gate, authority, paths):
    return gate.context if paths else ssl.create_default_context(cadata=authority.pem.decode())


def web(gate, **options):
    return httpx.Client(proxy=f"http://127.0.0.1:{gate.port}", trust_env=False, timeout=10, **options)


def test_httpx_over_plain_http(inside, site):
    gate = inside(allow("api.test", site))
    with web(gate) as http:
        for number in range(3):
            answer = http.post(f"http://api.test:{site.port}/{number}", content=b"x" * number)
            assert (answer.status_code, answer.json()["body"]) == (200, "x" * number)
        assert http.get("http://evil.test/").status_code == 403
    assert gate.refused == ["evil.test is not an allowed destination"]


@pytest.mark.parametrize("paths", [(), ("/**",)], ids=["opaque", "inspected"])
def test_httpx_over_tls(inside, secure_site, authority, paths):
    secure_site.answer = lambda handler, asked: reply(handler, asked.body)
    gate = inside(allow("api.test", secure_site, paths=paths, upload_kb=1 << 14))
    body = bytes(range(256)) * 4096
    with web(gate, verify=context_of(gate, authority, paths)) as http:
        for _ in range(2):
            assert http.post(f"https://api.test:{secure_site.port}/", content=body).content == body
        with pytest.raises(httpx.ProxyError, match="403"):
            http.get("https://evil.test/")
    assert secure_site.connections == 1


def test_httpx_streams_up_and_down(inside, secure_site):
    secure_site.answer = lambda handler, asked: reply(handler, asked.body)
    gate = inside(allow("api.test", secure_site), held=[HELD])
    with web(gate, verify=gate.context, headers={"Authorization": f"Bearer {PLACEHOLDER}"}) as http:
        url = f"https://api.test:{secure_site.port}/"
        with http.stream("POST", url, content=iter([b"one ", SECRET.encode(), b" two"])) as answer:
            assert b"".join(answer.iter_bytes()) == f"one {PLACEHOLDER} two".encode()
    assert secure_site.asked[0].header("authorization") == [f"Bearer {SECRET}"]


@contextlib.contextmanager
def echo(context=None):
    """Give a WebSocket server that says everything back."""

    def answer(connection):
        for message in connection:
            connection.send(message)

    with server.serve(answer, "127.0.0.1", 0, ssl=context, compression=None) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield Site(running.socket.getsockname()[1])
        finally:
            running.shutdown()
            thread.join()


@pytest.mark.parametrize("how", ["plain", "opaque", "inspected"])
def test_websockets(inside, authority, how):
    with echo(None if how == "plain" else authority.context("api.test")) as site:
        paths = ("/**",) if how == "inspected" else ()
        gate = inside(allow("api.test", site, paths=paths, upload_kb=1 << 14))
        secure = {} if how == "plain" else {"ssl": context_of(gate, authority, paths)}
        uri = f"{'wss' if secure else 'ws'}://api.test:{site.port}/"
        proxy = f"http://127.0.0.1:{gate.port}"
        with client.connect(uri, proxy=proxy, max_size=None, **secure) as connection:
            for message in ("hello", b"x" * 1_000_000):
                connection.send(message)
                assert connection.recv(timeout=10) == message
            assert connection.ping().wait(10)
    assert gate.refused == []
