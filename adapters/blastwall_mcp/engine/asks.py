"""What servers ask of clients in the middle of a call: screened, judged, labelled, and put to the client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from blastwall.errors import BackendError
from blastwall.frozen import NotJson, freeze, thaw
from blastwall.values import Action, Delivered, Denied, Outcome, Reason, ToolCall, ToolOutput
from blastwall_mcp.engine.answers import LABEL
from blastwall_mcp.engine.clients import Client, Errand, Params
from blastwall_mcp.engine.replies import fits
from blastwall_mcp.engine.unknowns import Unknowns
from blastwall_mcp.upstreams.hooks import UpstreamError
from blastwall_mcp.upstreams.offered import FEATURES, Offered

ORIGIN = f"{LABEL}connector"
"""In the `_meta` of what a client is asked: the connector whose server asks."""

LONGEST_KEY = 128
"""Characters of a server's own name for a question."""

MOST_PAGES = 16
"""Pages that one error may send the user to."""

NO = -1
"""The error code of a no to a request of a server, as in MCP's own example of one."""


def offered(client: Client, connector: str) -> Params:
    """Give the capabilities of a client that the policy lets this connector make use of."""
    policy = client.session.guard.policy
    return {
        feature: client.capabilities[feature]
        for method, feature in FEATURES.items()
        if client.can(feature) and policy.permits(connector, f"mcp:{method}")
    }


class Asks:
    """The questions of one server in the middle of one call."""

    def __init__(self, errand: Errand, connector: str, unknowns: Unknowns) -> None:
        """Begin with none."""
        self._errand = errand
        self._connector = connector
        self._unknowns = unknowns
        self._pushed = 0

    async def ask(self, method: str, params: Params | None, key: str = "") -> Params:
        """Put a question to the client, if the policy lets it, and give the answer.

        Raises:
            MCPError: there is none; an elicitation is declined instead, as a person would.

        """
        if method not in FEATURES:
            await self._unknowns.asked(self._errand.client, self._connector, method)
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
        self._errand.asking += 1
        try:
            return await self._judged(method, dict(params or {}), key)
        finally:
            self._errand.asking -= 1
            self._errand.changed.set()

    async def announced(self, error: UpstreamError) -> UpstreamError:
        """Give an error as it came; one that sends the user to pages only if the server may ask for that."""
        if error.code != types.URL_ELICITATION_REQUIRED:
            return error
        pages: list[Params] = []

        async def put(call: ToolCall) -> ToolOutput:
            pages.append(_labelled("elicitation/create", thaw(call.arguments), call.connector))
            return ToolOutput({})

        wanted = error.data.get("elicitations") if isinstance(error.data, dict) else None
        for page in wanted if isinstance(wanted, list) else ():
            if not isinstance(page, dict) or len(pages) >= MOST_PAGES:
                break
            await self._outcome("elicitation/create", {**page, "mode": "url"}, put)
        if not pages:
            return UpstreamError(
                types.INTERNAL_ERROR, "the server sends the user to a page, which is refused"
            )
        return UpstreamError(error.code, error.message, {"elicitations": pages})

    async def _judged(self, method: str, params: Params, key: str) -> Params:
        params.pop(
            "_meta", None
        )  # nothing of it is known, and what the client gets says whose question it is
        errors: list[MCPError] = []

        async def put(call: ToolCall) -> ToolOutput:
            try:
                answer = await self._put(method, _labelled(method, thaw(call.arguments), call.connector), key)
            except MCPError as error:
                errors.append(error)
                raise BackendError("the client refused") from None
            return _output(method, answer)

        outcome = await self._outcome(method, params, put)
        if isinstance(outcome, Delivered):
            answer = outcome.output.raw if outcome.output.raw is not None else thaw(outcome.output.value)
            if isinstance(answer, dict) and fits(method, answer):
                return answer
        if errors:
            raise errors[0]
        if method == "elicitation/create":
            return {"action": "decline"}
        raise MCPError(NO, "refused")

    async def _outcome(
        self, method: str, params: Params, put: Callable[[ToolCall], Awaitable[ToolOutput]]
    ) -> Outcome:
        session, name = self._errand.client.session, f"mcp:{method}"
        if not Offered.of(self._errand.client.capabilities).covers(method, params):
            denied = Denied(Reason.BACKEND_FAILED, "the client did not say that it can be asked this")
            return session.refuse(self._connector, name, params, denied)
        screened = self._screened(name, params)
        if isinstance(screened, Denied):
            return session.refuse(self._connector, name, params, screened)
        return await session.acall(self._connector, name, screened, put)

    def _screened(self, name: str, params: Params) -> Params | Denied:
        """Give the words of a question without what no client should read, or say why there are none."""
        policy = self._errand.client.session.guard.policy
        if policy.connector(self._connector) is None:
            return params  # it is refused for that
        try:
            call = ToolCall.of(self._connector, name, {})
            screened = policy.screen(call, ToolOutput(freeze(params)))
        except NotJson:
            return Denied(Reason.INVALID_CALL, "what is asked is not plain JSON")
        if screened.action is Action.QUARANTINE:
            families = ", ".join(sorted({finding.family for finding in screened.findings}))
            return Denied(Reason.OUTPUT_REJECTED, f"what is asked carries markers ({families})")
        return dict(thaw(screened.value))

    async def _put(self, method: str, params: Params, key: str) -> Params:
        """Ask, in the way of the client's era."""
        if self._errand.client.modern:
            return await self._parked(method, params, key)
        patience_s = self._errand.client.session.guard.policy.approval_s
        try:
            async with asyncio.timeout(patience_s):
                return await self._errand.context.send_raw_request(method, params)
        except TimeoutError:
            raise BackendError(f"the client gave no answer within {patience_s:g} s") from None

    async def _parked(self, method: str, params: Params, key: str) -> Params:
        """Leave the question with the errand, for the client to come back with the answer."""
        errand = self._errand
        if not 0 < len(key) <= LONGEST_KEY or key in errand.asked:
            self._pushed += 1
            key = f"{LABEL}{self._pushed}"
        given = errand.answers.pop(key, None)
        if given is not None and fits(method, given):
            return dict(given)
        future: asyncio.Future[Params] = asyncio.get_running_loop().create_future()
        errand.asked[key] = {"method": method, "params": params}, future
        errand.changed.set()
        try:
            return await future
        finally:
            if errand.asked.get(key, (None, None))[1] is future:
                del errand.asked[key]


def _labelled(method: str, params: Any, connector: str) -> Params:
    """Say whose question it is, in words where a person reads some."""
    labelled: Params = {**params, "_meta": {ORIGIN: connector}}
    if method == "elicitation/create":
        labelled["message"] = f"connector {connector} asks: {params.get('message', '')}"
    return labelled


def _output(method: str, answer: Params) -> ToolOutput:
    if not fits(method, answer):
        raise BackendError("the client's answer is none to what was asked")
    try:
        return ToolOutput(freeze(answer), raw=answer)
    except NotJson:
        raise BackendError("the client's answer is not plain JSON") from None
