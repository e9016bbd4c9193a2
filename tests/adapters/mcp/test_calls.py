"""What a client gets to see of a call, in both eras of the protocol."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND
from tests.adapters.mcp.rig import ERAS, behind, call, eventually, policy, proxied, result_of


def audited(folder: Path):
    return [json.loads(line) for line in (folder / "state" / "audit.jsonl").read_text().splitlines()]


SERVERS = {"broken": behind("broken.py"), "legacy": behind("legacy.py", call_s=20)}


@ERAS
async def test_results_come_through_as_they_are(mode, tmp_path):
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        text = await result_of(client, "good__echo", {"text": "hi"})
        structured = await result_of(client, "good__add", {"a": 1, "b": 2})
        failed = await result_of(client, "good__fail", {})
        tool = next(t for t in (await client.list_tools()).tools if t.name == "good__echo")
    assert (text.content[0].text, text.is_error, text.structured_content) == ("hi", False, {"result": "hi"})
    assert structured.structured_content == {"sum": 3}
    assert failed.is_error
    assert tool.annotations
    assert tool.annotations.read_only_hint
    assert tool.meta == {"colour": "green"}


@ERAS
async def test_metadata_of_a_request_arrives_without_that_of_the_connection(mode, tmp_path):
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        result = await result_of(client, "good__meta", {}, meta={"example.org/trace": "7"})
    seen = result.structured_content["meta"]
    assert seen["example.org/trace"] == "7"
    assert seen["io.modelcontextprotocol/clientInfo"]["name"] == "blastwall"


@ERAS
async def test_only_tools_are_offered(mode, tmp_path):
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        offered = client.server_capabilities.model_dump(exclude_none=True)
        with pytest.raises(MCPError) as caught:
            await client.list_resources()
    assert list(offered) == ["tools"]
    assert caught.value.code == METHOD_NOT_FOUND


@ERAS
async def test_arguments_are_checked_before_the_server_sees_them(mode, tmp_path):
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        failed, text = await call(client, "good__add", a="one", b=2)
    assert failed
    assert "invalid-call" in text
    assert "$.a" in text


@ERAS
async def test_unknown_tools_are_an_error_of_the_protocol(mode, tmp_path):
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        for name in ("good__nothing", "nobody__echo", "echo", "__", "good__"):
            with pytest.raises(MCPError) as caught:
                await call(client, name)
            assert caught.value.code == INVALID_PARAMS


BROKEN = {
    "broken__liar": "quarantine",
    "broken__silent_liar": "quarantine",
    "broken__ask_back": "asked for elicitation/create in the middle of the call, which it was not offered",
    "broken__huge": "quarantine",
    "broken__quarantined": "quarantine",
    "broken__crash": "connector broken stopped",
    "legacy__no_result": "no tool result",
    "legacy__flood": "connector legacy stopped: it wrote 1000 lines",
    "legacy__overlong": "connector legacy stopped: it sent a message of more than 16 MiB",
}


@ERAS
async def test_a_broken_server_is_a_clear_refusal_that_quotes_nothing(mode, tmp_path):
    async with proxied(policy(tmp_path, SERVERS), mode) as client:
        for tool, words in BROKEN.items():
            failed, text = await call(client, tool)
            assert failed, tool
            assert words in text, tool
            assert "SECRET" not in text, tool
            # The next call finds a server that works, whatever became of the last one.
            assert await call(client, tool.partition("__")[0] + "__fine") == (False, "fine is done")


ERRORS = {
    "broken__raise_secret": (INTERNAL_ERROR, "Internal server error"),
    "legacy__malformed": (INTERNAL_ERROR, "malformed answer"),
    "legacy__protocol_error": (-32000, "the server's own words"),
}


@ERAS
async def test_a_servers_own_errors_come_through(mode, tmp_path):
    async with proxied(policy(tmp_path, SERVERS), mode) as client:
        for tool, (code, words) in ERRORS.items():
            with pytest.raises(MCPError) as caught:
                await call(client, tool)
            assert (caught.value.code, caught.value.message) == (code, words), tool


@ERAS
async def test_what_screening_cuts_out_is_cut_out_of_the_rebuilt_result(mode, tmp_path):
    async with proxied(policy(tmp_path, SERVERS), mode) as client:
        result = await result_of(client, "broken__redacted", {})
    assert "\x1b" not in result.content[0].text
    assert result.content[0].text.startswith("before")
    assert result.structured_content == {"kept": 1}
    assert not result.is_error


@ERAS
async def test_a_legacy_server_that_asks_back_is_told_no(mode, tmp_path):
    async with proxied(policy(tmp_path, SERVERS), mode) as client:
        assert await call(client, "legacy__elicit") == (False, "refused: True")


@ERAS
async def test_progress_and_cancellation_reach_the_other_side(mode, tmp_path):
    progress: list[tuple[float, float | None, str | None]] = []

    async def note(*step: Any) -> None:
        progress.append(step)

    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(result_of, client, "good__slow", {}, progress_callback=note))
            await anyio.to_thread.run_sync(eventually, lambda: bool(progress))
            await anyio.to_thread.run_sync(eventually, (tmp_path / "started").exists)
            assert not (tmp_path / "cancelled").exists()
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(eventually, (tmp_path / "cancelled").exists)
        assert await call(client, "good__echo", text="hi") == (False, "hi")
    assert progress == [(1.0, 2.0, "half of it")]


@ERAS
async def test_a_call_that_takes_too_long_is_given_up(mode, tmp_path):
    file = policy(tmp_path, {"good": behind("good.py", tmp_path, call_s=0.5)})
    async with proxied(file, mode) as client:
        failed, text = await call(client, "good__slow")
        assert failed
        assert "connector good gave no answer within 0.5 s" in text
        await anyio.to_thread.run_sync(eventually, (tmp_path / "cancelled").exists)


async def test_every_decision_and_result_is_in_the_audit_log(tmp_path):
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)})) as client:
        await call(client, "good__echo", text="hi")
    records = audited(tmp_path)
    assert [(r["connector"], r["tool"], r["event"]) for r in records] == [
        ("good", "echo", "decision"),
        ("good", "echo", "result"),
    ]
    assert len({r["session"] for r in records}) == 1
