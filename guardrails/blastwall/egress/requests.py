"""One HTTP request as it came in, and in the one reading that all of its parts agree on. Pure."""

import re
from dataclasses import dataclass, replace

import h11

from blastwall.egress import spelling
from blastwall.egress.decide import HTTP, STANDARD, Decision
from blastwall.egress.placeholders import Headers

_ABSOLUTE = re.compile(r"(?i:http)://([^/?#@\\]+)([/?].*)?")
_ORIGIN = re.compile(r"/[^#\\]*|\*")
_HOP_BY_HOP = frozenset(
    (
        b"connection keep-alive proxy-connection proxy-authorization proxy-authenticate te trailer"
        b" transfer-encoding upgrade http2-settings host expect alt-svc"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read.

    Attributes:
        target: Where it goes.
        method: As it came.
        path: Without the query.
        query: With its question mark, or empty.
        headers: What is to be passed on, without what concerns this connection alone.
        framing: The header that says where the body ends, if there is a body.
        websocket: Whether it asks to become a WebSocket.

    """

    target: Target
    method: str
    path: str
    query: str
    headers: Headers
    framing: Headers
    websocket: bool = False

    def decision(self, reason: str, *, allowed: bool = False) -> Decision:
        """Say what becomes of it."""
        target = self.target
        return Decision(allowed, target.host, target.port, self.method[:32], self.path[:1024], reason)

    def spelled(self, headers: Headers) -> h11.Request:
        """Spell it for the host, with these headers."""
        host = spelling.shown(self.target.host, self.target.port, STANDARD[self.target.scheme])
        own: Headers = [(b"host", host.encode())]
        if self.websocket:
            own += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
        return h11.Request(
            method=self.method, target=self.path + self.query, headers=[*own, *headers, *self.framing]
        )


class Unclear(Exception):
    """A request that can be read in several ways, or in none. The message is safe for models."""

    def __init__(self, reason: str, host: str = "", port: int = 0) -> None:
        """Keep what could be read."""
        super().__init__(reason)
        self.host, self.port = host, port


def tunnel(request: h11.Request) -> tuple[str, int]:
    """Read where a CONNECT wants to.

    Raises:
        Unclear: when its target and its Host disagree, or can't be read.

    """
    read = spelling.authority(request.target.decode("ascii"))
    if read is None or read[1] is None:
        raise Unclear("the target of CONNECT must be host:port, in plain spelling")
    host, port = read[0], read[1]
    if _named(request) is not None:
        _check_host(request, Target("", host, port))
    return host, port


def read(request: h11.Request, within: Target | None) -> Asked:
    """Read a request: one of a proxy with a whole URL, or one inside of a tunnel with a path.

    Raises:
        Unclear: when its parts disagree.

    """
    target, rest = _target(request, within)
    _check_host(request, target)
    path, mark, query = rest.partition("?")
    options = [token.strip().lower() for value in _all(request, b"connection") for token in value.split(b",")]
    kept = [
        (n, v)
        for n, v in request.headers
        if n not in _HOP_BY_HOP and n not in options and n != b"content-length"
    ]
    asked = Asked(target, request.method.decode("ascii"), path, mark + query, kept, _framing(request, target))
    upgrade = [value.lower() for value in _all(request, b"upgrade")]
    websocket = upgrade == [b"websocket"] and b"upgrade" in options and request.method == b"GET"
    return replace(asked, websocket=websocket and request.http_version == b"1.1")


def _target(request: h11.Request, within: Target | None) -> tuple[Target, str]:
    text = request.target.decode("ascii")
    if within is not None:
        if request.method == b"CONNECT" or not _ORIGIN.fullmatch(text):
            raise Unclear("inside of a tunnel only paths can be asked for", within.host, within.port)
        return within, text
    found = _ABSOLUTE.fullmatch(text)
    place = spelling.authority(found[1]) if found else None
    if found is None or place is None:
        raise Unclear("this is a proxy: ask for a whole http:// URL in plain spelling, or use CONNECT")
    rest = found[2] or "/"
    rest = rest if rest.startswith("/") else f"/{rest}"
    target = Target(HTTP, place[0], place[1] or STANDARD[HTTP])
    if not _ORIGIN.fullmatch(rest):
        raise Unclear("the URL can be read in several ways", target.host, target.port)
    return target, rest


def _check_host(request: h11.Request, target: Target) -> None:
    named = _named(request)
    if named is None or named[0] != target.host or named[1] not in (None, target.port):
        raise Unclear("the Host header names another place than the request", target.host, target.port)


def _named(request: h11.Request) -> tuple[str, int | None] | None:
    hosts = _all(request, b"host")
    if len(hosts) != 1 or not hosts[0].isascii():
        return None if not hosts else ("", None)
    return spelling.authority(hosts[0].decode("ascii")) or ("", None)


def _framing(request: h11.Request, target: Target) -> Headers:
    """Spell anew where the body ends; two answers to that are none."""
    lengths, encodings = _all(request, b"content-length"), _all(request, b"transfer-encoding")
    if encodings and (lengths or request.http_version != b"1.1"):
        raise Unclear("the length of the body can be read in several ways", target.host, target.port)
    if encodings:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", lengths[0])] if lengths else []


def _all(request: h11.Request, name: bytes) -> list[bytes]:
    return [value for key, value in request.headers if key == name]


def passed_back(headers: Headers) -> Headers:
    """Give the headers of a response that are passed on."""
    options = {t.strip().lower() for n, v in headers if n == b"connection" for t in v.split(b",")}
    return [(n, v) for n, v in headers if n not in _HOP_BY_HOP and n not in options]
