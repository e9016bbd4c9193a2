"""The HTTP requests to one server: what goes along with each, and what proves us."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_NAME_HEADER, MCP_PROTOCOL_VERSION_HEADER

from blastwall.errors import BackendError
from blastwall_mcp.upstreams.bearers import Bearer, clean
from blastwall_mcp.upstreams.exchanges import Exchanges, Response
from blastwall_mcp.wire.channel import Closed
from blastwall_mcp.wire.lines import MAX_LINE
from blastwall_mcp.wire.places import Place

JSON, EVENTS = "application/json", "text/event-stream"

SESSION = "mcp-session-id"

ENDING_S = 2.0
"""How long a server may take to forget us."""

_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept", "accept-encoding", "content-type"}
    | {"authorization", "cookie", SESSION, MCP_PROTOCOL_VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER}
)
"""Headers that a policy can't set."""


class Posts:
    """Asks one server.

    Attributes:
        session: The session that a legacy server gave us.
        version: The protocol version, where a request does not say it itself.

    """

    def __init__(
        self,
        peer: str,
        place: Place,
        exchanges: Exchanges,
        bearer: Bearer,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Ask nothing yet. `headers` go along with everything."""
        self.session = ""
        self.version = ""
        self._peer = peer
        self._place = place
        self._exchanges = exchanges
        self._bearer = bearer
        self._fixed = tuple(pair for pair in headers if pair[0].lower() not in _OURS)

    async def body(self, response: Response) -> bytes:
        """Read the body of an answer."""
        return await self.clean(await response.body(MAX_LINE))

    async def clean(self, data: bytes) -> bytes:
        """Take out what proves us."""
        return clean(data, await self._token())

    async def forget(self) -> None:
        """Let the server forget our session."""
        try:
            async with asyncio.timeout(ENDING_S), self._exchange("DELETE", b"", ()):
                pass
        except (TimeoutError, Closed):
            pass  # it forgets us in time

    def close(self) -> None:
        """Close all connections."""
        self._exchanges.close()

    @asynccontextmanager
    async def post(
        self, body: bytes, headers: Mapping[str, str], target: str = ""
    ) -> AsyncGenerator[Response]:
        """Send, to the place itself or a target beside it; once more if there is another token to try."""
        kind = ("content-type", JSON), ("accept", f"{JSON}, {EVENTS}")
        async with self._exchange("POST", body, (*kind, *headers.items()), target) as response:
            refused = response.status in (401, 403)
            if not refused or not await self._again(response):
                yield response
                return
        async with self._exchange("POST", body, (*kind, *headers.items()), target) as response:
            if response.status in (401, 403):
                await self._again(response)
            yield response

    @asynccontextmanager
    async def get(self, last_id: str) -> AsyncGenerator[Response]:
        since = (("last-event-id", last_id),) if last_id else ()
        async with self._exchange("GET", b"", (("accept", EVENTS), *since)) as response:
            yield response

    @asynccontextmanager
    async def _exchange(
        self, method: str, body: bytes, headers: tuple[tuple[str, str], ...], target: str = ""
    ) -> AsyncGenerator[Response]:
        pairs = [("host", self._place.authority), ("accept-encoding", "identity"), *self._fixed, *headers]
        if self.session:
            pairs.append((SESSION, self.session))
        if self.version and MCP_PROTOCOL_VERSION_HEADER not in dict(headers):
            pairs.append((MCP_PROTOCOL_VERSION_HEADER, self.version))
        if token := await self._token():
            pairs.append(("authorization", f"Bearer {token}"))
        async with self._exchanges.ask(method, target or self._place.target, pairs, body) as response:
            if response.header("content-encoding") not in ("", "identity"):
                raise Closed("its answer is compressed, and that was not asked for")
            yield response

    async def _token(self) -> str:
        return await self._bearer.token()

    async def _again(self, response: Response) -> bool:
        """Say whether a refused request may be tried with another token."""
        challenge = response.header("www-authenticate")
        if await self._bearer.refused(response.status, challenge):
            return True
        if response.status == 401:
            raise BackendError(
                f"{self._peer} wants to know who asks (HTTP status 401): give it a `credential` that it"
                " takes, or `oauth` and run `blastwall login`"
            )
        return False
