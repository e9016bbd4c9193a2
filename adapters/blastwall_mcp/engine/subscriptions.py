"""What a client wants to hear: resources that change, lists that change, and what servers log."""

from collections.abc import Awaitable, Callable
from functools import partial

import mcp_types as types
from mcp.shared.exceptions import MCPError

from blastwall.errors import BackendError
from blastwall.values import Delivered, Outcome, ToolCall, ToolOutput
from blastwall_mcp.engine.answers import answer
from blastwall_mcp.engine.clients import OUT_OF_REACH, Client, Context, Params
from blastwall_mcp.engine.listeners import Listener
from blastwall_mcp.engine.pushes import Pushes
from blastwall_mcp.engine.views import Views
from blastwall_mcp.upstreams.upstream import Upstream, UpstreamError

SUBSCRIBE = "mcp:resources/subscribe"
SET_LEVEL = "mcp:logging/setLevel"

MOST_WATCHED = 1000
"""Resources that one client may subscribe to."""


class Subscriptions:
    """Takes them, and takes them back."""

    def __init__(self, views: Views, pushes: Pushes) -> None:
        """Have none yet."""
        self._views, self._pushes = views, pushes

    async def subscribe(self, client: Client, _context: Context, params: Params) -> Params:
        """Answer `resources/subscribe`."""
        outcome = await self._watched(client, params["uri"])
        if outcome is None:
            raise MCPError(types.INVALID_PARAMS, "there is no resource of this URI", {"uri": params["uri"]})
        answer("resources/subscribe", outcome, faulty=False)
        return {}

    async def unsubscribe(self, client: Client, _context: Context, params: Params) -> Params:
        """Answer `resources/unsubscribe`: wanting less needs nobody's permission."""
        await self._pushes.unwatch(client, params["uri"])
        return {}

    async def listen(self, client: Client, context: Context, params: Params) -> Params:
        """Answer `subscriptions/listen`: by what changes, for as long as the client waits."""
        wanted = params["notifications"]
        for_this = Client(
            client.principal,
            client.session,
            client.version,
            modern=True,
            capabilities=client.capabilities,
            reaches=client.reaches,
        )
        listener = Listener(for_this, context, wanted)
        self._views.of(for_this)
        try:
            with self._pushes.listening(listener):
                for uri in (wanted.get("resourceSubscriptions") or ())[:MOST_WATCHED]:
                    await self._watched(for_this, uri)
                await listener.acknowledge()
                await listener.tell()
        finally:
            await self._pushes.closed(for_this)
        return {"_meta": listener.meta}

    async def set_level(self, client: Client, _context: Context, params: Params) -> Params:
        """Answer `logging/setLevel`: every server is told that logs and may be told."""
        level = params["level"]
        outcomes = [
            await self._guarded(
                client,
                upstream,
                SET_LEVEL,
                {"level": level},
                partial(self._pushes.set_level, client, upstream, level),
            )
            for upstream in self._views.of(client).upstreams.values()
            if "logging" in upstream.capabilities
        ]
        refused = [outcome for outcome in outcomes if not isinstance(outcome, Delivered)]
        if refused and len(refused) == len(outcomes):
            answer("logging/setLevel", refused[0], faulty=False)
        client.level = level
        return {}

    async def roots_changed(self, client: Client) -> None:
        """Tell the servers that may ask for the client's roots that they changed."""
        view = self._views.of(client)
        for connector, upstream in view.upstreams.items():
            if "roots" in view.offered[connector] and upstream.capabilities:
                try:
                    await upstream.notify("notifications/roots/list_changed")
                except (BackendError, UpstreamError):
                    continue

    async def _watched(self, client: Client, uri: str) -> Outcome | None:
        view = self._views.of(client)
        entry = await view.catalogue.find("resources", uri)
        if entry is None or len(client.watched) >= MOST_WATCHED:
            return None
        upstream = view.upstreams[entry.connector]

        async def watch() -> None:
            if entry.barred:
                raise type(entry.barred)(str(entry.barred))
            await self._pushes.watch(client, upstream, uri)

        return await self._guarded(client, upstream, SUBSCRIBE, {"uri": uri}, watch)

    async def _guarded(
        self,
        client: Client,
        upstream: Upstream,
        name: str,
        arguments: Params,
        act: Callable[[], Awaitable[None]],
    ) -> Outcome:
        async def execute(_call: ToolCall) -> ToolOutput:
            try:
                await act()
            except UpstreamError as error:
                raise BackendError(
                    f"the server of connector {upstream.connector} answered with protocol error {error.code}"
                ) from None
            return ToolOutput({})

        if not client.reaches(upstream.connector, name):
            return client.session.refuse(upstream.connector, name, arguments, OUT_OF_REACH)
        return await client.session.acall(upstream.connector, name, arguments, execute)
