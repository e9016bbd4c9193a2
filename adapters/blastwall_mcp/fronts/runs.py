"""The runs of an HTTP front: what one principal's calls have in common, and nobody else's."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from blastwall.frozen import Json
from blastwall.guard import Guard
from blastwall.session import Session
from blastwall.values import ToolCall
from blastwall_mcp.engine.clients import Client
from blastwall_mcp.fronts.limits import Busy
from blastwall_mcp.fronts.principals import Principal

SWEEP_S = 30.0
"""How often runs that nobody uses are looked for."""

_OPENED = ToolCall.of("session", "client", {})
"""What the beginnings of clients are recorded under."""


@dataclass(slots=True)
class Run:
    """One principal's calls in the modern era, and its clients by version and capabilities."""

    session: Session
    used: float
    users: int = 0
    clients: dict[tuple[str, bytes], Client] = field(default_factory=dict)


class Runs:
    """The runs of the modern era, which knows no sessions: one for each principal, until it is idle.

    Were there one for each request, nothing that a policy counts over a session would count at all.
    """

    def __init__(
        self, guard: Guard, most: int, idle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open none yet."""
        self._guard = guard
        self._most, self._idle_s, self._clock = most, idle_s, clock
        self._open: dict[str, Run] = {}
        self._opening = asyncio.Lock()
        self._swept = clock()

    async def of(self, principal: Principal) -> Run:
        """Give a principal's run.

        Raises:
            Busy: there are too many principals at once.
            AuditError: its beginning can't be recorded.

        """
        self._sweep()
        return self._open.get(principal.name) or await self._begin(principal)

    async def _begin(self, principal: Principal) -> Run:
        async with self._opening:
            if principal.name not in self._open:
                if len(self._open) >= self._most:
                    raise Busy(mine=False)
                session = await opened(self._guard, principal, "modern")
                self._open[principal.name] = Run(session, self._clock())
            return self._open[principal.name]

    @contextmanager
    def using(self, run: Run) -> Generator[None]:
        """Keep a run open for a while."""
        run.users += 1
        try:
            yield
        finally:
            run.users -= 1
            run.used = self._clock()

    def close(self) -> None:
        """Close them all."""
        while self._open:
            self._open.popitem()[1].session.close()

    def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept < SWEEP_S:
            return
        self._swept = now
        for name, run in list(self._open.items()):
            if not run.users and now - run.used > self._idle_s:
                self._open.pop(name).session.close()


async def opened(guard: Guard, principal: Principal, era: str) -> Session:
    """Begin a run, and record whose it is.

    Raises:
        AuditError: that can't be recorded.

    """
    session = Session(guard)
    details: dict[str, Json] = {
        "principal": principal.name,
        "issuer": principal.issuer,
        "subject": principal.subject,
        "client": principal.client,
        "transport": "http",
        "era": era,
    }
    await record(guard, session.id, "client", details)
    return session


async def record(guard: Guard, session: str, event: str, details: dict[str, Json]) -> None:
    """Write something that is about no call into the audit log."""
    audit, digest = guard.hands.audit, guard.policy.digest
    if audit.waits:
        await asyncio.to_thread(audit.write, session, event, _OPENED, details, digest)
    else:
        audit.write(session, event, _OPENED, details, digest)
