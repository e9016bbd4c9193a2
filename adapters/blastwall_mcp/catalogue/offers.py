"""What the proxy says of itself to a client: the capabilities and the words of its servers, merged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MESSAGES = {
    "prompts": ("mcp:prompts/get",),
    "resources": ("mcp:resources/read", "mcp:resources/subscribe"),
    "completions": ("mcp:completion/complete",),
    "logging": ("mcp:logging/setLevel", "mcp:notifications/message"),
}
"""What a use of each capability is called in the policy. One of them permitted is enough to offer it."""

_CHANGING = ("tools", "prompts", "resources")


@dataclass(frozen=True, slots=True)
class Offer:
    """What one server could do for a client.

    Attributes:
        declared: Its capabilities; None as long as it did not answer: then it may have them all.
        tools: Whether some tool of it may be used.
        permits: Says whether some message of this name may be sent to it.

    """

    declared: Mapping[str, Any] | None
    tools: bool
    permits: Callable[[str], bool]

    def has(self, capability: str) -> bool:
        """Say whether a client could use this capability."""
        if self.declared is not None and capability not in self.declared:
            return False
        if capability == "tools":
            return self.tools
        return any(self.permits(message) for message in _MESSAGES[capability])

    @property
    def subscribes(self) -> bool:
        """Whether a client could subscribe to a resource."""
        resources = self.declared.get("resources") if self.declared else None
        wanted = isinstance(resources, Mapping) and resources.get("subscribe") is True
        return wanted and self.permits("mcp:resources/subscribe")


def merged(offers: Iterable[Offer]) -> dict[str, Any]:
    """Give what all servers together can do for a client."""
    servers = list(offers)
    found: dict[str, dict[str, Any]] = {
        name: {} for name in ("tools", *_MESSAGES) if any(server.has(name) for server in servers)
    }
    for name in _CHANGING:
        if name in found:
            found[name]["listChanged"] = True  # a policy that changes is reason enough
    if "resources" in found and any(server.subscribes for server in servers):
        found["resources"]["subscribe"] = True
    return found


def sections(instructions: Iterable[tuple[str, str]]) -> str:
    """Put the instructions of all servers into one text, a section for each connector that has some."""
    return "\n\n".join(f"# Connector {connector}\n\n{text.strip()}" for connector, text in instructions)
