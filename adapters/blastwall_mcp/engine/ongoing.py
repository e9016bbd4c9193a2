"""Calls that wait for their client's input: kept, found again by a state that works once, and ended."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError

from blastwall.frozen import canonical, digest, freeze
from blastwall_mcp.engine.clients import Errand, Params
from blastwall_mcp.engine.replies import fits

MOST_EACH = 64
"""Calls of one principal that may wait for input at once."""

_JUDGED = ("name", "uri", "arguments")
"""What of a request was judged: a call with input must be the same in all of it."""

_NOT_YOURS = "this request state is unknown, used up, expired, or of another request"


@dataclass(slots=True)
class _Waiting:
    errand: Errand
    binding: str
    expiry: asyncio.TimerHandle


class Ongoing:
    """The calls of modern clients that a server may ask something in the middle of.

    Such a call is a task. Its client gets a state for the input that is wanted, and comes back with both. A
    state is good for the same request of the same principal, once, as long as a person may take to answer.
    """

    def __init__(self) -> None:
        """Have none."""
        self._waiting: dict[str, _Waiting] = {}
        self._each: Counter[str] = Counter()

    def __len__(self) -> int:
        """Count the calls that wait for input."""
        return len(self._waiting)

    async def run(self, errand: Errand, work: Coroutine[Any, Any, Params], patience_s: float) -> Params:
        """Give what the work comes to, or what it wants of the client first.

        Raises:
            MCPError: as the work does, or because too much waits already.

        """
        errand.answers = dict(_answers(errand.params))
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: errand.changed.set())
        errand.task = task
        return await self.come_to(errand, patience_s)

    def resume(self, again: Errand) -> Errand:
        """Find the call that this request goes on with, and give it the input that this one brings.

        Raises:
            MCPError: there is none.

        """
        state = again.params["requestState"]
        waiting = self._waiting.get(state)
        if (
            waiting is None
            or waiting.errand.client.principal != again.client.principal
            or waiting.binding != _binding(again.method, again.params)
        ):
            raise MCPError(types.INVALID_PARAMS, _NOT_YOURS)
        self._forget(state)
        errand = waiting.errand
        errand.context, errand.params = again.context, again.params
        for key, answer in _answers(again.params).items():
            if key in errand.asked and fits(errand.asked[key][0]["method"], answer):
                _, future = errand.asked.pop(key)
                if not future.done():
                    future.set_result(answer)
        return errand

    async def end(self, principal: str = "") -> None:
        """Cancel the calls that wait, of one principal or of all."""
        for state, waiting in list(self._waiting.items()):
            if principal in ("", waiting.errand.client.principal):
                self._forget(state)
                await _ended(waiting.errand.task)

    async def come_to(self, errand: Errand, patience_s: float) -> Params:
        """Give what an errand with a task comes to, or what it wants first; raises like `run`."""
        task = errand.task
        assert task is not None  # noqa: S101  # `run` gave it one
        try:
            while not task.done() and not errand.waits:
                errand.changed.clear()
                await errand.changed.wait()
        except asyncio.CancelledError:  # the client does not want it any more, or is gone
            await _ended(task)
            raise
        if task.done():
            return task.result()
        if self._each[errand.client.principal] >= MOST_EACH:
            await _ended(task)
            raise MCPError(
                types.INTERNAL_ERROR, f"{MOST_EACH} calls wait for input: answer some of them first"
            )
        return self._asks(errand, patience_s)

    def _asks(self, errand: Errand, patience_s: float) -> Params:
        state = secrets.token_urlsafe(24)
        expiry = asyncio.get_running_loop().call_later(patience_s, self._expire, state)
        self._waiting[state] = _Waiting(errand, _binding(errand.method, errand.params), expiry)
        self._each[errand.client.principal] += 1
        return {
            "resultType": "input_required",
            "inputRequests": {key: request for key, (request, _) in errand.asked.items()},
            "requestState": state,
        }

    def _expire(self, state: str) -> None:
        waiting = self._waiting.get(state)
        if waiting is not None:
            self._forget(state)
            if waiting.errand.task is not None:
                waiting.errand.task.cancel()

    def _forget(self, state: str) -> None:
        waiting = self._waiting.pop(state)
        waiting.expiry.cancel()
        principal = waiting.errand.client.principal
        self._each[principal] -= 1
        if not self._each[principal]:
            del self._each[principal]


async def _ended(task: "asyncio.Task[Params] | None") -> None:
    if task is not None:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task})


def _answers(params: Params) -> Mapping[str, Any]:
    answers = params.get("inputResponses")
    return answers if isinstance(answers, Mapping) else {}


def _binding(method: str, params: Params) -> str:
    """Give what a state is bound to: the request as it was judged."""
    asked = {key: params[key] for key in _JUDGED if key in params}
    return digest(canonical(freeze({"method": method, "params": asked})))
