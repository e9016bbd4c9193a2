"""From the URL of a server to a connection with it: only addresses that the policy means are dialled."""

import asyncio
import socket
import ssl

from blastwall.egress import spelling
from blastwall.egress.networks import Unreachable, is_public, named
from blastwall.egress.resolve import Interfaces, Resolver
from blastwall.errors import BackendError
from blastwall_mcp.wire.fetch import Place

DIAL_S = 10.0
"""How long one address is tried."""

MOST_TRIED = 4
"""Addresses of one name that are tried."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Route:
    """The way to one server. A name is resolved once; whatever it leads to later is not listened to."""

    def __init__(self, place: Place, *, private: bool, context: ssl.SSLContext | None = None) -> None:
        """Ask nobody yet.

        Args:
            place: Where it is.
            private: Whether its addresses may be of a network of our own, and be spoken to without TLS.
            context: Whom to trust; the system's authorities by default.

        """
        self._place = place
        self._private = private
        self._context = context or (ssl.create_default_context() if place.scheme == "https" else None)
        self._found: tuple[str, ...] = ()

    async def addresses(self) -> tuple[str, ...]:
        """Give the addresses that may be dialled.

        Raises:
            BackendError: there is none.

        """
        if not self._found:
            try:
                self._found = await self._resolved()
            except (Unreachable, OSError, UnicodeError) as error:
                raise BackendError(
                    f"{self._place.host} can't be connected to: {error}; a host of your own network needs"
                    " `private: true` beside its `url`"
                ) from None
        return self._found

    async def dial(self) -> Streams:
        """Connect to the first address that answers. TLS that proves nothing is no reason to try another.

        Raises:
            OSError: none does, or TLS fails.
            BackendError: there is none that may be dialled.

        """
        failure = OSError("it has no address")
        for address in (await self.addresses())[:MOST_TRIED]:
            try:
                async with asyncio.timeout(DIAL_S):
                    return await self._dialled(address)
            except ssl.SSLError:
                raise
            except OSError as error:  # a timeout, too
                failure = error
        raise failure

    async def _dialled(self, address: str) -> Streams:
        name = self._place.host if self._context is not None else None
        return await asyncio.open_connection(
            address, self._place.port, ssl=self._context, server_hostname=name, limit=1 << 18
        )

    async def _resolved(self) -> tuple[str, ...]:
        host = self._place.host
        own = is_loopback(host)
        if not own and not self._private:
            if self._place.scheme != "https":
                raise Unreachable("only https may be spoken to it")
            if spelling.is_address(host) and not is_public(host, Interfaces()()):
                raise Unreachable("its address is not of the public internet")
            return await Resolver().addresses(host)
        asked = asyncio.get_running_loop().getaddrinfo(host, self._place.port, type=socket.SOCK_STREAM)
        found = tuple(dict.fromkeys(named(str(entry[4][0])) for entry in await asked))
        if own and not all(map(is_loopback, found)):
            raise Unreachable("its name is of this machine, and its address is not")
        return found


def is_loopback(host: str) -> bool:
    """Say whether a canonical host is this machine, whatever a resolver says."""
    if host == "::1" or host == "localhost" or host.endswith(".localhost"):
        return True
    return spelling.is_address(host) and host.startswith("127.")
