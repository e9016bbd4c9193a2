"""Reading whole lists of definitions: what is as it was is not read again, and nobody waits for the rest."""

import hashlib
from collections.abc import Iterable
from typing import Any

import anyio.lowlevel
import msgspec

from blastwall.policy import Layered, Policy
from blastwall_mcp.catalogue.entries import Entry, Kind, read

STRETCH = 32
"""Definitions that are read at a stretch. A server may list thousands, and others are being served."""


class Reads:
    """What was read of one connector."""

    def __init__(self, connector: str) -> None:
        """Know nothing yet."""
        self._connector = connector
        self._under = ""
        self._known: dict[Kind, dict[bytes, Entry | None]] = {}

    async def of(
        self, policy: Policy | Layered, kind: Kind, definitions: Iterable[Any]
    ) -> list[Entry | None]:
        """Read a list; what is no definition of its kind is None."""
        if policy.digest != self._under:
            self._known, self._under = {}, policy.digest
        known = self._known.get(kind, {})
        fresh: dict[bytes, Entry | None] = {}
        found = []
        for number, definition in enumerate(definitions, 1):
            mark = _mark(definition)
            if mark not in fresh:
                fresh[mark] = known[mark] if mark in known else self._one(policy, kind, definition, mark)
            found.append(fresh[mark])
            if number % STRETCH == 0:
                await anyio.lowlevel.checkpoint()
        self._known[kind] = fresh
        return found

    def _one(self, policy: Policy | Layered, kind: Kind, definition: Any, mark: bytes) -> Entry | None:
        return read(policy, self._connector, kind, definition, policy.front.separator) if mark else None


def _mark(definition: Any) -> bytes:
    """Tell definitions apart; those that have no JSON form are all alike, and none."""
    try:
        return hashlib.sha256(msgspec.json.encode(definition)).digest()
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        return b""
