"""MCP's draft of interceptors (SEP-2624), served: a policy and its screening for other gateways to ask.

The wire is that of the working group's own conformance fixtures: `interceptors/list`, `interceptor/invoke`,
`hooks` of events and a phase, and a tool call's payload is the request's params, or the result.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from pydantic import Field

from blastwall.frozen import Json, NotJson, freeze, thaw
from blastwall.guard import Guard
from blastwall.session import Session
from blastwall.values import Action, Delivered, Denied, Reason, Screened, ToolCall, ToolOutput
from blastwall_mcp._version import IDENTITY

EXTENSION = "io.modelcontextprotocol/interceptors"
LIST, INVOKE = "interceptors/list", "interceptor/invoke"
CALL = "tools/call"
TIMED_OUT = -32000

Phase = Literal["request", "response"]
Object = dict[str, Any]

log = logging.getLogger(__name__)


class ListParams(types.RequestParams):
    """What is asked of `interceptors/list`."""

    event: str | None = None


class InvokeParams(types.RequestParams):
    """What is asked of `interceptor/invoke`."""

    name: str
    event: str
    phase: Phase
    payload: Any = None
    config: Object | None = None
    timeout_ms: float | None = Field(None, alias="timeoutMs", gt=0)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One interceptor of ours."""

    name: str
    type: Literal["validation", "mutation"]
    phase: Phase
    description: str
    invoke: Callable[["Served", InvokeParams], Awaitable[Object]]


class Served:
    """The guard of a session as interceptors: its policy before a tool call, its screening after.

    Nothing is run here. Whoever asks says whose tool it is: by `config: {"connector": ..., "tool": ...}`, by
    a name `connector__tool`, or by a connector's `match`. Without that, a tool is unknown, and denied.
    """

    def __init__(self, session: Session, *, audit: bool = False) -> None:
        """Offer them for enforcing or, with `audit`, for looking on."""
        self._session = session
        self._audit = audit

    def server(self) -> Server[Any]:
        """Build the server."""
        server: Server[Any] = Server("blastwall-interceptors", version=IDENTITY.version)
        server.add_request_handler(LIST, ListParams, self.listed)
        server.add_request_handler(INVOKE, InvokeParams, self.invoked)
        server.extensions[EXTENSION] = {"supportedEvents": [CALL]}
        return server

    async def listed(self, _context: ServerRequestContext[Any], params: ListParams) -> Object:
        """Answer `interceptors/list`."""
        wanted = params.event in (None, "*", CALL)
        return {"interceptors": [self._descriptor(offer) for offer in _OFFERS.values() if wanted]}

    async def invoked(self, _context: ServerRequestContext[Any], params: InvokeParams) -> Object:
        """Answer `interceptor/invoke`. Whatever breaks inside is told by its name only."""
        offer = _OFFERS.get(params.name)
        if offer is None or params.event != CALL or params.phase != offer.phase:
            where = {"interceptor": params.name, "event": params.event, "phase": params.phase}
            raise MCPError(types.INVALID_PARAMS, "there is no such interceptor for this event", where)
        try:
            with anyio.fail_after(params.timeout_ms / 1000 if params.timeout_ms else None):
                found = await offer.invoke(self, params)
        except TimeoutError:
            late = {"interceptor": offer.name, "timeoutMs": params.timeout_ms, "phase": offer.phase}
            raise MCPError(TIMED_OUT, "Interceptor execution timeout", late) from None
        except MCPError:
            raise
        except Exception as error:
            log.exception("interceptor %s broke", offer.name)
            broken = {"interceptor": offer.name, "reason": type(error).__name__}
            raise MCPError(types.INTERNAL_ERROR, "Interceptor execution failed", broken) from None
        return {"interceptor": offer.name, "type": offer.type, "phase": offer.phase} | found

    def _descriptor(self, offer: _Offer) -> Object:
        described: Object = {
            "name": offer.name,
            "version": IDENTITY.version,
            "description": offer.description,
            "type": offer.type,
            "hooks": [{"events": [CALL], "phase": offer.phase}],
            "configSchema": _CONFIG,
        }
        return described | ({"mode": "audit"} if self._audit else {})

    async def judge(self, params: InvokeParams) -> Object:
        """Say whether the policy permits a call: it is recorded, and counted, as one that runs elsewhere."""
        asked = _params_of(params.payload)
        arguments = asked.get("arguments") or {}
        if not isinstance(asked.get("name"), str) or not isinstance(arguments, dict):
            raise MCPError(types.INVALID_PARAMS, "the payload is no request for tools/call")
        connector, tool = self._whose(params.config or {}, asked["name"])
        outcome = await self._session.acall(connector, tool, arguments, _elsewhere)
        if isinstance(outcome, Delivered):
            return {"valid": True}
        return _invalid("arguments", str(outcome.denied))

    async def examine(self, params: InvokeParams) -> Object:
        """Say whether an output may be shown."""
        call, screened, _ = self._screened(params)
        self._record(call, screened)
        if screened.action is Action.PASS:
            return {"valid": True}
        said = [f"{finding.family}: {finding.action.name.lower()}" for finding in screened.findings]
        if screened.action is Action.QUARANTINE:
            return _invalid("", "; ".join(dict.fromkeys(said)) or "this output may not be shown")
        warnings = [{"message": line, "severity": "warn"} for line in dict.fromkeys(said)]
        return {"valid": True, "severity": "warn", "messages": warnings}

    async def redact(self, params: InvokeParams) -> Object:
        """Give an output as it may be shown; one that may not is kept aside, and a note stands for it."""
        call, screened, output = self._screened(params)
        self._record(call, screened)
        if screened.action is Action.PASS:
            return {"modified": False, "payload": params.payload}
        if screened.action is not Action.QUARANTINE:
            return {"modified": True, "payload": thaw(screened.value)}
        kept = self._session.guard.hands.quarantine.keep(call, output, screened.findings)
        denied = Denied(Reason.OUTPUT_REJECTED, f"the output is withheld under {kept}")
        note = {"content": [{"type": "text", "text": str(denied)}], "isError": True}
        return {"modified": True, "payload": note}

    def _screened(self, params: InvokeParams) -> tuple[ToolCall, Screened, ToolOutput]:
        if not isinstance(params.payload, dict):
            raise MCPError(types.INVALID_PARAMS, "the payload is no result of tools/call")
        connector, tool = self._whose(params.config or {}, "")
        connector = connector or self._only()
        try:
            call = ToolCall.of(connector, tool, {})
            output = ToolOutput(freeze(params.payload), params.payload.get("isError") is True)
            return call, self._session.guard.policy.screen(call, output), output
        except NotJson as error:
            raise MCPError(types.INVALID_PARAMS, f"the payload is not plain JSON: {error}") from None
        except KeyError:
            message = "whose output is this? Name a connector of the policy in config.connector"
            raise MCPError(types.INVALID_PARAMS, message) from None

    def _only(self) -> str:
        """Name the connector whose screening holds where nothing says whose an output is."""
        names = list(self._session.guard.policy.connectors)
        return names[0] if len(names) == 1 else "*"

    def _record(self, call: ToolCall, screened: Screened) -> None:
        guard = self._session.guard
        families = tuple(sorted({finding.family for finding in screened.findings}))
        details: dict[str, Json] = {"screening": screened.action.name.lower(), "families": families}
        guard.hands.audit.write(self._session.id, "intercepted", call, details, guard.policy.digest)

    def _whose(self, config: Object, name: str) -> tuple[str, str]:
        """Name the connector and the tool that a payload is about."""
        policy, connector, tool = (
            self._session.guard.policy,
            config.get("connector"),
            config.get("tool", name),
        )
        if isinstance(connector, str) and isinstance(tool, str):
            return connector, tool
        prefix, separator, rest = name.partition("__")
        if separator and prefix in policy.connectors:
            return prefix, rest
        return policy.connector_of(name) or "", name


async def serve(guard: Guard, *, audit: bool = False) -> None:
    """Serve the interceptors over stdin and stdout, until the client closes our stdin."""
    with guard.session() as session:
        server = Served(session, audit=audit).server()
        # In the versions with a handshake there is no other place to say it.
        options = server.create_initialization_options(experimental_capabilities=dict(server.extensions))
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, options)


_CONFIG = {
    "type": "object",
    "properties": {"connector": {"type": "string"}, "tool": {"type": "string"}},
    "additionalProperties": False,
}
_OFFERS = {
    offer.name: offer
    for offer in (
        _Offer("blastwall/policy", "validation", "request", "Judges tool calls by a policy.", Served.judge),
        _Offer(
            "blastwall/screening", "validation", "response", "Looks for attacks in outputs.", Served.examine
        ),
        _Offer("blastwall/redaction", "mutation", "response", "Takes attacks out of outputs.", Served.redact),
    )
}


async def _elsewhere(_call: ToolCall) -> ToolOutput:
    """Run nothing: whoever asked does, once they may."""
    return ToolOutput(None)


def _params_of(payload: Any) -> Object:
    """Give the params of a request: the payload itself, or what an older draft put around them."""
    if (
        isinstance(payload, dict)
        and payload.get("method") == CALL
        and isinstance(payload.get("params"), dict)
    ):
        payload = payload["params"]
    if not isinstance(payload, dict):
        raise MCPError(types.INVALID_PARAMS, "the payload is no request for tools/call")
    return payload


def _invalid(path: str, message: str) -> Object:
    said = {"message": message, "severity": "error"} | ({"path": path} if path else {})
    return {"valid": False, "severity": "error", "messages": [said]}
