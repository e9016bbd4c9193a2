"""What an upstream server is known by, whom it talks to, and how it refuses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blastwall.values import Profile
from blastwall_mcp.upstreams.flights import unasked
from blastwall_mcp.upstreams.offered import NOTHING_OFFERED, Offered

if TYPE_CHECKING:
    from blastwall_mcp.upstreams.upstream import Upstream


class UpstreamError(Exception):
    """The server's own protocol error, as it came."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        """Keep all of it."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Key:
    """Whose server it is, for whom, with which client capabilities, and in which sandbox."""

    connector: str
    principal: str = ""
    offered: Offered = NOTHING_OFFERED
    profile: Profile | None = None


async def _unheard(_upstream: "Upstream", _method: str, _params: dict[str, Any]) -> None:
    pass


async def _unanswered(_upstream: "Upstream", method: str, _params: dict[str, Any]) -> dict[str, Any]:
    raise unasked(method)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told what a server says of its own accord.

    Attributes:
        on_notice: Hears its notifications: changed lists, updated resources, log messages, completed
            elicitations.
        on_start: Hears that it was started, perhaps again: all that it said before may be true no more.
        on_unknown: Counts what it sends that nobody knows: the connector and the method.
        on_push: Answers what a legacy server asks while nothing is in flight to it.

    """

    on_notice: Callable[["Upstream", str, dict[str, Any]], Awaitable[None]] = _unheard
    on_start: Callable[["Upstream"], None] = lambda _upstream: None
    on_unknown: Callable[[str, str], None] = lambda _connector, _method: None
    on_push: Callable[["Upstream", str, dict[str, Any]], Awaitable[dict[str, Any]]] = _unanswered
