"""What may leave, and where to: each request against the destinations of a profile. Pure."""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blastwall.egress import spelling
from blastwall.egress.networks import Unreachable, named
from blastwall.errors import BackendError
from blastwall.policy import urlpaths
from blastwall.policy.addresses import HostPattern, Place
from blastwall.policy.truth import Truth
from blastwall.values import Destination

HTTP, HTTPS = "http", "https"
STANDARD = {HTTP: 80, HTTPS: 443}


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that the gate allowed, refused or finished.

    Attributes:
        allowed: Whether it was let through.
        host: In its canonical spelling; empty when it could not be read.
        port: The port there; 0 when it could not be read.
        method: `GET` and so on, `CONNECT` for a tunnel, `CLOSE` for what a connection carried in all.
        path: Without its query, which may hold secrets; empty for a tunnel.
        reason: Why, safe for people and for models.
        sent: Bytes that went to the host, in a `CLOSE`.
        received: Bytes that came from it, in a `CLOSE`.

    """

    allowed: bool
    host: str
    port: int
    method: str
    path: str
    reason: str
    sent: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True)
class Yes:
    """It may leave, on the account of destination number `account`.

    `inspected` says that no TLS may but one that ends at the gate.
    """

    account: int
    inspected: bool


@dataclass(frozen=True, slots=True)
class No:
    """It may not."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Rule:
    host: HostPattern
    destination: Destination
    methods: frozenset[str]
    paths: tuple[re.Pattern[str], ...]

    def reaches(self, host: str, port: int) -> bool:
        return port in self.destination.ports and self.host.covers(Place(host)) is Truth.YES


class Rules:
    """The destinations of a profile, compiled."""

    def __init__(self, destinations: Sequence[Destination], bound: Iterable[str] = ()) -> None:
        """Compile them.

        Args:
            destinations: Where traffic may go. None: nowhere.
            bound: Patterns of the hosts that credentials are bound to, and whose traffic is looked into.

        Raises:
            BackendError: when one of them can't be read.

        """
        self._rules = tuple(map(_rule, destinations))
        self._bound = tuple(map(pattern, bound))

    @property
    def inspects(self) -> bool:
        """Whether there is any host whose TLS ends here."""
        return bool(self._bound) or any(rule.methods or rule.paths for rule in self._rules)

    def tunnel(self, host: str, port: int) -> Yes | No:
        """Decide on a connection, before a byte of it is seen."""
        reaching = [number for number, rule in enumerate(self._rules) if rule.reaches(host, port)]
        if not reaching:
            return No(self._unreachable(host, port))
        inspected = self.is_bound(host) or any(
            self._rules[number].methods or self._rules[number].paths for number in reaching
        )
        return Yes(reaching[0], inspected)

    def request(self, scheme: str, host: str, port: int, method: str, path: str) -> Yes | No:
        """Decide on one request whose every part is seen. `path` is without its query."""
        opening = self.tunnel(host, port)
        if isinstance(opening, No):
            return opening
        if port in STANDARD.values() and port != STANDARD[scheme]:
            return No(f"{scheme} is not spoken on port {port}")
        plain, reasons = urlpaths.path(path), []
        for number, rule in enumerate(self._rules):
            if rule.reaches(host, port):
                reason = _against(rule, method, plain)
                if not reason:
                    return Yes(number, opening.inspected)
                reasons.append(reason)
        return No(reasons[0])

    def is_bound(self, host: str) -> bool:
        """Say whether a credential may be used there."""
        return any(covers(bound, host) for bound in self._bound)

    def inspected_hosts(self) -> tuple[HostPattern, ...]:
        """Give the hosts whose TLS ends here."""
        own = tuple(rule.host for rule in self._rules if rule.methods or rule.paths)
        return (*own, *self._bound)

    def account(self, number: int) -> Destination:
        """Give the destination that a `Yes` speaks of."""
        return self._rules[number].destination

    def _unreachable(self, host: str, port: int) -> str:
        if not self._rules:
            return "this profile allows no destination"
        if any(rule.host.covers(Place(host)) is Truth.YES for rule in self._rules):
            return f"port {port} of {host} is not allowed"
        return f"{host} is not an allowed destination"


def _against(rule: _Rule, method: str, path: str | None) -> str:
    if rule.methods and method not in rule.methods:
        return f"the method {method} is not allowed there"
    if not rule.paths:
        return ""
    if path is None:
        return "the path can be read in several ways"
    return "" if any(glob.fullmatch(path) for glob in rule.paths) else "the path is not allowed there"


def _rule(destination: Destination) -> _Rule:
    if not destination.ports or not all(1 <= port <= 0xFFFF for port in destination.ports):
        raise BackendError(f"the destination {destination.host!r} has no usable port")
    try:
        for address in destination.addresses:
            named(address)
    except (ValueError, Unreachable) as error:
        raise BackendError(f"{destination.host!r} can't have this address: {error}") from None
    methods = frozenset(destination.methods)
    if not all(method.isalpha() and method.isupper() and method.isascii() for method in methods):
        raise BackendError(f"the methods of {destination.host!r} must be like GET and POST")
    return _Rule(pattern(destination.host), destination, methods, _globs(destination))


def _globs(destination: Destination) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(map(urlpaths.glob, destination.paths))
    except ValueError as error:
        raise BackendError(str(error)) from None


@functools.lru_cache(maxsize=1024)
def pattern(text: str) -> HostPattern:
    """Read a host pattern without a port.

    Raises:
        BackendError: when it is none.

    """
    try:
        read = HostPattern.parse(f"[{text}]" if text.count(":") > 1 and text[0] != "[" else text)
    except ValueError as error:
        raise BackendError(str(error)) from None
    if read.port is not None or (read.subdomains and spelling.is_address(read.host)):
        raise BackendError(f"{text!r} is no host: write api.example.com or *.example.com")
    return read


def covers(pattern: HostPattern, host: str) -> bool:
    """Say whether a canonical host is meant by a pattern."""
    return pattern.covers(Place(host)) is Truth.YES
