"""Messages other than tool calls, one by one: what the policy is asked, what the server gets, what comes back."""

import asyncio
import json
import os
from typing import Any

import mcp_types as types
import pytest
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND
from tests.adapters.mcp.engines import ERAS, MAY_ASK, Context, desk, text
from tests.adapters.mcp.test_engine import ALL, everything, giving

from blastwall.errors import BackendError
from blastwall.values import Reason
from blastwall_mcp.catalogue.entries import Entry
from blastwall_mcp.engine import views as _views
from blastwall_mcp.upstreams.hooks import UpstreamError

PROMPT = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]}
META = {types.PROTOCOL_VERSION_META_KEY: "2026-07-28", types.CLIENT_CAPABILITIES_META_KEY: {}}
COMPLETION = {"completion": {"values": ["a", "b"], "total": 2}}


@ERAS
async def test_each_message_is_judged_under_its_own_name(era, tmp_path):
    seen: list[Any] = []
    answers = {
        "prompts/get": PROMPT,
        "resources/read": {"contents": []},
        "completion/complete": COMPLETION,
    }

    async def answering(method, params, options):
        seen.append((method, params))
        return answers[method]

    argument, context = {"name": "who", "value": "A"}, {"arguments": {"y": "2"}}
    template = {"type": "ref/resource", "uri": "note://{id}"}
    async with desk(tmp_path, answering, ALL, everything) as at:
        client = at.client(era)
        got = await at.ask(client, "prompts/get", name="it__greet", arguments={"x": "1"})
        await at.ask(client, "resources/read", uri="note://7")
        ref = {"type": "ref/prompt", "name": "it__greet"}
        await at.ask(client, "completion/complete", ref=ref, argument=argument)
        options = {"ref": template, "argument": argument, "context": context}
        done = await at.engine.request(
            client, Context(), "completion/complete", options | ({"_meta": META} if client.modern else {})
        )
        judged = [r["tool"] for r in at.records() if r["event"] == "decision"]
    assert seen == [
        ("prompts/get", {"name": "greet", "arguments": {"x": "1"}}),
        ("resources/read", {"uri": "note://7"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": argument}),
        ("completion/complete", options),
    ]
    assert judged == [f"mcp:{method}" for method, _ in seen]
    assert got["messages"] == PROMPT["messages"]
    assert done["completion"] == COMPLETION["completion"]


async def test_a_ping_is_answered(tmp_path):
    async with desk(tmp_path, giving(text("hi"))) as at:
        assert await at.ask(at.client("legacy"), "ping") == {}


@ERAS
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "it__none"}),
        ("resources/read", {"uri": "other://x"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": ""}}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "x"}, "argument": {"name": "a", "value": ""}}),
    ],
)  # fmt: skip
async def test_what_does_not_exist_is_said_so(era, method, params, tmp_path):
    async with desk(tmp_path, giving(text("hi")), ALL, everything) as at:
        assert (await at.fails(at.client(era), method, **params)).code == INVALID_PARAMS
    async with desk(tmp_path, giving(text("hi"))) as at:
        assert (await at.fails(at.client(era), method, **params)).code == METHOD_NOT_FOUND


async def test_a_capability_that_a_client_was_told_of_does_not_vanish(tmp_path):
    async with desk(tmp_path, giving(text("hi")), ALL, everything) as at:
        client = at.client()
        assert "prompts" in (await at.ask(client, "server/discover"))["capabilities"]
        (back,) = at.fakes.made.values()
        back.capabilities, back.lists, back.version = {"tools": {}}, {"tools": []}, 2
        assert (await at.ask(client, "prompts/list"))["prompts"] == []


async def test_a_refused_level_and_a_refused_subscription_are_errors(tmp_path):
    no: list[Any] = [
        {"id": "none", "effect": "deny", "messages": ["logging/setLevel", "resources/subscribe"]},
        *ALL,
    ]

    def secret(back: Any) -> None:
        everything(back)
        back.lists["resources"].append({"name": "s", "uri": "file:///secret"})

    async with desk(tmp_path, giving(text("hi")), no, secret) as at:
        client = at.client("legacy")
        assert (await at.fails(client, "logging/setLevel", level="info")).code == -32003
        assert (await at.fails(client, "resources/subscribe", uri="file:///a")).code == -32003
        assert client.level == ""
    async with desk(tmp_path, giving(text("hi")), ALL, secret) as at:
        client = at.client("legacy", channel=Context())
        error = await at.fails(client, "resources/subscribe", uri="file:///secret")
        assert error.code == INTERNAL_ERROR
        assert "-32002" in error.message
        await at.ask(client, "resources/subscribe", uri="file:///a")
        assert await at.ask(client, "resources/unsubscribe", uri="file:///a") == {}
        assert await at.ask(client, "resources/unsubscribe", uri="file:///never") == {}
        (back,) = at.fakes.made.values()
    assert back.told == [("subscribe", "file:///a"), ("unsubscribe", "file:///a")]


async def test_a_token_that_does_not_reach_a_subscription_gets_none(tmp_path):
    async with desk(tmp_path, giving(text("hi")), ALL, everything) as at:
        client = at.client("legacy", reaches=lambda connector, tool: tool == "mcp:resources/read")
        error = await at.fails(client, "resources/subscribe", uri="file:///a")
    assert error.code == -32003
    assert "access token" in error.message


async def test_a_changed_policy_is_told_as_changed_lists(tmp_path):
    async with desk(tmp_path, giving(text("hi")), ALL, everything) as at:
        client = at.client("legacy", channel=Context())
        await at.engine.opened(client)
        await at.ask(client, "tools/list")
        file = tmp_path / "blastwall.yaml"
        content = json.loads(file.read_text())
        content["connectors"]["it"]["rules"] = ALL[1:]
        new = tmp_path / "new"
        new.write_text(json.dumps(content))
        os.utime(new, (0, 0))
        new.replace(file)
        for _ in range(2000):
            if not (await at.ask(client, "tools/list"))["tools"]:
                break
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
    assert [method for method, _ in client.channel.told] == [
        f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")
    ]


@pytest.mark.parametrize(
    ("reason", "word"), [(Reason.CHANGED, "changed"), (Reason.BACKEND_FAILED, "backend-failed")]
)
async def test_what_is_barred_is_refused_with_its_reason(reason, word, tmp_path):
    seen: list[Any] = []
    async with desk(tmp_path, giving(text("hi"), seen)) as at:
        client = at.client()
        await at.ask(client, "tools/list")

        async def find(kind: str, name: str) -> Entry:
            return Entry("it", "tools", "do", name, barred=BackendError("look at it first"), reason=reason)

        client.view[1].catalogue.find = find
        result = await at.do(client)
    assert word in result["content"][0]["text"]
    assert "look at it first" in result["content"][0]["text"]
    assert not seen


async def test_a_rule_with_the_sandbox_of_the_server_needs_no_second_instance(tmp_path):
    rules = [{"id": "boxed", "effect": "allow", "tools": ["*"], "sandbox": "box"}]
    server = {"server": {"command": "none", "sandbox": "box"}}
    async with desk(tmp_path, giving(text("hi")), rules, connector=server, sandboxes={"box": {}}) as at:
        result = await at.do(at.client())
        assert len(at.fakes.made) == 1
    assert "blastwall/profile" not in result["_meta"]


async def test_only_so_many_views_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(_views, "MOST", 2)
    async with desk(tmp_path, giving(text("hi"))) as at:
        for principal in "abcd":
            await at.do(at.client(principal=principal))
        assert len(at.engine._views._views) == 2
        assert not (await at.do(at.client(principal="a"))).get("isError")


async def test_an_unknown_message_waits_for_a_log_that_waits_for_the_disk(tmp_path):
    state = {"directory": str(tmp_path / "state"), "durability": "power-loss"}
    async with desk(tmp_path, giving(text("hi")), defaults={"state": state}) as at:
        await at.fails(at.client(), "odd/method")
        assert [r["event"] for r in at.records()] == ["unknown-message"]


async def test_servers_are_started_ahead_and_their_tools_known(tmp_path):
    async with desk(tmp_path, giving(text("hi"))) as at:
        client = at.client()
        assert at.engine.known(client, "it__do") is None
        await at.engine.warm(client)
        entry = at.engine.known(client, "it__do")
    assert entry is not None
    assert entry.name == "do"


async def test_what_screening_leaves_must_still_be_a_result(tmp_path):
    poison = {"content": [], "structuredContent": {}, "_meta": {"a": "x\x1b[8my\x1b[0m"}}
    async with desk(tmp_path, giving(poison)) as at:
        result = await at.do(at.client())
    assert "\x1b" not in json.dumps(result, ensure_ascii=False)


async def test_a_server_that_knows_nothing_of_asking_can_not(tmp_path):
    """The control: an error in the middle of asking is the call's, and nothing stays behind."""

    async def answering(method, params, options):
        raise UpstreamError(-32050, "no")

    async with desk(tmp_path, answering, MAY_ASK) as at:
        error = await at.fails(at.client(can={"elicitation": {}}))
        assert error.code == -32050
        assert len(at.engine._ongoing) == 0
