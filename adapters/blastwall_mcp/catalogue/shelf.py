"""What one server lists, read and judged: fetched when it is first needed and when it may have changed."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from time import monotonic
from typing import Any, Protocol

import anyio
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from blastwall.errors import BackendError
from blastwall.policy import Layered, Policy
from blastwall.values import Reason
from blastwall_mcp.catalogue.entries import SORTS, Entry, Kind, barred, markers
from blastwall_mcp.catalogue.reads import Reads
from blastwall_mcp.catalogue.speech import Speech, said
from blastwall_mcp.upstreams.pages import MOST_ITEMS, Listing
from blastwall_mcp.upstreams.upstream import UpstreamError

MOST_TOLD = 100
"""Hidden definitions that the log names one by one when a list was fetched."""

NOT_FOUND = -32601
"""What a server without a method answers (JSON-RPC)."""

log = logging.getLogger(__name__)


class Upstream(Protocol):
    """What the catalogue needs of an upstream."""

    @property
    def version(self) -> int: ...
    @property
    def capabilities(self) -> Mapping[str, Any]: ...
    @property
    def instructions(self) -> str: ...
    @property
    def info(self) -> Mapping[str, Any]: ...
    async def ensure(self) -> None: ...
    @property
    def up(self) -> bool: ...
    async def listing(self, method: str, key: str) -> Listing: ...


class Withdrawn(BackendError):
    """A connector of which nothing may be used, because of what its server is or shows now."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a server shows of what can be pinned, as it came."""

    tools: Sequence[Any]
    prompts: Sequence[Any]
    instructions: str
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What of a sighting is not as it was pinned: for each, why. `connector` bars the whole."""

    connector: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)


class Pinning(Protocol):
    """Holds a connector to what it showed at first. Where that can't be known, both raise `BackendError`."""

    def revision(self) -> object:
        """Give something that changes when a judgement may. It is asked for every call."""
        ...

    async def launch(self, connector: str, *, again: bool) -> str:
        """Say why its server must not even be started, or "". `again`: it was started since the last look."""
        ...

    async def judge(self, connector: str, offered: str, sighting: Sighting) -> Judgement:
        """Compare what its server shows a client of this capability set with what it showed at first."""
        ...


Mark = tuple[int, str, object]
"""At which version of the server, under which policy and pins something was judged."""


class Shelf:
    """The definitions of one connector.

    Attributes:
        connector: Whose they are.
        upstream: Its server.
        kinds: What was listed, by kind and in the server's order, as far as it was asked for.
        declared: The server's capabilities; None as long as it did not answer, none where it is withdrawn.
        instructions: What the server says of itself; empty where it must not be shown.
        speech: The names which that speaks of.
        fresh: Whether any of these has changed since its reader set this to False.

    """

    def __init__(
        self,
        connector: str,
        upstream: Upstream,
        policy: Callable[[], Policy | Layered],
        pinning: Pinning | None = None,
        offered: str = "{}",
    ) -> None:
        """Fetch nothing yet. `offered`: the capabilities that the server is told of, in canonical JSON."""
        self.connector = connector
        self.upstream = upstream
        self.kinds: dict[Kind, tuple[Entry, ...]] = {}
        self.declared: Mapping[str, Any] | None = None
        self.instructions = ""
        self.speech = Speech()
        self.fresh = True
        self._policy = policy
        self._pinning = pinning
        self._offered = offered
        self._started = -1
        self._mark: Mark | None = None
        self._heard = ("", "")
        self._withdrawn: Withdrawn | None = None
        self._promises: dict[Kind, float] = {}
        self._reads = Reads(connector)
        self._lock = anyio.Lock()

    async def refresh(self, kind: Kind, *, to_list: bool = False) -> None:
        """Make sure of what is listed of one kind.

        Args:
            kind: Which.
            to_list: It is shown to a client now, who must not be shown what the server no longer answers for.

        Raises:
            BackendError: the server can't be asked, or nothing of it may be used.

        """
        if to_list and (promise := self._promises.get(kind)) and monotonic() >= promise:
            self._mark = None
        policy = self._policy()
        pinning = self._pinned(policy)
        if pinning:
            await self._look(pinning)
        await self.upstream.ensure()
        if not self._holds(self._now(policy, pinning), kind):
            async with self._lock:
                await self._fetch(kind)
        self.declared = {} if self._withdrawn else self.upstream.capabilities
        if self._withdrawn:
            raise Withdrawn(str(self._withdrawn))

    async def _look(self, pinning: Pinning) -> None:
        again, self._started = self._started != self.upstream.version, self.upstream.version
        if why := await pinning.launch(self.connector, again=again):
            self.drop()
            self.declared = {}
            raise Withdrawn(why)

    def ttl_ms(self, kind: Kind) -> int | None:
        """Say how long a list may be taken for fresh; None where there is none, which is as good as ever."""
        if kind not in self.kinds:
            return 0
        if SORTS[kind].capability not in self.upstream.capabilities:
            return None
        return max(0, ceil((self._promises.get(kind, 0.0) - monotonic()) * 1000))

    def entries(self) -> list[Entry]:
        """Give all that was listed so far."""
        return [entry for kind in sorted(self.kinds) for entry in self.kinds[kind]]

    def drop(self) -> None:
        """Hide everything, since the server can't be asked."""
        if self.kinds or self.instructions:
            self.kinds, self.instructions, self._mark, self._heard = {}, "", None, ("", "")
            self.fresh = True

    def _pinned(self, policy: Policy | Layered) -> Pinning | None:
        if not policy.first_use(self.connector):
            return None
        if self._pinning is None:
            raise Withdrawn(f"connector {self.connector} is to be pinned, and nothing here keeps pins")
        return self._pinning

    def _now(self, policy: Policy | Layered, pinning: Pinning | None) -> Mark:
        return self.upstream.version, policy.digest, pinning.revision() if pinning else None

    def _holds(self, mark: Mark, kind: Kind) -> bool:
        return mark == self._mark and (kind in self.kinds or self._withdrawn is not None)

    async def _fetch(self, kind: Kind) -> None:
        policy = self._policy()
        pinning = self._pinned(policy)
        mark = self._now(policy, pinning)
        # A connector that a reload took out has nothing that is permitted.
        if self._holds(mark, kind) or policy.connector(self.connector) is None:
            return
        kinds = dict(self.kinds) if mark == self._mark else {}
        withdrawn = _unfit(policy, self.connector, self.upstream.info)
        if not withdrawn:
            wanted: set[Kind] = {kind, *(("tools", "prompts") if pinning else ())}
            listed = {one: await self._listed(one) for one in sorted(wanted - kinds.keys())}
            judgement = Judgement()
            if pinning and mark != self._mark:
                judgement = await pinning.judge(self.connector, self._offered, self._sighting(listed))
            withdrawn = judgement.connector
            for one, definitions in listed.items():
                kinds[one] = await self._read(policy, one, definitions, judgement)
        self._withdrawn = Withdrawn(withdrawn) if withdrawn else None
        kinds = {} if withdrawn else kinds
        self._tell_barred(kinds)
        self.kinds, self._mark = kinds, mark
        self._hear(policy)
        self.fresh = True

    def _sighting(self, listed: Mapping[Kind, list[Any]]) -> Sighting:
        up = self.upstream
        return Sighting(listed.get("tools", []), listed.get("prompts", []), up.instructions, up.info)

    async def _listed(self, kind: Kind) -> list[Any]:
        sort = SORTS[kind]
        self._promises.pop(kind, None)
        if sort.capability not in self.upstream.capabilities:
            return []
        began = monotonic()
        try:
            listing = await self.upstream.listing(sort.method, sort.key)
        except UpstreamError as error:
            if error.code == NOT_FOUND:
                return []
            raise BackendError(
                f"the server of connector {self.connector} answered {sort.method} with error {error.code}:"
                " see what it writes to stderr (the proxy shows that with log level info)"
            ) from None
        if listing.ttl_ms:
            self._promises[kind] = began + listing.ttl_ms / 1000
        if len(listing.items) > MOST_ITEMS:
            log.warning("connector %s lists more than %d %s", self.connector, MOST_ITEMS, kind)
        return listing.items[:MOST_ITEMS]

    async def _read(
        self, policy: Policy | Layered, kind: Kind, definitions: list[Any], judgement: Judgement
    ) -> tuple[Entry, ...]:
        changed = {"tools": judgement.tools, "prompts": judgement.prompts}.get(kind, {})
        entries = await self._reads.of(policy, kind, definitions)
        if dropped := entries.count(None):
            log.warning("%d of what connector %s lists as its %s is none", dropped, self.connector, kind)
        found: dict[str, Entry] = {}
        for entry in filter(None, entries):
            if entry.name in found:
                entry = barred(entry, f"the connector has two {kind} of this name")
            elif not entry.barred and (why := changed.get(entry.name)):
                entry = barred(entry, why, Reason.CHANGED)
            found[entry.name] = entry
        return tuple(found.values())

    def _hear(self, policy: Policy | Layered) -> None:
        """Take the server's instructions, unless they are none that a client may read."""
        text = "" if self._withdrawn else self.upstream.instructions
        heard = (policy.digest, text)
        if heard == self._heard:
            return
        families = markers(policy, self.connector, "mcp:instructions", text) if text else ()
        if families:
            log.warning(
                "the instructions of connector %s are left out: they carry markers (%s)",
                self.connector,
                ", ".join(families),
            )
        self.instructions = "" if families else text
        self.speech = said({"description": self.instructions})
        self._heard = heard

    def _tell_barred(self, kinds: Mapping[Kind, tuple[Entry, ...]]) -> None:
        """Tell the operator of what is hidden, once each."""
        before = {(e.kind, e.name) for entries in self.kinds.values() for e in entries if e.barred}
        now = [entry for entries in kinds.values() for entry in entries if entry.barred]
        news = [entry for entry in now if (entry.kind, entry.name) not in before]
        for entry in news[:MOST_TOLD]:
            log.warning("%s %s is hidden: %s", SORTS[entry.kind].word, entry.exposed, entry.barred)
        if len(news) > MOST_TOLD:
            log.warning("so are %d more of connector %s", len(news) - MOST_TOLD, self.connector)


def _unfit(policy: Policy | Layered, connector: str, info: Mapping[str, Any]) -> str:
    """Say how the server's declared version is outside of what the policy takes, or ""."""
    server = policy.servers.get(connector)
    if server is None or not server.version:
        return ""
    declared = info.get("version")
    try:
        if Version(str(declared)) in SpecifierSet(server.version, prereleases=True):
            return ""
    except (InvalidVersion, InvalidSpecifier):
        pass
    return (
        f"the server of connector {connector} says that its version is {str(declared)[:40]!r}, and the policy"
        f" takes {server.version} only: install such a version, or change `server.version`"
    )
