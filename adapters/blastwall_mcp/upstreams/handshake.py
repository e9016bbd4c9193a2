"""The first words with a server: which protocol era it speaks, and who it says it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    KNOWN_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
)

from blastwall_mcp._version import IDENTITY
from blastwall_mcp.upstreams.offered import Offered
from blastwall_mcp.wire.channel import Channel, Closed, Options
from blastwall_mcp.wire.context import INITIALIZED

PROBE_S = 10.0
"""How long a server that may be of the legacy era is given to answer a modern question."""

_SELF = IDENTITY.model_dump(by_alias=True, mode="json", exclude_none=True)


class Unsuitable(Exception):
    """The server can't be spoken to. The message says why, in our own words."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server said of itself.

    Attributes:
        version: The protocol version that is spoken from now on.
        capabilities: What it can do, as it came.
        info: Its name and version, as they came.
        instructions: What it says to models, as it came.
        envelope: What every request to it carries in its `_meta`; a legacy server learnt it once.

    """

    version: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    envelope: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modern(self) -> bool:
        """Whether the server is of the modern era."""
        return self.version not in HANDSHAKE_PROTOCOL_VERSIONS


async def greet(channel: Channel, offered: Offered, era: str, before: str, limit_s: float) -> Hello:
    """Shake hands in the server's own era.

    Args:
        channel: The connection.
        offered: What the server may ask of us.
        era: The only era to speak, or "auto".
        before: The version that was spoken before; an older one is refused. "" if there was none.
        limit_s: How long all of it may take.

    Raises:
        Unsuitable: it speaks in no way that we do, or may.
        MCPError: it refuses.
        TimeoutError: it does not answer.

    """
    with anyio.fail_after(limit_s):
        hello = await _greeted(channel, offered, era, before, limit_s)
    if before and KNOWN_PROTOCOL_VERSIONS.index(hello.version) < KNOWN_PROTOCOL_VERSIONS.index(before):
        raise Unsuitable(f"it speaks protocol version {hello.version}, and spoke {before} before")
    return hello


async def _greeted(channel: Channel, offered: Offered, era: str, before: str, limit_s: float) -> Hello:
    if era == "legacy":
        return await _initialize(channel, offered)
    if era == "modern":
        return await _modern(channel, offered, "the policy's `era` is modern")
    if before and before not in HANDSHAKE_PROTOCOL_VERSIONS:
        return await _modern(channel, offered, f"it spoke {before} before")
    return await _either(channel, offered, min(PROBE_S, limit_s / 2))


async def _either(channel: Channel, offered: Offered, probe_s: float) -> Hello:
    """Probe for the modern era, then fall back to the legacy handshake, as mcp's own `Client` does."""
    found = None
    try:
        with anyio.fail_after(probe_s):
            found = await _discover(channel, offered)
    except Closed:
        raise
    except MCPError as error:
        if (supported := _supported(error)) and not supported & set(HANDSHAKE_PROTOCOL_VERSIONS):
            raise Unsuitable("it speaks none of the protocol versions that blastwall does") from None
    except TimeoutError:
        pass
    if found is not None:
        return found
    try:
        return await _initialize(channel, offered)
    except MCPError as error:
        if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
            raise
    # It is modern after all, and was only slow to answer the probe.
    return await _modern(channel, offered, "it refuses the legacy handshake")


async def _modern(channel: Channel, offered: Offered, why: str) -> Hello:
    try:
        hello = await _discover(channel, offered)
    except Closed:
        raise
    except MCPError:
        hello = None
    if hello is None:
        raise Unsuitable(f"it does not speak protocol version {LATEST_MODERN_VERSION}, and {why}")
    return hello


async def _discover(channel: Channel, offered: Offered) -> Hello | None:
    """Ask a modern server for what it is; None if the answer is none of a modern server."""
    envelope = {
        types.PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
        types.CLIENT_INFO_META_KEY: _SELF,
        types.CLIENT_CAPABILITIES_META_KEY: offered.capabilities,
    }
    method = "server/discover"
    headers = {MCP_PROTOCOL_VERSION_HEADER: LATEST_MODERN_VERSION, MCP_METHOD_HEADER: method}
    options: Options = {"cancel_on_abandon": False, "headers": headers}
    try:
        found = await channel.send_raw_request(method, {"_meta": envelope}, options)
    except MCPError as error:
        if LATEST_MODERN_VERSION not in _supported(error):
            raise
        found = await channel.send_raw_request(
            method, {"_meta": envelope}, options
        )  # it says that it would do
    versions, capabilities = found.get("supportedVersions"), found.get("capabilities")
    if not isinstance(versions, list) or LATEST_MODERN_VERSION not in versions:
        return None
    if not isinstance(capabilities, dict):
        return None
    info = _mapping(_mapping(found.get("_meta")).get(types.SERVER_INFO_META_KEY))
    return Hello(LATEST_MODERN_VERSION, capabilities, info, _text(found.get("instructions")), envelope)


async def _initialize(channel: Channel, offered: Offered) -> Hello:
    asked = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": offered.capabilities,
        "clientInfo": _SELF,
    }
    found = await channel.send_raw_request("initialize", asked, {"cancel_on_abandon": False})
    version, capabilities = found.get("protocolVersion"), found.get("capabilities")
    if version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise Unsuitable(f"it speaks protocol version {version!r:.40}, which blastwall does not")
    if not isinstance(capabilities, dict):
        raise Unsuitable("it does not say what it can do")
    options: Options = {"headers": {MCP_PROTOCOL_VERSION_HEADER: version}}
    await channel.notify(INITIALIZED, None, options)
    return Hello(version, capabilities, _mapping(found.get("serverInfo")), _text(found.get("instructions")))


def _supported(error: MCPError) -> set[str]:
    """Give the versions that a server names which refuses ours; none if it refuses something else."""
    named = (
        _mapping(error.data).get("supported") if error.code == types.UNSUPPORTED_PROTOCOL_VERSION else None
    )
    return {version for version in named if isinstance(version, str)} if isinstance(named, list) else set()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
