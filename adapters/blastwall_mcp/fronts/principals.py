"""Who a client is, and which tools the scopes of its token reach."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blastwall.policy.rules import covered

MESSAGE = "mcp:"
"""How the names of messages other than tool calls begin: no glob covers one by accident."""

Reach = Mapping[str, tuple[str, ...]]
"""Globs of tools by globs of connectors."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request: what a token proved, or whoever can reach a front that asks for none.

    Attributes:
        issuer: Who vouches for it.
        subject: Whom the token is about.
        client: The OAuth client that it was given to.
        scopes: What the token may be used for; None where nobody asks for tokens.
        expires: When the token ends, in seconds of Unix time.

    """

    issuer: str = ""
    subject: str = ""
    client: str = ""
    scopes: frozenset[str] | None = None
    expires: float = math.inf

    @property
    def name(self) -> str:
        """One string for all that tells principals apart; no part can run into another."""
        return json.dumps([self.issuer, self.subject, self.client]) if self.issuer else LOCAL


LOCAL = "local"
"""The name of everybody who reaches a front that asks for no token."""


class Grants:
    """What tokens may be used for, by their scopes."""

    def __init__(self, scopes: Mapping[str, Reach]) -> None:
        """Keep what the policy says. Without any, every token reaches all that the policy permits."""
        self._scopes = scopes

    def reach(self, held: Iterable[str] | None, connector: str, tool: str) -> bool:
        """Say whether a token with these scopes may be used for a tool; None is no token at all."""
        if held is None or not self._scopes:
            return True
        return any(_covers(self._scopes[scope], connector, tool) for scope in held if scope in self._scopes)

    def wanting(self, connector: str, tool: str) -> str:
        """Give the first scope that would do for a tool, or nothing when none would."""
        return next((s for s, reach in self._scopes.items() if _covers(reach, connector, tool)), "")

    @property
    def names(self) -> tuple[str, ...]:
        """All scopes there are."""
        return tuple(self._scopes)


def _covers(reach: Reach, connector: str, tool: str) -> bool:
    for connectors, tools in reach.items():
        if covered(connector, (connectors,)) and covered(tool, _plain(tool, tools)):
            return True
    return False


def _plain(tool: str, globs: tuple[str, ...]) -> tuple[str, ...]:
    if not tool.startswith(MESSAGE):
        return globs
    return tuple(pattern for pattern in globs if pattern.startswith(MESSAGE))
