"""SOCKS5, as much of it as is needed: no authentication, CONNECT only, and hosts in one spelling only."""

import ipaddress
from dataclasses import dataclass

from blastwall.egress import spelling
from blastwall.egress.streams import Closed, Front

VERSION = 5
_NO_AUTHENTICATION, _NOTHING_FITS = 0, 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4

GRANTED, FAILED, NOT_ALLOWED, UNREACHABLE, NO_SUCH_COMMAND, NO_SUCH_ADDRESS = 0, 1, 2, 4, 7, 8


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a client wants to; `host` is empty, and `reason` says why, when that could not be read."""

    host: str
    port: int
    reason: str = ""
    code: int = GRANTED


async def asked(front: Front) -> Asked:
    """Do the greeting, and read the request.

    Raises:
        Closed: when it does not speak SOCKS5.

    """
    _, count = await _take(front, 2)
    methods = await _take(front, count)
    if _NO_AUTHENTICATION not in methods:
        await front.send(bytes([VERSION, _NOTHING_FITS]))
        raise Closed("this proxy takes no password")
    await front.send(bytes([VERSION, _NO_AUTHENTICATION]))
    version, command, zero, kind = await _take(front, 4)
    if version != VERSION or zero:
        raise Closed("no SOCKS5 request begins like this")
    if kind not in (_IPV4, _NAME, _IPV6):
        return Asked("", 0, "an address of an unknown kind", NO_SUCH_ADDRESS)
    host = await _host(front, kind)
    port = int.from_bytes(await _take(front, 2))
    if command != _CONNECT:
        return Asked(host or "", port, "only CONNECT is possible", NO_SUCH_COMMAND)
    if host is None or not port:
        return Asked("", port, "the host can be read in several ways", NOT_ALLOWED)
    return Asked(host, port)


async def answer(front: Front, code: int) -> None:
    """Tell the client how it went."""
    await front.send(bytes([VERSION, code, 0, _IPV4]) + bytes(6))


async def _host(front: Front, kind: int) -> str | None:
    if kind == _IPV4:
        return str(ipaddress.IPv4Address(await _take(front, 4)))
    if kind == _IPV6:
        return spelling.host(str(ipaddress.IPv6Address(await _take(front, 16))))
    (length,) = await _take(front, 1)
    name = await _take(front, length)
    return spelling.host(name.decode("ascii")) if name.isascii() else None


async def _take(front: Front, size: int) -> bytes:
    while len(front.first) < size:
        if not await front.more():
            raise Closed
    taken, front.first = front.first[:size], front.first[size:]
    return taken
