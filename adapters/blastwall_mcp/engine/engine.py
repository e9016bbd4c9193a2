"""What the proxy does with each message of a client: what carries content or asks for it is guarded."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import methods
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from blastwall.guard import Guard
from blastwall.policy import Layered, Policy
from blastwall.values import Denied, Reason, Server
from blastwall_mcp.catalogue.entries import SORTS, Entry, Kind
from blastwall_mcp.catalogue.shelf import Pinning
from blastwall_mcp.engine.answers import STAMP, refusal, shaped
from blastwall_mcp.engine.calm import Calm
from blastwall_mcp.engine.clients import Client, Context, Errand, Params
from blastwall_mcp.engine.ongoing import Ongoing
from blastwall_mcp.engine.pushes import Pushes
from blastwall_mcp.engine.subscriptions import Subscriptions
from blastwall_mcp.engine.unknowns import Unknowns
from blastwall_mcp.engine.uses import Uses
from blastwall_mcp.engine.views import Views
from blastwall_mcp.upstreams.hooks import Hooks
from blastwall_mcp.upstreams.upstream import Upstream

if TYPE_CHECKING:
    from blastwall_mcp.upstreams.pool import Pool

_NEEDS = {
    "resources/list": "resources",
    "resources/templates/list": "resources",
    "resources/read": "resources",
    "resources/subscribe": "resources",
    "resources/unsubscribe": "resources",
    "prompts/list": "prompts",
    "prompts/get": "prompts",
    "completion/complete": "completions",
    "logging/setLevel": "logging",
}
"""What some server must be able to do, or the method does not exist. Tools are always spoken of."""

Handler = Callable[[Client, Context, Params], Awaitable[Params]]

log = logging.getLogger(__name__)


class Engine:
    """The servers of a policy behind one guard, for any number of clients on any front.

    Attributes:
        unknowns: Counts the messages that nobody knows.

    """

    def __init__(
        self,
        guard: Guard,
        pool: "Callable[[Mapping[str, Server], Hooks], Pool]",
        pinning: Pinning | None = None,
    ) -> None:
        """Start no server yet.

        Args:
            guard: The guard.
            pool: Makes the pool of servers, which tells these hooks what servers say on their own.
            pinning: Holds connectors to what they showed at first.

        """
        self.unknowns = Unknowns()
        self._pushes = Pushes(self.unknowns)
        self._servers: Mapping[str, Server] = guard.policy.servers  # what runs stays as it was started
        looks = Calm(self._look_again)
        hooks = Hooks(self._pushes.notice, looks.later, self.unknowns.heard, self._pushes.asked)
        self._views = Views(pool(self._servers, hooks), self._servers, pinning, self._pushes.other)
        self._ongoing = Ongoing()
        self._uses = self._using(guard.policy.front.interceptors)
        self._subscriptions = Subscriptions(self._views, self._pushes)
        self._policy: Policy | Layered = guard.policy
        self._handlers: Mapping[str, Handler] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            "ping": self._ping,
            "tools/list": self._tools,
            "tools/call": self._call,
            "prompts/list": self._prompts,
            "prompts/get": self._get,
            "resources/list": self._resources,
            "resources/templates/list": self._templates,
            "resources/read": self._read,
            "resources/subscribe": self._subscriptions.subscribe,
            "resources/unsubscribe": self._subscriptions.unsubscribe,
            "subscriptions/listen": self._subscriptions.listen,
            "completion/complete": self._complete,
            "logging/setLevel": self._subscriptions.set_level,
        }

    def _using(self, interceptors: tuple[str, ...]) -> Uses:
        parts = self._views, self._ongoing, self._pushes, self.unknowns
        if not interceptors:
            return Uses(*parts)
        from blastwall_mcp.experimental.intercepting import Around  # noqa: PLC0415  # a draft, for who wants it

        return Around(interceptors, *parts)

    # --- What fronts call ---------------------------------------------------------------------------------

    async def request(
        self, client: Client, context: Context, method: str, params: Mapping[str, Any] | None
    ) -> Params:
        """Answer a request. Whatever goes wrong inside is told by its type only.

        Raises:
            MCPError: the error that the client is answered with.

        """
        try:
            self._look_at_the_policy(client)
            result = await self._handled(client, context, method, dict(params or {}))
        except MCPError:
            raise
        except Exception as error:  # told by its type only: its text may be the attacker's
            log.exception("a request for %s broke", method)
            denied = Denied(
                Reason.CHECK_FAILED, f"the proxy broke ({type(error).__name__}): its stderr says how"
            )
            result = refusal(method, denied)
        return shaped(method, result, modern=client.modern)

    async def notify(self, client: Client, method: str, params: Mapping[str, Any] | None) -> None:
        """Hear what a client tells."""
        if method == "notifications/roots/list_changed":
            await self._subscriptions.roots_changed(client)
        elif (method, client.version) not in methods.CLIENT_NOTIFICATIONS:
            await self.unknowns.sent(client, method)

    async def opened(self, client: Client) -> None:
        """Tell a client of changes, from now on."""
        self._pushes.opened(client)

    async def closed(self, client: Client) -> None:
        """Forget a client that is gone."""
        await self._pushes.closed(client)

    async def warm(self, client: Client) -> None:
        """Start all servers, so that the first list need not wait for all of it."""
        await self._views.of(client).catalogue.listing("tools")

    async def close(self) -> None:
        """End all calls that wait for input. The servers are the pool's to end."""
        await self._ongoing.end()

    def known(self, client: Client, name: str) -> Entry | None:
        """Give a tool that this client was told of, without asking anybody."""
        return self._views.of(client).catalogue.known(name)

    # --- Messages -----------------------------------------------------------------------------------------

    async def _handled(self, client: Client, context: Context, method: str, params: Params) -> Params:
        handler = self._handlers.get(method)
        try:
            if handler is not None and not client.said_before(method, params):
                methods.validate_client_request(method, client.version, params)
                client.said(params)
        except KeyError:
            handler = None
        except ValidationError:
            raise MCPError(types.INVALID_PARAMS, "Invalid request parameters", "") from None
        if handler is None:
            await self.unknowns.sent(client, method)
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
        if not await self._is_offered(client, _NEEDS.get(method, "tools")):
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method)
        return await handler(client, context, params)

    async def _is_offered(self, client: Client, capability: str) -> bool:
        """Say whether some server can do this. What a client was told of stays, if only as an empty list."""
        view = self._views.of(client)
        return capability == "tools" or capability in view.told or capability in await self._offered(client)

    async def _offered(self, client: Client) -> Params:
        view = self._views.of(client)
        found = await view.catalogue.capabilities()
        view.told.update(found)
        return found

    async def _look_again(self, upstream: Upstream) -> None:
        await self._views.look_again(upstream)

    def _look_at_the_policy(self, client: Client) -> None:
        policy = client.session.guard.policy
        if policy is not self._policy:
            self._policy = policy
            self._pushes.changed()

    async def _ping(self, _client: Client, _context: Context, _params: Params) -> Params:
        return {}

    async def _initialize(self, client: Client, _context: Context, params: Params) -> Params:
        asked = params.get("protocolVersion")
        version = asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        return {"protocolVersion": version, "serverInfo": STAMP, **await self._introduction(client)}

    async def _discover(self, client: Client, _context: Context, _params: Params) -> Params:
        return {"supportedVersions": list(MODERN_PROTOCOL_VERSIONS), **await self._introduction(client)}

    async def _introduction(self, client: Client) -> Params:
        catalogue = self._views.of(client).catalogue
        said = await catalogue.instructions()
        return {"capabilities": await self._offered(client)} | ({"instructions": said} if said else {})

    # --- Lists --------------------------------------------------------------------------------------------

    async def _tools(self, client: Client, _context: Context, params: Params) -> Params:
        return await self._list(client, "tools", params)

    async def _prompts(self, client: Client, _context: Context, params: Params) -> Params:
        return await self._list(client, "prompts", params)

    async def _resources(self, client: Client, _context: Context, params: Params) -> Params:
        return await self._list(client, "resources", params)

    async def _templates(self, client: Client, _context: Context, params: Params) -> Params:
        return await self._list(client, "templates", params)

    async def _list(self, client: Client, kind: Kind, params: Params) -> Params:
        """Give everything on one page: there is no other, so no cursor is one of ours."""
        if params.get("cursor") is not None:
            raise MCPError(types.INVALID_PARAMS, "Invalid cursor")
        catalogue, sort = self._views.of(client).catalogue, SORTS[kind]
        listed = await catalogue.listing(kind, client.version)
        if client.scoped:
            found = [await catalogue.find(kind, definition[sort.name]) for definition in listed]
            reached = [e is not None and client.reaches(e.connector, sort.message or e.name) for e in found]
            listed = [definition for definition, fits in zip(listed, reached, strict=True) if fits]
        return {sort.key: listed, "ttlMs": catalogue.ttl_ms(kind)}

    # --- Uses ---------------------------------------------------------------------------------------------

    async def _call(self, client: Client, context: Context, params: Params) -> Params:
        errand = Errand(client, context, "tools/call", params)
        if again := await self._again(errand):
            return again
        entry = await self._found(client, "tools", params["name"])
        return await self._uses.use(errand, entry, entry.name, params.get("arguments") or {})

    async def _get(self, client: Client, context: Context, params: Params) -> Params:
        errand = Errand(client, context, "prompts/get", params)
        if again := await self._again(errand):
            return again
        entry = await self._found(client, "prompts", params["name"])
        arguments: Params = {"name": entry.name}
        if params.get("arguments") is not None:
            arguments["arguments"] = params["arguments"]
        return await self._uses.use(errand, entry, "mcp:prompts/get", arguments)

    async def _read(self, client: Client, context: Context, params: Params) -> Params:
        errand = Errand(client, context, "resources/read", params)
        if again := await self._again(errand):
            return again
        entry = await self._found(client, "resources", params["uri"])
        return await self._uses.use(errand, entry, "mcp:resources/read", {"uri": params["uri"]})

    async def _complete(self, client: Client, context: Context, params: Params) -> Params:
        errand = Errand(client, context, "completion/complete", params)
        reference = params["ref"]
        if reference["type"] == "ref/prompt":
            entry = await self._found(client, "prompts", reference["name"])
            reference = {**reference, "name": entry.name}
        else:
            entry = await self._found(client, "templates", reference["uri"])
        arguments = {"ref": reference, "argument": params["argument"]}
        if params.get("context") is not None:
            arguments["context"] = params["context"]
        return await self._uses.use(errand, entry, "mcp:completion/complete", arguments)

    async def _again(self, errand: Errand) -> Params | None:
        """Go on with a call that waits for the input which this request brings, if it says so."""
        if not errand.client.modern or errand.params.get("requestState") is None:
            return None
        resumed = self._ongoing.resume(errand)
        return await self._ongoing.come_to(resumed, self._policy.approval_s)

    async def _found(self, client: Client, kind: Kind, name: str) -> Entry:
        entry = await self._views.of(client).catalogue.find(kind, name)
        if entry is not None:
            return entry
        if kind == "tools":
            raise MCPError(types.INVALID_PARAMS, "there is no tool of this name")
        if kind == "prompts":
            raise MCPError(types.INVALID_PARAMS, "there is no prompt of this name")
        raise MCPError(types.INVALID_PARAMS, "there is no resource of this URI", {"uri": name})
