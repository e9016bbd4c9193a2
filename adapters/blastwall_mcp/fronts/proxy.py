"""The MCP server that a client talks to: it lists what the policy permits and guards every call."""

import logging
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, assert_never

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server import Server, ServerRequestContext
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import methods
from pydantic import ValidationError

from blastwall.errors import BackendError
from blastwall.frozen import Json, NotJson, freeze, thaw
from blastwall.guard import Guard
from blastwall.session import Session
from blastwall.values import (
    Action,
    Delivered,
    Denied,
    Failed,
    Outcome,
    Profile,
    Reason,
    Refused,
    ToolCall,
    ToolOutput,
    Withheld,
)
from blastwall_mcp._catalogue import Catalogue, Entry
from blastwall_mcp._stdio import front
from blastwall_mcp._upstream import Upstream
from blastwall_mcp._version import IDENTITY

Context = ServerRequestContext[Any, Any]

log = logging.getLogger(__name__)


class Proxy:
    """The upstreams of a policy behind one guard, as the two handlers that an MCP server needs."""

    def __init__(self, session: Session, tasks: TaskGroup) -> None:
        """Start nothing yet. The upstreams live in `tasks` and end with them."""
        self._session = session
        self._servers = session.guard.policy.servers  # what runs stays as it was started
        self._tasks = tasks
        self._upstreams = {
            name: Upstream(name, server, server.profile, tasks, session.boxes.launch)
            for name, server in self._servers.items()
        }
        self._confined: dict[tuple[str, Profile], Upstream] = {}
        self._catalogue = Catalogue(lambda: session.guard.policy, self._upstreams)

    def server(self) -> Server[Any]:
        """Build the server: tools, and nothing else."""
        return Server(
            IDENTITY.name,
            version=IDENTITY.version,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
        )

    async def warm(self) -> None:
        """Start all upstreams, so that the first list need not wait for all of it."""
        await self._catalogue.tools()

    async def list_tools(
        self, ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Answer `tools/list`, on one page."""
        try:
            tools = await self._catalogue.tools()
            return types.ListToolsResult(tools=[t for t in tools if _fits(t, ctx.protocol_version)])
        except Exception:
            log.exception("the list of tools broke")
            message = "the list of tools can't be had: the proxy's stderr says why"
            raise MCPError(types.INTERNAL_ERROR, message) from None

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> Any:
        """Answer `tools/call`. Whatever goes wrong inside is told by its type only."""
        try:
            entry = await self._catalogue.find(params.name)
            if entry is not None:
                return await self._called(ctx, entry, params.arguments or {})
        except Exception as error:
            log.exception("a call of %r broke", params.name)
            return _refusal(Denied(Reason.CHECK_FAILED, f"the proxy broke ({type(error).__name__})"))
        raise MCPError(types.INVALID_PARAMS, "there is no tool of this name")

    async def _called(self, ctx: Context, entry: Entry, arguments: dict[str, Any]) -> Any:
        if entry.check_input and (problem := entry.check_input(arguments)):
            denied = Denied(Reason.INVALID_CALL, f"the arguments don't fit the tool: {problem}")
            return _answer(self._session.refuse(entry.connector, entry.tool, arguments, denied))
        outcome = await self._session.acall(
            entry.connector,
            entry.tool,
            arguments,
            partial(self._execute, ctx, entry),
            confine=partial(self._confine, ctx, entry),
            annotations=entry.annotations,
            fingerprint=entry.fingerprint,
        )
        return _answer(outcome)

    async def _execute(self, ctx: Context, entry: Entry, call: ToolCall) -> ToolOutput:
        return await self._run(ctx, entry, call, self._upstreams[entry.connector])

    async def _confine(self, ctx: Context, entry: Entry, call: ToolCall, profile: Profile) -> ToolOutput:
        """Run the call in a second instance of its server, inside the profile that the rule names."""
        server = self._servers[entry.connector]
        if profile == server.profile:
            return await self._execute(ctx, entry, call)
        key = entry.connector, profile
        if key not in self._confined:
            self._confined[key] = Upstream(
                entry.connector, server, profile, self._tasks, self._session.boxes.launch
            )
        return await self._run(ctx, entry, call, self._confined[key])

    async def _run(self, ctx: Context, entry: Entry, call: ToolCall, upstream: Upstream) -> ToolOutput:
        if entry.barred:
            raise type(entry.barred)(str(entry.barred))
        result = await upstream.call(
            call.tool, thaw(call.arguments), _forwarded(ctx), self._progress(ctx, call)
        )
        if result.get("resultType", "complete") != "complete":
            raise BackendError(
                f"the server of connector {call.connector} asked for more input in the middle of the call,"
                " which the policy has no way to allow: give all that the tool needs in its arguments"
            )
        result = _payload(result)
        try:
            types.CallToolResult.model_validate(result, by_name=False)
            value = freeze(result)
        except (ValidationError, NotJson):
            raise BackendError(
                f"the server of connector {call.connector} answered with something that is no tool result:"
                " tell the user that it is broken"
            ) from None
        return ToolOutput(value, result.get("isError") is True, _complete(result), entry.check_output)

    def _progress(self, ctx: Context, call: ToolCall) -> ProgressFnT | None:
        """Pass progress on, but no words that screening objects to."""
        if not ctx.meta or "progress_token" not in ctx.meta:
            return None
        policy = self._session.guard.policy

        async def report(progress: float, total: float | None, message: str | None) -> None:
            clean = message and policy.screen(call, ToolOutput(message)).action is Action.PASS
            await ctx.session.report_progress(progress, total, message if clean else None)

        return report


async def serve_stdio(guard: Guard) -> None:
    """Serve every MCP server of the guard's policy as one, until the client closes our stdin.

    All calls of one run belong to one session of the audit log.

    Raises:
        BackendError: the policy names no server, or stdin and stdout are not pipes.

    """
    if not guard.policy.servers:
        raise BackendError("no connector of the policy has a `server`: add one to have something to serve")
    with guard.session() as session:
        async with front() as (reader, writer), _until_terminated() as tasks:
            proxy = Proxy(session, tasks)
            tasks.start_soon(proxy.warm)
            server = proxy.server()
            await server.run(reader, writer, server.create_initialization_options())
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _until_terminated() -> AsyncGenerator[TaskGroup]:
    """Give a task group that SIGTERM cancels, so that upstreams and sandboxes are cleaned up."""
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        yield tasks


def _answer(outcome: Outcome) -> Any:
    match outcome:
        case Delivered(output) if output.raw is not None:
            return output.raw
        case Delivered(output):
            return _rebuilt(output.value)
        case Refused(denied) | Failed(denied) | Withheld(denied):
            return _refusal(denied)
        case _:
            assert_never(outcome)


def _rebuilt(value: Json) -> Any:
    """Give a result that screening changed."""
    result = thaw(value)
    try:
        types.CallToolResult.model_validate(result, by_name=False)
    except ValidationError:
        return _refusal(Denied(Reason.OUTPUT_REJECTED, "what screening left of the output is no tool result"))
    return _complete(result)


def _refusal(denied: Denied) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=str(denied))], is_error=True)


_HOP = (
    "progressToken",
    types.PROTOCOL_VERSION_META_KEY,
    types.CLIENT_INFO_META_KEY,
    types.CLIENT_CAPABILITIES_META_KEY,
    types.LOG_LEVEL_META_KEY,
)
"""What a request's `_meta` says of this connection and not of the call."""


def _forwarded(ctx: Context) -> dict[str, Any]:
    meta = (ctx.params or {}).get("_meta")
    return {k: v for k, v in meta.items() if k not in _HOP} if isinstance(meta, Mapping) else {}


def _payload(result: dict[str, Any]) -> dict[str, Any]:
    """Take off a result what the upstream's connection put on it; ours puts on its own."""
    payload = {key: value for key, value in result.items() if key != "resultType"}
    meta = payload.pop("_meta", None)
    if isinstance(meta, dict) and (own := {k: v for k, v in meta.items() if k != types.SERVER_INFO_META_KEY}):
        payload["_meta"] = own
    return payload


def _complete(payload: dict[str, Any]) -> dict[str, Any]:
    """Say that a result is final, as a modern client wants to hear; a legacy one is not told."""
    return {**payload, "resultType": "complete"}


def _fits(tool: types.Tool, version: str) -> bool:
    """Say whether a tool has a form in the client's protocol version; one without would spoil the list."""
    dumped = tool.model_dump(by_alias=True, mode="json", exclude_none=True)
    page = {"tools": [dumped], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    try:
        methods.validate_server_result("tools/list", version, page)
    except ValidationError:
        log.warning("tool %s is hidden: its schema has no form in protocol version %s", tool.name, version)
        return False
    return True
