"""Two sides speak over pipes: each gets the answers to what it asked, whatever the other side does."""

import asyncio
import json
import os
import select
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import anyio
import pytest
from mcp.client.session import ClientSession
from mcp.shared.dispatcher import CallOptions, DispatchContext, Dispatcher
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.transport_context import TransportContext

from blastwall_mcp.wire import wire as _wire
from blastwall_mcp.wire.context import Context
from blastwall_mcp.wire.lines import MAX_LINE
from blastwall_mcp.wire.wire import Wire, connect


class Peer:
    """The other side, by hand: what it writes, and what it got."""

    def __init__(self, source: int, sink: int) -> None:
        self._in, self._read = source, b""
        self._out = os.fdopen(sink, "wb", 0)

    def write(self, *messages: dict[str, Any] | bytes) -> None:
        for one in messages:
            self._out.write(
                one if isinstance(one, bytes) else json.dumps({"jsonrpc": "2.0", **one}).encode() + b"\n"
            )

    async def read(self) -> dict[str, Any]:
        with anyio.fail_after(5):
            while b"\n" not in self._read:
                await anyio.wait_readable(self._in)
                self._read += os.read(self._in, 1 << 20)
        line, self._read = self._read.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def silent(self) -> bool:
        return not self._read and not select.select([self._in], [], [], 0)[0]

    def hang_up(self) -> None:
        self._out.close()

    def stop_listening(self) -> None:
        if self._in >= 0:
            os.close(self._in)
        self._in = -1

    def close(self) -> None:
        self.stop_listening()
        self.hang_up()


async def echo(context: Any, method: str, params: Any) -> dict[str, Any]:
    return {"method": method, "params": params}


async def deaf(context: Any, method: str, params: Any) -> None:
    pass


@asynccontextmanager
async def wired(on_request=echo, on_notify=deaf) -> AsyncGenerator[tuple[Wire, Peer]]:
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    peer = Peer(theirs_in, theirs_out)
    wire = await connect(os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0), "the peer")
    async with anyio.create_task_group() as group:
        group.start_soon(wire.run, on_request, on_notify)
        try:
            yield wire, peer
        finally:
            peer.close()
            group.cancel_scope.cancel()


def conforms(wire: Wire, context: Context) -> tuple[Dispatcher[Any], DispatchContext[TransportContext]]:
    """Let mypy say that we keep to mcp's protocols."""
    return wire, context


async def asked(wire: Wire, peer: Peer, method: str = "m", **opts: Any) -> "tuple[asyncio.Task[Any], Any]":
    options = cast("CallOptions", opts)
    task = asyncio.create_task(wire.send_raw_request(method, {"x": 1}, options))
    return task, (await peer.read())["id"]


async def test_a_request_is_answered():
    async with wired() as (_, peer):
        peer.write({"id": "a", "method": "m", "params": {"x": 1}})
        assert await peer.read() == {
            "jsonrpc": "2.0",
            "id": "a",
            "result": {"method": "m", "params": {"x": 1}},
        }


async def test_what_comes_before_anybody_runs_is_kept():
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    peer = Peer(theirs_in, theirs_out)
    peer.write({"id": 1, "method": "m"})
    wire = await connect(os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0), "the peer")
    await asyncio.sleep(0.01)
    async with anyio.create_task_group() as group:
        group.start_soon(wire.run, echo, deaf)
        assert (await peer.read())["result"]["method"] == "m"
        peer.close()


async def test_answers_find_their_requests_in_any_order():
    async with wired() as (wire, peer):
        tasks = [await asked(wire, peer) for _ in range(3)]
        for _, number in reversed(tasks):
            peer.write({"id": number, "result": {"n": number}})
        assert [await task for task, _ in tasks] == [{"n": number} for _, number in tasks]


async def test_wrong_and_second_answers_are_dropped():
    async with wired() as (wire, peer):
        task, number = await asked(wire, peer)
        peer.write({"id": 999, "result": {"forged": 1}}, {"id": "x", "error": {"code": 1, "message": ""}})
        peer.write({"id": str(number), "result": {"n": 1}}, {"id": number, "result": {"n": 2}})
        assert await task == {"n": 1}
        again, number = await asked(wire, peer)
        peer.write({"id": number, "result": {}})
        assert await again == {}


async def test_an_error_comes_as_it_is():
    async with wired() as (wire, peer):
        task, number = await asked(wire, peer)
        peer.write({"id": number, "error": {"code": -7, "message": "no", "data": {"why": []}}})
        with pytest.raises(MCPError) as info:
            await task
        assert (info.value.code, info.value.message, info.value.data) == (-7, "no", {"why": []})


async def test_a_malformed_answer_is_an_error_at_once():
    async with wired() as (wire, peer):
        task, number = await asked(wire, peer)
        peer.write({"id": number, "result": []})
        with pytest.raises(MCPError, match="malformed"):
            await task


@pytest.mark.parametrize("how", ["hang_up", "stop_listening"])
async def test_nobody_waits_for_a_peer_that_left(how):
    async with wired() as (wire, peer):
        task, _ = await asked(wire, peer)
        getattr(peer, how)()
        for waiting in (task, wire.send_raw_request("later", None)):
            with pytest.raises(MCPError) as info:
                await waiting
            assert info.value.code == -32000
        await wire.notify("to nobody", None)
        with anyio.fail_after(5):
            await wire.ended.wait()
        assert wire.fault == ""


async def test_what_was_answered_before_the_end_is_delivered():
    async with wired() as (wire, peer):
        task, number = await asked(wire, peer)
        peer.write({"id": number, "result": {"last": 1}})
        peer.close()
        assert await task == {"last": 1}


async def test_a_cancelled_waiter_cancels_the_work():
    async with wired() as (wire, peer):
        task, number = await asked(wire, peer)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told = await peer.read()
        assert told["method"] == "notifications/cancelled"
        assert told["params"]["requestId"] == number
        peer.write({"id": number, "result": {"late": 1}})
        other, number = await asked(wire, peer, cancel_on_abandon=False)
        other.cancel()
        with suppress(asyncio.CancelledError):
            await other
        assert peer.silent()


async def test_a_time_limit_cancels_the_work():
    async with wired() as (wire, peer):
        with pytest.raises(MCPError) as info:
            await wire.send_raw_request("m", None, {"timeout": 0.01})
        assert info.value.code == -32001
        assert [(await peer.read())["method"] for _ in range(2)] == ["m", "notifications/cancelled"]


async def test_a_peer_that_no_longer_wants_an_answer_gets_none():
    story, told = [], asyncio.Event()

    async def slow(context, method, params):
        try:
            await asyncio.sleep(60)
        finally:
            story.append((context.cancel_requested.is_set(), context.can_send_request))
            told.set()
        return {}

    async with wired(slow) as (_, peer):
        peer.write({"id": 1, "method": "m"}, {"id": 2, "method": "m"})
        await asyncio.sleep(0.02)
        for nonsense in (True, 9, [1], None, {}):
            peer.write({"method": "notifications/cancelled", "params": {"requestId": nonsense}})
        peer.write({"id": "ping", "method": "m"}, {"id": "ping", "method": "m"})
        assert (await peer.read())["id"] == "ping"
        assert not story
        peer.write({"method": "notifications/cancelled", "params": {"requestId": "1"}})
        peer.write(
            {"id": 3, "method": "m"}, {"method": "notifications/cancelled", "params": {"requestId": 3}}
        )
        await told.wait()
        assert story == [(True, True)]
        assert peer.silent()
        peer.write({"id": 1, "method": "m"})  # the id is free again
        await asyncio.sleep(0.02)
        assert peer.silent()


async def test_progress_goes_both_ways():
    seen = []

    async def working(context, method, params):
        await context.progress(1, 2, "half")
        await context.progress(2)
        return {}

    async def report(progress, total, message):
        seen.append((progress, total, message))

    async with wired(working) as (wire, peer):
        peer.write({"id": 1, "method": "m", "params": {"_meta": {"progressToken": "t"}}})
        told = [(await peer.read())["params"] for _ in range(2)]
        assert told == [
            {"progressToken": "t", "progress": 1, "total": 2, "message": "half"},
            {"progressToken": "t", "progress": 2},
        ]
        await peer.read()
        peer.write({"id": 2, "method": "m"})
        assert (await peer.read())["id"] == 2

        task = asyncio.create_task(wire.send_raw_request("m", {"_meta": {"k": 1}}, {"on_progress": report}))
        request = await peer.read()
        token = request["params"]["_meta"].pop("progressToken")
        assert request["params"] == {"_meta": {"k": 1}}
        for params in (
            {"progressToken": token, "progress": 1, "total": 4, "message": "a"},
            {"progressToken": token, "progress": 2.5, "total": "x", "message": 1},
            {"progressToken": token, "progress": True},
            {"progressToken": 99, "progress": 3},
            {"progressToken": True, "progress": 3},
            {"progressToken": [], "progress": 3},
            {},
        ):
            peer.write({"method": "notifications/progress", "params": params})
        peer.write({"id": request["id"], "result": {}})
        await task
        assert seen == [(1, 4, "a"), (2.5, None, None)]


async def test_a_second_request_of_an_open_id_is_refused():
    go = asyncio.Event()

    async def waiting(context, method, params):
        await go.wait()
        return {"first": 1}

    async with wired(waiting) as (_, peer):
        peer.write({"id": 1, "method": "m"}, {"id": 1, "method": "m"})
        assert (await peer.read())["error"]["code"] == -32600
        go.set()
        assert (await peer.read())["result"] == {"first": 1}


async def test_requests_have_a_bound(monkeypatch):
    monkeypatch.setattr(_wire, "MAX_REQUESTS", 2)

    async def endless(context, method, params):
        await asyncio.sleep(60)
        return {}

    async with wired(endless) as (_, peer):
        peer.write(*({"id": number, "method": "m"} for number in range(3)))
        refused = await peer.read()
        assert refused["id"] == 2
        assert refused["error"]["code"] == -32000


async def test_notifications_are_heard_in_order_and_have_a_bound(monkeypatch):
    heard = []
    go = asyncio.Event()

    async def slow(context, method, params):
        await go.wait()
        heard.append(params["n"])
        if params["n"] == 1:
            raise RuntimeError("a handler broke")

    monkeypatch.setattr(_wire, "MAX_NOTICES", 3)
    async with wired(on_notify=slow) as (_, peer):
        peer.write(*({"method": "n", "params": {"n": number}} for number in range(5)))
        peer.write({"id": 1, "method": "m"})
        await peer.read()
        go.set()
        await asyncio.sleep(0.02)
        peer.write({"method": "n", "params": {"n": 9}}, {"id": 2, "method": "m"})
        await peer.read()
        assert heard == [0, 1, 2, 9]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MCPError(-5, "told", [1]), {"code": -5, "message": "told", "data": [1]}),
        (RuntimeError("a secret"), {"code": -32603, "message": "Internal error"}),
    ],
)
async def test_a_handler_that_breaks_is_not_the_end(error, told):
    async def breaking(context, method, params):
        if method == "break":
            raise error
        return {"odd": object()} if method == "odd" else {}

    async with wired(breaking) as (_, peer):
        peer.write({"id": 1, "method": "break"}, {"id": 2, "method": "fine"}, {"id": 3, "method": "odd"})
        assert (await peer.read())["error"] == told
        assert (await peer.read())["result"] == {}
        assert (await peer.read())["error"]["code"] == -32603


async def test_what_has_no_form_in_json_is_not_sent():
    async with wired() as (wire, peer):
        with pytest.raises(MCPError, match="no form"):
            await wire.send_raw_request("m", {"x": object()})
        await wire.notify("m", {"x": "\ud800"})
        assert peer.silent()


async def test_the_peer_may_be_asked_while_its_request_is_open():
    kept: list[Any] = []

    async def asking(context, method, params):
        kept.append(context)
        await context.notify("n", {"a": 1})
        return await context.send_raw_request("back", {"b": 2})

    async with wired(asking) as (_, peer):
        peer.write({"id": 1, "method": "m"})
        assert (await peer.read())["method"] == "n"
        back = await peer.read()
        peer.write({"id": back["id"], "result": {"c": 3}})
        assert (await peer.read())["result"] == {"c": 3}
        with pytest.raises(NoBackChannelError):
            await kept[0].send_raw_request("late", None)
        await kept[0].notify("late", None)
        await kept[0].progress(1)
        assert peer.silent()


@pytest.mark.parametrize("noise", [b"a print\n", b"\xff\n", b"\n", b'{"jsonrpc":"2.0","id":4,"method":7}\n'])
async def test_noise_is_skipped_and_has_a_bound(noise, monkeypatch):
    monkeypatch.setattr(_wire, "MAX_NOISE", 3)
    async with wired() as (wire, peer):
        peer.write(noise * 3, {"id": 1, "method": "m"})
        while (answer := await peer.read())["id"] != 1:
            assert answer["error"]["code"] == -32600
        peer.write(noise * 4)
        with anyio.fail_after(5):
            await wire.ended.wait()
        assert "no JSON-RPC" in wire.fault


async def test_a_message_without_measure_is_the_end():
    async with wired() as (wire, peer):
        task, _ = await asked(wire, peer)
        await asyncio.to_thread(flood, peer)
        with pytest.raises(MCPError):
            await task
        assert "message of more than 16 MiB" in wire.fault


def flood(peer: Peer) -> None:
    with suppress(BrokenPipeError):
        peer.write(b"x" * (MAX_LINE + 1))


async def test_a_large_message_passes_in_both_directions():
    text = "x" * 1_000_000

    async with wired() as (_, peer):
        sending = asyncio.create_task(
            asyncio.to_thread(peer.write, {"id": 1, "method": "m", "params": {"t": text}})
        )
        assert (await peer.read())["result"]["params"] == {"t": text}
        await sending


async def test_writers_wait_while_the_pipe_is_full():
    async with wired() as (wire, peer):
        told = asyncio.create_task(wire.notify("n", {"t": "x" * 1_000_000}))
        done, _ = await asyncio.wait([told], timeout=0.05)
        assert not done
        assert (await peer.read())["method"] == "n"
        await told


async def test_a_peer_that_reads_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(_wire, "MAX_UNREAD", 2_000_000)
    async with wired() as (wire, _):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(wire.notify, "n", {"t": "x" * 1_000_000})
        assert "does not read" in wire.fault


async def test_open_requests_are_told_of_the_end():
    async def endless(context, method, params):
        await asyncio.sleep(60)
        return {}

    async with wired(endless) as (wire, peer):
        peer.write({"id": 1, "method": "m"})
        await asyncio.sleep(0.02)
        peer.hang_up()
        assert (await peer.read())["error"]["code"] == -32000
        await wire.ended.wait()


async def test_ids_that_are_given_are_kept():
    async with wired() as (wire, peer):
        task, number = await asked(wire, peer, request_id="listen-1")
        assert number == "listen-1"
        with pytest.raises(ValueError, match="in use"):
            await wire.send_raw_request("m", None, {"request_id": "listen-1"})
        taken, number = await asked(wire, peer, request_id=1)
        other, minted = await asked(wire, peer)
        assert minted == 2
        for one in ("listen-1", 1, 2):
            peer.write({"id": one, "result": {}})
        await asyncio.gather(task, taken, other)


async def test_mcps_own_session_runs_on_it():
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    peer = Peer(theirs_in, theirs_out)
    wire = await connect(os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0), "the peer")
    async with ClientSession(dispatcher=wire) as session:
        listing = asyncio.create_task(session.send_ping())
        request = await peer.read()
        assert request["method"] == "ping"
        peer.write({"id": request["id"], "result": {}})
        await listing
        peer.close()
