"""A connection with a server, whatever carries it."""

from collections.abc import Mapping
from typing import Any, Protocol

import anyio
from mcp.shared.dispatcher import CallOptions, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED


class Options(CallOptions, total=False):
    """How to send a request. Beyond mcp's own: who handles what the server sends in reply to it alone."""

    on_request: OnRequest
    on_notify: OnNotify


class Closed(MCPError):
    """There is no other side any more, or none for this request."""

    def __init__(self, why: str = "") -> None:
        """Say so; `why` is in our own words."""
        super().__init__(CONNECTION_CLOSED, "Connection closed")
        self.why = why


class SessionLost(Closed):
    """The server forgot us, and did nothing of what was asked: it may be asked again in a new session."""


class Channel(Protocol):
    """What carries requests to a server, and what it sends (mcp's `Dispatcher`, and its end)."""

    @property
    def ended(self) -> anyio.Event:
        """Set when nothing more will come."""
        ...

    @property
    def fault(self) -> str:
        """Why it ended, if the server is to blame."""
        ...

    @property
    def headed(self) -> bool:
        """Whether requests carry HTTP headers."""
        ...

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the server something.

        Raises:
            MCPError: it refused.
            Closed: it is gone.

        """
        ...

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Tell the server something."""
        ...

    async def run(
        self, on_request: OnRequest, on_notify: OnNotify, on_notify_intercept: OnNotifyIntercept | None = None
    ) -> None:
        """Handle what the server sends, until it ends."""
        ...

    async def aclose(self) -> None:
        """End."""
        ...
