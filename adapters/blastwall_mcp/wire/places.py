"""Where something is on the network: a URL that reads one way, the addresses that it means, a connection."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from blastwall.egress import spelling
from blastwall.egress.networks import Unreachable, is_public, named
from blastwall.egress.resolve import Interfaces, Resolver
from blastwall.errors import BackendError

DIAL_S = 10.0
"""How long one address is tried."""

MOST_TRIED = 4
"""Addresses of one name that are tried."""

_PORTS = {"https": 443, "http": 80}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document is: an address that can't be read in two ways."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host header."""
        return spelling.shown(self.host, self.port, _PORTS[self.scheme])


def place(url: str) -> Place:
    """Read a URL.

    Raises:
        BackendError: it is none of http or https, or holds a user, a fragment, or what isn't plain ASCII.

    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BackendError(f"{url!r} is no URL that can be asked: write plain ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BackendError(f"{url!r} is no URL") from None
    host = spelling.host(parts.hostname or "")
    if parts.scheme not in _PORTS or host is None or "@" in parts.netloc or parts.fragment:
        raise BackendError(f"{url!r} is no URL that can be asked: write https://host/path")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, port or _PORTS[parts.scheme], target)


def is_loopback(host: str) -> bool:
    """Say whether a canonical host is this machine, whatever a resolver says."""
    if host == "::1" or host == "localhost" or host.endswith(".localhost"):
        return True
    return spelling.is_address(host) and host.startswith("127.")


async def addresses(where: Place, resolver: Resolver, *, inside: bool) -> tuple[str, ...]:
    """Look up the addresses of a place.

    Args:
        where: The place.
        resolver: Knows the names of the public internet.
        inside: Whether they may be of this machine or of a network of our own, and be spoken to without TLS.

    Raises:
        Unreachable: there is none that may be dialled.
        OSError: nobody knows the name.

    """
    if inside:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(named(str(entry[4][0])) for entry in found))
    if where.scheme != "https":
        raise Unreachable("only https may be spoken to it")
    if spelling.is_address(where.host) and not is_public(where.host, Interfaces()()):
        raise Unreachable("its address is not of the public internet")
    return await resolver.addresses(where.host)


async def dial(where: Place, found: tuple[str, ...], context: ssl.SSLContext | None) -> Streams:
    """Connect to the first address that answers. TLS that proves nothing is no reason to try another.

    Raises:
        OSError: none does, or TLS fails.

    """
    failure = OSError("it has no address")
    name = where.host if context is not None else None
    for address in found[:MOST_TRIED]:
        try:
            async with asyncio.timeout(DIAL_S):
                return await asyncio.open_connection(
                    address, where.port, ssl=context, server_hostname=name, limit=1 << 18
                )
        except ssl.SSLError:
            raise
        except OSError as error:  # a timeout, too
            failure = error
    raise failure
