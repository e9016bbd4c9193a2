"""One upstream server: its process, its session, and what becomes of both when something breaks."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, assert_never

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.client.session import ClientSession, IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost, listen
from mcp.shared.dispatcher import CallOptions, ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from pydantic import ValidationError

from blastwall.errors import BackendError
from blastwall.values import Profile, Server
from blastwall_mcp._lines import Reader
from blastwall_mcp._stdio import Launch, spawn
from blastwall_mcp._version import IDENTITY

MAX_PAGES = 100
"""Pages of a tool list that are followed; a server whose list never ends is refused."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
"""How long a server that broke twice in a row is left alone: it doubles with each further time."""

log = logging.getLogger(__name__)


class _Live:
    """A session that answers."""

    def __init__(self, dispatcher: JSONRPCDispatcher, reader: Reader, session: ClientSession) -> None:
        """Take what the handshake said. `meta` is what the server's era wants in every request."""
        self.dispatcher = dispatcher
        self.reader = reader
        self.meta = _envelope(session)
        self.lists_tools = _tools(session) is not None


@dataclass(slots=True)
class _Attempt:
    """One start of the server, which several callers may wait for."""

    settled: anyio.Event = field(default_factory=anyio.Event)
    outcome: _Live | BackendError | None = None


class Upstream:
    """The server of one connector inside one profile, started when needed and again after it broke.

    Attributes:
        connector: Whose server it is.
        version: Grows whenever its list of tools may have changed: at every start, and when it says so.

    """

    def __init__(
        self, connector: str, server: Server, profile: Profile | None, tasks: TaskGroup, launch: Launch
    ) -> None:
        """Start nothing yet. The process lives in `tasks` and ends with them."""
        self.connector = connector
        self.version = 0
        self._server = server
        self._profile = profile
        self._tasks = tasks
        self._launch = launch
        self._attempt: _Attempt | None = None
        self._pause_s = 0.0
        self._not_before = 0.0

    async def ensure(self) -> None:
        """Start the server unless it runs.

        Raises:
            BackendError: it can't be started, or not in time.
            SandboxUnavailable: it can't be confined as the policy says.

        """
        await self._live()

    async def list_tools(self) -> list[dict[str, Any]]:
        """Fetch the definitions of its tools, as they came, page by page.

        Raises:
            BackendError: it does not answer properly.

        """
        live = await self._live()
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {}
        for _ in range(MAX_PAGES if live.lists_tools else 0):
            page = await self._request(live, "tools/list", params, self._server.start_s, None)
            tools = page.get("tools")
            if not isinstance(tools, list):
                raise BackendError(f"the server of connector {self.connector} gave no list of tools")
            found += tools
            params = {"cursor": page.get("nextCursor")}
            if not isinstance(params["cursor"], str):
                return found
        if live.lists_tools:
            raise BackendError(f"the server of connector {self.connector} lists more than {MAX_PAGES} pages")
        return found

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        meta: Mapping[str, Any],
        on_progress: ProgressFnT | None,
    ) -> dict[str, Any]:
        """Call a tool and give its result as it came. A cancelled caller cancels the server's work too.

        Raises:
            BackendError: there is no result; the message names the connector and says what to do.

        """
        live = await self._live()
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        result = await self._request(live, "tools/call", params, self._server.call_s, on_progress)
        self._pause_s = 0.0
        return result

    async def _request(
        self,
        live: _Live,
        method: str,
        params: dict[str, Any],
        limit_s: float,
        on_progress: ProgressFnT | None,
    ) -> dict[str, Any]:
        params["_meta"] = {**params.get("_meta", {}), **live.meta}
        options: CallOptions = {"on_progress": on_progress} if on_progress else {}
        try:
            # Not mcp's own time limit: that one starts when the request is written, and a server that
            # does not read its stdin would never let it start.
            with anyio.fail_after(limit_s):
                return await live.dispatcher.send_raw_request(method, params, options)
        except TimeoutError:
            setting = "call_s" if method == "tools/call" else "start_s"
            raise BackendError(
                f"the server of connector {self.connector} gave no answer within {limit_s:g} s:"
                f" ask for less at once, or raise `{setting}` in the policy"
            ) from None
        except MCPError as error:
            if live.reader.ended.is_set():
                raise BackendError(self._stopped(live.reader)) from None
            raise BackendError(
                f"the server of connector {self.connector} answered with protocol error {error.code}:"
                " check the tool's name and its arguments"
            ) from None

    def _stopped(self, reader: Reader) -> str:
        why = f": {reader.fault}" if reader.fault else " before it answered"
        return (
            f"the server of connector {self.connector} stopped{why}; it is started again with the next"
            " call, and whether this one had an effect is not known"
        )

    async def _live(self) -> _Live:
        attempt = self._attempt
        if attempt is None or (_over(attempt) and anyio.current_time() >= self._not_before):
            attempt = self._attempt = _Attempt()
            self._tasks.start_soon(self._run, attempt)
        if not attempt.settled.is_set():  # waiting costs a turn of the event loop even when there is no need
            await attempt.settled.wait()
        match attempt.outcome:
            case _Live(reader=reader) as live:
                if reader.ended.is_set():
                    raise BackendError(self._stopped(reader))
                return live
            case BackendError() as error:
                raise type(error)(str(error))
            case None:
                raise BackendError(f"the server of connector {self.connector} was stopped")
            case other:
                assert_never(other)

    async def _run(self, attempt: _Attempt) -> None:
        """Be the process's keeper from its start to its end: everything of it opens and closes here."""
        try:
            async with spawn(self.connector, self._server, self._profile, self._launch) as (reader, writer):
                dispatcher = JSONRPCDispatcher(reader, writer)
                session = ClientSession(
                    dispatcher=dispatcher, message_handler=self._notified, client_info=IDENTITY
                )
                async with session:
                    # Set, not raised: a session wraps what is raised through it in an exception group.
                    attempt.outcome = failure = await self._introduce(session, reader)
                    if failure is None:
                        self.version += 1
                        attempt.outcome = _Live(dispatcher, reader, session)
                        attempt.settled.set()
                        await self._attend(session, reader)
                        log.warning("%s", self._stopped(reader))
        except BackendError as error:
            attempt.outcome = error
        except Exception as error:  # its keeper must not take the other servers down
            attempt.outcome = BackendError(
                f"the server of connector {self.connector} broke ({type(error).__name__}):"
                " see the proxy's stderr, then try again"
            )
            log.debug("the server of connector %s broke", self.connector, exc_info=error)
        finally:
            self._not_before = anyio.current_time() + self._pause_s
            self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, self._pause_s * 2))
            attempt.settled.set()

    async def _introduce(self, session: ClientSession, reader: Reader) -> BackendError | None:
        """Shake hands in the server's own era, or say what is wrong."""
        try:
            with anyio.fail_after(self._server.start_s):
                await _negotiate(session)
        except TimeoutError:
            return BackendError(
                f"the server of connector {self.connector} did not answer within {self._server.start_s:g} s"
                " of its start: check its `command`, or raise `start_s` in the policy"
            )
        except (MCPError, RuntimeError, ValidationError) as error:
            why = reader.fault or ("it ended" if reader.ended.is_set() else type(error).__name__)
            return BackendError(
                f"the server of connector {self.connector} can't be spoken to ({why}): check its `command`"
                " and what it writes to stderr (the proxy shows that with log level info)"
            )
        return None

    async def _attend(self, session: ClientSession, reader: Reader) -> None:
        """Wait for the end, and meanwhile for word of changed tools."""
        async with anyio.create_task_group() as group:
            tools = _tools(session)
            if session.discover_result is not None and tools is not None and tools.list_changed:
                group.start_soon(self._listen, session)
            await reader.ended.wait()
            group.cancel_scope.cancel()

    async def _listen(self, session: ClientSession) -> None:
        """Subscribe to changes of the tool list, which modern servers tell to subscribers only."""
        with suppress(MCPError, SubscriptionLost, ListenNotSupportedError):
            async with listen(session, tools_list_changed=True) as events:
                self.version += 1  # what changed before the subscription stood was told to nobody
                async for _ in events:
                    self.version += 1

    async def _notified(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self.version += 1


def _over(attempt: _Attempt) -> bool:
    match attempt.outcome:
        case _Live(reader=reader):
            return reader.ended.is_set()
        case BackendError() | None:
            return attempt.settled.is_set()
        case other:
            assert_never(other)


async def _negotiate(session: ClientSession) -> None:
    """Probe for the modern era, then fall back to the legacy handshake, as mcp's own `Client` does."""
    try:
        await session.discover()
    except (MCPError, RuntimeError, ValidationError):
        try:
            await session.initialize()
        except MCPError as error:
            if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
                raise
            await session.discover()  # it is modern after all, and was only slow to answer the probe


def _tools(session: ClientSession) -> types.ToolsCapability | None:
    return session.server_capabilities.tools if session.server_capabilities else None


def _envelope(session: ClientSession) -> Mapping[str, Any]:
    """Give what each request to a modern server carries in its `_meta`; a legacy one learnt it once."""
    if session.discover_result is None:
        return {}
    return {
        types.PROTOCOL_VERSION_META_KEY: session.protocol_version,
        types.CLIENT_INFO_META_KEY: IDENTITY.model_dump(by_alias=True, mode="json", exclude_none=True),
        types.CLIENT_CAPABILITIES_META_KEY: {},
    }
