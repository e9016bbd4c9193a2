"""Tool globs beside each other: what one covers of another."""

from collections.abc import Iterable
from functools import lru_cache

import re2

from blastwall.policy.messages import is_message


def within(inner: str, outer: str) -> bool:
    """Say whether every name that `inner` covers is covered by `outer`.

    It is read off the patterns: a `*` of the one can only be covered by a `*` of the other. A yes is
    always right; a no may be wrong for pairs like `a*` and `a`, `a?*` together.
    """
    return is_message(inner) is is_message(outer) and _over_patterns(outer).fullmatch(inner) is not None


def starts(several: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    """Sort sets of globs by what they start with, up to the first `*` or `?`: which positions start how."""
    found: dict[str, list[int]] = {}
    for position, globs in enumerate(several):
        for start in {re2.split(r"[*?]", glob)[0] for glob in globs}:
            found.setdefault(start, []).append(position)
    return found


def meet(one: str, other: str) -> bool:
    """Say whether some name is covered by both."""
    if is_message(one) is not is_message(other):
        return False
    reached = {(0, 0)}
    frontier = [(0, 0)]
    while frontier:
        i, j = frontier.pop()
        if i == len(one) and j == len(other):
            return True
        for step in _steps(one[i : i + 1], other[j : j + 1], i, j):
            if step not in reached:
                reached.add(step)
                frontier.append(step)
    return False


def _steps(a: str, b: str, i: int, j: int) -> list[tuple[int, int]]:
    """Give where both patterns may stand after one more character, or after a `*` that takes none."""
    steps = []
    if a == "*":
        steps.append((i + 1, j))
    if b == "*":
        steps.append((i, j + 1))
    if a and b and (a == b or {"*", "?"} & {a, b}):
        steps.append((i if a == "*" else i + 1, j if b == "*" else j + 1))
    return steps


@lru_cache(maxsize=1024)
def _over_patterns(outer: str) -> "re2._Regexp[str]":
    """Compile a glob so that it reads another glob: its `?` takes a `?`, and only its `*` takes a `*`."""
    return re2.compile("(?s)" + "".join({"*": ".*", "?": "[^*]"}.get(c) or re2.escape(c) for c in outer))
