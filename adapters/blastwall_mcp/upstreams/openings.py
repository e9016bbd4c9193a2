"""How a server is reached: by starting it, or over HTTP."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from blastwall.errors import BackendError
from blastwall.values import Credential, Server
from blastwall_mcp.upstreams.addresses import Route
from blastwall_mcp.upstreams.bearers import bearer
from blastwall_mcp.upstreams.exchanges import Exchanges
from blastwall_mcp.upstreams.hooks import Key
from blastwall_mcp.upstreams.http_back import HttpChannel
from blastwall_mcp.upstreams.posts import Posts
from blastwall_mcp.upstreams.sse_back import EventPipes
from blastwall_mcp.upstreams.stdio import Launch, spawn
from blastwall_mcp.wire.channel import Channel
from blastwall_mcp.wire.places import Place, place
from blastwall_mcp.wire.wire import Wire


@asynccontextmanager
async def opened(
    key: Key, server: Server, launch: Launch, credentials: Mapping[str, Credential]
) -> AsyncGenerator[Channel]:
    """Connect to a server; leaving the block ends the connection, and a process that was started for it.

    Raises:
        BackendError: it can't be.
        SandboxUnavailable: it can't be confined as the policy says.

    """
    if not server.url:
        async with spawn(key.connector, server, key.profile, launch) as wire:
            yield wire
        return
    peer = f"the server of connector {key.connector}"
    posts = await _posts(peer, key, server, credentials)
    channel = await _events(peer, server, posts) if server.transport == "sse" else HttpChannel(peer, posts)
    try:
        yield channel
    finally:
        await channel.aclose()


async def _posts(peer: str, key: Key, server: Server, credentials: Mapping[str, Credential]) -> Posts:
    where = place(server.url)
    proof = bearer(key.connector, server, credentials, where.host)
    await proof.token()  # what is missing is said before anybody is asked
    return Posts(peer, where, await _exchanges(peer, where, server), proof, server.headers)


async def _exchanges(peer: str, where: Place, server: Server) -> Exchanges:
    route = Route(where, private=server.private)
    try:
        await route.addresses()
    except BackendError as error:
        raise BackendError(f"{peer} can't be reached: {error}") from None
    return Exchanges(route)


async def _events(peer: str, server: Server, posts: Posts) -> Wire:
    wire = Wire(peer)
    wire.pipes = pipes = EventPipes(wire, peer, server.url, posts)
    try:
        await pipes.open()
    except BaseException:
        await wire.aclose()
        raise
    return wire
