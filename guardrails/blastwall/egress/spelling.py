"""Hosts as they come over the wire, read so strictly that a server can't read them differently."""

import functools
import ipaddress
import re

from blastwall.policy import addresses

_AUTHORITY = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


@functools.lru_cache(maxsize=1024)
def host(text: str) -> str | None:
    """Give the one canonical spelling of a host name or address, or None.

    Refused is whatever two readers may read differently: NUL and other controls, white space, `%`, a trailing
    dot, numbers other than a dotted quad, names that are not ASCII, more than 253 characters.
    """
    bare = f"[{text}]" if ":" in text and not text.startswith("[") else text
    found = _AUTHORITY.fullmatch(bare)
    if found is None or found[2] is not None or bare.endswith("."):
        return None
    read = addresses.place(bare)
    return read.host if read is not None else None


def authority(text: str) -> tuple[str, int | None] | None:
    """Read `host` or `host:port`; None when it is neither."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    read = host(found[1])
    port = int(found[2]) if found[2] else None
    if read is None or (port is not None and not 1 <= port <= 0xFFFF):
        return None
    return read, port


def is_address(host: str) -> bool:
    """Say whether a canonical host is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def shown(host: str, port: int, standard: int) -> str:
    """Spell a host for a Host header or a message."""
    name = f"[{host}]" if ":" in host else host
    return name if port == standard else f"{name}:{port}"
