"""The head of an HTTP request: where it may come to, from which page, and what it may hold only once."""

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types

ONCE = frozenset(
    (
        b"host",
        b"origin",
        b"authorization",
        b"content-type",
        b"content-length",
        b"mcp-session-id",
        b"mcp-protocol-version",
        b"mcp-method",
        b"mcp-name",
        b"last-event-id",
    )
)
"""Headers of which two readers could take different ones."""

MIRRORED = b"mcp-param-"
"""How the headers begin that say what an argument says."""

METHODS = "POST, GET, DELETE"

Headers = tuple[tuple[str, str], ...]


class Answer(Exception):
    """An answer of HTTP, in the place of one of MCP."""

    def __init__(self, status: int, body: Any = None, headers: Headers = ()) -> None:
        """Answer with JSON, or with nothing."""
        super().__init__(status)
        self.status, self.headers = status, headers
        self.body = b"" if body is None else json.dumps(body).encode()


def refusal(
    status: int, message: str, code: int = types.INVALID_REQUEST, headers: Headers = (), data: Any = None
) -> Answer:
    """Refuse as JSON-RPC does where there is no request to answer."""
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return Answer(status, {"jsonrpc": "2.0", "id": None, "error": error}, headers)


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, once it may be read on."""

    method: str
    path: str
    headers: Mapping[bytes, str]

    def get(self, name: bytes) -> str:
        """Give a header, or nothing."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Door:
    """What a front is called, and who may speak to it from a browser.

    Attributes:
        path: Where MCP is spoken.
        hosts: All that a Host header may say, in small letters.
        origins: Pages that may speak to it, by their origin.
        own: Our own origins: nothing of ours is a page, but a program may send what it thinks is right.
        published: Documents that anybody may read, by their path.

    """

    path: str
    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    published: Mapping[str, Any] = field(default_factory=dict)

    def head(self, scope: MutableMapping[str, Any]) -> Head:
        """Read a request's head.

        Raises:
            Answer: it goes no further.

        """
        headers = _read(scope["headers"])
        head = Head(scope["method"], scope["path"], headers)
        # DNS rebinding: a page's own name, led to this machine, is still in the Host header.
        if head.get(b"host").lower() not in self.hosts:
            raise refusal(421, "this server is not known by that Host")
        origin = head.get(b"origin")
        if b"origin" in headers and origin not in self.origins and origin not in self.own:
            raise refusal(403, "pages of this Origin may not speak to this server")
        self._place(head, scope["query_string"])
        return head

    def cors(self, head: Head) -> Headers:
        """Give what lets a page of an allowed origin read the answer."""
        origin = head.get(b"origin")
        if origin not in self.origins:
            return ()
        return (
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", "mcp-session-id, mcp-protocol-version, www-authenticate"),
            ("vary", "Origin"),
        )

    def _place(self, head: Head, query: bytes) -> None:
        if head.method == "OPTIONS" and head.get(b"origin") in self.origins:
            raise Answer(204, headers=(*self.cors(head), *_PREFLIGHT))
        if head.path in self.published and head.method == "GET":
            raise Answer(200, self.published[head.path])
        if head.path != self.path:
            raise refusal(404, "there is nothing here")
        if b"access_token" in query.lower():
            raise refusal(400, "a token in a URL ends up in logs: send it in the Authorization header")
        if head.method not in ("POST", "GET", "DELETE"):
            raise refusal(405, "this method is not served", headers=(("allow", METHODS),))


_PREFLIGHT: Headers = (
    ("access-control-allow-methods", METHODS),
    (
        "access-control-allow-headers",
        "authorization, content-type, accept, last-event-id, mcp-session-id, mcp-protocol-version,"
        " mcp-method, mcp-name",
    ),
    ("access-control-max-age", "600"),
)


def _read(pairs: list[tuple[bytes, bytes]]) -> Mapping[bytes, str]:
    headers: dict[bytes, str] = {}
    for name, value in pairs:
        if name in headers and (name in ONCE or name.startswith(MIRRORED)):
            message = f"the header {name.decode('latin-1')} was sent more than once"
            raise refusal(400, message, types.HEADER_MISMATCH)
        headers.setdefault(name, value.decode("latin-1"))
    return headers
