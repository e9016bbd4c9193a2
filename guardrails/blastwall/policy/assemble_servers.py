"""Validated blocks of servers and of the proxy to values."""

from collections.abc import Mapping
from pathlib import Path

from blastwall.policy.servers import NO_SANDBOX, AuthBlock, HttpBlock, ProxyBlock, ServerBlock
from blastwall.values import Auth, Front, Http, OAuth, Profile, Server

DEFAULT = "(default)"
"""The name of the profile of a server that is started and names none; no policy can define it."""


def server(
    block: ServerBlock, profiles: Mapping[str, Profile], default: Profile, directory: Path | None
) -> Server:
    """Compile a `server` block; without `sandbox`, a command runs in the default profile."""
    unnamed = bool(block.command) and block.sandbox is None
    named = profiles[block.sandbox] if block.sandbox and block.sandbox != NO_SANDBOX else None
    return Server(
        command=(block.command, *block.args) if block.command else (),
        env=tuple(block.env.items()),
        directory=directory,
        profile=default if unnamed else named,
        start_s=block.start_s,
        call_s=block.call_s,
        url=block.url or "",
        transport=block.transport or ("http" if block.url else "stdio"),
        era=block.era,
        headers=tuple(block.headers.items()),
        credential=block.credential or "",
        oauth=OAuth(tuple(block.oauth.scopes), block.oauth.client_id or "") if block.oauth else None,
        idle_s=block.idle_s,
        version=block.version or "",
        private=block.private,
        program_readable=unnamed,
    )


def front(block: ProxyBlock) -> Front:
    """Compile the `proxy` block."""
    http = _http(block.http) if block.http else None
    return Front(block.separator, block.era, http, tuple(block.interceptors))


def _http(block: HttpBlock) -> Http:
    return Http(
        host=block.host,
        port=block.port,
        path=block.path,
        hosts=tuple(block.hosts),
        origins=tuple(block.origins),
        max_body_kb=block.max_body_kb,
        max_sessions=block.max_sessions,
        session_idle_s=block.session_idle_s,
        auth=_auth(block.auth) if block.auth else None,
    )


def _auth(block: AuthBlock) -> Auth:
    return Auth(
        block.issuer,
        block.audience,
        jwks=block.jwks or "",
        introspection=block.introspection or "",
        credential=block.credential or "",
        algorithms=tuple(block.algorithms),
        required=tuple(block.required),
        scopes={
            scope: {connector: tuple(globs) for connector, globs in opened.items()}
            for scope, opened in block.scopes.items()
        },
        private=block.private,
    )
