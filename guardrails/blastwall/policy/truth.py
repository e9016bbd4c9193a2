"""Three-valued answers: a constraint that can't be decided must never be taken for a yes."""

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum

from blastwall.frozen import Json


class Truth(IntEnum):
    """Whether a constraint holds. Conjunction is the minimum, disjunction the maximum (Kleene's logic)."""

    NO = 0
    UNKNOWN = 1
    YES = 2


NO, UNKNOWN, YES = Truth.NO, Truth.UNKNOWN, Truth.YES
"""The members by themselves: to look one up on its class takes longer than a whole comparison."""

Resolved = Mapping[str, str | None]
"""Path arguments and where they really lead (`blastwall.paths.resolve`)."""

Check = Callable[[Json, Resolved], Truth]
"""One constraint on one value."""


def of(condition: bool) -> Truth:  # the one thing it turns into a Truth
    """Turn a decided condition into a `Truth`."""
    return YES if condition else NO


def every(truths: Iterable[Truth]) -> Truth:
    """Say whether all hold."""
    return min(truths, default=YES)


def some(truths: Iterable[Truth]) -> Truth:
    """Say whether one holds."""
    return max(truths, default=NO)
