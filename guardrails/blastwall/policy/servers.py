"""The blocks of a policy file that say where MCP servers are, and what clients of the proxy see."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from blastwall.policy.addresses import HostPattern, place
from blastwall.policy.blocks import Block, Host, Maybe, Name, NonEmpty, Positive, Seconds
from blastwall.policy.scopes import glob, reach

NO_SANDBOX = "none"
"""What stands under `sandbox` of a server that is to run as an ordinary process."""

_VERSION = (
    r"v?(?:\d+!)?\d+(?:\.\d+)*(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(?:[-_.]?(?:post|rev|r)[-_.]?\d*)?(?:[-_.]?dev[-_.]?\d*)?"
)
_CLAUSE = re.compile(
    rf"\s*(?:(?:<=|>=|<|>)\s*{_VERSION}|~=\s*(?=[^,]*\d\.\d){_VERSION}"
    rf"|(?:==|!=)\s*(?:v?(?:\d+!)?\d+(?:\.\d+)*\.\*|{_VERSION}(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?))\s*"
)
"""One version specifier of PEP 440, as far as it makes sense for a server: without `===`."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET = re.compile(r"auth|cookie|token|secret|password|credential|session|api-?key", re.IGNORECASE)
_OWN = re.compile(
    r"host|accept|content-.*|connection|transfer-encoding|te|upgrade|trailer|origin|expect|last-event-id|mcp-.*",
    re.IGNORECASE,
)


def _specifiers(text: str) -> str:
    if not all(_CLAUSE.fullmatch(clause) for clause in text.split(",")):
        raise ValueError(f"{text!r} says nothing about versions: write `>=1.2,<2` or `==1.4.*`")
    return text


def _header(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if _OWN.fullmatch(name):
        raise ValueError(f"{name} belongs to the protocol, which sets it: take it out")
    if _SECRET.search(name):
        raise ValueError(
            f"{name} holds a secret, and no secret stands in a policy: name a `credential`, which is sent as"
            " bearer token, or use `oauth`"
        )
    return name


def _printable(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ValueError("a header's value is printable ASCII, without spaces at its ends")
    return text


def _url(text: str) -> str:
    scheme = text.partition("://")[0].lower()
    if scheme not in ("http", "https") or "#" in text or place(text) is None:
        raise ValueError(
            "this is no URL that everybody reads alike: write https://host/path, without a user and `#`"
        )
    return text


def _audience(text: str) -> str:
    if "?" in text:
        raise ValueError(f"{text!r} has a query: name the endpoint alone, such as https://host/mcp")
    return _url(text)


def _origin(text: str) -> str:
    scheme, _, host = text.partition("://")
    if scheme not in ("http", "https") or "/" in host or place(text) is None:
        raise ValueError(f"{text!r} is no origin: write https://host or http://localhost:3000, and no more")
    return text


def _exact(text: str) -> str:
    if HostPattern.parse(text).subdomains:
        raise ValueError(f"{text!r} is no one host: a Host header is compared as a whole")
    return text


def _address(text: str) -> str:
    if HostPattern.parse(text).port is not None:
        raise ValueError(f"write the port under `port`, not in {text!r}")
    return text


def _endpoint(text: str) -> str:
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", text) or "/." in text:
        raise ValueError(f"{text!r} is no path for an endpoint: write one such as /mcp")
    return text


def _scope(text: str) -> str:
    if not re.fullmatch(r"[!#-\[\]-~]+", text):
        raise ValueError(f"{text!r} is no scope: one word of printable ASCII, without quotes and backslashes")
    return text


Url = Annotated[str, AfterValidator(_url)]
Era = Literal["auto", "modern", "legacy"]
Scope = Annotated[str, AfterValidator(_scope)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class OAuthBlock(Block):
    """How tokens for a server are got."""

    scopes: list[Scope] = []
    client_id: Maybe[NonEmpty] = None


class ServerBlock(Block):
    """The MCP server of a connector: what starts it (as in every client's `mcpServers`), or its URL."""

    command: Maybe[NonEmpty] = None
    args: list[str] = []
    env: dict[str, str] = {}
    sandbox: Maybe[str] = None
    url: Maybe[Url] = None
    transport: Maybe[Literal["stdio", "http", "sse"]] = None
    era: Era = "auto"
    headers: dict[Annotated[str, AfterValidator(_header)], Annotated[str, AfterValidator(_printable)]] = {}
    credential: Maybe[Name] = None
    oauth: Maybe[OAuthBlock] = None
    private: bool = False
    version: Maybe[Annotated[str, AfterValidator(_specifiers)]] = None
    start_s: Seconds = 30.0
    call_s: Seconds = 120.0
    idle_s: Seconds = 600.0


class AuthBlock(Block):
    """Whose tokens open the HTTP front, and what they open."""

    issuer: Url
    audience: Annotated[str, AfterValidator(_audience)]
    jwks: Maybe[Url] = None
    introspection: Maybe[Url] = None
    credential: Maybe[Name] = None
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = ["RS256", "ES256", "EdDSA"]
    required: list[Scope] = []
    scopes: dict[
        Scope,
        dict[
            Annotated[NonEmpty, AfterValidator(glob)],
            Annotated[list[Annotated[NonEmpty, AfterValidator(reach)]], Field(min_length=1)],
        ],
    ] = {}
    private: bool = False


class HttpBlock(Block):
    """The HTTP front."""

    host: Annotated[Host, AfterValidator(_address), AfterValidator(_exact)] = "127.0.0.1"
    port: Annotated[int, Field(gt=0, le=65535)] = 8765
    path: Annotated[str, AfterValidator(_endpoint)] = "/mcp"
    hosts: list[Annotated[Host, AfterValidator(_exact)]] = []
    origins: list[Annotated[str, AfterValidator(_origin)]] = []
    max_body_kb: Positive = 4096
    max_sessions: Positive = 1000
    session_idle_s: Seconds = 1800.0
    auth: Maybe[AuthBlock] = None


def _separator(text: str) -> str:
    if not re.fullmatch(r"[_.-]{1,3}", text):
        raise ValueError("a separator is one to three of `_`, `-` and `.`: names must stay plain")
    return text


class ProxyBlock(Block):
    """What clients of the proxy see."""

    separator: Annotated[str, AfterValidator(_separator)] = "__"
    era: Era = "auto"
    http: Maybe[HttpBlock] = None
    interceptors: list[Name] = []
