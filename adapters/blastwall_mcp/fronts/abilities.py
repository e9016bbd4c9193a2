"""What HTTP clients say they can do: known words only, and few sets of them for each principal.

For each set of capabilities there are instances of the servers of its own: who makes up a new one every time
starts as many processes.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from blastwall_mcp.fronts.limits import Busy

KNOWN: Mapping[str, tuple[str, ...]] = {
    "sampling": ("tools", "context"),
    "elicitation": ("form", "url"),
    "roots": ("listChanged",),
}
"""The capabilities of which servers can make use, and what may be said of each."""

MOST = 8
"""Sets of capabilities that one principal may have in use."""

MOST_PRINCIPALS = 4096


def known(capabilities: object) -> dict[str, Any]:
    """Give of a client's capabilities what is known; nothing where they are none."""
    if not isinstance(capabilities, Mapping):
        return {}
    return {
        feature: {word: _plain(given[word]) for word in words if word in given}
        for feature, words in KNOWN.items()
        if isinstance(given := capabilities.get(feature), Mapping)
    }


def _plain(value: object) -> Any:
    return value if isinstance(value, bool) else {}


class Abilities:
    """Which sets of capabilities each principal has in use."""

    def __init__(self, idle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of none yet."""
        self._idle_s, self._clock = idle_s, clock
        self._used: OrderedDict[str, OrderedDict[bytes, float]] = OrderedDict()

    def use(self, principal: str, capabilities: Mapping[str, Any]) -> bytes:
        """Note that a principal uses a set of known capabilities, and give what tells it from others.

        Raises:
            Busy: it uses too many different ones.

        """
        key, now = msgspec.json.encode(capabilities), self._clock()
        used = self._used.setdefault(principal, OrderedDict())
        self._used.move_to_end(principal)
        if len(self._used) > MOST_PRINCIPALS:
            self._used.popitem(last=False)
        if key not in used and len(used) >= MOST:
            oldest = next(iter(used))
            if now - used[oldest] < self._idle_s:
                raise Busy(mine=True)
            del used[oldest]
        used[key] = now
        used.move_to_end(key)
        return key
