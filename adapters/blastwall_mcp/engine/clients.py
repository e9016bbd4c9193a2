"""The clients of the proxy: who each is, what it can do, and what it wants to be told."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from blastwall.session import Session
from blastwall.values import Denied, Reason

if TYPE_CHECKING:
    from blastwall.policy import Layered, Policy
    from blastwall_mcp.engine.views import View
    from blastwall_mcp.upstreams.upstream import Upstream

Params = dict[str, Any]

_PLAIN = frozenset(("name", "arguments", "_meta"))
_NOTHING: Params = {}


class Channel(Protocol):
    """A way to tell a client something, and to ask it (mcp's `Outbound`)."""

    async def notify(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Tell it; nothing happens if it is gone."""
        ...

    async def send_raw_request(self, method: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Ask it, and give its result; raises `MCPError`."""
        ...


class Context(Channel, Protocol):
    """One request of a client, for who answers it: what mcp's `DispatchContext` has and is needed here."""

    @property
    def request_id(self) -> int | str | None:
        """Its id."""
        ...

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far its request is, if it wants to know."""
        ...


class Unprompted:
    """What stands for a request where there is none: a server asks on its own."""

    request_id = None

    def __init__(self, channel: Channel) -> None:
        """Speak on this channel."""
        self.notify = channel.notify
        self.send_raw_request = channel.send_raw_request

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell nobody."""


OUT_OF_REACH = Denied(
    Reason.RULE, "the access token is not for this", instead="ask for a token with more scopes"
)
"""Why a token may not be used for something that the policy may permit."""


def _anything(_connector: str, _tool: str) -> bool:
    return True


@dataclass(slots=True, eq=False)
class Client:
    """One connection of a client; over HTTP in the modern era, one request.

    Attributes:
        principal: Who it is: nothing of one principal is ever another's.
        session: The run that its calls belong to.
        version: The protocol version that it speaks.
        modern: Whether that is a version without handshake.
        capabilities: What it said it can do, as it came.
        channel: Where it is told what no request of its own asked for; None where there is no such way.
        reaches: Says whether its token may be used for a tool (or `mcp:` message) of a connector.
        level: The least log level it wants to hear of (`logging/setLevel`); all of them until it says.
        watched: The resources that it subscribed to: the server of each, by URI.
        usual: What it said beside the parameters of its last request.
        view: What it sees of the servers, once it asked, and under which policy that was.

    """

    principal: str
    session: Session
    version: str
    modern: bool
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    channel: Channel | None = None
    reaches: Callable[[str, str], bool] = _anything
    level: str = ""
    watched: "dict[str, Upstream]" = field(default_factory=dict)
    usual: Any = field(default=None, repr=False)
    view: "tuple[Policy | Layered, View] | None" = field(default=None, repr=False)

    def said(self, params: Params) -> None:
        """Note that a request was read and is right: most clients say the same beside every call."""
        self.usual = params.get("_meta")

    def said_before(self, method: str, params: Params) -> bool:
        """Say whether a request is a plain tool call with the same beside it as in one that was right."""
        if method != "tools/call" or not params.keys() <= _PLAIN:
            return False
        if type(params.get("name")) is not str or type(params.get("arguments", _NOTHING)) is not dict:
            return False
        if "_meta" not in params:
            return not self.modern
        return self.usual is not None and bool(params["_meta"] == self.usual)

    @property
    def scoped(self) -> bool:
        """Whether its token reaches less than the policy permits."""
        return self.reaches is not _anything

    def can(self, feature: str) -> bool:
        """Say whether it declared a capability."""
        return isinstance(self.capabilities.get(feature), Mapping)


class Errand:
    """One request of a client while a server works on it.

    Attributes:
        client: Whose it is.
        context: The way back to it; a later one once the request was asked again with more input.
        method: What was asked.
        params: With what.
        answers: What the client answered before it was asked, by key (modern era).
        asked: What it is asked now, by key: the request, and who waits for the answer (modern era).
        asking: How many questions of the server are being dealt with.
        task: The work, where it may outlive the request.
        faulty: Whether the server answered with a protocol error.

    """

    __slots__ = (
        "answers",
        "asked",
        "asking",
        "changed",
        "client",
        "context",
        "faulty",
        "method",
        "params",
        "task",
    )

    def __init__(self, client: Client, context: Context, method: str, params: Params) -> None:
        """Begin."""
        self.client = client
        self.context = context
        self.method = method
        self.params = params
        self.answers: dict[str, Any] = {}
        self.asked: dict[str, tuple[Params, asyncio.Future[Params]]] = {}
        self.asking = 0
        self.changed = asyncio.Event()
        self.task: asyncio.Task[Params] | None = None
        self.faulty = False

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the client wrote beside its parameters."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, Mapping) else {}

    @property
    def waits(self) -> bool:
        """Whether nothing goes on until the client gives input."""
        return 0 < self.asking == len(self.asked)
