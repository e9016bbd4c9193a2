"""One upstream server hides its era: whatever it asks, tells and breaks is the same in both."""

import asyncio
import time
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CLIENT_CAPABILITIES_META_KEY, LOG_LEVEL_META_KEY
from tests.adapters.mcp.pools import BOTH, pool, said, server, talkative
from tests.adapters.mcp.rig import alive

from blastwall.errors import BackendError
from blastwall_mcp.upstreams import keeper as _keeper
from blastwall_mcp.upstreams import listening as _listening
from blastwall_mcp.upstreams import upstream as _upstream
from blastwall_mcp.upstreams.flights import Round
from blastwall_mcp.upstreams.hooks import Hooks
from blastwall_mcp.upstreams.offered import Offered
from blastwall_mcp.upstreams.upstream import Upstream, UpstreamError

ALL = Offered.of({"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}})
ANSWERS: dict[str, dict[str, Any]] = {
    "elicitation/create": {"action": "accept", "content": {"name": "Ann"}},
    "sampling/createMessage": {"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"},
    "roots/list": {"roots": []},
}


class Answering:
    """Answers everything, and remembers what was asked, and how much of it at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.open = self.most = 0

    async def __call__(self, method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
        self.asked.append((method, key))
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0.05)
        self.open -= 1
        return ANSWERS[method]


async def refusing(method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
    raise MCPError(-1, "refused")


class Ear:
    """Remembers what servers say of their own accord."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, dict[str, Any]]] = []
        self.unknown: list[tuple[str, str]] = []

    @property
    def hooks(self) -> Hooks:
        return Hooks(on_notice=self.hear, on_unknown=lambda *what: self.unknown.append(what))

    async def hear(self, upstream: Upstream, method: str, params: dict[str, Any]) -> None:
        self.notices.append((method, params))


async def until(condition: Any) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # another process makes it so
            await anyio.sleep(0.01)


@BOTH
async def test_it_says_what_it_is(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        assert upstream.capabilities == {}
        await upstream.ensure()
        assert upstream.capabilities["resources"] == {"listChanged": True, "subscribe": True}
        assert upstream.instructions == "be kind"
        assert upstream.info == {"name": "talkative", "version": "1.2"}
        assert upstream.modern is (era == "modern")
        assert upstream.version > 0


@BOTH
async def test_results_and_errors_come_as_they_are(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        result = await upstream.request("tools/call", {"name": "pid"})
        assert result["unknown"] == {"kept": 1}
        with pytest.raises(UpstreamError) as info:
            await upstream.request("tools/call", {"name": "refuse"})
        assert (info.value.code, info.value.message) == (-32021, "no")
        assert info.value.data == {"requiredCapabilities": {"x": {}}}
        with pytest.raises(UpstreamError) as info:
            await upstream.request("no/such/method")
        assert info.value.code == -32601


@BOTH
async def test_only_what_is_offered_is_declared(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        for offered in (Offered(), ALL, Offered.of({"sampling": {}})):
            seen = await said(servers.upstream("it", offered=offered), "seen", meta={"own": 1})
            if era == "modern":
                declared = {str(m["params"]["_meta"].get(CLIENT_CAPABILITIES_META_KEY)) for m in seen}
            else:
                declared = {str(m["params"]["capabilities"]) for m in seen if m.get("method") == "initialize"}
            assert declared == {str(offered.capabilities)}
            assert seen[-1]["params"]["_meta"]["own"] == 1


@BOTH
async def test_lists_are_read_to_their_end(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        assert len(await upstream.pages("tools/list", "tools")) == 17
        with pytest.raises(BackendError, match="prompts that goes round in circles"):
            await upstream.pages("prompts/list", "prompts")
        with pytest.raises(BackendError, match="no list of resources"):
            await upstream.pages("resources/list", "resources")


@BOTH
async def test_questions_are_answered_in_the_middle_of_a_call(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        upstream, asker = servers.upstream("it", offered=ALL), Answering()
        answers = await said(upstream, "all", asker=asker)
    assert answers == {
        "name": ANSWERS["elicitation/create"],
        "words": ANSWERS["sampling/createMessage"],
        "roots": ANSWERS["roots/list"],
    }
    assert {method for method, _ in asker.asked} == ANSWERS.keys()
    if era == "modern":
        assert {key for _, key in asker.asked} == {"name", "words", "roots"}
        assert asker.most == 3
    else:
        assert len({key for _, key in asker.asked}) == 3


async def test_a_refused_question_is_an_error_to_a_legacy_server(tmp_path):
    async with pool(it=talkative(tmp_path, "legacy")) as servers:
        upstream = servers.upstream("it", offered=ALL)
        assert await said(upstream, "name", asker=refusing) == {"name": {"code": -1, "message": "refused"}}
        assert (await said(upstream, "name"))["name"]["code"] == -32600


async def test_a_refused_question_of_a_modern_server_ends_the_call(tmp_path):
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        upstream = servers.upstream("it", offered=ALL)
        for asker in (refusing, None):
            with pytest.raises(BackendError, match="got none"):
                await said(upstream, "all", asker=asker)
        assert await said(upstream, "pid")


@BOTH
async def test_what_was_not_offered_is_not_asked(era, tmp_path):
    ear, asker = Ear(), Answering()
    async with pool(ear.hooks, it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it", offered=Offered.of({"sampling": {}}))
        if era == "modern":
            with pytest.raises(BackendError, match="asked for elicitation/create .* not offered"):
                await said(upstream, "name", asker=asker)
        else:
            assert (await said(upstream, "name", asker=asker))["name"]["code"] == -32601
            assert ear.unknown == [("it", "elicitation/create")]
    assert asker.asked == []


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("forever", "asked for input more than"),
        ("nonsense", "can't be read"),
        ("task", "a kind of result that blastwall does not know"),
    ],
)
async def test_endless_and_odd_results_are_refused(tool, words, tmp_path, monkeypatch):
    monkeypatch.setattr(_upstream, "LONGEST_ROUND_S", 0.0)
    monkeypatch.setattr(_upstream, "NEXT_ROUND_S", 0.0)
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        with pytest.raises(BackendError, match=words):
            await said(servers.upstream("it"), tool, asker=Answering())


async def test_a_server_may_take_its_time_in_rounds(tmp_path):
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        assert await said(servers.upstream("it"), "patient") == "at last"


async def test_a_legacy_server_cannot_ask_in_the_modern_way(tmp_path):
    async with pool(it=talkative(tmp_path, "legacy")) as servers:
        with pytest.raises(BackendError, match="a kind of result"):
            await said(servers.upstream("it", offered=ALL), "nonsense", asker=Answering())


async def test_the_time_limit_does_not_count_waiting_for_an_answer(tmp_path):
    async def slowly(method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
        await asyncio.sleep(1.0)
        return ANSWERS[method]

    async with pool(it=talkative(tmp_path, "legacy", call_s=0.6)) as servers:
        upstream = servers.upstream("it", offered=ALL)
        await upstream.ensure()
        assert await said(upstream, "name", asker=slowly) == {"name": ANSWERS["elicitation/create"]}
        with pytest.raises(BackendError, match=r"no answer within 0.6 s.*call_s"):
            await said(upstream, "wait", asker=slowly)
        await until((tmp_path / "cancelled").exists)


@BOTH
async def test_cancelling_the_caller_cancels_the_server(era, tmp_path):
    async with pool(it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        task = asyncio.create_task(said(upstream, "wait"))
        await until((tmp_path / "waiting").exists)
        task.cancel()
        await until((tmp_path / "cancelled").exists)
        assert await said(upstream, "pid")


@BOTH
async def test_cancelling_the_caller_ends_what_is_asked_for_it(era, tmp_path):
    story = []

    async def never(method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
        story.append("asked")
        try:
            await asyncio.sleep(60)
        finally:
            story.append("ended")
        return {}

    async with pool(it=talkative(tmp_path, era)) as servers:
        task = asyncio.create_task(said(servers.upstream("it", offered=ALL), "name", asker=never))
        await until(lambda: story)
        task.cancel()
        await until(lambda: story == ["asked", "ended"])


@BOTH
async def test_progress_arrives(era, tmp_path):
    heard = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with pool(it=talkative(tmp_path, era)) as servers:
        assert await said(servers.upstream("it"), "step", on_progress=hear) == "stepped"
    assert heard == [(1, None, None)]


@BOTH
async def test_changed_lists_are_noticed(era, tmp_path):
    ear = Ear()
    async with pool(ear.hooks, it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        await upstream.ensure()
        before = upstream.version
        await said(upstream, "grow")
        await until(lambda: ear.notices)
        assert upstream.version > before
    assert ear.notices == [("notifications/tools/list_changed", {})]


@BOTH
async def test_subscriptions_are_kept_over_a_restart(era, tmp_path):
    ear, at = Ear(), "file:///a"
    async with pool(ear.hooks, it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        await upstream.subscribe(at)
        await upstream.subscribe(at)
        with pytest.raises(UpstreamError):
            await upstream.subscribe("file:///secret")
        await said(upstream, "update", {"uri": at})
        await until(lambda: ear.notices)
        assert ear.notices == [("notifications/resources/updated", {"uri": at, "_meta": {"own": 1}})]
        with pytest.raises(BackendError, match="stopped before it answered"):
            await said(upstream, "crash")
        ear.notices.clear()
        while not ear.notices:
            await said(upstream, "update", {"uri": at})
            await anyio.sleep(0.02)
        await upstream.unsubscribe(at)
        await said(upstream, "update", {"uri": at})
        await upstream.unsubscribe(at)
        await anyio.sleep(0.05)
        ear.notices.clear()
        await said(upstream, "update", {"uri": at})
        await said(upstream, "pid")
        assert ear.notices == []
        await upstream.unsubscribe(at)


async def test_a_subscription_that_the_server_ends_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(_listening, "FIRST_PAUSE_S", 0.05)
    ear, at = Ear(), "file:///a"
    async with pool(ear.hooks, it=talkative(tmp_path, "modern")) as servers:
        upstream = servers.upstream("it")
        await upstream.subscribe(at)
        before = upstream.version
        await said(upstream, "drop")
        await until(lambda: upstream.version > before)
        await said(upstream, "update", {"uri": at})
        await until(lambda: ear.notices)


@BOTH
async def test_log_messages_go_to_the_request_that_wants_them(era, tmp_path):
    ear, heard = Ear(), []

    async def hear(params: dict[str, Any]) -> None:
        heard.append(params["level"])

    async with pool(ear.hooks, it=talkative(tmp_path, era)) as servers:
        upstream = servers.upstream("it")
        await said(upstream, "log", meta={LOG_LEVEL_META_KEY: "info"}, on_message=hear)
        await until(lambda: len(heard) == 2)
        assert heard == ["info", "error"]
        await said(upstream, "log")
        await until(lambda: len(ear.notices) == 3)
        await upstream.set_level("warning")
        seen = await said(upstream, "seen")
        if era == "modern":
            assert seen[-1]["params"]["_meta"][LOG_LEVEL_META_KEY] == "warning"
        else:
            levels = [m["params"]["level"] for m in seen if m.get("method") == "logging/setLevel"]
            assert levels == ["info", "warning"]


@BOTH
async def test_what_is_unknown_is_refused_and_counted(era, tmp_path):
    ear = Ear()
    async with pool(ear.hooks, it=talkative(tmp_path, era)) as servers:
        assert await said(servers.upstream("it", offered=ALL), "stray") == [-32601, {}]
        await until(lambda: len(ear.unknown) == 2)
    assert ear.unknown == [("it", "computer/takeOver"), ("it", "notifications/odd")]


@BOTH
async def test_a_crash_is_mended_with_the_next_call(era, tmp_path):
    async with pool(it=talkative(tmp_path, era), other=talkative(tmp_path, era)) as servers:
        upstream, other = servers.upstream("it"), servers.upstream("other")
        untouched = await said(other, "pid")
        pids = set()
        for _ in range(3):
            pids.add(await said(upstream, "pid"))
            with pytest.raises(BackendError, match="whether this one had an effect is not known"):
                await said(upstream, "crash")
        assert len(pids) == 3
        assert await said(other, "pid") == untouched


async def test_an_older_protocol_than_before_is_refused(tmp_path):
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        upstream = servers.upstream("it")
        await upstream.ensure()
        (tmp_path / "era").write_text("legacy")
        with pytest.raises(BackendError, match="stopped"):
            await said(upstream, "crash")
        for one in (upstream, servers.upstream("it", "somebody")):
            with pytest.raises(BackendError, match=r"is refused: .* 2026-07-28 before"):
                await one.ensure()
        assert servers.spoken == {"it": "2026-07-28"}


async def test_an_older_legacy_version_is_refused_too(tmp_path):
    async with pool(it=talkative(tmp_path, "legacy")) as servers:
        upstream = servers.upstream("it")
        await upstream.ensure()
        (tmp_path / "era").write_text("2025-03-26")
        with pytest.raises(BackendError, match="stopped"):
            await said(upstream, "crash")
        with pytest.raises(BackendError, match="speaks protocol version 2025-03-26, and spoke 2025-11-25"):
            await upstream.ensure()


@pytest.mark.parametrize(
    ("era", "wanted", "words"),
    [
        ("legacy", "modern", "does not speak protocol version 2026-07-28, and the policy's `era` is modern"),
        ("modern", "legacy", "can't be spoken to"),
        ("1999-01-01", "auto", "speaks protocol version '1999-01-01'"),
    ],
)
async def test_an_era_that_is_not_the_policys_is_refused(era, wanted, words, tmp_path):
    async with pool(it=talkative(tmp_path, era, era=wanted)) as servers:
        with pytest.raises(BackendError, match=words):
            await servers.upstream("it").ensure()


@BOTH
async def test_a_server_that_nobody_needs_is_stopped_until_somebody_does(era, tmp_path):
    async with pool(it=talkative(tmp_path, era, idle_s=0.2)) as servers:
        upstream = servers.upstream("it")
        first = await said(upstream, "pid")
        await until(lambda: not alive(first))
        second = await said(upstream, "pid")
        assert second != first
        await upstream.subscribe("file:///a")
        await anyio.sleep(0.5)
        assert await said(upstream, "pid") == second
        await upstream.unsubscribe("file:///a")
        await until(lambda: not alive(second))
        assert (tmp_path / "starts").read_text() == "xx"


async def test_a_request_in_flight_keeps_its_server(tmp_path):
    async with pool(it=talkative(tmp_path, "modern", idle_s=0.1, call_s=0.7)) as servers:
        with pytest.raises(BackendError, match=r"no answer within 0.7 s"):
            await said(servers.upstream("it"), "wait")
        assert (tmp_path / "starts").read_text() == "x"


async def test_a_server_that_breaks_at_once_is_left_alone_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(_keeper, "FIRST_PAUSE_S", 0.3)
    counting = f"echo x >> {tmp_path}/starts"
    broken = server("none.py", command=("/bin/sh", "-c", counting))
    async with pool(it=broken) as servers:
        upstream = servers.upstream("it")
        for _ in range(3):  # the first failure is tried again at once
            with pytest.raises(BackendError, match="can't be spoken to"):
                await upstream.ensure()
        assert (tmp_path / "starts").read_text().count("x") == 2
        await anyio.sleep(0.35)
        with pytest.raises(BackendError, match="can't be spoken to"):
            await upstream.ensure()
        assert (tmp_path / "starts").read_text().count("x") == 3


async def test_servers_that_do_not_speak_or_do_not_start(tmp_path):
    async with pool(
        mute=server("", command=("sleep", "60"), start_s=0.4), none=server("", command=("no-such-program",))
    ) as servers:
        began = time.monotonic()
        with pytest.raises(BackendError, match=r"did not answer within 0.4 s"):
            await servers.upstream("mute").ensure()
        assert time.monotonic() - began < 3
        with pytest.raises(BackendError, match="there is no program 'no-such-program'"):
            await servers.upstream("none").ensure()
        with pytest.raises(BackendError, match="has no `server`"):
            servers.upstream("other")


async def test_everyone_waits_for_the_same_start(tmp_path):
    async with pool(it=talkative(tmp_path, "modern")) as servers:
        upstream = servers.upstream("it")
        pids = await asyncio.gather(*(said(upstream, "pid") for _ in range(20)))
        assert len(set(pids)) == 1
        assert (tmp_path / "starts").read_text() == "x"


async def test_notifications_reach_it(tmp_path):
    async with pool(it=talkative(tmp_path, "legacy")) as servers:
        upstream = servers.upstream("it")
        await upstream.notify("notifications/roots/list_changed")  # it does not run: nothing to tell
        await upstream.ensure()
        await upstream.notify("notifications/roots/list_changed")
        assert "notifications/roots/list_changed" in {m.get("method") for m in await said(upstream, "seen")}


async def test_what_is_asked_while_nothing_is_in_flight_goes_to_the_hook(tmp_path):
    asked = []

    async def on_push(upstream: Upstream, method: str, params: dict[str, Any]) -> dict[str, Any]:
        asked.append(method)
        return ANSWERS[method]

    async with pool(Hooks(on_push=on_push), it=talkative(tmp_path, "legacy")) as servers:
        upstream = servers.upstream("it", offered=ALL)
        assert await said(upstream, "name") == {"name": ANSWERS["elicitation/create"]}
    assert asked == ["elicitation/create"]


async def test_a_question_without_an_answer_leaves_nobody_marked_as_cancelled():
    """A mark that stays makes anyio let a cancellation of its own out, some time later."""

    async def refuse(method, params, key):
        await asyncio.sleep(0)
        raise MCPError(-1, "no")

    with pytest.raises(MCPError, match="no"):
        await Round({"a": ("roots/list", {})}, None).answered(refuse)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
