"""What a legacy client over HTTP is told outside of its requests. Nobody waits for one that does not read."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from mcp.shared.dispatcher import Outbound

MOST = 256
"""Notices that wait for a client. One beyond that is lost, as it would be without an open stream."""

ANSWER_S = 60.0
"""How long an answer to a question outside of any request is waited for."""

log = logging.getLogger(__name__)


class Notices:
    """A way to tell one client something, which never makes its teller wait."""

    def __init__(self, out: Outbound) -> None:
        """Have nothing to tell yet."""
        self._out = out
        self._waiting: deque[tuple[str, Mapping[str, Any] | None]] = deque()
        self._telling: asyncio.Task[None] | None = None

    async def notify(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Tell it when it can be told."""
        if len(self._waiting) >= MOST:
            log.debug("a client does not read: %s is lost", method)
            return
        self._waiting.append((method, params))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def send_raw_request(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Ask it, and give its result. One without an open stream never hears the question."""
        return await self._out.send_raw_request(method, params, {"timeout": ANSWER_S})

    def close(self) -> None:
        """Tell nothing more."""
        self._waiting.clear()
        if self._telling is not None:
            self._telling.cancel()

    async def _tell(self) -> None:
        while self._waiting:
            method, params = self._waiting.popleft()
            await self._out.notify(method, params)
