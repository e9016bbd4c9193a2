"""How one rule stands to one call."""

from enum import IntEnum


class Standing(IntEnum):
    """The highest of all rules decides. No rule ever loosens another."""

    ABSTAIN = 0
    ALLOW = 1
    ASK = 2
    DENY = 3
