"""What every upstream offers, under its exposed name: what a client sees, what it doesn't, and why."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from blastwall.errors import BackendError
from blastwall.policy import Layered, Policy
from blastwall.values import Reason
from blastwall_mcp.catalogue.claims import Links, Template
from blastwall_mcp.catalogue.entries import SORTS, Entry, Kind, barred, permitted
from blastwall_mcp.catalogue.forms import fits
from blastwall_mcp.catalogue.names import owner
from blastwall_mcp.catalogue.offers import Offer, merged, sections
from blastwall_mcp.catalogue.shadows import NAMED, Shadows
from blastwall_mcp.catalogue.shelf import Pinning, Shelf, Upstream, Withdrawn

PATIENCE_S = 5.0
"""How long servers are waited for before it is said what they can do. A later one counts as one with all."""

_BY_URI: tuple[Kind, ...] = ("resources", "templates")

MOST_TOLD = 10_000
"""Different things that are told to the operator, once each."""

Index = dict[tuple[Kind, str], Entry]
"""Entries by kind and exposed name."""

log = logging.getLogger(__name__)


class Catalogue:
    """What all upstreams of one principal and one set of client capabilities offer.

    Everything is fetched when it is first needed and again when it may have changed. A server that fails
    loses only its own.
    """

    def __init__(
        self,
        policy: Callable[[], Policy | Layered],
        upstreams: Mapping[str, Upstream],
        pinning: Pinning | None = None,
        offered: Mapping[str, str] | None = None,
        on_change: Callable[[str, Kind], None] = lambda _connector, _kind: None,
    ) -> None:
        """Fetch nothing yet.

        Args:
            policy: Gives the policy in force, which may change.
            upstreams: By connector.
            pinning: Holds those connectors to what they showed at first of which the policy wants that.
            offered: The capabilities that each server is told of, in canonical JSON: its pins are for these.
            on_change: Hears that a list is no longer what it was when it was last given, and who changed it.

        """
        self._policy = policy
        able = offered or {}
        self._shelves = {
            name: Shelf(name, upstream, policy, pinning, able.get(name, "{}"))
            for name, upstream in upstreams.items()
        }
        self._all = tuple(self._shelves.values())
        self._links = Links()
        self._on_change = on_change
        self._shown: dict[Kind, Mapping[str, Sequence[Any]]] = {}
        self._found: Index = {}
        self._lists: dict[tuple[Kind, str | None], tuple[Policy | Layered, Index, list[dict[str, Any]]]] = {}
        self._templates: list[tuple[Entry, Template]] = []
        self._contested: set[str] = set()
        self._shadows = Shadows((), ())
        self._told: set[str] = set()
        self._surveyed = self._waited = False

    async def listing(self, kind: Kind, version: str | None = None) -> list[dict[str, Any]]:
        """Give the definitions of one kind of which some use could run, under their exposed names.

        They are the servers' own, in their order; nobody may change them.

        Args:
            kind: What is listed.
            version: The client's protocol version: what has no form in it is left out.

        """
        await self._refresh_all(kind, to_list=True)
        policy, index = self._policy(), self._index()
        self._shown[kind] = _by_connector(index, kind)
        known = self._lists.get((kind, version))
        if known is None or known[0] is not policy or known[1] is not index:
            known = policy, index, self._listed(policy, index, kind, version)
            self._lists[kind, version] = known
        return list(known[2])

    def ttl_ms(self, kind: Kind) -> int:
        """Say how long a list may be taken for fresh: as long as each of the servers' own."""
        promised = [ms for shelf in self._all if (ms := shelf.ttl_ms(kind)) is not None]
        return min(promised, default=0)

    def told(self, kind: Kind) -> None:
        """Take word that all clients know that a list may be another."""
        self._shown.pop(kind, None)

    async def look_again(self, connector: str) -> None:
        """Look whether what was given of a server is still so. It is not started for that."""
        shelf = self._shelves[connector]
        for kind in list(self._shown):
            with suppress(BackendError):  # whoever needs something of it is told
                if shelf.upstream.up:
                    await shelf.refresh(kind)
        self._index()

    def _listed(
        self, policy: Policy | Layered, index: Index, kind: Kind, version: str | None
    ) -> list[dict[str, Any]]:
        return [
            entry.listed
            for (of, _), entry in index.items()
            if of == kind
            and entry.listed is not None
            and permitted(policy, entry)
            and (version is None or self._fits(entry, version))
        ]

    def _fits(self, entry: Entry, version: str) -> bool:
        if fits(entry, version):
            return True
        self._tell(f"{entry.exposed} is hidden: it has no form in protocol version {version}")
        return False

    async def find(self, kind: Kind, name: str) -> Entry | None:
        """Give what has this exposed name (a resource: this URI), or None if there is nothing.

        Something whose server can't be asked is an entry that is barred: the policy still judges the use
        of it, and the attempt is recorded.
        """
        if kind in NAMED:
            return await self._named(kind, name)
        if kind == "resources":
            return await self._resource(name)
        await self._refresh_all(kind)
        return self._index().get((kind, name))

    def known(self, name: str) -> Entry | None:
        """Give the tool of this exposed name if it was listed already, without asking anybody."""
        return self._index().get(("tools", name))

    def remember_links(self, connector: str, result: Any) -> None:
        """Remember the resources that an output of a connector points to, so that they may be read."""
        self._links.remember(connector, result)

    async def capabilities(self) -> dict[str, Any]:
        """Give the capabilities of all servers of which the policy permits some use."""
        await self._wait()
        return merged(map(self._offer, self._all))

    async def instructions(self) -> str:
        """Give what the servers say of themselves, a section for each connector that may speak."""
        await self._wait()
        self._index()
        policy = self._policy()
        spoken = []
        for shelf in self._all:
            if not shelf.instructions or not self._some_use(policy, shelf):
                continue
            if why := self._shadows.spoken(shelf.connector, shelf.speech):
                self._tell(f"the instructions of connector {shelf.connector} are left out: {why}")
                continue
            spoken.append((shelf.connector, shelf.instructions))
        return sections(spoken)

    async def _named(self, kind: Kind, name: str) -> Entry | None:
        known = self._index().get((kind, name))
        connector = known.connector if known else owner(name, self._shelves, self._policy().front.separator)
        if connector is None:
            await self._refresh_all(kind)  # an altered name tells nothing of its connector
            return self._index().get((kind, name))
        try:
            await self._shelves[connector].refresh(kind)
        except BackendError as error:
            return self._unsure(known or self._unknown(connector, kind, name), error)
        return self._index().get((kind, name))

    def _unknown(self, connector: str, kind: Kind, name: str) -> Entry:
        """Make an entry of what could only be of this connector by its name."""
        own = name.removeprefix(connector + self._policy().front.separator)
        return Entry(connector, kind, own, name)

    def _unsure(self, entry: Entry, error: BackendError) -> Entry:
        """Make an entry that says why its server does not serve it now."""
        reason = Reason.CHANGED if isinstance(error, Withdrawn) else Reason.BACKEND_FAILED
        return Entry(entry.connector, entry.kind, entry.name, entry.exposed, barred=error, reason=reason)

    async def _resource(self, uri: str) -> Entry | None:
        claimed = self._claimed(uri)
        if claimed is None or not self._surveyed:
            for kind in _BY_URI:
                await self._refresh_all(kind)
            self._surveyed = True
            return self._claimed(uri)
        try:
            for kind in _BY_URI:
                await self._shelves[claimed.connector].refresh(kind)
        except BackendError as error:
            return self._unsure(claimed, error)
        return self._claimed(uri)

    def _claimed(self, uri: str) -> Entry | None:
        """Give a resource that exactly one connector lists, else has a template for, else linked to."""
        index = self._index()
        if uri in self._contested:
            return None
        if listed := index.get(("resources", uri)):
            return listed
        policy = self._policy()
        matching = {entry.connector: entry for entry, template in self._templates if template.matches(uri)}
        linking = [name for name in self._links.claimants(uri) if name in self._shelves]
        for claims in (
            [replace(e, kind="resources", name=uri, exposed=uri, listed=None) for e in matching.values()],
            [Entry(connector, "resources", uri, uri) for connector in linking],
        ):
            if claims:
                return self._only(policy, claims)
        return None

    def _only(self, policy: Policy | Layered, claims: list[Entry]) -> Entry | None:
        """Give the one claim on a URI; if there are several, the one that the policy permits any use of."""
        able = [entry for entry in claims if permitted(policy, entry)] or claims
        if len(able) == 1:
            return able[0]
        names = " and ".join(sorted(entry.connector for entry in able))
        self._tell(f"nobody gets the resource {able[0].name[:200]!r}: connectors {names} claim it")
        return None

    def _index(self) -> Index:
        """Give all that is listed, by exposed name, each held against all others."""
        if any(shelf.fresh for shelf in self._all):
            self._found = self._held(self._policy())
            for shelf in self._all:
                shelf.fresh = False
            self._compare()
        return self._found

    def _compare(self) -> None:
        """Tell of the lists that were given and are others now."""
        for kind, before in list(self._shown.items()):
            now = _by_connector(self._found, kind)
            known = (shelf.connector for shelf in self._all if kind in shelf.kinds)
            if other := next((name for name in known if now.get(name, []) != before.get(name, [])), None):
                self.told(kind)
                self._on_change(other, kind)

    def _held(self, policy: Policy | Layered) -> Index:
        entries = [entry for shelf in self._all for entry in shelf.entries()]
        self._shadows = Shadows(self._shelves, entries, policy.front.separator)
        self._templates = []
        found: Index = {}
        claims: dict[tuple[Kind, str], list[Entry]] = {}
        for entry in map(self._unshadowed, entries):
            claims.setdefault((entry.kind, entry.exposed), []).append(entry)
            if entry.kind == "templates":
                self._templates.append((entry, Template(entry.name)))
        for place, claiming in claims.items():
            if settled := self._settled(policy, claiming):
                found[place] = settled
        self._contested = {name for kind, name in claims.keys() - found.keys() if kind == "resources"}
        return found

    def _settled(self, policy: Policy | Layered, claims: list[Entry]) -> Entry | None:
        """Give what stands under a name: what only one has, or a resource that only one may serve."""
        if len(claims) > 1 and claims[0].kind in NAMED:
            return barred(claims[0], f"several connectors have one that is named {claims[0].exposed}")
        return self._only(policy, claims)

    def _unshadowed(self, entry: Entry) -> Entry:
        if entry.barred or not (why := self._shadows.why(entry)):
            return entry
        self._tell(f"{SORTS[entry.kind].word} {entry.exposed} is hidden: {why}")
        return barred(entry, why)

    def _tell(self, what: str) -> None:
        """Tell the operator, once."""
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(what)
            log.warning("%s", what)

    def _offer(self, shelf: Shelf) -> Offer:
        policy = self._policy()
        tools = [entry for entry in shelf.entries() if entry.kind == "tools"]
        usable = not tools or any(permitted(policy, entry) for entry in tools)
        return Offer(shelf.declared, usable, partial(policy.permits, shelf.connector))

    def _some_use(self, policy: Policy | Layered, shelf: Shelf) -> bool:
        """Say whether a client could have any use of the connector."""
        if any(not entry.barred and permitted(policy, entry) for entry in shelf.entries()):
            return True
        messages = {sort.message for sort in SORTS.values() if sort.capability in (shelf.declared or {})}
        return any(policy.permits(shelf.connector, message) for message in messages if message)

    async def _wait(self) -> None:
        """Wait for the servers, but not for ever, and once: what is asked for later finds out by itself."""
        if not self._waited:
            with anyio.move_on_after(PATIENCE_S):
                await self._refresh_all("tools")
            self._waited = True

    async def _refresh_all(self, kind: Kind, *, to_list: bool = False) -> None:
        async def one(shelf: Shelf) -> None:
            try:
                await shelf.refresh(kind, to_list=to_list)
            except BackendError as error:
                self._tell(f"nothing of connector {shelf.connector} is shown: {error}")
                if not isinstance(error, Withdrawn):
                    shelf.drop()

        async with anyio.create_task_group() as group:
            for shelf in self._all:
                group.start_soon(one, shelf)


def _by_connector(index: Index, kind: Kind) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = {}
    for (of, _), entry in index.items():
        if of == kind and entry.listed is not None:
            found.setdefault(entry.connector, []).append(entry.listed)
    return found
