"""What the tools of a connector do to the world, in the words of the policy's author."""

from collections.abc import Iterable

from blastwall.values import LOOKS, WORST_CASE, Annotations, Does

WORST = frozenset(Does)
"""What a tool does that nobody has described."""


def hinted(annotations: Annotations) -> frozenset[Does]:
    """Read a trusted server's hints as effects."""
    if annotations.read_only:
        return LOOKS if annotations.open_world else frozenset({Does.READ})
    does = {Does.READ, Does.WRITE}
    if annotations.destructive:
        does.add(Does.DELETE)
    if annotations.open_world:
        does.add(Does.NETWORK_SEND)
    return frozenset(does)


def tightened(described: Iterable[Does], annotations: Annotations) -> frozenset[Does]:
    """Add to a description what the server itself says beyond it. Its hints never take anything off."""
    does = set(described)
    stated = annotations.stated
    if "readOnlyHint" in stated and not annotations.read_only:
        does.add(Does.WRITE)
    if "destructiveHint" in stated and annotations.destructive and not annotations.read_only:
        does.add(Does.DELETE)
    if "openWorldHint" in stated and annotations.open_world:
        does.add(Does.NETWORK_READ if does <= LOOKS else Does.NETWORK_SEND)
    return frozenset(does)


def effects(described: frozenset[Does] | None, annotations: Annotations, *, trusted: bool) -> frozenset[Does]:
    """Say what a tool does.

    Args:
        described: What the policy says, or None.
        annotations: What the server says.
        trusted: Whether the policy believes the server.

    """
    if described is not None:
        return tightened(described, annotations)
    if trusted and annotations != WORST_CASE:
        return hinted(annotations)
    return WORST
