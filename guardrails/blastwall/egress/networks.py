"""Which addresses are of the public internet, and which ones nobody may open. Pure."""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_CLOSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata is in it
            "168.63.129.16/32",  # Azure's metadata
            "192.0.0.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "198.18.0.0/15",
            "224.0.0.0/3",
            "::/16",  # unspecified, loopback, IPv4-compatible and mapped
            "64:ff9b:1::/48",  # NAT64 of a network's own
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "5f00::/16",
            "fc00::/7",  # AWS's metadata is in it
            "fe80::/9",
            "ff00::/8",
        ),
    )
)
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "224.0.0.0/3",
            "::/128",
            "fd00:ec2::/32",
            "fe80::/10",
            "ff00::/8",
        ),
    )
)
"""What no policy can open: metadata services, link-local, multicast, reserved."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Unreachable(Exception):
    """No address that may be connected to. The message is safe for models."""


def named(text: str) -> str:
    """Check an address that the policy itself names, and that may be private.

    Raises:
        Unreachable: when not even a policy can open it.

    """
    address = ipaddress.ip_address(text)
    if any(within(part, _NEVER) for part in (address, *_inner(address))):
        raise Unreachable(f"{text} is link-local, a metadata service or no address of one machine")
    return str(address)


def is_public(text: str, own: frozenset[Address] = frozenset()) -> bool:
    """Say whether an address is of the public internet, with whatever is embedded in it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if _NAT64.version == address.version and address in _NAT64:
        return all(is_public(str(part), own) for part in _inner(address))
    parts = (address, *_inner(address))
    return all(part.is_global and not within(part, _CLOSED) and part not in own for part in parts)


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Say whether an address is in any of these networks."""
    return any(address.version == network.version and address in network for network in networks)


def _inner(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Give the IPv4 addresses that an IPv6 one leads to: mapped, compatible, NAT64, 6to4, Teredo, ISATAP."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    packed = address.packed
    found = [*(address.teredo or ())]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    mapped = address.ipv4_mapped is not None or (packed[:12] == bytes(12) and int(address) > 1)
    if mapped or address in _NAT64 or packed[8:12] in (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe"):
        found.append(ipaddress.IPv4Address(packed[12:]))
    return tuple(found)
