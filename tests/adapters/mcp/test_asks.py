"""What servers ask of clients: judged, labelled, put in the way of the client's era, and never answered twice."""

import asyncio
from typing import Any

import pytest
from mcp_types import INVALID_PARAMS
from tests.adapters.mcp.engines import ALL, FORM, MAY_ASK, Context, Desk, desk, text

from blastwall_mcp.engine import ongoing as _ongoing

YES = {"action": "accept", "content": {"name": "Ada"}}
WORD = {"role": "assistant", "content": {"type": "text", "text": "word"}, "model": "m1"}
HOME = {"roots": [{"uri": "file:///home"}]}
ANSWERS = {"elicitation/create": YES, "sampling/createMessage": WORD, "roots/list": HOME}
QUESTIONS: dict[str, Any] = {
    "name": ("elicitation/create", {"message": "your name?", **FORM}),
    "words": ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    "roots": ("roots/list", {}),
}


def asking(*names: str, answers: Any = None):
    """Give a server that asks these all at once, and tells what came of it."""

    async def answering(method, params, options):
        found = await asyncio.gather(
            *(options["asker"](*QUESTIONS[name], name) for name in names), return_exceptions=True
        )
        if answers is not None:
            answers.extend(found)
        return text(found)

    return answering


def state_of(result: Any) -> str:
    assert result["resultType"] == "input_required"
    return str(result["requestState"])


def answered(result: Any) -> dict[str, Any]:
    return {key: ANSWERS[request["method"]] for key, request in result["inputRequests"].items()}


async def test_a_legacy_client_is_asked_on_its_own_request(tmp_path):
    answers: list[Any] = []
    async with desk(tmp_path, asking(*QUESTIONS, answers=answers), MAY_ASK) as at:
        context = Context(lambda method, params: ANSWERS[method])
        result = await at.do(at.client("legacy", ALL), context)
    assert answers == [YES, WORD, HOME]
    assert not result.get("isError")
    assert {method for method, _ in context.asked} == ANSWERS.keys()
    form = next(params for method, params in context.asked if method == "elicitation/create")
    assert form["message"] == "connector it asks: your name?"
    assert form["_meta"] == {"blastwall/connector": "it"}


async def test_a_modern_client_gets_all_questions_at_once_under_the_servers_keys(tmp_path):
    answers: list[Any] = []
    async with desk(tmp_path, asking(*QUESTIONS, answers=answers), MAY_ASK) as at:
        client = at.client(can=ALL)
        wanted = await at.do(client)
        assert wanted["inputRequests"].keys() == QUESTIONS.keys()
        assert wanted["inputRequests"]["name"]["params"]["message"] == "connector it asks: your name?"
        assert not answers
        result = await at.do(client, requestState=state_of(wanted), inputResponses=answered(wanted))
        assert len(at.engine._ongoing) == 0
    assert answers == [YES, WORD, HOME]
    assert result["resultType"] == "complete"
    events = [(r["tool"], r["event"]) for r in at.records()]
    assert events.count(("mcp:elicitation/create", "decision")) == 1
    assert events.count(("mcp:sampling/createMessage", "result")) == 1


async def test_what_is_left_unanswered_is_asked_again_with_another_state(tmp_path):
    async with desk(tmp_path, asking("name", "roots"), MAY_ASK) as at:
        client = at.client(can=ALL)
        first = await at.do(client)
        second = await at.do(client, requestState=state_of(first), inputResponses={"name": YES, "extra": YES})
        assert second["inputRequests"].keys() == {"roots"}
        assert state_of(second) != state_of(first)
        third = await at.do(client, requestState=state_of(second), inputResponses={"roots": YES})
        assert third["inputRequests"].keys() == {"roots"}, "an answer of the wrong form is none"
        done = await at.do(client, requestState=state_of(third), inputResponses={"roots": HOME})
    assert done["resultType"] == "complete"


async def test_a_server_may_ask_in_several_rounds(tmp_path):
    async def answering(method, params, options):
        first = await options["asker"](*QUESTIONS["name"], "name")
        second = await options["asker"](*QUESTIONS["name"], "name")
        return text((first["action"], second["action"]))

    async with desk(tmp_path, answering, MAY_ASK) as at:
        client = at.client(can=ALL)
        first = await at.do(client)
        second = await at.do(client, requestState=state_of(first), inputResponses={"name": YES})
        done = await at.do(
            client, requestState=state_of(second), inputResponses={"name": {"action": "cancel"}}
        )
    assert done["content"][0]["text"] == "('accept', 'cancel')"


async def test_answers_given_ahead_are_used_if_the_server_asks_for_them(tmp_path):
    async with desk(tmp_path, asking("name"), MAY_ASK) as at:
        client = at.client(can=ALL)
        done = await at.do(client, inputResponses={"name": YES, "extra": YES})
        wrong = await at.do(client, inputResponses={"other": YES})
        state_of(wrong)
    assert done["resultType"] == "complete"
    assert [r["event"] for r in at.records() if r["tool"] == "mcp:elicitation/create"].count("decision") == 2


async def test_a_state_is_good_once_and_only_for_its_own_request(tmp_path):
    async with desk(tmp_path, asking("name"), MAY_ASK) as at:
        client, other = at.client(can=ALL), at.client(can=ALL, principal="mallory")
        state = state_of(await at.do(client))
        given = {"inputResponses": {"name": YES}}
        forged = [
            at.fails(client, requestState="guessed", **given),
            at.fails(other, requestState=state, **given),
            at.fails(client, requestState=state, arguments={"to": "mallory"}, **given),
            at.fails(client, requestState=state, name="it__other", **given),
        ]
        for attempt in forged:
            error = await attempt
            assert error.code == INVALID_PARAMS
            assert "request state" in error.message
        assert (await at.do(client, requestState=state, **given))["resultType"] == "complete"
        assert (await at.fails(client, requestState=state, **given)).code == INVALID_PARAMS


async def test_what_is_never_answered_ends_in_time(tmp_path):
    ended = asyncio.Event()

    async def answering(method, params, options):
        try:
            return text(await options["asker"](*QUESTIONS["name"], "name"))
        finally:
            ended.set()

    async with desk(tmp_path, answering, MAY_ASK, wait_s=1) as at:
        client = at.client(can=ALL)
        state = state_of(await at.do(client))
        await asyncio.wait_for(ended.wait(), 10)
        error = await at.fails(client, requestState=state, inputResponses={"name": YES})
        assert error.code == INVALID_PARAMS
        assert len(at.engine._ongoing) == 0


async def test_only_so_many_calls_of_one_principal_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(_ongoing, "MOST_EACH", 2)
    async with desk(tmp_path, asking("name"), MAY_ASK) as at:
        client, other = at.client(can=ALL), at.client(can=ALL, principal="other")
        first = await at.do(client)
        await at.do(client)
        error = await at.fails(client)
        assert "wait for input" in error.message
        state_of(await at.do(other))
        await at.do(client, requestState=state_of(first), inputResponses={"name": YES})
        state_of(await at.do(client))


async def test_a_client_that_cancels_leaves_nothing(tmp_path):
    ended = asyncio.Event()

    async def answering(method, params, options):
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with desk(tmp_path, answering, MAY_ASK) as at:
        request = asyncio.ensure_future(at.do(at.client(can=ALL)))
        await asyncio.sleep(0.05)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert ended.is_set()
        assert len(at.engine._ongoing) == 0


async def test_the_end_of_the_engine_ends_what_waits(tmp_path):
    ended = asyncio.Event()

    async def answering(method, params, options):
        try:
            return text(await options["asker"](*QUESTIONS["name"], "name"))
        finally:
            ended.set()

    async with desk(tmp_path, answering, MAY_ASK) as at:
        state_of(await at.do(at.client(can=ALL)))
        assert not ended.is_set()
    assert ended.is_set()


async def test_many_calls_with_questions_do_not_mix(tmp_path):
    async def answering(method, params, options):
        mine = params["arguments"]["n"]
        got = await options["asker"]("elicitation/create", {"message": f"{mine}?", **FORM}, "a")
        return text(f"{mine}:{got['content']['n']}")

    async def one(at: Desk, client: Any, n: int) -> str:
        wanted = await at.do(client, arguments={"n": n})
        assert wanted["inputRequests"]["a"]["params"]["message"].endswith(f"{n}?")
        given = {"a": {"action": "accept", "content": {"n": n}}}
        done = await at.do(client, arguments={"n": n}, requestState=state_of(wanted), inputResponses=given)
        return str(done["content"][0]["text"])

    async with desk(tmp_path, answering, MAY_ASK) as at:
        client = at.client(can=ALL)
        found = await asyncio.gather(*(one(at, client, n) for n in range(20)))
    assert found == [f"{n}:{n}" for n in range(20)]
