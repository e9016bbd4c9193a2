"""MCP's draft of interceptors (SEP-2624), consumed: those that an upstream hosts, around our tool calls."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import anyio
from mcp.shared.exceptions import MCPError

from blastwall.errors import BackendError
from blastwall.policy.explain import plain
from blastwall.values import Denied, Reason
from blastwall_mcp.catalogue.entries import Entry
from blastwall_mcp.engine.answers import answer
from blastwall_mcp.engine.clients import Errand, Params
from blastwall_mcp.engine.uses import Uses
from blastwall_mcp.experimental.interceptors import CALL, INVOKE, LIST, Object, Phase
from blastwall_mcp.upstreams.upstream import UpstreamError

LIMIT_S = 5.0
"""How long one interceptor may take, and the list of them."""

MOST = 64
"""Interceptors around one call. Where there are more, it is refused."""

_SAID = 300
"""How much of a name or a reason is written down."""

log = logging.getLogger(__name__)


class Host(Protocol):
    """An upstream that hosts interceptors."""

    version: int

    async def pages(self, method: str, key: str) -> list[Object]:
        """Fetch a whole list."""
        ...

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, limit_s: float | None = None
    ) -> Object:
        """Ask for something."""
        ...


class Objection(BackendError):
    """An interceptor said no, or gave no answer that counts. The message never quotes it."""


@dataclass(frozen=True, slots=True)
class Interceptor:
    """One interceptor of an upstream, as far as it says something that counts.

    Attributes:
        host: The connector that hosts it.
        name: Its name there.
        type: `validation` or `mutation`; of what is neither, nothing that it answers counts.
        hooks: Events and phases.
        audit: Whether it only looks on.
        priorities: Its place among the mutations, by phase; the lowest is first.

    """

    host: str
    name: str
    type: str
    hooks: tuple[tuple[str, Phase], ...]
    audit: bool
    priorities: tuple[int, int]

    @classmethod
    def of(cls, host: str, said: Object) -> "Interceptor":
        """Read a descriptor. `failOpen` is not among what counts: one that fails refuses."""
        name, kind = said.get("name"), said.get("type")
        if not isinstance(name, str) or not isinstance(kind, str):
            raise Objection(f"connector {host} hosts an interceptor without a name or a type")
        given = said.get("hooks", said.get("hook"))
        hooks = [hook for one in (given if isinstance(given, list) else [given]) for hook in _hooks(one)]
        hint = said.get("priorityHint")
        each = hint if isinstance(hint, dict) else {"request": hint, "response": hint}
        priorities = (_priority(each.get("request")), _priority(each.get("response")))
        return cls(host, name, kind, tuple(hooks), said.get("mode") == "audit", priorities)

    def __str__(self) -> str:
        return f"interceptor {plain(self.name[:_SAID])} of connector {self.host}"

    def priority(self, phase: Phase) -> int:
        """Give its place among the mutations; the lowest is first."""
        return self.priorities[0 if phase == "request" else 1]

    def wants(self, event: str, phase: Phase) -> bool:
        """Say whether it is to be asked."""
        wild = f"*/{phase}"
        return any(phase == at and (glob == wild or fnmatchcase(event, glob)) for glob, at in self.hooks)


@dataclass(frozen=True, slots=True)
class _Occasion:
    """What interceptors are asked about, and those who host some."""

    hosts: Mapping[str, Host]
    event: str
    phase: Phase

    async def ask(self, each: Interceptor, payload: Object) -> Object | None:
        """Ask one interceptor; None is no answer that counts, which refuses unless it only looks on."""
        params = {"name": each.name, "event": self.event, "phase": self.phase, "payload": payload}
        limited = params | {"timeoutMs": int(LIMIT_S * 1000)}
        try:
            with anyio.fail_after(LIMIT_S):
                return await self.hosts[each.host].request(INVOKE, limited, limit_s=LIMIT_S)
        except (TimeoutError, BackendError, UpstreamError, MCPError) as error:
            log.warning("%s failed: %s", each, plain(str(error)))
            return None


class Interceptors:
    """What is sent is mutated, then validated; what comes back is validated, then mutated.

    Mutations go one after the other, validations all at once. One that says no, fails, takes too long or
    answers with something else refuses the call. One that only looks on (`mode: audit`) never does, and
    changes nothing.
    """

    def __init__(self) -> None:
        """Know nobody yet: a host is asked at its first call, and again after it changed."""
        self._known: WeakKeyDictionary[Host, tuple[int, tuple[Interceptor, ...]]] = WeakKeyDictionary()

    async def sending(self, hosts: Mapping[str, Host], event: str, payload: Object) -> Object:
        """Give a request as it may be sent.

        Raises:
            Objection: when it may not.

        """
        occasion = _Occasion(hosts, event, "request")
        found = await self._found(occasion)
        payload = await _mutated(occasion, found, payload)
        await _validated(occasion, found, payload)
        return payload

    async def receiving(self, hosts: Mapping[str, Host], event: str, payload: Object) -> Object:
        """Give a result as it may go on.

        Raises:
            Objection: when it may not.

        """
        occasion = _Occasion(hosts, event, "response")
        found = await self._found(occasion)
        await _validated(occasion, found, payload)
        return await _mutated(occasion, found, payload)

    async def _found(self, occasion: _Occasion) -> list[Interceptor]:
        """Give those that are to be asked, in their order."""
        event, phase = occasion.event, occasion.phase
        listed = [each for name, host in occasion.hosts.items() for each in await self._of(name, host)]
        found = [each for each in listed if each.wants(event, phase)]
        if len(found) > MOST:
            raise Objection(f"there are {len(found)} interceptors for {event}, more than {MOST}")
        return sorted(found, key=lambda each: (each.priority(phase), each.name, each.host))

    async def _of(self, name: str, host: Host) -> tuple[Interceptor, ...]:
        version, listed = self._known.get(host, (-1, ()))
        if version != host.version:
            try:
                with anyio.fail_after(LIMIT_S):
                    said = await host.pages(LIST, "interceptors")
            except (TimeoutError, BackendError, UpstreamError, MCPError) as error:
                log.warning("the interceptors of %s can't be listed: %s", name, plain(str(error)))
                raise Objection(f"the interceptors of connector {name} can't be listed") from None
            listed = tuple(Interceptor.of(name, each) for each in said)
            self._known[host] = host.version, listed
        return listed


async def _mutated(occasion: _Occasion, found: Iterable[Interceptor], payload: Object) -> Object:
    for each in found:
        if each.type != "validation":
            answered = await occasion.ask(each, payload)
            payload = payload if each.audit else _payload_of(each, answered, payload)
    return payload


async def _validated(occasion: _Occasion, found: Iterable[Interceptor], payload: Object) -> None:
    """Ask all of them, and wait for all of them."""
    refused: list[str] = []

    async def validate(each: Interceptor) -> None:
        if _objects(each, await occasion.ask(each, payload)) and not each.audit:
            refused.append(f"{each} refuses this")

    async with anyio.create_task_group() as tasks:
        for each in found:
            if each.type == "validation":
                tasks.start_soon(validate, each)
    if refused:
        raise Objection("; ".join(sorted(refused)))


def _payload_of(each: Interceptor, answered: Object | None, before: Object) -> Object:
    """Give what a mutation made of a payload; of what is neither it nor a validation, nothing counts."""
    said = answered if answered is not None and each.type == "mutation" else {}
    if said.get("modified") is False:
        return before
    payload = said.get("payload")
    if said.get("modified") is not True or not isinstance(payload, dict):
        raise Objection(f"{each} gave no answer that counts")
    return payload


def _objects(each: Interceptor, answered: Object | None) -> bool:
    """Say whether an answer is a no: an error, or nothing that counts. What it says is for the log only."""
    said = answered or {}
    valid, severity = said.get("valid"), said.get("severity")
    if valid is not True or severity not in (None, "info"):
        log.warning("%s says: %s", each, plain(str(said.get("messages"))[:_SAID]))
    if not isinstance(valid, bool):
        return True
    return severity == "error" or (not valid and severity not in ("info", "warn"))


class Around(Uses):
    """Uses, with interceptors around each tool call: before it is judged, and before its result is looked at.

    So it is the call that they made of it which is judged and run, and what they made of the result is
    screened, labelled and recorded like any other.
    """

    def __init__(self, hosts: Collection[str], *parts: Any) -> None:
        """Name the connectors that host the interceptors, and the parts of `Uses`."""
        super().__init__(*parts)
        self._hosts = hosts
        self._interceptors = Interceptors()

    async def use(self, errand: Errand, entry: Entry, name: str, arguments: Params) -> Params:
        """Give what a use comes to; `name` is what the policy calls it."""
        if errand.method != CALL:
            return await super().use(errand, entry, name, arguments)
        asked = {"name": errand.params["name"], "arguments": arguments}
        try:
            sent = await self._interceptors.sending(self._of(errand), CALL, asked)
            if sent.get("name") != asked["name"] or not isinstance(sent.get("arguments"), dict):
                raise Objection("an interceptor made another tool's call, or none, of this one")
        except Objection as error:
            denied = Denied(Reason.CHECK_FAILED, str(error))
            outcome = errand.client.session.refuse(entry.connector, name, arguments, denied)
            return answer(errand.method, outcome, faulty=False)
        return await super().use(errand, entry, name, sent["arguments"])

    async def _sent(self, errand: Errand, *rest: Any, **named: Any) -> Params:
        result = await super()._sent(errand, *rest, **named)
        if errand.method != CALL:
            return result
        hop = {key: value for key, value in result.items() if key in _HOP}
        shown = {key: value for key, value in result.items() if key not in _HOP}
        given = await self._interceptors.receiving(self._of(errand), CALL, shown)
        return {key: value for key, value in given.items() if key not in _HOP} | hop

    def _of(self, errand: Errand) -> Mapping[str, Host]:
        upstreams = self._views.of(errand.client).upstreams
        return {name: upstreams[name] for name in self._hosts}


_HOP = frozenset(("_meta", "resultType"))
"""What of a result is about its connection and not the tool's, and is no interceptor's to see or change."""


def _hooks(hook: Any) -> list[tuple[str, Phase]]:
    """Read a hook; one that can't be read is about everything, so that nothing goes around it."""
    events = hook.get("events") if isinstance(hook, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        return [("*", "request"), ("*", "response")]
    phases: tuple[Phase, ...] = ("request", "response")
    if hook.get("phase") in phases:
        phases = (hook["phase"],)
    return [(event, phase) for event in events for phase in phases]


def _priority(hint: Any) -> int:
    return hint if isinstance(hint, int) and not isinstance(hint, bool) else 0
