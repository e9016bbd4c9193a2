"""What a client sees of the servers: an instance of each and a catalogue, shared where that is the same."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blastwall.frozen import canonical, freeze
from blastwall.policy import Layered, Policy
from blastwall.values import Profile, Server
from blastwall_mcp.catalogue.catalogue import Catalogue
from blastwall_mcp.catalogue.entries import Kind
from blastwall_mcp.catalogue.shelf import Pinning
from blastwall_mcp.engine.asks import offered
from blastwall_mcp.engine.clients import Client, Params
from blastwall_mcp.upstreams.offered import Offered
from blastwall_mcp.upstreams.upstream import Upstream

if TYPE_CHECKING:
    from blastwall_mcp.upstreams.pool import Pool

MOST = 256
"""Views that are kept. One beyond that is made anew when it is needed again: that costs some lists."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The servers as one principal with one set of capabilities sees them.

    Attributes:
        upstreams: An instance of each server, by connector.
        offered: The client's capabilities that each may make use of, by connector.
        catalogue: What all of them offer.
        told: The capabilities that its clients were told of.

    """

    upstreams: Mapping[str, Upstream]
    offered: Mapping[str, Params]
    catalogue: Catalogue
    told: set[str] = field(default_factory=set)


class Views:
    """All views, by what makes them differ."""

    def __init__(
        self,
        pool: "Pool",
        servers: Mapping[str, Server],
        pinning: Pinning | None,
        on_change: Callable[[Upstream, Kind], None] = lambda _upstream, _kind: None,
    ) -> None:
        """Make none yet. `on_change`: hears that a list is no longer what clients were shown."""
        self._on_change = on_change
        self._pool = pool
        self._servers = servers
        self._pinning = pinning
        self._views: OrderedDict[tuple[str, str], View] = OrderedDict()

    def of(self, client: Client) -> View:
        """Give what a client sees under the policy in force."""
        policy = client.session.guard.policy
        if client.view is None or client.view[0] is not policy:
            client.view = policy, self._of(client)
        return client.view[1]

    async def look_again(self, upstream: Upstream) -> None:
        """Look whether what clients were shown of a server is still so: it was started again."""
        for view in list(self._views.values()):
            if view.upstreams.get(upstream.connector) is upstream:
                await view.catalogue.look_again(upstream.connector)

    def confined(self, client: Client, connector: str, profile: Profile) -> Upstream | None:
        """Give the second instance of a server that runs in this profile; None if the first one does."""
        if self._servers[connector].profile == profile:
            return None
        able = Offered.of(self.of(client).offered[connector])
        return self._pool.upstream(connector, client.principal, able, profile)

    def _of(self, client: Client) -> View:
        able = {connector: offered(client, connector) for connector in self._servers}
        key = client.principal, canonical(freeze(able))
        if key not in self._views:
            self._views[key] = self._made(client, able)
        self._views.move_to_end(key)
        while len(self._views) > MOST:
            self._views.popitem(last=False)
        return self._views[key]

    def _made(self, client: Client, able: Mapping[str, Params]) -> View:
        upstreams = {
            connector: self._pool.upstream(connector, client.principal, Offered.of(features))
            for connector, features in able.items()
        }
        guard = client.session.guard

        def policy() -> Policy | Layered:
            return guard.policy

        sets = {connector: Offered.of(features).text for connector, features in able.items()}

        def on_change(connector: str, kind: Kind) -> None:
            self._on_change(upstreams[connector], kind)

        return View(upstreams, able, Catalogue(policy, upstreams, self._pinning, sets, on_change))
