"""One request to a host and its response back, with credentials put in and taken out."""

import asyncio
from collections.abc import Sequence

import h11

from blastwall.egress.bodies import Body, Unreadable, asking, cleaned, rewritten
from blastwall.egress.decide import HTTPS
from blastwall.egress.peer import Peer
from blastwall.egress.placeholders import Headers, Held, replaced
from blastwall.egress.proxy import Proxy, Upstream
from blastwall.egress.relay import pour, relay, together
from blastwall.egress.requests import Asked, Target, passed_back
from blastwall.egress.scrub import Scrubber
from blastwall.egress.streams import Closed, Pulse

_BODILESS = (204, 304)


class Link:
    """A connection to one host, over which one request after the other may go."""

    def __init__(self, target: Target, dialled: Upstream, peer: Peer) -> None:
        """Begin with the first."""
        self.target, self.dialled, self._peer = target, dialled, peer
        self._keeps = True

    @classmethod
    async def open(cls, proxy: Proxy, target: Target, account: int, pulse: Pulse) -> "Link":
        """Connect, with TLS when the target says so.

        Raises:
            Unreachable: when that fails.

        """
        dialled = await proxy.dial(target.host, target.port, account, pulse)
        if target.scheme != HTTPS:
            return cls(target, dialled, Peer(h11.CLIENT, dialled.socket))
        try:
            return cls(target, dialled, Peer(h11.CLIENT, await proxy.secure(dialled)))
        except BaseException:
            await proxy.hang_up(dialled)
            raise

    def fits(self, target: Target) -> bool:
        """Say whether another request can go over this."""
        return (
            self.target == target and self._peer.http.our_state is h11.IDLE and self.dialled.socket.is_quiet()
        )

    async def carry(self, asked: Asked, client: Peer, held: Sequence[Held]) -> bool:
        """Carry one request and its response; say whether this can be used again.

        Raises:
            Closed: when one of the two broke off.
            Spent: when a budget ran out.
            Unreadable: when the response can't be searched for secrets. Nothing of it was passed on.

        """
        bound = [one for one in held if one.bound(self.target.host)]
        headers = asking(asked.headers) if bound else asked.headers
        await self._peer.say(asked.spelled(replaced(bound, self.target.host, headers)[0]))
        if asked.framing:
            finished, switched = await self._exchange(asked, client, bound)
        else:
            await self._upload(client)
            finished, switched = True, await self._download(asked, client, bound)
        if switched:
            await self._switch(client, bound)
        return finished and not switched and self._again()

    async def _exchange(self, asked: Asked, client: Peer, bound: Sequence[Held]) -> tuple[bool, bool]:
        """Carry a body there while the response may come back; say whether it went whole, and of a switch."""
        async with together() as group:
            upload = group.create_task(self._upload(client))
            await asyncio.sleep(0)  # a small body is gone before the answer is looked at
            switched = await self._download(asked, client, bound)
            finished = upload.done()
            upload.cancel()
        return finished, switched

    async def _upload(self, client: Peer) -> None:
        if client.http.they_are_waiting_for_100_continue:
            await client.say(h11.InformationalResponse(status_code=100, headers=[]))
        while not isinstance(event := await client.heard(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Closed
            try:
                await self._peer.say(event)
            except Closed:
                return  # what it says to that is still to be read
        await self._peer.say(h11.EndOfMessage())  # trailers are left out

    async def _download(self, asked: Asked, client: Peer, bound: Sequence[Held]) -> bool:
        """Pass the response on; say whether the protocol is another one from here."""
        head = await self._peer.heard()
        while isinstance(head, h11.InformationalResponse) and head.status_code != 101:
            head = await self._peer.heard()  # nothing that anybody waits for
        if isinstance(head, h11.InformationalResponse):
            await client.say(_informed(head, bound))
            return True
        if not isinstance(head, h11.Response):
            raise Closed("the host gave no answer")
        await self._pass_back(head, asked, client, bound)
        return False

    async def _pass_back(self, head: h11.Response, asked: Asked, client: Peer, bound: Sequence[Held]) -> None:
        headers = cleaned(bound, passed_back(list(head.headers)))
        body = None
        if bound and asked.method != "HEAD" and head.status_code not in _BODILESS:
            body = Body(bound, headers)
            headers = rewritten(headers)
        await client.say(
            h11.Response(status_code=head.status_code, headers=headers, reason=_reason(head, bound))
        )
        size = _size(head, asked)
        if body is None and size:
            await self._pour(head, client, size)
            return
        while not isinstance(event := await self._peer.heard(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise Closed("the host broke off")
            for piece in [bytes(event.data)] if body is None else body.feed(bytes(event.data)):
                await client.say(h11.Data(data=piece))
        if body is not None and (rest := body.end()):
            await client.say(h11.Data(data=rest))
        await client.say(h11.EndOfMessage())

    async def _pour(self, head: h11.Response, client: Peer, size: int) -> None:
        """Pass on a body of known length that nobody has to look at, past h11, which would copy it often."""
        first = self._peer.switched().first
        if len(first) > size:
            raise Closed("a body of another length than was said")
        client.passes(size)
        await client.stream.send(first)
        await pour(self._peer.stream, client.stream, size - len(first))
        await client.say(h11.EndOfMessage())
        self._keeps = head.http_version == b"1.1" and not any(
            name == b"connection" and b"close" in value.lower() for name, value in head.headers
        )
        self._peer = Peer(h11.CLIENT, self._peer.stream)

    def _again(self) -> bool:
        return self._keeps and (self._peer.http.our_state is h11.IDLE or self._peer.again())

    async def _switch(self, client: Peer, bound: Sequence[Held]) -> None:
        """Carry a WebSocket. Its frames can't be rewritten: a real value in one ends the connection."""
        scrubber = Scrubber(bound)

        def watch(data: bytes) -> None:
            if scrubber.finds(data):
                raise Unreadable("the host sent a credential back")

        await relay(client.switched(), self._peer.switched(), watch if bound else None)


def _size(head: h11.Response, asked: Asked) -> int:
    """Give the length of a body that is told beforehand; 0 where there is none, or it ends otherwise."""
    said = {name: value for name, value in head.headers if name in (b"content-length", b"transfer-encoding")}
    if asked.method == "HEAD" or head.status_code in _BODILESS or b"transfer-encoding" in said:
        return 0
    return int(said.get(b"content-length", b"0"))


def _informed(head: h11.InformationalResponse, bound: Sequence[Held]) -> h11.InformationalResponse:
    own: Headers = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    headers = cleaned(bound, passed_back(list(head.headers)))
    return h11.InformationalResponse(status_code=101, headers=own + headers, reason=b"Switching Protocols")


def _reason(head: h11.Response, bound: Sequence[Held]) -> bytes:
    ((_, reason),) = cleaned(bound, [(b"reason", bytes(head.reason))])
    return reason
