"""The messages of MCP that are judged like tool calls: what a policy calls them, and what they do."""

from collections.abc import Iterable, Iterator, Mapping

from blastwall.values import Does

MESSAGE = "mcp:"
"""How a message's name begins. No glob of tools covers such a name, and no glob of messages another one."""

_LOOKS = frozenset({Does.READ})

EFFECTS: Mapping[str, frozenset[Does]] = {
    "resources/read": _LOOKS,
    "resources/subscribe": _LOOKS,
    "prompts/get": _LOOKS,
    "completion/complete": _LOOKS,
    "logging/setLevel": _LOOKS,
    "notifications/message": _LOOKS,
    "roots/list": _LOOKS,
    # What the user answers, and what the user's model writes, goes to the server.
    "elicitation/create": frozenset({Does.NETWORK_SEND}),
    "sampling/createMessage": frozenset({Does.NETWORK_SEND, Does.SPEND}),
}
"""Every method that can be permitted, and what it does at the least."""

ASKED = frozenset({"sampling/createMessage", "elicitation/create", "roots/list"})
"""What servers ask of clients: nothing but a rule ever permits it."""

PAID = frozenset({"sampling/createMessage", "elicitation/create"})
"""What a rule permits only so many times: each takes a person's time, or their model's."""


def is_message(name: str) -> bool:
    """Say whether a name is that of a message, not of a tool."""
    return name.startswith(MESSAGE)


def method(name: str) -> str:
    """Give the method of a message."""
    return name.removeprefix(MESSAGE)


def only_by_rule(name: str) -> bool:
    """Say whether nothing but a rule may permit this: what servers ask of clients, and messages unknown."""
    return is_message(name) and (method(name) in ASKED or method(name) not in EFFECTS)


def does(name: str, more: Iterable[frozenset[Does]]) -> frozenset[Does]:
    """Say what a message does: what is known of it, and what a policy says beyond that."""
    return EFFECTS.get(method(name), frozenset(Does)).union(*more)


def spelled(written: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give the kind, `tools` or `messages`, and the glob of every name that rules are written with."""
    for name in written:
        yield ("messages", method(name)) if is_message(name) else ("tools", name)
