"""What comes to an HTTP front and goes no further, whatever speaks MCP behind it."""

import asyncio
import contextlib
import json
import time

import anyio
import httpx
import pytest
from tests.adapters.mcp.http_rig import AUDIENCE, auth, keys, raw, serving, token

from blastwall.errors import BackendError
from blastwall_mcp.fronts import http_gate as _http_gate
from blastwall_mcp.fronts import http_server as _http_server
from blastwall_mcp.fronts.auth import Jwt, Tokens, metadata
from blastwall_mcp.fronts.http_door import Door
from blastwall_mcp.fronts.http_gate import Gate
from blastwall_mcp.fronts.jwks import KeySet
from blastwall_mcp.fronts.limits import Pool, Sessions

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {}}}
PAGE = "https://page.example"


class Behind:
    """What a request reaches that is let in: it counts, and can be made to wait."""

    def __init__(self):
        self.seen = []
        self.stolen_by = []
        self.wants = ""
        self.go = asyncio.Event()
        self.go.set()

    async def reached(self, times):
        async with asyncio.timeout(10):
            while len(self.seen) < times:  # noqa: ASYNC110  # by another task
                await asyncio.sleep(0.01)

    async def serve(self, caller, receive, send):
        self.seen.append((caller.head.method, caller))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b" two"})

    async def stolen(self, caller):
        self.stolen_by.append(caller.principal.name)

    async def wanting(self, caller):
        return self.wants


class Rig:
    def __init__(self, **options):
        self.behind = Behind()
        self.sessions = Sessions(4, 2)
        secured = auth(required=("mcp",), scopes={"mail": {"mail": ("*",)}, "files": {"*": ("*",)}})
        self.auth = secured if options.pop("tokens", False) else None
        self.options = {"most": 10_000, **options}
        self.url = ""

    async def __aenter__(self):
        async def fetch():
            return keys()

        proving = Tokens(Jwt(self.auth, KeySet(fetch))) if self.auth else None
        published = {"/.well-known/oauth-protected-resource/mcp": metadata(self.auth)} if self.auth else {}

        def build(port):
            door = Door("/mcp", frozenset({f"127.0.0.1:{port}"}), frozenset({PAGE}), frozenset(), published)
            self.gate = Gate(self.behind, door, self.sessions, auth=self.auth, tokens=proving, **self.options)
            return self.gate

        self._serving = serving(build)
        self.url, self.server = await self._serving.__aenter__()
        self.client = httpx.AsyncClient(base_url=self.url, timeout=10)
        return self

    async def __aexit__(self, *error):
        await self.client.aclose()
        await self._serving.__aexit__(*error)

    async def ask(self, method="POST", path="/mcp", **options):
        if method == "POST" and not {"content", "json"} & set(options):
            options["json"] = CALL
        return await self.client.request(method, path, **options)

    def untouched(self):
        return not self.behind.seen


async def test_a_plain_request_goes_through_as_it_was():
    async with Rig() as rig:
        answer = await rig.ask()
    assert answer.text == "one two"
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
    ((method, caller),) = rig.behind.seen
    assert method == "POST"
    assert {"jsonrpc": "2.0", **{name: getattr(caller.message, name) for name in CALL}} == CALL
    assert caller.principal.name == "local"


REFUSED = {
    "another host": (421, {"headers": {"host": "evil.example"}}),
    "a rebound host": (421, {"headers": {"host": "evil.example:80"}}),
    "a host that begins like ours": (421, {"headers": {"host": "127.0.0.1:1.evil.example"}}),
    "a foreign page": (403, {"headers": {"origin": "https://evil.example"}}),
    "a page without a name": (403, {"headers": {"origin": "null"}}),
    "an empty origin": (403, {"headers": {"origin": ""}}),
    "an origin that begins like an allowed one": (403, {"headers": {"origin": PAGE + ".evil.example"}}),
    "a foreign page's preflight": (403, {"method": "OPTIONS", "headers": {"origin": "https://evil.example"}}),
    "a preflight of nobody": (405, {"method": "OPTIONS"}),
    "another path": (404, {"path": "/"}),
    "a path that begins like ours": (404, {"path": "/mcp/x"}),
    "a path that climbs": (404, {"path": "/x/%2e%2e/mcp"}),
    "a foreign page on another path": (403, {"path": "/", "headers": {"origin": "https://evil.example"}}),
    "a token in the query": (400, {"path": "/mcp?access_token=x"}),
    "another method": (405, {"method": "PUT"}),
    "a trace": (405, {"method": "TRACE"}),
    "a batch": (400, {"json": [CALL, CALL]}),
    "no JSON": (400, {"content": b"hello"}),
    "nothing": (400, {"content": b""}),
    "a text": (400, {"json": "tools/call"}),
    "UTF-16": (400, {"content": json.dumps(CALL).encode("utf-16")}),
    "invalid UTF-8": (400, {"content": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'}),
    "not a number": (400, {"content": b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}'}),
    "deep nesting": (400, {"content": b'{"method":"x","id":1,"params":' + b"[" * 3000 + b"]" * 3000 + b"}"}),
    "an id of many letters": (400, {"json": {**CALL, "id": "x" * 257}}),
    "an id of many digits": (400, {"content": b'{"method":"x","id":1' + b"0" * 400 + b"}"}),
    "an id that is true": (400, {"json": {**CALL, "id": True}}),
    "an id that is a list": (400, {"json": {**CALL, "id": []}}),
    "an id that is null": (400, {"json": {**CALL, "id": None}}),
    "a method that is no text": (400, {"json": {**CALL, "method": 7}}),
    "a long body": (413, {"content": b" " * 10_001}),
    "a session that nobody has": (404, {"headers": {"mcp-session-id": "0" * 32}}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_reaches_nothing(case):
    status, options = REFUSED[case]
    async with Rig() as rig:
        answer = await rig.ask(**options)
    assert answer.status_code == status, answer.text
    assert rig.untouched()
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "name", ["Origin", "Authorization", "Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name"]
)
async def test_a_header_that_is_there_twice_is_refused(name):
    async with Rig() as rig:
        pairs = [("host", rig.url.removeprefix("http://")), (name, PAGE), (name, PAGE)]
        answer = await rig.ask(headers=pairs)
    assert answer.status_code == 400
    assert rig.untouched()


async def test_a_body_of_unknown_length_is_cut_off_all_the_same():
    async def forever():
        while True:
            yield b" " * 1000

    async with Rig() as rig:
        # The answer may be lost with the connection, which is not kept for the rest of the body.
        with contextlib.suppress(httpx.HTTPError):
            assert (await rig.ask(content=forever())).status_code == 413
    assert rig.untouched()


SMUGGLED = {
    "two lengths": b"Content-Length: 4\r\nContent-Length: 60\r\n\r\nabcd",
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks with a space": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "other chunks": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a length that is none": b"Content-Length: +4\r\n\r\nabcd",
    "a folded header": b"Content-Length: 4\r\n X: y\r\n\r\nabcd",
    "two hosts": b"Host: evil.example\r\nContent-Length: 4\r\n\r\nabcd",
}


@pytest.mark.parametrize("shape", SMUGGLED)
async def test_no_request_hides_behind_another(shape):
    async with Rig() as rig:
        host = rig.url.removeprefix("http://").encode()
        hidden = b"POST /mcp HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 2\r\n\r\n{}"
        first = b"POST /mcp HTTP/1.1\r\nHost: " + host + b"\r\n" + SMUGGLED[shape]
        got = await raw(rig.url, first + hidden, wait_s=1)
    assert got.startswith(b"HTTP/1.1 4"), got
    assert got.count(b"HTTP/1.1") == 1, "what came after it must not be answered"
    assert rig.untouched()


# --- Browsers -----------------------------------------------------------------------------------------


async def test_a_page_of_an_allowed_origin_may_read_the_answers_and_no_other():
    async with Rig() as rig:
        asked = await rig.ask("OPTIONS", headers={"origin": PAGE, "access-control-request-method": "POST"})
        answered = await rig.ask(headers={"origin": PAGE})
        failed = await rig.ask("PUT", headers={"origin": PAGE})
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, PAGE)
    assert answered.headers["access-control-allow-origin"] == PAGE
    assert answered.headers["vary"] == "Origin"
    assert failed.status_code == 405
    assert len(rig.behind.seen) == 1


# --- Tokens -------------------------------------------------------------------------------------------


def bearing(text):
    return {"authorization": f"Bearer {text}"}


async def test_without_a_token_the_client_learns_where_to_get_one():
    async with Rig(tokens=True) as rig:
        answer = await rig.ask()
        document = await rig.ask("GET", "/.well-known/oauth-protected-resource/mcp")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        'Bearer scope="mcp", resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'
    )
    assert document.json()["resource"] == AUDIENCE
    assert rig.untouched()


@pytest.mark.parametrize(
    "given", ["Basic YTpi", "Bearer", "Bearer x", "bearer x y", "Bearer " + "x" * 20_000], ids=str
)
async def test_what_is_no_token_of_ours_is_refused(given):
    async with Rig(tokens=True) as rig:
        answer = await rig.ask(headers={"authorization": given})
    assert answer.status_code == 401
    assert "resource_metadata=" in answer.headers["www-authenticate"]
    assert rig.untouched()


async def test_a_token_that_lacks_what_everybody_needs_is_told_so():
    async with Rig(tokens=True) as rig:
        answer = await rig.ask(headers=bearing(token(scope="other")))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="mcp"' in answer.headers["www-authenticate"]


async def test_a_call_that_needs_more_is_told_what_to_ask_for():
    async with Rig(tokens=True) as rig:
        rig.behind.wants = "mail"
        answer = await rig.ask(headers=bearing(token(scope="mcp files else")))
    assert answer.status_code == 403
    assert 'scope="mcp files mail"' in answer.headers["www-authenticate"]
    assert rig.untouched()


async def test_tokens_that_nobody_can_check_let_nobody_in():
    class Down:
        async def prove(self, _):
            raise BackendError("SECRET is down")

    async with Rig(tokens=True) as rig:
        rig.gate._tokens = Tokens(Down())
        answer = await rig.ask(headers=bearing(token()))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "SECRET" not in answer.text
    assert rig.untouched()


async def test_a_stream_ends_with_its_token(monkeypatch):
    async with Rig(tokens=True) as rig:
        rig.behind.go.clear()
        began = time.monotonic()
        with anyio.fail_after(10):
            answer = await rig.ask("GET", headers=bearing(token(exp=int(time.time()) + 2)))
    assert answer.text == "one"
    assert time.monotonic() - began < 8


# --- Sessions -----------------------------------------------------------------------------------------


async def test_a_session_is_its_principal_s_alone():
    async with Rig(tokens=True) as rig:
        ann, bob = (bearing(token(sub=who)) for who in ("ann", "bob"))
        await rig.ask(headers=ann)
        rig.sessions.opened("s1", rig.behind.seen[0][1].principal.name)
        mine = await rig.ask(headers={**ann, "mcp-session-id": "s1"})
        taken = [
            await rig.ask(method, headers={**bob, "mcp-session-id": "s1"})
            for method in ("POST", "GET", "DELETE")
        ]
        guessed = await rig.ask(headers={**bob, "mcp-session-id": "s2"})
        other_client = await rig.ask(headers={**bearing(token(client_id="evil")), "mcp-session-id": "s1"})
    assert mine.status_code == 200
    assert [answer.status_code for answer in taken] == [404, 404, 404]
    assert (guessed.status_code, guessed.content) == (404, taken[0].content)  # nothing tells them apart
    assert other_client.status_code == 404
    assert len(rig.behind.stolen_by) == 4
    assert len(rig.behind.seen) == 2


async def test_a_request_whose_id_is_being_answered_is_refused():
    async with Rig() as rig:
        rig.sessions.opened("s1", "local")
        rig.behind.go.clear()
        headers = {"mcp-session-id": "s1"}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rig.ask(headers=headers))
            await rig.behind.reached(1)
            again = await rig.ask(headers=headers, json={**CALL, "id": "1"})  # the transport's keys are texts
            other = tasks.create_task(rig.ask(headers=headers, json={**CALL, "id": 2}))
            rig.behind.go.set()
        later = await rig.ask(headers=headers)
    assert again.status_code == 400
    assert other.result().status_code == later.status_code == 200


# --- Limits -------------------------------------------------------------------------------------------


async def test_one_principal_can_t_take_all_there_is():
    async with Rig(tokens=True) as rig:
        rig.gate._requests = Pool(3, 2)
        rig.behind.go.clear()
        ann, bob, eve = (bearing(token(sub=who)) for who in ("ann", "bob", "eve"))
        async with asyncio.TaskGroup() as tasks:
            going = [tasks.create_task(rig.ask(headers=ann)) for _ in range(2)]
            await rig.behind.reached(2)
            mine = await rig.ask(headers=ann)
            notice = tasks.create_task(rig.ask(headers=bob, json={"jsonrpc": "2.0", "method": "x"}))
            going.append(tasks.create_task(rig.ask(headers=bob)))
            await rig.behind.reached(4)
            full = await rig.ask(headers=eve)
            rig.behind.go.set()
        after = await rig.ask(headers=ann)
    assert (mine.status_code, full.status_code) == (429, 503)
    assert mine.headers["retry-after"] == full.headers["retry-after"] == "1"
    assert [task.result().status_code for task in going] == [200, 200, 200]
    assert notice.result().status_code == after.status_code == 200


async def test_sessions_are_counted_for_each_and_for_all():
    async with Rig(tokens=True) as rig:
        start = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
        people = [bearing(token(sub=who)) for who in ("ann", "bob", "eve")]
        for header in people[:2]:
            for number in range(2):
                await rig.ask(headers=header, json=start)
                who = rig.behind.seen[-1][1].principal.name
                rig.sessions.opened(f"{who}{number}", who)
        mine = await rig.ask(headers=people[0], json=start)
        full = await rig.ask(headers=people[2], json=start)
        rig.sessions.closed(f"{who}0")
        after = await rig.ask(headers=people[2], json=start)
    assert [answer.status_code for answer in (mine, full, after)] == [429, 503, 200]


async def test_a_body_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr("blastwall_mcp.fronts.http_body.BODY_S", 0.3)
    async with Rig() as rig:
        host = rig.url.removeprefix("http://").encode()
        got = await raw(rig.url, b"POST /mcp HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 100\r\n\r\n{")
    assert got.startswith(b"HTTP/1.1 408")
    assert rig.untouched()


@pytest.mark.parametrize("begun", [b"", b"POST /mcp HTTP/1.1\r\nHost: "], ids=["nothing", "half a head"])
async def test_a_head_that_takes_too_long_is_given_up(begun, monkeypatch):
    monkeypatch.setattr(_http_server, "HEAD_S", 0.3)
    async with Rig() as rig:
        began = time.monotonic()
        assert await raw(rig.url, begun) == b""
        assert time.monotonic() - began < 3
        assert (await rig.ask()).status_code == 200


async def test_half_a_second_head_on_an_open_connection_is_given_up_too(monkeypatch):
    monkeypatch.setattr(_http_server, "HEAD_S", 0.3)
    async with Rig() as rig:
        body = json.dumps(CALL).encode()
        host = rig.url.removeprefix("http://").encode()
        head = b"POST /mcp HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        began = time.monotonic()
        got = await raw(rig.url, head + body + b"POST /mcp HT")
    assert got.count(b"HTTP/1.1 200") == 1
    assert time.monotonic() - began < 3


async def test_more_connections_than_there_are_places_for_are_dropped(monkeypatch):
    monkeypatch.setattr(_http_server, "CONNECTIONS", 2)
    async with Rig() as rig:
        held = [await asyncio.open_connection("127.0.0.1", int(rig.url.rpartition(":")[2])) for _ in range(2)]
        assert await raw(rig.url, b"GET / HTTP/1.1\r\n\r\n", wait_s=2) == b""
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert (await rig.ask()).status_code == 200


async def test_a_client_that_does_not_read_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(_http_gate, "SEND_S", 0.2)
    out = _http_gate._Out(lambda _: asyncio.sleep(60))
    with pytest.raises(TimeoutError):
        await out({"type": "http.response.body", "body": b"x", "more_body": True})


# --- The end ------------------------------------------------------------------------------------------


async def test_at_the_end_streams_are_cut_and_answers_are_not():
    async with Rig() as rig:
        rig.behind.go.clear()
        async with asyncio.TaskGroup() as tasks:
            stream = tasks.create_task(rig.ask("GET"))
            call = tasks.create_task(rig.ask())
            await rig.behind.reached(2)
            rig.gate.close()
            assert (await stream).text == "one"
            late = await rig.ask()
            rig.behind.go.set()
        assert call.result().text == "one two"
        assert late.status_code == 503


# --- Eras ---------------------------------------------------------------------------------------------


async def test_a_front_of_one_era_refuses_the_other():
    modern = {"mcp-protocol-version": "2026-07-28"}
    async with Rig(era="modern") as rig:
        assert (await rig.ask(headers=modern)).status_code == 200
        refused = await rig.ask()
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == -32022
        assert refused.json()["error"]["data"]["supported"] == ["2026-07-28"]
    async with Rig(era="legacy") as rig:
        assert (await rig.ask()).status_code == 200
        refused = await rig.ask(headers=modern)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
