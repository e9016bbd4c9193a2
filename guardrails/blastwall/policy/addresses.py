"""Hosts and mail addresses, read so strictly that no other reader can see another one in them."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

import idna
import re2

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "": None}
_UNSAFE_IN_URL = re2.compile(r"[\x00-\x20\x7f\\^`{}|<>\"]|%(?:00|2[fF]|5[cC]|40)")
_ADDRESS = re2.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)")
_NAMED = re2.compile(r"[^<>@,;:\"\\()\[\]]*<([^<>]*)>")
_NUMERIC_LABEL = re2.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A host in its one canonical spelling, and a port (None: whatever the scheme says)."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`api.example.com`, `*.example.com` (subdomains only) or either with `:port`."""

    host: str
    port: int | None
    subdomains: bool

    @classmethod
    def parse(cls, text: str) -> "HostPattern":
        """Read a pattern.

        Raises:
            ValueError: when it is no host pattern, or would match every host.

        """
        subdomains = text.startswith("*.")
        found = place(text[2:] if subdomains else text)
        if found is None or "/" in text or "*" in found.host:
            raise ValueError(f"{text!r} is no host: write api.example.com, *.example.com or host:port")
        return cls(found.host, found.port, subdomains)

    def matches(self, place: Place) -> bool:
        """Say whether a canonical place is meant. Without a port in the pattern: the scheme's own only."""
        if place.port != self.port:
            return False
        return place.host.endswith("." + self.host) if self.subdomains else place.host == self.host


def place(text: str) -> Place | None:
    """Read the host and port out of a URL, or out of a bare `host[:port]`; None when readers may differ.

    Refused: credentials in the authority, backslashes, control characters and white space, encoded
    separators, numeric hosts other than a dotted quad (decimal, octal, hexadecimal), names that IDNA
    2008 (UTS 46) does not accept. A default port is dropped, so that it equals no port.
    """
    if _UNSAFE_IN_URL.search(text):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        return None
    if "@" in parts.netloc or not parts.hostname or parts.scheme not in _DEFAULT_PORTS:
        return None
    host = _canonical_host(parts.hostname)
    if host is None or parts.netloc.endswith(":"):
        return None
    return Place(host, None if port == _DEFAULT_PORTS[parts.scheme] else port)


def _canonical_host(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    bare = host.removesuffix(".")
    if "%" in bare or ":" in bare or _NUMERIC_LABEL.fullmatch(bare.rpartition(".")[2]):
        return None
    try:
        return idna.encode(bare, uts46=True, std3_rules=True).decode().lower()
    except idna.IDNAError:
        return None


def mail_addresses(text: str) -> tuple[str, ...] | None:
    """Read `a@x`, `Name <a@x>` and lists of them by comma or semicolon; None when it is anything else.

    The domain is lower-cased and in its ASCII form; the local part is kept as it is, in lower case.
    Quoted names, comments and routes are refused: mail readers disagree on them (CVE-2023-27043).
    """
    found = []
    for item in text.replace(";", ",").split(","):
        named = _NAMED.fullmatch(item.strip())
        address = _ADDRESS.fullmatch(named.group(1) if named else item.strip())
        host = _canonical_host(address.group(1)) if address else None
        if address is None or host is None:
            return None
        local = address.group(0).rpartition("@")[0]
        found.append(f"{local.lower()}@{host}")
    return tuple(found)


def recipient(text: str) -> str:
    """Read one entry of a `recipients` list: an address, or `@domain` for everybody there.

    Raises:
        ValueError: when it is neither.

    """
    read = mail_addresses(f"x{text}" if text.startswith("@") else text)
    if read is None or len(read) != 1:
        raise ValueError(f"{text!r} is neither a mail address nor @domain")
    return read[0].removeprefix("x") if text.startswith("@") else read[0]
