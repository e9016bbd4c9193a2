"""What the handler of a message gets with it: a way back to the other side while the message is open."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import anyio
from mcp.shared.dispatcher import CallOptions, Outbound
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.transport_context import TransportContext

from blastwall_mcp.wire.lines import Id, is_id

CANCELLED = "notifications/cancelled"
INITIALIZED = "notifications/initialized"
PROGRESS = "notifications/progress"

_DUPLEX = TransportContext(kind="stdio", can_send_request=True)


class Context:
    """One message of the other side, for its handler (mcp's `DispatchContext`).

    Attributes:
        request_id: Its id; None for a notification.

    """

    __slots__ = ("_cancel_requested", "_token", "_wire", "open", "request_id")

    message_metadata = None

    def __init__(self, wire: Outbound, request_id: Id | None, token: Id | None) -> None:
        """Stand for a message that arrived on a wire."""
        self.request_id = request_id
        self.open = True
        self._wire = wire
        self._token = token
        self._cancel_requested: anyio.Event | None = None

    @property
    def transport(self) -> TransportContext:
        """What carries the message."""
        return _DUPLEX

    @property
    def can_send_request(self) -> bool:
        """Whether the other side can be asked something meanwhile."""
        return self.open

    @property
    def cancel_requested(self) -> anyio.Event:
        """Set when the other side no longer wants an answer."""
        if self._cancel_requested is None:
            self._cancel_requested = anyio.Event()
        return self._cancel_requested

    @property
    def cancelled(self) -> bool:
        """Whether it said so already."""
        return self._cancel_requested is not None and self._cancel_requested.is_set()

    @property
    def wants_progress(self) -> bool:
        """Whether the other side gave a progress token."""
        return self._token is not None

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Tell the other side something, as long as its request is open."""
        if self.open:
            await self._wire.notify(method, params, opts)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the other side something; raises like `Wire.send_raw_request`."""
        if not self.open:
            raise NoBackChannelError(method)
        return await self._wire.send_raw_request(method, params, opts)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far its request is, if it wants to know."""
        if self._token is None:
            return
        told = {"total": total, "message": message}
        params = {k: v for k, v in told.items() if v is not None}
        await self.notify(PROGRESS, {"progressToken": self._token, "progress": progress, **params})


def marked(params: Mapping[str, Any] | None, token: Id) -> dict[str, Any]:
    """Give params that ask for progress."""
    params = dict(params or {})
    params["_meta"] = {**params.get("_meta", {}), "progressToken": token}
    return params


def token_of(params: Mapping[str, Any] | None) -> Id | None:
    """Give the progress token of a request that wants progress."""
    meta = params.get("_meta") if params else None
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if is_id(token) else None


def is_number(value: Any) -> TypeGuard[float]:
    """Say whether this is a number in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)
