"""The HTTP front: every MCP server of a policy as one, for many clients at once."""

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup

from blastwall.egress import credentials
from blastwall.egress.credentials import Secret
from blastwall.errors import BackendError
from blastwall.guard import Guard
from blastwall.session import Session
from blastwall.values import Auth, Http
from blastwall_mcp.fronts.abilities import Abilities
from blastwall_mcp.fronts.auth import metadata, metadata_path, tokens
from blastwall_mcp.fronts.http_app import Front
from blastwall_mcp.fronts.http_door import Door
from blastwall_mcp.fronts.http_gate import Gate
from blastwall_mcp.fronts.http_server import HttpServer, is_loopback, listen, server
from blastwall_mcp.fronts.limits import SHARE, Sessions
from blastwall_mcp.fronts.principals import Grants
from blastwall_mcp.fronts.proxy import serving
from blastwall_mcp.fronts.runs import Runs

ROOT = "/.well-known/oauth-protected-resource"


async def serve_http(guard: Guard, host: str = "", port: int | None = None) -> None:
    """Do what `blastwall_mcp.serve_http` promises."""
    if not guard.policy.servers:
        raise BackendError("no connector of the policy has a `server`: add one to have something to serve")
    http = guard.policy.front.http or Http()
    host = host or http.host
    _check(http, host)
    with guard.session() as session, listen(host, http.port if port is None else port) as listening:
        async with anyio.create_task_group() as tasks:
            await _serve(guard, session, tasks, http, host, listening)
            tasks.cancel_scope.cancel()


async def _serve(
    guard: Guard, session: Session, tasks: TaskGroup, http: Http, host: str, listening: socket.socket
) -> None:
    port = listening.getsockname()[1]
    runs = Runs(guard, http.max_sessions, http.session_idle_s)
    async with serving(guard, session, tasks) as engine:
        sessions = Sessions(http.max_sessions, _each(http))
        grants = Grants(http.auth.scopes if http.auth else {})
        idle_s = http.session_idle_s
        front = Front(guard, engine, sessions, runs, Abilities(idle_s), grants, idle_s)
        gate = Gate(
            front,
            door(http, host, port),
            sessions,
            most=http.max_body_kb * 1024,
            era=guard.policy.front.era,
            auth=http.auth,
            tokens=tokens(http.auth, _secret(guard, http.auth)) if http.auth else None,
        )
        serves = server(gate)
        tasks.start_soon(_until_told, serves, gate)
        shown = f"[{host}]" if ":" in host else host
        sys.stderr.write(f"blastwall serves MCP on http://{shown}:{port}{http.path}\n")
        sys.stderr.flush()
        try:
            await serves.serve(sockets=[listening])
        finally:
            await front.close()
            runs.close()


async def _until_told(serves: HttpServer, gate: Gate) -> None:
    """End when SIGTERM or SIGINT says so; the second time at once."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            serves.force_exit = serves.should_exit
            serves.should_exit = True
            gate.close()


def _each(http: Http) -> int:
    """Give the sessions that one principal may have: all of them, where there is only one."""
    return max(1, http.max_sessions // SHARE) if http.auth else http.max_sessions


def _check(http: Http, host: str) -> None:
    """Refuse an address that others reach, unless the policy means it.

    Raises:
        BackendError: it does not.

    """
    if is_loopback(host):
        return
    if host != http.host:
        raise BackendError(
            f"{host} can be reached by others: only the policy may say so, with `proxy.http.host: {host}`"
        )
    if http.auth is None:
        raise BackendError(
            f"{host} can be reached by others, and nobody is asked for a token: add `proxy.http.auth`,"
            " or listen on 127.0.0.1"
        )


def _secret(guard: Guard, auth: Auth) -> Callable[[], Awaitable[Secret]]:
    """Give what reads the credential for introspection at the moment of use."""
    credential = guard.policy.credentials.get(auth.credential)

    async def secret() -> Secret:
        if credential is None:
            raise BackendError("`proxy.http.auth.credential` names no credential of the policy")
        return await asyncio.to_thread(credentials.read, credential)

    return secret


def door(http: Http, host: str, port: int) -> Door:
    """Give what a front is called at this address."""
    bare = f"[{host}]" if ":" in host else host
    names = {bare, "127.0.0.1", "localhost", "[::1]"} if is_loopback(host) else {bare}
    own = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
    audience = {urlsplit(http.auth.audience).netloc} if http.auth else set()
    published = metadata(http.auth) if http.auth else {}
    where = {ROOT, metadata_path(http.auth.audience)[1]} if http.auth else set()
    return Door(
        http.path,
        hosts=frozenset(name.lower() for name in {*own, *http.hosts, *audience}),
        origins=frozenset(http.origins),
        own=frozenset(f"http://{name}" for name in own if is_loopback(host)),
        published=dict.fromkeys(where, published),
    )
