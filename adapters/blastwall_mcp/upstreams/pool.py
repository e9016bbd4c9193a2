"""All upstream servers: one for each connector, principal, set of client capabilities, and sandbox."""

from collections.abc import Mapping
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from anyio import create_task_group
from anyio.abc import TaskGroup

from blastwall.errors import BackendError
from blastwall.values import Credential, Profile, Server
from blastwall_mcp.upstreams.hooks import Hooks, Key
from blastwall_mcp.upstreams.keeper import Keeper
from blastwall_mcp.upstreams.offered import NOTHING_OFFERED, Offered
from blastwall_mcp.upstreams.openings import opened
from blastwall_mcp.upstreams.stdio import Launch
from blastwall_mcp.upstreams.upstream import Upstream

MOST = 1000
"""Upstreams that are known at once. A principal with its own servers for each of many connectors has many."""


class _Own:
    """The profile that the server names itself."""


OWN: Final = _Own()


class Pool:
    """Gives upstreams. Each lives until nobody needs it, and a crash of one touches no other.

    Attributes:
        spoken: The newest protocol version that each connector's server spoke; none may go back behind it.

    """

    def __init__(
        self,
        servers: Mapping[str, Server],
        launch: Launch,
        tasks: TaskGroup,
        hooks: Hooks | None = None,
        credentials: Mapping[str, Credential] | None = None,
    ) -> None:
        """Start nothing yet. What is started lives in `tasks` and ends with them.

        Args:
            servers: By connector.
            launch: How a sandbox is entered.
            tasks: What everything runs in.
            hooks: Who hears what servers say of their own accord.
            credentials: Those of the policy, by name: what proves us to servers over HTTP.

        """
        self.spoken: dict[str, str] = {}
        self._servers = servers
        self._launch = launch
        self._tasks = tasks
        self._hooks = hooks or Hooks()
        self._credentials = credentials or {}
        # Those that nobody holds and that don't run are forgotten.
        self._known: WeakValueDictionary[Key, Upstream] = WeakValueDictionary()

    def upstream(
        self,
        connector: str,
        principal: str = "",
        offered: Offered = NOTHING_OFFERED,
        profile: Profile | _Own | None = OWN,
    ) -> Upstream:
        """Give the one upstream of a connector for a principal with these capabilities inside a profile.

        Args:
            connector: Whose server.
            principal: For whom.
            offered: What it may ask of the client.
            profile: The sandbox; its own one unless said.

        Raises:
            BackendError: the connector has no server, or there are too many.

        """
        server = self._servers.get(connector)
        if server is None:
            raise BackendError(f"connector {connector} has no `server` in the policy")
        inside = server.profile if isinstance(profile, _Own) else profile
        key = Key(connector, principal, offered, inside)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST:
                raise BackendError(f"there are {MOST} servers already: close some clients, then try again")
            known = self._known[key] = self._new(key, server)
        return known

    async def aclose(self) -> None:
        """End all of them, at once."""
        async with create_task_group() as group:
            for upstream in list(self._known.values()):
                group.start_soon(upstream.aclose)

    def _new(self, key: Key, server: Server) -> Upstream:
        opening = partial(opened, key, server, self._launch, self._credentials)
        keeper = Keeper(key.connector, server, key.offered, opening, self._tasks, self.spoken)
        return Upstream(key, server, keeper, self._hooks)
