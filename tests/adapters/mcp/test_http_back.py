"""Servers over HTTP: both eras, and the old way, work alike; and nothing crooked in between does harm."""

import asyncio
import json
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mcp_types import LOG_LEVEL_META_KEY
from tests.adapters.mcp.pools import pool
from tests.adapters.mcp.test_upstream import Ear, until
from tests.adapters.mcp.web_servers import (
    Asked,
    Crooked,
    at,
    crooked,
    greeted,
    ordinary,
    reply,
    served,
    stream,
)

from blastwall.egress import resolve
from blastwall.errors import BackendError
from blastwall.values import Credential, Source
from blastwall_mcp.upstreams import events as _events
from blastwall_mcp.upstreams import posts as _posts
from blastwall_mcp.upstreams.addresses import Route
from blastwall_mcp.upstreams.offered import Offered
from blastwall_mcp.upstreams.upstream import UpstreamError
from blastwall_mcp.wire.places import Place


async def call(upstream: Any, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> str:
    result = await upstream.request("tools/call", {"name": tool, "arguments": arguments or {}}, **options)
    text: str = result["content"][0]["text"]
    return text


WAYS = pytest.mark.parametrize("way", ["modern", "legacy", "sse"])


def behind(origin: str, way: str, **fields: Any) -> Any:
    if way == "sse":
        return at(f"{origin}/sse", transport="sse", **fields)
    return at(f"{origin}/mcp", era=way, **fields)


def app(way: str) -> Any:
    return ordinary().sse_app() if way == "sse" else ordinary().streamable_http_app()


@WAYS
async def test_a_server_over_http(way):
    async with served(app(way)) as origin, pool(it=behind(origin, way)) as servers:
        upstream = servers.upstream("it")
        assert await call(upstream, "echo", {"text": "hé\n\x1b"}) == "hé\n\x1b"
        assert upstream.modern is (way != "legacy")
        assert upstream.instructions == "be kind"
        assert [tool["name"] for tool in await upstream.pages("tools/list", "tools")] == [
            "echo",
            "step",
            "log",
        ]
        texts = await asyncio.gather(*(call(upstream, "echo", {"text": str(n)}) for n in range(40)))
        assert texts == [str(n) for n in range(40)]
        with pytest.raises(UpstreamError) as info:
            await upstream.request("no/such/method")
        assert info.value.code == -32601
        big = "x" * 1_000_000
        assert await call(upstream, "echo", {"text": big}) == big


@WAYS
async def test_progress_and_log_messages_over_http(way):
    steps, words = [], []

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    async def hear(params: dict[str, Any]) -> None:
        words.append(params["data"])

    async with served(app(way)) as origin, pool(it=behind(origin, way)) as servers:
        upstream = servers.upstream("it")
        assert await call(upstream, "step", on_progress=step) == "stepped"
        assert steps == [(1, 2, "half")]
        await call(upstream, "log", meta={LOG_LEVEL_META_KEY: "info"}, on_message=hear)
        await until(lambda: words)
        assert words == ["a word"]


async def test_the_era_is_found():
    async with served(app("modern")) as origin, pool(it=at(f"{origin}/mcp")) as servers:
        upstream = servers.upstream("it")
        await upstream.ensure()
        assert upstream.protocol == "2026-07-28"


async def test_a_session_that_the_server_forgot_is_begun_anew():
    server = ordinary()
    async with served(server.streamable_http_app()) as origin, pool(it=behind(origin, "legacy")) as servers:
        upstream = servers.upstream("it")
        assert await call(upstream, "echo", {"text": "a"}) == "a"
        before = upstream.version
        for transport in list(server.session_manager._server_instances.values()):
            await transport.terminate()
        assert await call(upstream, "echo", {"text": "b"}) == "b"
        assert upstream.version > before


async def test_a_server_that_forgets_every_session_is_one_clear_error():
    def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if not legacy(server, asked, writer):
            reply(writer, b"", "404 Not Found")

    async with crooked(answer, greet=False) as server, pool(it=at(server.url)) as servers:
        with pytest.raises(BackendError, match="its session ended"):
            await call(servers.upstream("it"), "act")
        assert [one.json.get("method") for one in server.asked].count("tools/call") == 2


async def test_a_header_that_can_not_be_sent_is_said():
    bad = at("http://127.0.0.1:9/mcp", headers=(("X-Bad", "a\nb"),))
    async with crooked(lambda s, a, w: None) as server:
        async with pool(it=replace(bad, url=server.url)) as servers:
            with pytest.raises(BackendError, match="correct `headers`"):
                await servers.upstream("it").ensure()


async def test_a_session_is_ended_with_the_pool():
    server = ordinary()
    async with served(server.streamable_http_app()) as origin:
        async with pool(it=behind(origin, "legacy")) as servers:
            await servers.upstream("it").ensure()
            assert server.session_manager._server_instances
        await until(lambda: not server.session_manager._server_instances)


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_server_that_is_not_there(transport):
    async with pool(it=at("http://127.0.0.1:9/mcp", transport=transport)) as servers:
        with pytest.raises(BackendError, match="it can't be reached|can't be spoken to"):
            await servers.upstream("it").ensure()


# --- What a server by hand does ---------------------------------------------------------------------------


def answered(asked: Asked, value: Any = "done") -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": asked.json["id"],
        "result": {"content": [{"type": "text", "text": value}]},
    }


async def test_what_goes_along_with_a_request():
    def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        reply(writer, answered(asked), set_cookie="a=b")

    fixed = (("X-Own", "1"), ("Authorization", "not this"), ("Mcp-Method", "nor this"))
    async with crooked(answer) as server, pool(it=at(server.url, headers=fixed)) as servers:
        for _ in range(2):
            assert await call(servers.upstream("it"), "act", {"region": "ü", "more": 1}) == "done"
        methods = [one.json["method"] for one in server.asked]
        assert methods == ["server/discover", "tools/list", "tools/call", "tools/call"]
        assert server.connections == 1
        headers = server.asked[-1].headers
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    assert headers["mcp-name"] == "act"
    assert headers["mcp-param-region"] == "=?base64?w7w=?="
    assert headers["x-own"] == "1"
    assert headers["accept"] == "application/json, text/event-stream"
    assert "authorization" not in headers
    assert "cookie" not in headers


def flooding(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
    stream(writer, b"data: " + b"x" * 3_000_000, end=False)


CROOKED = {
    "another's answer": (
        lambda s, a, w: reply(w, {"jsonrpc": "2.0", "id": 999, "result": {}}),
        "malformed",
    ),
    "no answer": (lambda s, a, w: reply(w, b"", "202 Accepted"), "malformed"),
    "a page": (lambda s, a, w: reply(w, b"<html>", kind="text/html"), "malformed"),
    "nonsense": (lambda s, a, w: reply(w, b'{"jsonrpc": NaN}'), "malformed"),
    "deep": (lambda s, a, w: reply(w, b"[" * 100_000), "malformed"),
    "no UTF-8": (lambda s, a, w: reply(w, b'{"jsonrpc":"2.0","id":3,"result":{"a":"\xff"}}'), "malformed"),
    "a stream of others' answers": (
        lambda s, a, w: stream(w, {"jsonrpc": "2.0", "id": 999, "result": {}}, b"data: [\n\n", b": hm\n\n"),
        "its stream ended without an answer",
    ),
    "too long": (lambda s, a, w: reply(w, b"x" * 3_000_000), "longer than"),
    "too long an event": (flooding, "an event of more than"),
    "compressed": (lambda s, a, w: reply(w, b"x", content_encoding="gzip"), "compressed"),
    "elsewhere": (lambda s, a, w: reply(w, b"", "307 Temporary", location="http://other/"), "redirects"),
    "broken": (lambda s, a, w: reply(w, b"", "503 Busy"), "HTTP status 503"),
    "refused": (lambda s, a, w: reply(w, b"", "400 Bad"), "HTTP status 400"),
    "forbidden": (lambda s, a, w: reply(w, b"", "403 No"), "HTTP status 403"),
    "who": (lambda s, a, w: reply(w, b"", "401 Who"), "wants to know who asks"),
    "gone": (lambda s, a, w: w.close(), "closed the connection"),
    "no HTTP": (lambda s, a, w: w.write(b"hello\r\n\r\n"), "no HTTP"),
    "endless head": (lambda s, a, w: w.write(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000), "no HTTP"),
    "interim": (lambda s, a, w: w.write(b"HTTP/1.1 102 Wait\r\n\r\n" * 50), "closed the connection"),
    "slow": (lambda s, a, w: w.write(b"HTTP/1.1 200 OK\r\n"), "no answer within 0.5 s"),
}


@pytest.mark.parametrize("how", CROOKED)
async def test_a_crooked_answer_is_one_clear_error(how, monkeypatch):
    monkeypatch.setattr(_posts, "MAX_LINE", 2_000_000)
    monkeypatch.setattr(_events, "MAX_LINE", 2_000_000)
    answer, words = CROOKED[how]

    def once(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.json["params"]["name"] == "act":
            answer(server, asked, writer)
        else:
            reply(writer, answered(asked))

    async with crooked(once) as server, pool(it=at(server.url, call_s=0.5)) as servers:
        upstream = servers.upstream("it")
        with pytest.raises((BackendError, UpstreamError), match=words):
            await call(upstream, "act")
        assert await call(upstream, "other") == "done"
        assert {one.target for one in server.asked} == {"/mcp"}


async def test_a_protocol_error_comes_as_it_is_whatever_the_status():
    def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        error = {"code": -32021, "message": "no", "data": {"requiredCapabilities": {}}}
        reply(writer, {"jsonrpc": "2.0", "id": None, "error": error}, "400 Bad Request")

    async with crooked(answer) as server, pool(it=at(server.url)) as servers:
        with pytest.raises(UpstreamError) as info:
            await call(servers.upstream("it"), "act")
        assert (info.value.code, info.value.data) == (-32021, {"requiredCapabilities": {}})


@pytest.mark.parametrize(
    ("supported", "asked", "words"),
    [
        (["2026-07-28"], ["server/discover", "server/discover"], ""),
        (["2030-01-01"], ["server/discover"], "none of the protocol versions"),
        (["2025-11-25"], ["server/discover", "initialize", "server/discover"], ""),
    ],
)
async def test_a_server_that_names_its_versions_is_taken_at_its_word(supported, asked, words):
    def answer(server: Crooked, one: Asked, writer: asyncio.StreamWriter) -> None:
        if len(server.asked) > 1 and greeted(server, one, writer):
            return
        error = {"code": -32022, "message": "no", "data": {"supported": supported, "requested": "x"}}
        reply(writer, {"jsonrpc": "2.0", "id": one.json["id"], "error": error}, "400 Bad Request")

    async with crooked(answer, greet=False) as server, pool(it=at(server.url)) as servers:
        starting = servers.upstream("it").ensure()
        if words:
            with pytest.raises(BackendError, match=words):
                await starting
        else:
            await starting
        methods = [one.json["method"] for one in server.asked]
        assert methods[: len(asked)] == asked


async def test_a_connection_is_used_again_after_a_stream():
    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.json["params"]["name"] == "more":
            stream(writer, answered(asked), end=False)
            return
        data = b"data: " + json.dumps(answered(asked)).encode() + b"\n\n"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if asked.json["params"]["name"] == "late":
            await writer.drain()
            await asyncio.sleep(0.03)
        writer.write(b"0\r\n\r\n")

    async with crooked(answer) as server, pool(it=at(server.url)) as servers:
        upstream = servers.upstream("it")
        for _ in range(3):
            assert await call(upstream, "act") == "done"
        assert await call(upstream, "late") == "done"
        await asyncio.sleep(0.1)
        assert await call(upstream, "act") == "done"
        assert server.connections == 1
        for _ in range(3):
            assert await call(upstream, "more") == "done"
        assert server.connections == 3  # the first one was there, and none of these ends


@pytest.mark.parametrize("cut", [1, 7, 10_000])
async def test_events_are_read_however_they_are_cut(cut):
    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        stream(writer, end=False)
        data = json.dumps(answered(asked, "in lines"), indent=1).replace("\n", "\r\ndata:").encode()
        text = b"\xef\xbb\xbf: hello\r\rid: 7\nretry: 5\nevent: message\r\ndata:" + data + b"\n\r\n"
        for at_ in range(0, len(text), cut):
            writer.write(text[at_ : at_ + cut])
            await writer.drain()
            await asyncio.sleep(0)

    async with crooked(answer) as server, pool(it=at(server.url)) as servers:
        assert await call(servers.upstream("it"), "act") == "in lines"


async def test_leaving_a_modern_request_closes_its_stream():
    closed = asyncio.Event()

    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        stream(writer, b": wait\n\n", end=False)
        try:
            while True:
                writer.write(b": wait\n\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    async with crooked(answer) as server, pool(it=at(server.url, call_s=60.0)) as servers:
        task = asyncio.create_task(call(servers.upstream("it"), "act"))
        await until(lambda: len(server.asked) == 3)
        task.cancel()
        with anyio.fail_after(5):
            await closed.wait()
        assert "notifications/cancelled" not in {one.json.get("method") for one in server.asked}


def legacy(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> bool:
    """Answer what every legacy server is asked; say whether it was that."""
    method = asked.json.get("method")
    if asked.method == "DELETE" or (method or "").startswith("notifications/"):
        reply(writer, b"", "202 Accepted")
    elif asked.method == "GET" and "last-event-id" not in asked.headers:
        reply(writer, b"", "405 No")
    elif method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {}}
        reply(writer, {"jsonrpc": "2.0", "id": asked.json["id"], "result": result}, mcp_session_id="s-1")
    elif method == "server/discover":
        reply(writer, b"no session", "400 Bad Request")
    else:
        return False
    return True


async def test_a_broken_stream_of_a_legacy_server_is_taken_up_again():
    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if legacy(server, asked, writer):
            return
        if asked.method == "POST":
            stream(writer, b"id: 1\nretry: 1\ndata:\n\n")
            return
        first = next(one for one in server.asked if one.json.get("method") == "tools/call")
        stream(
            writer,
            b"id: 2\ndata: {}\n\n",
            *([answered(first)] if asked.headers["last-event-id"] == "2" else []),
        )

    async with crooked(answer, greet=False) as server, pool(it=at(server.url)) as servers:
        assert await call(servers.upstream("it"), "act") == "done"
        assert [one.headers.get("last-event-id") for one in server.asked if one.method == "GET"][-2:] == [
            "1",
            "2",
        ]
        assert server.asked[-1].headers["mcp-session-id"] == "s-1"
        assert server.asked[-1].headers["mcp-protocol-version"] == "2025-06-18"
    assert server.asked[-1].method == "DELETE"


async def test_a_legacy_server_asks_on_the_stream_of_the_call_that_it_is_about():
    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if legacy(server, asked, writer):
            return
        if "method" not in asked.json:
            reply(writer, b"", "202 Accepted")
            return
        name = asked.json["params"]["name"]
        stream(writer, {"jsonrpc": "2.0", "id": name, "method": "roots/list"}, end=False)
        while not any(one.json.get("id") == name and "result" in one.json for one in server.asked):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        got = next(one.json["result"] for one in server.asked if one.json.get("id") == name)
        writer.write(b"data: " + json.dumps(answered(asked, got["roots"][0]["uri"])).encode() + b"\n\n")

    def answering(uri: str) -> Any:
        async def asker(method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return {"roots": [{"uri": uri}]}

        return asker

    async with crooked(answer, greet=False) as server, pool(it=at(server.url)) as servers:
        upstream = servers.upstream("it", offered=Offered.of({"roots": {}}))
        names = ["a", "b", "c"]
        uris = await asyncio.gather(
            *(call(upstream, name, asker=answering(f"file:///{name}")) for name in names)
        )
    assert uris == ["file:///a", "file:///b", "file:///c"]


async def test_what_breaks_while_a_server_asks_is_told_in_our_words():
    told: list[Any] = []

    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if legacy(server, asked, writer):
            return
        if "method" not in asked.json:
            told.append(asked.json.get("error"))
            reply(writer, b"", "202 Accepted")
            return
        numbers = ["one", "one", "two"]
        events = [{"jsonrpc": "2.0", "id": number, "method": "roots/list"} for number in numbers]
        gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "two"}}
        stream(writer, *events, gone, end=False)
        while len(told) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.write(b"data: " + json.dumps(answered(asked)).encode() + b"\n\n")

    async def breaking(method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        raise RuntimeError("SECRET-detail")

    async with crooked(answer, greet=False) as server, pool(it=at(server.url)) as servers:
        upstream = servers.upstream("it", offered=Offered.of({"roots": {}}))
        assert await call(upstream, "act", asker=breaking) == "done"
    assert [error["code"] for error in told] == [-32600, -32603]
    assert "SECRET" not in str(told)


async def test_a_legacy_server_speaks_on_a_stream_of_its_own():
    ear, streams = Ear(), []

    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.method == "GET":
            streams.append(asked.headers.get("last-event-id"))
            change = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
            stream(writer, b"retry: 10\nid: 5\ndata: " + json.dumps(change).encode() + b"\n\n")
        elif not legacy(server, asked, writer):
            reply(writer, answered(asked))

    async with crooked(answer, greet=False) as server, pool(ear.hooks, it=at(server.url)) as servers:
        upstream = servers.upstream("it")
        assert await call(upstream, "act") == "done"
        await until(lambda: len(ear.notices) >= 2)
        assert upstream.version >= 3
    assert streams[:2] == [None, "5"]


async def test_a_modern_server_speaks_to_subscribers():
    ear, number = Ear(), []

    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        number.append(asked.json["id"])
        wanted = asked.json["params"]["notifications"]
        mark = {"_meta": {"io.modelcontextprotocol/subscriptionId": number[-1]}}
        method = "notifications/subscriptions/acknowledged"
        ready = {"jsonrpc": "2.0", "method": method, "params": {"notifications": wanted, **mark}}
        news = {
            "jsonrpc": "2.0",
            "method": "notifications/resources/updated",
            "params": {"uri": "a:b", **mark},
        }
        stream(writer, ready, end=False)
        await asyncio.sleep(0.05)
        writer.write(b"data: " + json.dumps(news).encode() + b"\n\n")

    async with crooked(answer) as server, pool(ear.hooks, it=at(server.url)) as servers:
        upstream = servers.upstream("it")
        await upstream.subscribe("a:b")
        await until(lambda: ear.notices)
        assert ear.notices == [("notifications/resources/updated", {"uri": "a:b"})]
        assert server.asked[-1].headers["mcp-method"] == "subscriptions/listen"
        await upstream.unsubscribe("a:b")


async def test_a_legacy_server_is_told_of_a_cancelled_request():
    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if not legacy(server, asked, writer):
            stream(writer, end=False)

    async with crooked(answer, greet=False) as server, pool(it=at(server.url)) as servers:
        task = asyncio.create_task(call(servers.upstream("it"), "act"))
        await until(lambda: any(one.json.get("method") == "tools/call" for one in server.asked))
        task.cancel()
        await until(lambda: server.asked[-1].json.get("method") == "notifications/cancelled")
        number = next(one.json["id"] for one in server.asked if one.json.get("method") == "tools/call")
        assert server.asked[-1].json["params"]["requestId"] == number


# --- Where a server may be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "private", "words"),
    [
        ("https://10.1.2.3/mcp", False, "not of the public internet"),
        ("https://169.254.169.254/mcp", False, "not of the public internet"),
        ("https://169.254.169.254/mcp", True, "metadata service"),
        ("https://[::ffff:10.0.0.1]/mcp", False, "not of the public internet"),
        ("https://[fd00:ec2::254]/mcp", True, "metadata service"),
        ("http://8.8.8.8/mcp", False, "only https"),
        ("https://inside.example/mcp", False, "not of the public internet"),
        ("https://user:pw@8.8.8.8/mcp", False, "is no URL"),
        ("ftp://8.8.8.8/mcp", False, "is no URL"),
        ("https://127.1/mcp", False, "is no URL"),
    ],
)
async def test_an_address_that_the_policy_does_not_mean_is_not_connected_to(url, private, words, monkeypatch):
    async def lookup(host: str) -> list[str]:
        return ["93.184.215.14", "192.168.0.7"]

    monkeypatch.setattr(resolve, "_system", lookup)
    async with pool(it=at(url, private=private)) as servers:
        with pytest.raises(BackendError, match=words):
            await servers.upstream("it").ensure()


async def test_a_name_is_resolved_once(monkeypatch):
    asked = []

    async def lookup(*args: Any, **options: Any) -> list[Any]:
        asked.append(args[0])
        return [(0, 0, 0, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", 1))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    route = Route(Place("https", "inside.example", 1, "/"), private=True)
    assert await route.addresses() == await route.addresses() == ("127.0.0.1",)
    assert asked == ["inside.example"]


async def test_a_certificate_that_does_not_hold(tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    self_signed(key, cert)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async with crooked(lambda s, a, w: None, ssl=context) as server, pool(it=at(server.url)) as servers:
        with pytest.raises(BackendError, match="its certificate does not hold"):
            await servers.upstream("it").ensure()
        assert server.asked == []


def self_signed(key: Path, cert: Path) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, own.public_key(), 1, now, now + timedelta(hours=1))
    cert.write_bytes(made.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


# --- What proves us ---------------------------------------------------------------------------------------

SECRET = "a-canary-of-a-secret"


def credential(*hosts: str) -> Credential:
    return Credential("token", Source.ENV, ("BLASTWALL_CANARY",), hosts)


async def test_a_credential_goes_to_its_server_and_comes_back_from_it_never(monkeypatch, caplog):
    monkeypatch.setenv("BLASTWALL_CANARY", SECRET)

    def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.json["params"]["name"] == "fail":
            error = {"code": -1, "message": f"Bearer {SECRET} is wrong"}
            reply(writer, {"jsonrpc": "2.0", "id": asked.json["id"], "error": error})
        elif asked.json["params"]["name"] == "stream":
            stream(writer, answered(asked, asked.headers["authorization"]))
        else:
            reply(writer, answered(asked, asked.headers["authorization"]))

    credentials = {"token": credential("127.0.0.1")}
    async with crooked(answer) as server:
        async with pool(it=at(server.url, credential="token"), credentials=credentials) as servers:
            upstream = servers.upstream("it")
            for tool in ("act", "stream"):
                assert await call(upstream, tool) == "Bearer [token]"
            with pytest.raises(UpstreamError) as info:
                await call(upstream, "fail")
        assert info.value.message == "Bearer [token] is wrong"
        assert server.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("name", "hosts", "words"),
    [
        ("token", ["other.example"], "is not for 127.0.0.1"),
        ("other", ["127.0.0.1"], "which the policy does not have"),
        ("token", ["127.0.0.1"], "set the environment variable BLASTWALL_CANARY"),
    ],
)
async def test_a_credential_that_can_not_be_used(name, hosts, words, monkeypatch):
    monkeypatch.delenv("BLASTWALL_CANARY", raising=False)
    async with crooked(lambda s, a, w: None) as server:
        credentials = {"token": credential(*hosts)}
        async with pool(it=at(server.url, credential=name), credentials=credentials) as servers:
            with pytest.raises(BackendError, match=words):
                await servers.upstream("it").ensure()
        assert server.asked == []


async def test_a_credential_that_was_replaced_is_read_anew(monkeypatch):
    monkeypatch.setenv("BLASTWALL_CANARY", "the-first-secret")

    def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        fresh = asked.headers["authorization"] == "Bearer the-second-secret"
        reply(writer, answered(asked)) if fresh else reply(writer, b"", "401 Who")

    credentials = {"token": credential("127.0.0.1")}
    async with crooked(answer) as server:
        async with pool(it=at(server.url, credential="token"), credentials=credentials) as servers:
            upstream = servers.upstream("it")
            with pytest.raises(BackendError, match="wants to know who asks"):
                await call(upstream, "act")
            monkeypatch.setenv("BLASTWALL_CANARY", "the-second-secret")
            assert await call(upstream, "act") == "done"


async def test_the_old_way_stays_with_its_host():
    async def answer(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        stream(writer, b"event: endpoint\ndata: http://127.0.0.1:9/elsewhere\n\n", end=False)

    async with crooked(answer, greet=False) as server:
        async with pool(it=at(server.url, transport="sse")) as servers:
            with pytest.raises(BackendError, match="another host"):
                await servers.upstream("it").ensure()
