"""What a client can do for servers: declared to them exactly, and nothing else may be asked of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FEATURES: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a server may ask of a client, and the capability that this needs."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A set of client capabilities.

    Attributes:
        text: Them in canonical JSON, so that equal sets are equal.

    """

    text: str = "{}"

    @classmethod
    def of(cls, capabilities: Mapping[str, Any]) -> "Offered":
        """Take capabilities as a client declares them."""
        return cls(json.dumps(capabilities, sort_keys=True, separators=(",", ":")))

    @property
    def capabilities(self) -> dict[str, Any]:
        """Give them as a server is told."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    def covers(self, method: str, params: Mapping[str, Any]) -> bool:
        """Say whether a server may ask this of the client."""
        feature = self.capabilities.get(FEATURES.get(method, ""))
        if not isinstance(feature, Mapping):
            return False
        if method == "elicitation/create":
            mode = params.get("mode", "form")
            return mode in feature if feature else mode == "form"  # before there were modes, all were forms
        wants_tools = method == "sampling/createMessage" and bool(params.keys() & {"tools", "toolChoice"})
        return not wants_tools or "tools" in feature


NOTHING_OFFERED: Final = Offered()
