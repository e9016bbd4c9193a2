"""What the HTTP front makes of a request is what the SDK's own server makes of it, in both eras."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest
from mcp import MCPError
from mcp.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from tests.adapters.mcp.http_rig import raw, serving
from tests.adapters.mcp.rig import behind, policy
from tests.adapters.mcp.test_http_app import SCHEMA, Answering, fronted, until

from blastwall.guard import Guard
from blastwall_mcp.fronts import http_server, http_stream
from blastwall_mcp.fronts.http_server import _Joined
from blastwall_mcp.fronts.http_stream import Stopped, Stream

VERSION = "2026-07-28"
KEY = "io.modelcontextprotocol/"
ENVELOPE = {KEY + "protocolVersion": VERSION, KEY + "clientCapabilities": {}}
BOTH = "application/json, text/event-stream"
HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HANDSHAKE}


@asynccontextmanager
async def by_the_sdk(engine):
    """Serve an engine by the SDK's server, of which nothing but the transports is used."""
    server = Server("x", get_tool_input_schema=lambda name: SCHEMA if name == "echo" else None)

    async def message(ctx, call_next):
        if ctx.request_id is None:
            return None
        if ctx.method == "initialize" and ctx.protocol_version != VERSION and engine.asked:
            raise MCPError(-32600, "this session is initialized")
        client = type("Client", (), {"version": ctx.protocol_version})
        try:
            return await engine.request(client, ctx.session._request_outbound, ctx.method, ctx.params)
        except RuntimeError:
            raise MCPError(-32603, "the proxy broke") from None

    server.middleware[:] = [message]
    anywhere = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(streamable_http_path="/mcp", transport_security=anywhere)
    async with app.router.lifespan_context(app), serving(lambda port: app) as (url, _):
        yield f"{url}/mcp"


def call(name="echo", arguments=None, headers=None, **other):
    """Give a call of the modern era, with other headers or another body (None takes one away)."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments or {}, "_meta": ENVELOPE},
        **other,
    }
    given = {"Mcp-Protocol-Version": VERSION, "Mcp-Method": "tools/call", "Mcp-Name": name} | (headers or {})
    return "POST", given, {key: value for key, value in body.items() if value is not None}


def enveloped(envelope):
    return {"name": "echo", "_meta": envelope}


MODERN = {
    "a call": call(),
    "a refusal": call("refused"),
    "a failure": call("broken"),
    "an id that is a text": call(id="x"),
    "an unknown method": call(method="no/such", headers={"Mcp-Method": "no/such"}),
    "a notification": call(id=None, method="notifications/cancelled"),
    "a notification of an unknown version": call(id=None, headers={"Mcp-Protocol-Version": "2099-01-01"}),
    "a notification with a list": call(id=None, params=[]),
    "an answer": call(method=None, params=None, result={}),
    "an error": call(method=None, params=None, error={"code": 1, "message": "x"}),
    "no version of JSON-RPC": call(jsonrpc=None),
    "another version of JSON-RPC": call(jsonrpc="1.0"),
    "no parameters": call(params=None),
    "a list of parameters": call(params=[]),
    "no envelope": call(params={"name": "echo"}),
    "an envelope that is a list": call(params=enveloped([])),
    "half an envelope": call(params=enveloped({KEY + "protocolVersion": VERSION})),
    "the other half": call(params=enveloped({KEY + "clientCapabilities": {}})),
    "an envelope of another version": call(params=enveloped({**ENVELOPE, KEY + "protocolVersion": "2099"})),
    "an envelope with a number": call(params=enveloped({**ENVELOPE, KEY + "protocolVersion": 7})),
    "a header of another version": call(headers={"Mcp-Protocol-Version": "2099-01-01"}),
    "another version in both": call(
        params=enveloped({**ENVELOPE, KEY + "protocolVersion": "2099"}),
        headers={"Mcp-Protocol-Version": "2099"},
    ),
    "another method in the header": call(headers={"Mcp-Method": "tools/list"}),
    "an empty method in the header": call(headers={"Mcp-Method": ""}),
    "another name in the header": call(headers={"Mcp-Name": "other"}),
    "a name in other letters": call(headers={"Mcp-Name": "ECHO"}),
    "a name in base64": call(headers={"Mcp-Name": "=?base64?ZWNobw==?="}),
    "a name in base64 of another": call(headers={"Mcp-Name": "=?base64?b3RoZXI=?="}),
    "a name in broken base64": call(headers={"Mcp-Name": "=?base64?ZWNobw?="}),
    "an argument that is mirrored": call(arguments={"where": "a"}, headers={"Mcp-Param-Where": "a"}),
    "an argument in base64": call(arguments={"where": "a"}, headers={"Mcp-Param-Where": "=?base64?YQ==?="}),
    "an argument that is not mirrored": call(arguments={"where": "a"}),
    "another argument in the header": call(arguments={"where": "a"}, headers={"Mcp-Param-Where": "b"}),
    "an argument in the header alone": call(headers={"Mcp-Param-Where": "a"}),
    "arguments that are a list": call(params={"name": "refused", "arguments": [], "_meta": ENVELOPE}),
    "a header that mirrors nothing": call(headers={"Mcp-Param-Other": "a"}),
    "only JSON accepted": call(headers={"Accept": "application/json"}),
    "only events accepted": call(headers={"Accept": "text/event-stream"}),
    "anything accepted": call(headers={"Accept": "*/*"}),
    "any application and any text": call(headers={"Accept": "application/*;q=0.5, TEXT/*"}),
    "something else accepted": call(headers={"Accept": "text/html"}),
    "text": call(headers={"Content-Type": "text/plain"}),
    "JSON with a charset": call(headers={"Content-Type": "Application/JSON; charset=utf-8"}),
    "a GET": ("GET", {"Mcp-Protocol-Version": VERSION}, None),
    "a DELETE": ("DELETE", {"Mcp-Protocol-Version": VERSION}, None),
    "a batch": ("POST", call()[1], [call()[2]]),
    "half of it": ("POST", call()[1], json.dumps(call()[2])[:-1]),
    "nothing": ("POST", call()[1], ""),
    "not UTF-8": ("POST", call()[1], json.dumps(call()[2]).encode()[:-4] + b'\xff"}}}'),
    "a name twice": ("POST", call()[1], json.dumps(call()[2])[:-1] + ', "id": 5}'),
    "very deep": ("POST", call()[1], '{"jsonrpc":"2.0","id":1,"params":' + "[" * 5000 + "]" * 5000 + "}"),
}


def say(method="tools/call", params=None, headers=None, **other):
    """Give a message of the legacy era."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": method,
        "params": params or {"name": "echo", "arguments": {}},
    }
    return "POST", headers or {}, {key: value for key, value in (body | other).items() if value is not None}


LEGACY = {
    "a call": say(),
    "a refusal": say(params={"name": "refused"}),
    "a failure": say(params={"name": "broken"}),
    "an id that is a text": say(id="x"),
    "an unknown method": say("no/such"),
    "a second handshake": say("initialize", HANDSHAKE),
    "a notification": say("notifications/progress", id=None),
    "a cancellation of nothing": say("notifications/cancelled", {"requestId": 7}, id=None),
    "a cancellation of what can't be": say("notifications/cancelled", {"requestId": [1]}, id=None),
    "a notification with a list": say("notifications/progress", id=None, params=[]),
    "an answer to nothing": say(None, params=None, result={}),
    "an error to nothing": say(None, error={"code": 1, "message": "x"}),
    "an answer that is none": say(None, result=[]),
    "an error that is none": say(None, error={"code": "1"}),
    "no version of JSON-RPC": say(jsonrpc=None),
    "a list of parameters": say(params=[1]),
    "no session": say(headers={"Mcp-Session-Id": ""}),
    "a session that nobody has": say(headers={"Mcp-Session-Id": "0" * 32}),
    "a version of the era": say(headers={"Mcp-Protocol-Version": "2025-06-18"}),
    "only JSON accepted": say(headers={"Accept": "application/json"}),
    "only events accepted": say(headers={"Accept": "text/event-stream"}),
    "anything accepted": say(headers={"Accept": "*/*"}),
    "text": say(headers={"Content-Type": "text/plain"}),
    "a GET that takes no events": ("GET", {"Accept": "application/json"}, None),
    "a GET without a session": ("GET", {"Mcp-Session-Id": ""}, None),
    "a DELETE": ("DELETE", {}, None),
    "a DELETE without a session": ("DELETE", {"Mcp-Session-Id": ""}, None),
    "half of it": ("POST", {}, json.dumps(say()[2])[:-1]),
}


@pytest.fixture
def guard(tmp_path):
    return Guard.from_file(policy(tmp_path, {"x": behind("good.py", tmp_path)}))


async def told(http, url, request, session=""):
    """Give what counts of an answer: its status, and its result or the code of its error, with its id."""
    method, headers, body = request
    given = {"Accept": BOTH, "Content-Type": "application/json"}
    given |= ({"Mcp-Session-Id": session} if session else {}) | headers
    content = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    sent = {name: value for name, value in given.items() if value or name == "Mcp-Method"}
    answer = await http.request(method, url, headers=sent, content=content)
    text = answer.text
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        text = [line[6:] for line in text.splitlines() if line.startswith("data: {")][-1]
    if not text.startswith("{"):
        return answer.status_code, None, answer.headers.get("allow")
    said = json.loads(text)
    found = said["result"] if "result" in said else (said["error"]["code"], said["error"].get("data"))
    return answer.status_code, (said["id"], found), answer.headers.get("allow")


async def opened(http, url):
    answer = await http.post(url, headers={"Accept": BOTH}, json=HELLO)
    return answer.headers["mcp-session-id"]


@pytest.mark.parametrize("case", MODERN)
async def test_the_modern_era_is_answered_as_by_the_sdk(case, guard):
    async with httpx.AsyncClient(timeout=20) as http:
        async with by_the_sdk(Answering()) as url:
            expected = await told(http, url, MODERN[case])
        async with fronted(guard, engine := Answering()) as (url, _):
            found = await told(http, url, MODERN[case])
    assert_same(found, expected)
    assert found[0] != 200 or engine.asked


@pytest.mark.parametrize("case", LEGACY)
async def test_the_legacy_era_is_answered_as_by_the_sdk(case, guard):
    async with httpx.AsyncClient(timeout=20) as http:
        async with by_the_sdk(Answering()) as url:
            expected = await told(http, url, LEGACY[case], await opened(http, url))
        async with fronted(guard, Answering()) as (url, _):
            found = await told(http, url, LEGACY[case], await opened(http, url))
    assert_same(found, expected)


def assert_same(found, expected):
    assert (found[0], found[2]) == (expected[0], expected[2])
    if expected[1] is not None:  # where HTTP alone answers, the SDK has no words for it
        assert found[1] == expected[1]


# --- Before the answer, and instead of it -------------------------------------------------------------


def posted(url, request, session=""):
    """Give a request as bytes, for who does not wait for its answer."""
    method, headers, body = request
    content = json.dumps(body).encode()
    host = url.removeprefix("http://").partition("/")[0]
    given = {"Host": host, "Accept": BOTH, "Content-Type": "application/json", **headers}
    given |= {"Mcp-Session-Id": session} if session else {}
    lines = [f"{method} /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


WITH_PROGRESS = {"name": "progress", "arguments": {}, "_meta": {**ENVELOPE, "progressToken": "p"}}


async def test_what_comes_before_the_answer_makes_events_of_it(guard):
    async with fronted(guard, Answering()) as (url, _), httpx.AsyncClient() as http:
        for request, session in (
            (call("progress", params=WITH_PROGRESS), ""),
            (say(params=WITH_PROGRESS), await opened(http, url)),
        ):
            answer = await http.post(
                url,
                headers={"Accept": BOTH, **request[1], **({"Mcp-Session-Id": session} if session else {})},
                json=request[2],
            )
            assert answer.headers["content-type"] == "text/event-stream"
            said = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
            assert [one.get("method") for one in said] == [
                "notifications/progress",
                "notifications/message",
                None,
            ]
            assert said[0]["params"]["progressToken"] == "p"
            assert said[2]["id"] == 1


async def test_many_things_said_at_once_come_whole_and_before_the_answer(guard):
    class Talking(Answering):
        async def echo(self, client, ctx, params):
            words = (ctx.notify("notifications/message", {"data": "x" * n}) for n in range(0, 50_000, 1000))
            await asyncio.gather(*words)
            return {"content": []}

    async with fronted(guard, Talking()) as (url, _), httpx.AsyncClient() as http:
        answer = await http.post(url, headers={"Accept": BOTH, **call()[1]}, json=call()[2])
    said = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [len(one["params"]["data"]) for one in said[:-1]] == list(range(0, 50_000, 1000))
    assert said[-1]["result"] == {"content": []}


async def test_calls_at_the_same_time_get_each_its_own_answer(guard):
    async with fronted(guard, Answering()) as (url, _), httpx.AsyncClient() as http:
        session = await opened(http, url)
        asked = [call(arguments={"text": str(n)}, id=n) for n in range(20)]
        asked += [say(params={"name": "echo", "arguments": {"text": str(n)}}, id=n) for n in range(20)]
        found = await asyncio.gather(
            *(told(http, url, one, session * (n > 19)) for n, one in enumerate(asked))
        )
    assert [(number, result["content"][0]["text"]) for _, (number, result), _ in found] == [
        (n, str(n)) for n in (*range(20), *range(20))
    ]


async def test_a_modern_client_that_is_gone_ends_its_call_and_a_legacy_one_does_not(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), httpx.AsyncClient() as http:
        session = await opened(http, url)
        origin = url.removesuffix("/mcp")
        await raw(origin, posted(url, say(params={"name": "wait"}), session), 0.5)
        await asyncio.sleep(0.2)
        assert not engine.cancelled.is_set()  # a lost connection is no cancellation there
        await http.post(
            url,
            headers={"Accept": BOTH, "Mcp-Session-Id": session},
            json={"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "1"}},
        )
        await until(engine.cancelled.is_set)
        engine.cancelled.clear()
        await raw(origin, posted(url, call("wait")), 0.5)
        await until(engine.cancelled.is_set)


async def test_a_session_that_ends_takes_its_calls_with_it(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), httpx.AsyncClient(timeout=20) as http:
        session = await opened(http, url)
        going = asyncio.create_task(told(http, url, say(params={"name": "wait"}), session))
        await until(lambda: len(engine.asked) == 2)
        assert (await told(http, url, ("DELETE", {}, None), session))[0] == 200
        assert engine.cancelled.is_set()
        assert (await going)[1][1] == (-32800, None)
        assert (await told(http, url, say(), session))[0] == 404
    (client,) = engine.closed_by
    assert client.session.id


async def test_an_id_is_one_request_s_in_a_session_whatever_its_method(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), httpx.AsyncClient(timeout=20) as http:
        session = await opened(http, url)
        going = asyncio.create_task(told(http, url, say(params={"name": "wait"}), session))
        await until(lambda: len(engine.asked) == 2)
        for method in ("tools/call", "subscriptions/listen"):
            assert (await told(http, url, say(method), session))[0] == 400
        await told(http, url, ("DELETE", {}, None), session)
        assert (await going)[1][1] == (-32800, None)


async def test_who_waits_is_pinged(guard, monkeypatch):
    monkeypatch.setattr(http_stream, "PING_S", 0.05)
    async with fronted(guard, Answering()) as (url, _), httpx.AsyncClient() as http:
        session = await opened(http, url)
        for request in (posted(url, call("wait")), posted(url, say(params={"name": "wait"}), session)):
            assert (await raw(url.removesuffix("/mcp"), request, 1)).count(b": ping\r\n") > 2


@pytest.mark.parametrize("tied", [True, False])
async def test_a_client_that_does_not_read_is_told_nothing_more(tied):
    sent = []

    async def send(event):
        sent.append(event)
        raise TimeoutError

    async def work():
        await stream.notify("notifications/message", None)
        await stream.notify("notifications/message", None)
        await asyncio.sleep(0.1)
        return "done"

    stream = Stream(lambda: asyncio.sleep(60), send)
    if tied:
        with pytest.raises(Stopped):
            await stream.during(work(), tied=True)
    else:
        assert await stream.during(work(), tied=False) == "done"
    await stream.answer({"id": 1, "result": {}})
    assert len(sent) == 1


async def test_an_answer_leaves_in_one_piece(guard, monkeypatch):
    pieces = []

    class Watched(_Joined):
        def __init__(self, transport):
            super().__init__(SimpleNamespace(write=lambda data: (pieces.append(data), transport.write(data))))
            self.__dict__["_real"] = transport

        def __getattr__(self, name):
            return getattr(self.__dict__["_real"], name)

    monkeypatch.setattr(http_server, "_Joined", Watched)
    async with fronted(guard, Answering()) as (url, _), httpx.AsyncClient() as http:
        answer = await http.post(url, headers={"Accept": BOTH, **call()[1]}, json=call()[2])
    assert answer.status_code == 200
    assert next(piece for piece in pieces if piece).endswith(answer.content)


async def test_a_result_that_has_no_form_in_json_is_an_error(guard):
    class Odd(Answering):
        async def echo(self, client, ctx, params):
            return {"content": [object()]}

    async with fronted(guard, Odd()) as (url, _), httpx.AsyncClient() as http:
        assert (await told(http, url, call()))[1] == (1, (-32603, None))


# --- Sessions ----------------------------------------------------------------------------------------------


async def test_only_the_session_that_was_asked_can_answer(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), httpx.AsyncClient(timeout=20) as http:
        one, other = await opened(http, url), await opened(http, url)
        assert one != other
        going = asyncio.create_task(told(http, url, say(params={"name": "ask"}), one))
        await until(lambda: any(method == "tools/call" for _, method, _ in engine.asked))
        await asyncio.sleep(0.1)
        answer = say(None, params=None, result={"roots": []})
        del answer[2]["params"]
        for session, number in ((other, 1), (one, 2), (one, "x")):
            await told(http, url, (*answer[:2], {**answer[2], "id": number}), session)
        await asyncio.sleep(0.1)
        assert not going.done()
        await told(http, url, (*answer[:2], {**answer[2], "id": "1"}), one)
        _, (_, result), _ = await going
    assert json.loads(result["content"][0]["text"]) == {"roots": []}


async def test_there_is_one_stream_for_what_is_about_no_request(guard):
    engine = Answering()
    async with fronted(guard, engine) as (url, _), httpx.AsyncClient(timeout=20) as http:
        headers = {"Accept": BOTH, "Mcp-Session-Id": await opened(http, url)}
        await http.post(url, headers=headers, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        await until(lambda: engine.opened_by)
        (client,) = engine.opened_by
        with pytest.raises(MCPError, match="does not listen"):
            await client.channel.send_raw_request("roots/list", None)
        async with http.stream("GET", url, headers=headers) as stream:
            assert (await http.get(url, headers=headers)).status_code == 409
            lines = stream.aiter_lines()
            await client.channel.notify("notifications/tools/list_changed", None)
            asking = asyncio.create_task(client.channel.send_raw_request("roots/list", None))
            data = [json.loads((await said(lines))[6:]) for _ in range(2)]
            assert [one["method"] for one in data] == ["notifications/tools/list_changed", "roots/list"]
            failed = {"jsonrpc": "2.0", "id": data[1]["id"], "error": {"code": -1, "message": "no"}}
            await http.post(url, headers=headers, json=failed)
            with pytest.raises(MCPError, match="no"):
                await asking
            lost = asyncio.create_task(client.channel.send_raw_request("roots/list", None))
            await said(lines)
            await http.delete(url, headers=headers)
            assert [line async for line in lines if line.startswith("data")] == []
            with pytest.raises(MCPError, match="Connection closed"):
                await lost


async def said(lines):
    async for line in lines:
        if line.startswith("data: "):
            return line
    raise AssertionError("it ended")
