"""Messages that nobody knows: refused, never passed on, recorded and counted."""

import asyncio
import logging

from blastwall.frozen import Json
from blastwall.session import Session
from blastwall.values import ToolCall
from blastwall_mcp.engine.clients import Client

_SHOWN = 100
"""Characters of an unknown method that are recorded."""

log = logging.getLogger(__name__)


class Unknowns:
    """Counts them.

    Attributes:
        count: How many there were.

    """

    def __init__(self) -> None:
        """Have seen none yet."""
        self.count = 0

    async def sent(self, client: Client, method: str) -> None:
        """Record a message of a client."""
        await self._record(client.session, "client", "client", method)

    async def asked(self, client: Client, connector: str, method: str) -> None:
        """Record a message of a server."""
        await self._record(client.session, connector, f"the server of connector {connector}", method)

    def heard(self, connector: str, method: str) -> None:
        """Count a notification of a server, which belongs to no run."""
        self._count(f"the server of connector {connector}", method)

    async def _record(self, session: Session, connector: str, who: str, method: str) -> None:
        self._count(who, method)
        guard = session.guard
        details: dict[str, Json] = {"method": _shown(method), "from": who}
        call = ToolCall.of(connector, "mcp:unknown", {})
        arguments = (session.id, "unknown-message", call, details, guard.policy.digest)
        if guard.hands.audit.waits:
            await asyncio.to_thread(guard.hands.audit.write, *arguments)
        else:
            guard.hands.audit.write(*arguments)

    def _count(self, who: str, method: str) -> None:
        self.count += 1
        log.warning(
            "%s sent an unknown message %r; it is refused (%d so far)", who, _shown(method), self.count
        )


def _shown(method: str) -> str:
    return method[:_SHOWN].encode(errors="replace").decode()
