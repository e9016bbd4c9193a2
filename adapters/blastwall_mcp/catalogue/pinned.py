"""Holding the servers of `pin: first-use` connectors to what they showed when they were first seen."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from blastwall.errors import BackendError
from blastwall.fingerprint import PROMPT_READ, READ, counting
from blastwall.frozen import Json, NotJson, freeze
from blastwall.guard import Guard
from blastwall.policy import Layered, Policy
from blastwall.trust.launches import Launch, launch
from blastwall.trust.pins import Change, Pins, Shown, Sight, pins_of
from blastwall.values import Server, ToolCall
from blastwall_mcp.catalogue.shelf import Judgement, Sighting

Record = Callable[[str, str, Mapping[str, Json]], None]
"""Records what a connector showed: its name, `pinned` or `pin-changed`, and the details."""

EVERY_CLIENT = ""
"""Stands for all capability sets: a launch does not depend on them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A launch as it was last looked at, and what came of that."""

    launch: Launch
    revision: object
    why: str


class Pinned:
    """The pins of a policy, for all that share its servers."""

    def __init__(
        self,
        pins: Pins,
        policy: Callable[[], Policy | Layered],
        record: Record = lambda connector, event, details: None,
    ) -> None:
        """Look at nothing yet.

        Args:
            pins: Where they are kept.
            policy: Gives the policy in force.
            record: Told of a first sight and of what changed. If it raises, nothing may be used.

        """
        self._pins = pins
        self._policy = policy
        self._record = record
        self._looked: dict[str, _Looked] = {}
        self._told: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._owed: dict[tuple[str, str], list[tuple[str, Mapping[str, Json]]]] = {}

    def revision(self) -> object:
        """Give something that changes when somebody approves or forgets."""
        return self._pins.revision()

    async def launch(self, connector: str, *, again: bool) -> str:
        """Say why the server must not be started as it would be now, or "".

        Args:
            connector: Whose server.
            again: Look for the files anew, rather than only whether they changed.

        Raises:
            BackendError: that can't be said.

        """
        known = self._looked.get(connector)
        if known is None or again or not known.launch.stands():
            found = await anyio.to_thread.run_sync(_launched, connector, self._policy().servers[connector])
        elif known.revision == self.revision():
            return known.why
        else:
            found = known.launch
        revision = self.revision()
        shown = [Shown("launch", "", freeze(found.told))]
        sight = await self._sight(connector, EVERY_CLIENT, shown)
        if found.told.get("exact") is False and sight.first:
            log.warning(
                "connector %s is started from the newest version of %s: name an exact version to pin it",
                connector,
                found.told["package"],
            )
        why = self._why(connector, "what is started for it is") if sight.changes else ""
        self._looked[connector] = _Looked(found, revision, why)
        return why

    async def judge(self, connector: str, offered: str, sighting: Sighting) -> Judgement:
        """Compare what a server shows a client of this capability set with what is pinned; the first pins it.

        Raises:
            BackendError: that can't be done.

        """
        sight = await self._sight(connector, offered, list(_shown(sighting)))
        tools: dict[str, str] = {}
        prompts: dict[str, str] = {}
        whole = ""
        for change in sight.changes:
            if not change.bars:
                continue
            if change.kind == "instructions":
                whole = self._why(connector, "the instructions of its server are")
                continue
            what = "it is new, or" if change.before is None else "it is"
            why = self._why(connector, what, change.name)
            (tools if change.kind == "tool" else prompts)[change.name] = why
        return Judgement(whole, tools, prompts)

    async def _sight(self, connector: str, offered: str, shown: Sequence[Shown]) -> Sight:
        sight = await anyio.to_thread.run_sync(self._pins.sight, connector, offered, shown)
        of = connector, offered
        owed = self._owed.setdefault(of, [])
        if sight.first:
            prints = {f"{item.kind} {item.name}".strip(): item.fingerprint for item in shown}
            owed.append(("pinned", {"offered": offered, "shown": freeze(prints)}))
        if sight.changes != self._told.get(of, ()):
            self._told[of] = sight.changes
            changes = tuple(freeze(_noted(change)) for change in sight.changes)
            owed.append(("pin-changed", {"offered": offered, "changes": changes}))
            _tell(sight.changes)
        while owed:  # what could not be recorded is not used, and recorded first of all the next time
            self._record(connector, *owed[0])
            owed.pop(0)
        return sight

    def _why(self, connector: str, what: str, name: str = "") -> str:
        """Say that something is barred, and the command that shows it."""
        of = f"{connector} {name!r}" if name else connector
        file = self._policy().file
        return (
            f"{what} not as it was when connector {connector} was pinned; a person can look at the change"
            f" with `blastwall pins diff {of} --policy {file}`, and permit it with `blastwall pins approve`"
        )


def of_guard(guard: Guard) -> Pinned:
    """Give the pins of a guard's policy, with every first sight and change in its audit log."""

    def record(connector: str, event: str, details: Mapping[str, Json]) -> None:
        call = ToolCall.of(connector, "mcp:pins", {})
        guard.hands.audit.write(guard.current.id, event, call, details, guard.policy.digest)

    return Pinned(pins_of(guard.policy.state.directory), lambda: guard.policy, record)


def _launched(connector: str, server: Server) -> Launch:
    try:
        return launch(server)
    except OSError as error:
        raise BackendError(
            f"what is started for connector {connector} can't be read ({error.strerror}): check its `command`"
        ) from None


def _shown(sighting: Sighting) -> Iterator[Shown]:
    yield from _definitions("tool", sighting.tools, READ)
    yield from _definitions("prompt", sighting.prompts, PROMPT_READ)
    yield Shown("instructions", "", sighting.instructions)
    info = {key: str(sighting.info.get(key, "")) for key in ("name", "version")}
    yield Shown("server", "", freeze(info))


def _definitions(kind: str, definitions: Iterable[Any], parts: tuple[str, ...]) -> Iterator[Shown]:
    """Give the definitions that have a name; any other is none, and is dropped elsewhere."""
    for definition in definitions:
        if isinstance(definition, Mapping) and isinstance(name := definition.get("name"), str):
            try:
                yield Shown(kind, name, counting(definition, parts))
            except NotJson:
                continue


def _noted(change: Change) -> dict[str, str]:
    return {"kind": change.kind, "name": change.name, "to": change.fingerprint}


def _tell(changes: Iterable[Change]) -> None:
    for change in changes:
        what = f"{change.kind} {change.name}".strip()
        if change.after is None:
            log.warning("the %s of connector %s is gone since it was pinned", what, change.connector)
        elif not change.bars:
            log.warning("the %s of connector %s is another one since it was pinned", what, change.connector)
