"""One connection from inside, from its first byte to its last."""

import asyncio
from collections.abc import Awaitable, Callable

from blastwall.egress import hello, socks
from blastwall.egress.budget import Spent
from blastwall.egress.decide import HTTP, HTTPS, STANDARD, Decision
from blastwall.egress.http import Talk, say_no
from blastwall.egress.networks import Unreachable
from blastwall.egress.proxy import Proxy, Refusal, Upstream
from blastwall.egress.relay import relay
from blastwall.egress.requests import Target
from blastwall.egress.streams import Closed, Front, Pulse, Stream, TlsStream

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_ACCESS_DENIED = b"\x15\x03\x03\x00\x02\x02\x31"
"""The TLS alert that says so."""

_METHOD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Connection:
    """What a program inside said to 127.0.0.1:3128."""

    def __init__(self, proxy: Proxy, client: Stream, pulse: Pulse) -> None:
        """Begin with nothing read."""
        self._proxy, self._client, self.pulse = proxy, Front(client), pulse

    async def serve(self) -> None:
        """Serve it to its end, whatever it says."""
        try:
            if await self._look_ahead():
                await self._speak()
        except Refusal as refusal:
            await self._proxy.tell(refusal.decision)
        except (Closed, TimeoutError):
            pass
        except Exception:
            await self._proxy.tell(Decision(False, "", 0, "", "", "the gate failed, and let nothing through"))
            raise
        finally:
            self._client.close()

    async def _look_ahead(self) -> bool:
        if self._client.first:
            return True
        async with asyncio.timeout(self._proxy.limits.head_s):
            return await self._client.more()

    async def _speak(self) -> None:
        first = self._client.first[0]
        if first == socks.VERSION:
            await self._socks()
        elif first in _METHOD:
            await self._http()
        else:
            raise Refusal(Decision(False, "", 0, "", "", "it is neither HTTP nor SOCKS5"))

    async def _http(self) -> None:
        wanted = await Talk(self._proxy, self._client, self.pulse).serve()
        if wanted is None:
            return
        host, port, since = wanted

        async def grant() -> None:
            await self._client.send(_ESTABLISHED)
            self._client.first = since + self._client.first

        await self._through(host, port, grant, lambda refusal: say_no(self._client, refusal))

    async def _socks(self) -> None:
        async with asyncio.timeout(self._proxy.limits.head_s):
            asked = await socks.asked(self._client)
        if asked.reason:
            await socks.answer(self._client, asked.code)
            raise Refusal(Decision(False, asked.host, asked.port, "CONNECT", "", asked.reason))

        async def grant() -> None:
            await socks.answer(self._client, socks.GRANTED)

        async def refuse(refusal: Refusal) -> None:
            await socks.answer(
                self._client, socks.NOT_ALLOWED if refusal.status == 403 else socks.UNREACHABLE
            )

        await self._through(asked.host, asked.port, grant, refuse)

    # --- Tunnels ---

    async def _through(
        self,
        host: str,
        port: int,
        grant: Callable[[], Awaitable[None]],
        refuse: Callable[[Refusal], Awaitable[None]],
    ) -> None:
        dialled = None
        try:
            try:
                account, inspected, dialled = await self._granted(host, port)
            except Refusal as refusal:
                await self._proxy.tell(refusal.decision)
                await refuse(refusal)
                return
            await grant()
            await self._tunnel(Target("", host, port), account, inspected, dialled)
        except Spent as error:
            raise Refusal(_tunnelled(host, port, str(error))) from None
        finally:
            if dialled is not None:
                await self._proxy.hang_up(dialled)

    async def _granted(self, host: str, port: int) -> tuple[int, bool, Upstream | None]:
        """Judge and record a tunnel, and reach its other end as far as it will be needed in any case."""
        yes = self._proxy.judged(self._proxy.rules.tunnel(host, port), host, port, "CONNECT", "")
        await self._proxy.allow(Decision(True, host, port, "CONNECT", "", "allowed"))
        try:
            if yes.inspected or port == STANDARD[HTTP]:
                await self._proxy.addresses(host, yes.account)
                return yes.account, yes.inspected, None
            return yes.account, False, await self._proxy.dial(host, port, yes.account, self.pulse)
        except (Unreachable, Spent) as error:
            raise Refusal(_tunnelled(host, port, str(error)), 502) from None

    async def _tunnel(self, where: Target, account: int, inspected: bool, dialled: Upstream | None) -> None:
        """See what is spoken in it: TLS, or HTTP whose every request is judged. Nothing else may pass."""
        try:
            async with asyncio.timeout(self._proxy.limits.head_s):
                if not self._client.first and not await self._client.more():
                    return
                if self._client.first[0] in _METHOD:
                    within = Target(HTTP, where.host, where.port)
                    talk: Talk | None = Talk(self._proxy, self._client, self.pulse, within)
                else:
                    talk = await self._tls(where, inspected)
        except TimeoutError:
            raise Refusal(
                _tunnelled(where.host, where.port, "nothing that can be judged was said in time")
            ) from None
        if talk is not None:
            await talk.serve()
        elif dialled is not None:
            await relay(self._client, dialled.socket)
        else:
            raise Refusal(_tunnelled(where.host, where.port, "TLS is not spoken on port 80"))

    async def _tls(self, where: Target, inspected: bool) -> Talk | None:
        """Check the name in the handshake, and end TLS here where the host is inspected."""
        try:
            seen = await self._hello()
        except hello.NoHello as error:
            raise Refusal(_tunnelled(where.host, where.port, str(error))) from None
        reason = (hello.named if inspected else hello.against)(seen, where.host)
        if reason:
            await self._proxy.tell(_tunnelled(where.host, where.port, reason))
            await self._client.send(_ACCESS_DENIED)
            raise Closed(reason)
        if not inspected:
            return None
        assert self._proxy.authority is not None  # noqa: S101  # where something is inspected, there is one
        stream = TlsStream(self._client, self._proxy.authority.context(where.host), server=True)
        await stream.shake()
        return Talk(self._proxy, stream, self.pulse, Target(HTTPS, where.host, where.port))

    async def _hello(self) -> hello.Hello:
        while (seen := hello.read(self._client.first)) is None:
            if not await self._client.more():
                raise Closed
        return seen


def _tunnelled(host: str, port: int, reason: str) -> Decision:
    return Decision(False, host, port, "CONNECT", "", reason)
