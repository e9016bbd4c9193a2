"""HTTP with a client: every request of a connection is read, judged, recorded and carried afresh."""

import asyncio
import contextlib

import h11

from blastwall.egress import requests
from blastwall.egress.bodies import Unreadable
from blastwall.egress.budget import Spent
from blastwall.egress.decide import Decision
from blastwall.egress.exchange import Link
from blastwall.egress.networks import Unreachable
from blastwall.egress.peer import Peer
from blastwall.egress.placeholders import misplaced
from blastwall.egress.proxy import Proxy, Refusal
from blastwall.egress.requests import Asked, Target, Unclear
from blastwall.egress.streams import Closed, Pulse, Stream

_LINGER_S = 1.0
_MOST_LINGER = 1 << 20


class Talk:
    """One client connection over which HTTP is spoken."""

    def __init__(self, proxy: Proxy, client: Stream, pulse: Pulse, within: Target | None = None) -> None:
        """Begin.

        Args:
            proxy: The session.
            client: The connection.
            pulse: Its life.
            within: Where the tunnel leads that this is spoken in; None for a proxy's own requests.

        """
        self._proxy, self._pulse, self._within = proxy, pulse, within
        self._peer = Peer(h11.SERVER, client)
        self._link: Link | None = None

    async def serve(self) -> tuple[str, int, bytes] | None:
        """Answer requests until the client leaves or asks for a tunnel: give where to, and what came since.

        Raises:
            Closed: when one side broke off.

        """
        try:
            while (request := await self._head()) is not None:
                if request.method == b"CONNECT" and self._within is None:
                    return *_tunnel(request), self._peer.http.trailing_data[0]
                await self._answer(request)
                if not self._peer.again():
                    return None
            return None
        except Refusal as refusal:
            await self._refuse(refusal)
            return None
        finally:
            await self._drop()

    async def _head(self) -> h11.Request | None:
        await self._peer.begun()
        try:
            async with asyncio.timeout(self._proxy.limits.head_s):
                event = await self._peer.heard()
        except h11.RemoteProtocolError as error:
            raise self._unread("the request is malformed, or too long", error.error_status_hint) from None
        except TimeoutError:
            raise self._unread("the request does not come to its end", 408) from None
        return event if isinstance(event, h11.Request) else None

    def _unread(self, reason: str, status: int) -> Refusal:
        where = self._within or Target("", "", 0)
        return Refusal(Decision(False, where.host, where.port, "", "", reason), status)

    async def _answer(self, request: h11.Request) -> None:
        asked = _asked(request, self._within)
        target = asked.target
        verdict = self._proxy.rules.request(target.scheme, target.host, target.port, asked.method, asked.path)
        account = self._proxy.judged(
            verdict, target.host, target.port, asked.method[:32], asked.path[:1024]
        ).account
        reason = misplaced(self._proxy.held, target.host, request.target, asked.headers)
        if reason:
            raise Refusal(asked.decision(reason))
        await self._proxy.allow(asked.decision("allowed", allowed=True))
        try:
            link = await self._linked(target, account)
            self._proxy.charge(link.dialled, account)
            if not await link.carry(asked, self._peer, self._proxy.held):
                await self._drop()
        except (Unreachable, Unreadable) as error:
            raise Refusal(asked.decision(str(error)), 502) from None
        except Spent as error:
            raise Refusal(asked.decision(str(error))) from None
        except h11.RemoteProtocolError:
            raise Refusal(asked.decision("one side broke the rules of HTTP"), 502) from None

    async def _linked(self, target: Target, account: int) -> Link:
        if self._link is None or not self._link.fits(target):
            await self._drop()
            self._link = await Link.open(self._proxy, target, account, self._pulse)
        return self._link

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await self._proxy.hang_up(link.dialled)

    async def _refuse(self, refusal: Refusal) -> None:
        """Record a refusal, and tell the client unless an answer has begun already."""
        await self._proxy.tell(refusal.decision)
        if self._peer.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await say_no(self._peer.stream, refusal)


async def say_no(client: Stream, refusal: Refusal) -> None:
    """Tell a client over HTTP, and let it read that before the connection ends."""
    body = f"blastwall refused this: {refusal.decision.reason}.\n".encode()
    head = (
        f"HTTP/1.1 {refusal.status} Blocked by blastwall\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with contextlib.suppress(Closed, TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            await client.send(head.encode() + body)
            await client.end()
            left = _MOST_LINGER
            while left > 0 and (data := await client.receive()):
                left -= len(data)


def _tunnel(request: h11.Request) -> tuple[str, int]:
    try:
        return requests.tunnel(request)
    except Unclear as error:
        raise Refusal(Decision(False, error.host, error.port, "CONNECT", "", str(error)), 400) from None


def _asked(request: h11.Request, within: Target | None) -> Asked:
    try:
        return requests.read(request, within)
    except Unclear as error:
        method = request.method.decode("ascii")[:32]
        raise Refusal(Decision(False, error.host, error.port, method, "", str(error)), 400) from None
