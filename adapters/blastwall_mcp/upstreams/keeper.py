"""The keeper of a server: starts it when it is needed, and again after it broke; ends it when it idles."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic  # the event loop's own clock, without a search for the loop
from typing import assert_never

import anyio
from anyio.abc import TaskGroup
from mcp.shared.dispatcher import OnNotify, OnRequest
from mcp.shared.exceptions import MCPError

from blastwall.errors import BackendError
from blastwall.trust.packages import package
from blastwall.values import Server
from blastwall_mcp.upstreams.handshake import Hello, Unsuitable, greet
from blastwall_mcp.upstreams.headers import Headers
from blastwall_mcp.upstreams.listening import Listening
from blastwall_mcp.upstreams.offered import Offered
from blastwall_mcp.wire.channel import Channel, Closed

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
"""How long a server that broke twice in a row is left alone: it doubles with each further time."""

log = logging.getLogger(__name__)

Open = Callable[[], AbstractAsyncContextManager[Channel]]
"""How a connection is made. Raises `BackendError`; leaving it ends everything of it."""


@dataclass(slots=True)
class Live:
    """A server that answers."""

    channel: Channel
    hello: Hello
    listening: Listening
    headers: Headers


@dataclass(slots=True)
class _Attempt:
    """One start of the server, which several callers may wait for."""

    settled: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    outcome: Live | BackendError | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who needs the server.

    Attributes:
        on_request: Answers what it asks.
        on_notify: Hears what it tells.
        on_start: Hears that it is there, before anybody else may speak to it.
        on_change: Hears that its lists may have changed.
        busy: Says whether it is needed right now.

    """

    on_request: OnRequest
    on_notify: OnNotify
    on_start: Callable[[Live], Awaitable[None]]
    on_change: Callable[[], None]
    busy: Callable[[], bool]


class Keeper:
    """Keeps the server of one connector.

    Attributes:
        hello: What it said at its last start.
        used: When it was last needed.

    """

    def __init__(
        self,
        connector: str,
        server: Server,
        offered: Offered,
        open_: Open,
        tasks: TaskGroup,
        spoken: MutableMapping[str, str],
    ) -> None:
        """Start nothing yet. The connection lives in `tasks` and ends with them.

        `spoken` remembers the newest protocol version of each connector's server.
        """
        self.hello = Hello("")
        self.used = 0.0
        self._connector = connector
        self._server = server
        self._offered = offered
        self._open = open_
        self._tasks = tasks
        self._spoken = spoken
        self._tenant: Tenant
        self._attempt: _Attempt | None = None
        self._closed = False
        self._pause_s = 0.0
        self._not_before = 0.0

    def serve(self, tenant: Tenant) -> None:
        """Keep it for somebody."""
        self._tenant = tenant

    def __str__(self) -> str:
        return f"the server of connector {self._connector}"

    async def live(self) -> Live:
        """Give a server that answers.

        Raises:
            BackendError: it can't be started, or not in time.
            SandboxUnavailable: it can't be confined as the policy says.

        """
        attempt = self._attempt
        if attempt is None or (_over(attempt) and monotonic() >= self._not_before):
            attempt = self._begun()
        if not attempt.settled.is_set():  # waiting costs a turn of the event loop even when there is no need
            await attempt.settled.wait()
        match attempt.outcome:
            case Live(channel=channel) as live:
                if channel.ended.is_set():
                    raise BackendError(self.stopped(channel))
                return live
            case BackendError() as error:
                raise type(error)(str(error))
            case None:
                raise BackendError(f"{self} was stopped")
            case other:
                assert_never(other)

    def running(self) -> Live | None:
        """Give the server if it answers now."""
        outcome = self._attempt.outcome if self._attempt is not None else None
        return outcome if isinstance(outcome, Live) and not outcome.channel.ended.is_set() else None

    @property
    def up(self) -> bool:
        """Whether the server is being started, or answers."""
        return self._attempt is not None and not _over(self._attempt)

    def recovered(self) -> None:
        """Take word that the server did what it was asked: if it breaks, it is started again at once."""
        self._pause_s = 0.0

    def stopped(self, channel: Channel, why: str = "") -> str:
        """Say why there is no answer; `why` is about one request only."""
        if why and not channel.ended.is_set():
            return f"{self} gave no answer ({why}); whether this call had an effect is not known"
        why = f": {channel.fault}" if channel.fault else " before it answered"
        return (
            f"{self} stopped{why}; it is started again with the next call, and whether this one had an effect"
            " is not known"
        )

    async def aclose(self) -> None:
        """End it, and start it never again."""
        self._closed = True
        if (attempt := self._attempt) is not None:
            attempt.scope.cancel()
            await attempt.over.wait()

    def _begun(self) -> _Attempt:
        if self._closed:
            raise BackendError(f"{self} was stopped")
        attempt = self._attempt = _Attempt()
        self._tasks.start_soon(self._run, attempt)
        return attempt

    async def _run(self, attempt: _Attempt) -> None:
        """Be there from its start to its end: everything of it opens and closes here."""
        try:
            with attempt.scope:
                await self._kept(attempt)
        except BackendError as error:
            attempt.outcome = error
        except Exception as error:  # its keeper must not take the other servers down
            attempt.outcome = BackendError(
                f"{self} broke ({type(error).__name__}): see the proxy's stderr, then try again"
            )
            log.debug("%s broke", self, exc_info=error)
        finally:
            if self._attempt is attempt:
                self._not_before = monotonic() + self._pause_s
                self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, self._pause_s * 2))
            attempt.settled.set()
            attempt.over.set()

    async def _kept(self, attempt: _Attempt) -> None:
        async with self._open() as channel, anyio.create_task_group() as group:
            listening = Listening(channel, self._tenant.on_change)
            tenant = self._tenant
            group.start_soon(channel.run, tenant.on_request, tenant.on_notify, listening.heard)
            # Set, not raised: a task group wraps what is raised through it in an exception group.
            met = attempt.outcome = await self._introduced(channel, listening)
            if isinstance(met, Live):
                await tenant.on_start(met)
                attempt.settled.set()
                if met.hello.modern:
                    group.start_soon(listening.run)
                await self._attend(channel)
            group.cancel_scope.cancel()

    async def _introduced(self, channel: Channel, listening: Listening) -> Live | BackendError:
        """Shake hands in the server's own era, or say what is wrong."""
        server, before = self._server, self._spoken.get(self._connector, "")
        try:
            hello = await greet(channel, self._offered, server.era, before, server.start_s)
        except BackendError as error:
            return error
        except TimeoutError:
            return BackendError(
                f"{self} did not answer within {server.start_s:g} s of its start: check its `command` or its"
                f" `url`, or raise `start_s` in the policy{_unfetched(server)}"
            )
        except Unsuitable as error:
            return BackendError(
                f"{self} is refused: {error}; if it really became older, set its `era` and restart the proxy"
            )
        except MCPError as error:
            ended = isinstance(error, Closed) or channel.ended.is_set()
            own = error.why if isinstance(error, Closed) else ""
            why = channel.fault or own or ("it ended" if ended else f"it answered with error {error.code}")
            return BackendError(
                f"{self} can't be spoken to ({why}): check its `command` or `url`, and what it writes to"
                f" stderr (the proxy shows that with log level info){_unfetched(server)}"
            )
        self.hello, self._spoken[self._connector] = hello, hello.version
        headers = Headers(hello.version, modern=hello.modern)
        listening.prepare(hello.capabilities, hello.envelope, headers.of("subscriptions/listen", {}))
        self.used = monotonic()
        self._tenant.on_change()
        return Live(channel, hello, listening, headers)

    async def _attend(self, channel: Channel) -> None:
        """Wait for the end, or for a time in which nobody needs the server."""
        idle_s = self._server.idle_s if self._server.idle_s > 0 else float("inf")
        while True:
            since = monotonic() if self._tenant.busy() else self.used
            with anyio.move_on_at(since + idle_s):
                await channel.ended.wait()
                log.warning("%s", self.stopped(channel))
                return
            if not self._tenant.busy() and monotonic() >= self.used + idle_s:
                self._attempt = None  # whoever needs it from now on gets a new one
                log.info("%s idled, and is stopped until it is needed", self)
                return


def _unfetched(server: Server) -> str:
    """Say what keeps a server from its start that has to be fetched first, where there is no network."""
    found = package(server.command)
    if found is None or server.profile is None or server.profile.network:
        return ""
    return (
        f"; {found.spec} is fetched first, and its sandbox has no network: install it and name its own"
        " program, or name a profile in `sandbox` whose `network` has the registry"
    )


def _over(attempt: _Attempt) -> bool:
    match attempt.outcome:
        case Live(channel=channel):
            return channel.ended.is_set()
        case BackendError() | None:
            return attempt.settled.is_set()
        case other:
            assert_never(other)
