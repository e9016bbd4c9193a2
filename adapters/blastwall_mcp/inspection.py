"""What one server offers, and what the policy makes of each of it: the proxy's own look, without a client."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio

from blastwall.errors import BackendError
from blastwall.guard import Guard
from blastwall.policy import Layered, Policy, Rule, Standing
from blastwall.policy.messages import ASKED, MESSAGE
from blastwall.policy.rules import covered
from blastwall.values import WORST_CASE, Annotations, ToolCall
from blastwall_mcp.catalogue.entries import SORTS, Entry, permitted
from blastwall_mcp.catalogue.shadows import Shadows
from blastwall_mcp.catalogue.shelf import Judgement, Shelf, Sighting
from blastwall_mcp.upstreams.hooks import Hooks
from blastwall_mcp.upstreams.pool import Pool
from blastwall_mcp.upstreams.upstream import Upstream

PATIENCE_S = 60.0
"""How long a server may take over all its lists."""

LOOKS = 3
"""How often they are asked for, when one of them changes meanwhile."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a server offers, or asks of clients.

    Attributes:
        kind: `tool`, `prompt`, `resource`, `resource template` or `asks`.
        name: Its name there; its URI.
        permitted: Whether some use of it could run.
        rules: The rules that speak of it, as `connector.id`, each with its effect.
        why: Why a client is not told of it, or "".
        barred: Whether that is so whatever the policy permits: it is poisoned, shadows another, or changed.
        does: Its effects.
        label: The integrity and confidentiality of what it gives.
        fingerprint: That of its definition, where the policy pins the connector's tools.

    """

    kind: str
    name: str
    permitted: bool
    rules: tuple[tuple[str, str], ...] = ()
    why: str = ""
    barred: bool = False
    does: tuple[str, ...] = ()
    label: tuple[str, str] = ("", "")
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A server as the proxy would have it.

    Attributes:
        info: Its name and version, as it says.
        protocol: The version of the protocol that it speaks.
        instructions: What it says to models; empty where no client would be told.
        silenced: Whether it says something that no client would be told.
        items: All that it offers, and what it could ask.

    """

    info: dict[str, Any]
    protocol: str
    instructions: str
    silenced: bool
    items: tuple[Item, ...]


class _Unpinned:
    """Stands where pins are held: to look at a server pins nothing."""

    def revision(self) -> object:
        return None

    async def launch(self, connector: str, *, again: bool) -> str:
        return ""

    async def judge(self, connector: str, offered: str, sighting: Sighting) -> Judgement:
        return Judgement()


def inspected(guard: Guard, connector: str) -> Inspected:
    """Start one server of the guard's policy, in its sandbox, and look at all that it lists.

    Raises:
        BackendError: the policy has no such server, or it can't be asked.

    """
    servers = guard.policy.servers
    if connector not in servers:
        known = ", ".join(sorted(servers)) or "none"
        raise BackendError(f"no connector {connector!r} of the policy has a `server` (it has: {known})")
    return asyncio.run(_inspected(guard, connector))


async def _inspected(guard: Guard, connector: str) -> Inspected:
    async def unheard(*_: Any) -> None: ...

    hooks = Hooks(on_notice=unheard, on_unknown=lambda *_: None)
    with guard.session() as session:
        servers = {connector: guard.policy.servers[connector]}
        async with anyio.create_task_group() as tasks:
            pool = Pool(servers, session.boxes.launch, tasks, hooks, credentials=guard.policy.credentials)
            found: Inspected | BackendError
            try:
                with anyio.fail_after(PATIENCE_S):
                    found = await _looked(guard.policy, connector, pool.upstream(connector))
            except TimeoutError:
                found = BackendError(f"the server of connector {connector} did not list all it has in time")
            except BackendError as error:
                found = error  # and not one of a group of errors
            finally:
                with anyio.CancelScope(shield=True):
                    await pool.aclose()
                tasks.cancel_scope.cancel()
    if isinstance(found, BackendError):
        raise found
    return found


async def _looked(policy: Policy | Layered, connector: str, upstream: Upstream) -> Inspected:
    shelf = Shelf(connector, upstream, lambda: policy, _Unpinned())
    for _ in range(LOOKS):
        for kind in SORTS:
            await shelf.refresh(kind)
        if shelf.kinds.keys() >= SORTS.keys():
            break  # or something changed while the rest was listed, as it does with servers that just began
    entries = shelf.entries()
    shadows = Shadows(policy.servers, entries, policy.front.separator)
    spoken = shadows.spoken(connector, shelf.speech)
    return Inspected(
        dict(upstream.info),
        upstream.protocol,
        "" if spoken else shelf.instructions,
        bool(upstream.instructions) and bool(spoken or not shelf.instructions),
        (*(_item(policy, entry, shadows) for entry in entries), *_asks(policy, connector)),
    )


def _item(policy: Policy | Layered, entry: Entry, shadows: Shadows) -> Item:
    sort = SORTS[entry.kind]
    name = sort.message or entry.name
    able = permitted(policy, entry)
    rules = tuple(_speaking(policy, entry.connector, name, entry.annotations))
    why = _bars(entry, shadows)
    barred = bool(why)
    if not (why or able):
        why = _unused(policy, entry, name, rules)
    call = ToolCall.of(entry.connector, name, {})
    label = policy.labels(call).default
    return Item(
        sort.word,
        entry.name,
        able and not barred,
        tuple((rule.id, rule.effect.name.lower()) for rule in rules),
        why,
        barred,
        _does(policy, entry.connector, name, entry.annotations),
        (label.integrity.name.lower(), label.confidentiality.name.lower()),
        entry.fingerprint,
    )


def _bars(entry: Entry, shadows: Shadows) -> str:
    if entry.barred is None:
        return shadows.why(entry) or ""
    told = str(entry.barred).removesuffix("; do without it")
    return told.removeprefix(f"this {SORTS[entry.kind].word} can't be used: ")


def _unused(policy: Policy | Layered, entry: Entry, name: str, rules: tuple[Rule, ...]) -> str:
    """Say why the policy permits no use of something."""
    pins = policy.pins(entry.connector)
    if pins and not name.startswith(MESSAGE) and pins.get(name) != entry.fingerprint:
        return (
            "it is not the tool that the policy pinned"
            if name in pins
            else "the policy pins other tools only"
        )
    denying = next((rule.id for rule in rules if rule.effect is Standing.DENY), "")
    if denying:
        return f"rule {denying} denies it"
    return "no rule allows it with this name or URI" if rules else "no rule speaks of it"


def _asks(policy: Policy | Layered, connector: str) -> Iterator[Item]:
    """Say what the server may ask of clients."""
    for method in sorted(ASKED):
        name = MESSAGE + method
        rules = tuple(_speaking(policy, connector, name, WORST_CASE))
        able = policy.permits(connector, name)
        yield Item(
            "asks",
            method,
            able,
            tuple((rule.id, rule.effect.name.lower()) for rule in rules),
            "" if able else "no rule permits it",
            does=_does(policy, connector, name, WORST_CASE),
        )


def _layers(policy: Policy | Layered) -> tuple[Policy, ...]:
    return (policy.primary, *policy.narrowing) if isinstance(policy, Layered) else (policy,)


def _speaking(
    policy: Policy | Layered, connector: str, name: str, annotations: Annotations
) -> Iterator[Rule]:
    """Give the rules of all layers that speak of something."""
    for layer in _layers(policy):
        known = layer.connector(connector)
        for rule in known.candidates(name, annotations) if known else ():
            if covered(name, rule.tools):
                yield rule


def _does(policy: Policy | Layered, connector: str, name: str, annotations: Annotations) -> tuple[str, ...]:
    known = policy.connector(connector)
    return tuple(sorted(known.does(name, annotations))) if known else ()
