"""What can be wrong with well-formed blocks of servers and of the proxy: keys that don't go together."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from blastwall.policy.addresses import HostPattern, place
from blastwall.policy.meant import meant
from blastwall.policy.rules import covered
from blastwall.policy.servers import NO_SANDBOX
from blastwall.policy.source import Loc, Mistake
from blastwall.policy.truth import Truth

Block = dict[str, Any]

_OF_COMMANDS = ("args", "env", "sandbox")
_OF_URLS = ("headers", "credential", "oauth", "private")


def server(loc: Loc, block: Block, credentials: Block) -> Iterator[Mistake]:
    """Look at one `server` block."""
    command, url = "command" in block, "url" in block
    if command is url:
        message = "both stand here: the server is either started or reached, so take one out"
        yield Mistake(
            (*loc, "url") if url else loc,
            message if url else "say which server: `command` starts it, `url` is where it is",
        )
        return
    for key in _OF_URLS if command else _OF_COMMANDS:
        if key in block:
            kind, other = ("started", "url") if command else ("reached by its URL", "command")
            yield Mistake((*loc, key), f"the server is {kind}, and this goes with `{other}`: take it out")
    yield from _transport(loc, block, command=command)
    if url:
        yield from secure((*loc, "url"), block.get("url"), private=block.get("private") is True)
        yield from _credential(loc, block, credentials)


def _transport(loc: Loc, block: Block, *, command: bool) -> Iterator[Mistake]:
    transport = block.get("transport")
    if transport in ("stdio", "http", "sse") and (transport == "stdio") is not command:
        able = "`stdio` is how a started server is spoken to" if command else "a URL takes `http` or `sse`"
        yield Mistake((*loc, "transport"), f"{able}: take it out")
    if transport == "sse" and block.get("era") == "modern":
        yield Mistake((*loc, "era"), "`sse` is older than the modern era: take one of the two out")


def secure(loc: Loc, url: Any, *, private: bool) -> Iterator[Mistake]:
    """Look at a URL that something secret may be sent to."""
    if not isinstance(url, str) or not url.lower().startswith("http://") or private:
        return
    found = place(url)
    if found is not None and not loopback(found.host):
        yield Mistake(
            loc,
            "this is not encrypted: write https://, or `private: true` beside it if the host is on a network"
            " of your own",
        )


def loopback(host: str) -> bool:
    """Say whether a host is this machine for certain."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _credential(loc: Loc, block: Block, credentials: Block) -> Iterator[Mistake]:
    if "credential" in block and "oauth" in block:
        yield Mistake((*loc, "oauth"), "a token comes from `credential` or from `oauth`: take one out")
    yield from sent((*loc, "credential"), block.get("credential"), block.get("url"), credentials)


def sent(loc: Loc, name: Any, url: Any, credentials: Block) -> Iterator[Mistake]:
    """Look at a credential that is sent to a URL."""
    if not isinstance(name, str):
        return
    if name not in credentials:
        yield Mistake(loc, f"no credential {name!r} under credentials{meant(name, credentials)}")
        return
    found = place(url) if isinstance(url, str) else None
    block = credentials[name]
    hosts = block.get("hosts") if isinstance(block, dict) else None
    if found is None or not isinstance(hosts, list):
        return
    if not any(_covers(host, found) for host in hosts):
        missing = found.host if found.standard else f"{found.host}:{found.port}"
        message = f"the credential {name!r} is for other hosts: add {missing} to its `hosts`, or take it out"
        yield Mistake(loc, message)


def _covers(host: Any, found: Any) -> bool:
    try:
        return isinstance(host, str) and HostPattern.parse(host).covers(found) is Truth.YES
    except ValueError:
        return False


# --- The proxy ----------------------------------------------------------------------------------------


def front(block: Block, connectors: Block, credentials: Block) -> Iterator[Mistake]:
    """Look at the `proxy` block."""
    yield from _hosts(("proxy", "interceptors"), block.get("interceptors"), connectors)
    http = block.get("http")
    if not isinstance(http, dict):
        return
    loc: Loc = ("proxy", "http")
    found = place(http["host"]) if isinstance(http.get("host"), str) else None
    if found is not None and not loopback(found.host) and "auth" not in http:
        message = f"{found.host} can be reached by others, and nobody is asked for a token: add `auth`"
        yield Mistake((*loc, "host"), message)
    if isinstance(http.get("auth"), dict):
        yield from _auth((*loc, "auth"), http["auth"], connectors, credentials)


def _hosts(loc: Loc, names: Any, connectors: Block) -> Iterator[Mistake]:
    for at, name in enumerate(names if isinstance(names, list) else ()):
        known = connectors.get(name) if isinstance(name, str) else {"server": None}
        if known is None:
            yield Mistake((*loc, at), f"no connector {name!r}{meant(name, connectors)}")
        elif isinstance(known, dict) and "server" not in known:
            yield Mistake((*loc, at), f"the connector {name!r} has no `server` that could host interceptors")


def _auth(loc: Loc, block: Block, connectors: Block, credentials: Block) -> Iterator[Mistake]:
    private = block.get("private") is True
    for key in ("issuer", "audience", "jwks", "introspection"):
        yield from secure((*loc, key), block.get(key), private=private)
    asked = "introspection" in block
    if asked is ("jwks" in block):
        yield Mistake(
            loc,
            "say how a token is proved, once: `jwks`, the issuer's keys, or `introspection`",
        )
    if asked and "credential" not in block:
        yield Mistake(loc, "the issuer wants to know who asks: name the `credential` for `introspection`")
    if not asked and "credential" in block:
        yield Mistake((*loc, "credential"), "this goes with `introspection`: take it out")
    yield from sent((*loc, "credential"), block.get("credential"), block.get("introspection"), credentials)
    yield from _scopes((*loc, "scopes"), block.get("scopes"), connectors)


def _scopes(loc: Loc, scopes: Any, connectors: Block) -> Iterator[Mistake]:
    for scope, opened in scopes.items() if isinstance(scopes, dict) else ():
        for pattern in opened if isinstance(opened, dict) else ():
            if "*" not in connectors and not any(covered(name, (pattern,)) for name in connectors):
                message = f"no connector {pattern!r}{meant(pattern, connectors)}"
                yield Mistake((*loc, scope, pattern), message)


def reserved(sandboxes: Block) -> Iterator[Mistake]:
    """Look for the one name that a sandbox can't have."""
    if NO_SANDBOX in sandboxes:
        message = f"`sandbox: {NO_SANDBOX}` means that there is no sandbox: call this one otherwise"
        yield Mistake(("sandboxes", NO_SANDBOX), message)
