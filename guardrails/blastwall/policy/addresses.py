"""Hosts and mail addresses, read so strictly that no other reader can see another one in them."""

import ipaddress
import re
from dataclasses import dataclass

import idna
import re2

from blastwall.policy import truth
from blastwall.policy.truth import Truth

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_LONGEST_HOST = 253

_NEVER = r"\pZ\p{Cc}\p{Cf}\\<>\"`"
"""White space, controls and what readers strip, or take for a slash or for the end."""

_URL = re2.compile(
    r"(?:([A-Za-z]+)://)?"
    rf"(\[[0-9A-Fa-f:.]+\]|[^{_NEVER}/?#:@%\[\]|^{{}}]+)"
    r"(?::([0-9]{1,5}))?"
    rf"(?:/[^{_NEVER}]*|[?#][^{_NEVER}@]*)?"
)
_PLAIN_HOST = re2.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_NUMERIC_LABEL = re2.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")

PLAIN_URL = re.compile(r"https?://((?:[a-z][a-z0-9]*[.-])*[a-z]+)(?:[/?][A-Za-z0-9/._~=&+?-]*)?").fullmatch
"""Matches an ordinary URL on its standard port: its group is then the host that `place` reads, if it has no
more than `LONGEST_LABEL` characters. `place` reads everything else."""

LONGEST_LABEL = 63

_ATOM = r"[A-Za-z0-9_+'=&~][A-Za-z0-9_+'=&~-]*"
_ADDRESS = re2.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([A-Za-z0-9.-]*[A-Za-z0-9])")
_NAMED = re2.compile(r"[\p{L}\p{M}\p{N} .'_&+/-]*<([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL or a bare host leads.

    Attributes:
        host: In its one canonical spelling.
        port: The one that is meant; None for a bare host without one.
        standard: Whether that is the scheme's own.

    """

    host: str
    port: int | None = None
    standard: bool = True


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
        found = place(text.removeprefix("*."))
        if found is None or any(c in text for c in "/?#"):
            raise ValueError(f"{text!r} is no host: write api.example.com, *.example.com or host:port")
        return cls(found.host, found.port, text.startswith("*."))

    def covers(self, place: Place) -> Truth:
        """Say whether a place is meant.

        A pattern without a port speaks of the scheme's own. Another port of its host is UNKNOWN: an
        allow rule does not open it, and a deny rule does not leave it open.
        """
        same = place.host.endswith("." + self.host) if self.subdomains else place.host == self.host
        if not same:
            return Truth.NO
        if self.port is None:
            return Truth.YES if place.standard else Truth.UNKNOWN
        return Truth.UNKNOWN if place.port is None else truth.of(place.port == self.port)


def place(text: str) -> Place | None:
    """Read the host and port out of a URL, or out of a bare `host[:port]`; None when readers may differ.

    Refused: credentials in the authority or an `@` right behind it, backslashes, control characters and
    white space, encoded characters in the host, numeric hosts other than a dotted quad (decimal, octal,
    hexadecimal), and names that IDNA 2003 and IDNA 2008 (UTS 46) do not read alike.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return None
    scheme, host, port = found.group(1), _canonical_host(found.group(2)), found.group(3)
    if host is None or (port and int(port) > 0xFFFF):
        return None
    if scheme is None:
        # Some readers see a host in `https:80/x`, and another one in `a/?b://c`.
        return None if host in _PORTS or "://" in text else Place(host, int(port) if port else None, not port)
    own = _PORTS.get(scheme.lower())
    if own is None:
        return None
    meant = int(port) if port else own
    return Place(host, meant, meant == own)


def _canonical_host(text: str) -> str | None:
    if len(text) > _LONGEST_HOST:
        return None
    try:
        if text.startswith("["):
            address = ipaddress.IPv6Address(text[1:-1])
            return str(address.ipv4_mapped or address)
        host = (text.lower() if text.isascii() else _mapped(text)).removesuffix(".")
        if _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
            return str(ipaddress.IPv4Address(text))
        if host.startswith("xn--") or ".xn--" in host:
            idna.encode(host, std3_rules=True)
    except ValueError:
        return None
    return host if _PLAIN_HOST.fullmatch(host) else None


def _mapped(host: str) -> str:
    """Give the ASCII form on which both editions of IDNA agree; `ß` and the like have two."""
    encoded = idna.encode(host, uts46=True, std3_rules=True)
    if encoded != host.lower().encode("idna"):
        raise ValueError("two readings")
    return encoded.decode()


def mail_addresses(text: str) -> tuple[str, ...] | None:
    """Read `a@x`, `Name <a@x>` and lists of them by comma or semicolon; None when it is anything else.

    Domains come out in their ASCII form, all in lower case. Quoted names, comments, groups, routes
    (`%`, `!`), line breaks and a leading `-` are refused: mail readers disagree on them (CVE-2023-27043),
    or do something with them.
    """
    found = []
    for item in text.replace(";", ",").split(","):
        named = _NAMED.fullmatch(item.strip(" "))
        address = _ADDRESS.fullmatch(named.group(1) if named else item.strip(" "))
        host = _canonical_host(address.group(2)) if address else None
        if address is None or host is None:
            return None
        found.append(f"{address.group(1).lower()}@{host}")
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
