"""What all connections of one session share: rules, accounts, credentials, names, the way to the audit."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from blastwall.egress.budget import Account, Meter, Spent
from blastwall.egress.decide import Decision, No, Rules, Yes
from blastwall.egress.networks import Unreachable
from blastwall.egress.placeholders import Held
from blastwall.egress.resolve import Resolver
from blastwall.egress.streams import Closed, Pulse, SocketStream, TlsStream
from blastwall.egress.tls import Authority, upstream
from blastwall.values import Destination

HEAD_S = 20.0
"""Longest time from the first byte of a request, or of a handshake, to its last."""

IDLE_S = 300.0
"""Longest time without a byte in either direction."""

CONNECT_S = 15.0
MOST_ADDRESSES = 4

Record = Callable[[Decision], Awaitable[bool]]


class Refusal(Exception):
    """Something was asked that may not leave, or can't be reached."""

    def __init__(self, decision: Decision, status: int = 403) -> None:
        """Keep what to record, and the status that says it over HTTP."""
        super().__init__(decision.reason)
        self.decision, self.status = decision, status


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient the gate is."""

    head_s: float = HEAD_S
    idle_s: float = IDLE_S
    connections: int = 256


@dataclass(slots=True)
class Upstream:
    """One connection to an allowed host."""

    host: str
    port: int
    socket: SocketStream
    meter: Meter


class Proxy:
    """The rules of one session at work."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        held: Sequence[Held],
        record: Record,
        *,
        roots: str = "",
        resolver: Resolver | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Compile the rules.

        Args:
            destinations: The only places that can be reached.
            held: The credentials and their placeholders.
            record: Takes a decision to the audit and says whether it arrived; without that nothing leaves.
            roots: Certificates that upstream hosts are checked against, in PEM.
            resolver: Finds addresses.
            limits: How patient to be.

        """
        self.rules = Rules(destinations, [host for one in held for host in one.hosts])
        self.held = tuple(held)
        self.limits = limits or Limits()
        self.resolver = resolver or Resolver()
        self.authority = Authority(self.rules.inspected_hosts()) if self.rules.inspects else None
        self._context = upstream(roots)
        self._record = record
        self._accounts = [Account(d.host, d.upload_kb << 10, d.download_kb << 10) for d in destinations]

    async def allow(self, decision: Decision) -> None:
        """Record that something may leave, before it does.

        Raises:
            Refusal: when it can't be recorded.

        """
        if not await self._record(decision):
            reason = "it can't be recorded in the audit log"
            raise Refusal(
                Decision(False, decision.host, decision.port, decision.method, decision.path, reason), 503
            )

    async def tell(self, decision: Decision) -> None:
        """Record something that was refused or has ended."""
        await self._record(decision)

    def judged(self, verdict: Yes | No, host: str, port: int, method: str, path: str) -> Yes:
        """Give a yes.

        Raises:
            Refusal: when it is a no.

        """
        if isinstance(verdict, No):
            raise Refusal(Decision(False, host, port, method, path, verdict.reason))
        return verdict

    async def addresses(self, host: str, account: int) -> tuple[str, ...]:
        """Find where a host is.

        Raises:
            Unreachable: when it has no address that may be connected to.
            Spent: when the names asked for use up the upload budget: they leave too.

        """
        pinned = self.rules.account(account).addresses
        if not pinned and not self.resolver.knows(host):
            Meter(self._accounts[account]).sending(len(host))
        return await self.resolver.addresses(host, pinned)

    async def dial(self, host: str, port: int, account: int, pulse: Pulse) -> Upstream:
        """Connect to a host, at an address that was checked.

        Raises:
            Unreachable: when that fails.

        """
        meter = Meter(self._accounts[account])
        for address in (await self.addresses(host, account))[:MOST_ADDRESSES]:
            sock = socket.socket(_family(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                async with asyncio.timeout(CONNECT_S):
                    await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except (OSError, TimeoutError):
                sock.close()
            except BaseException:
                sock.close()
                raise
            else:
                return Upstream(host, port, SocketStream(sock, pulse, meter), meter)
        raise Unreachable(f"{host} does not answer on port {port}")

    async def secure(self, dialled: Upstream) -> TlsStream:
        """Speak TLS with a host that must prove its name.

        Raises:
            Unreachable: when it can't.

        """
        stream = TlsStream(dialled.socket, self._context, server=False, name=dialled.host)
        try:
            async with asyncio.timeout(CONNECT_S):
                await stream.shake()
        except (Closed, TimeoutError, ssl.CertificateError) as error:
            raise Unreachable(f"no trusted TLS connection with {dialled.host}: {error}") from None
        return stream

    def charge(self, dialled: Upstream, account: int) -> None:
        """Put what a connection moves from now on on another account."""
        dialled.meter.account = self._accounts[account]

    async def hang_up(self, dialled: Upstream) -> None:
        """Close a connection, and record what it carried."""
        dialled.socket.close()
        meter = dialled.meter
        reason = "the connection ended"
        with contextlib.suppress(Closed):
            await self.tell(
                Decision(True, dialled.host, dialled.port, "CLOSE", "", reason, meter.sent, meter.received)
            )


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


__all__ = ["Limits", "Proxy", "Record", "Refusal", "Spent", "Upstream"]
