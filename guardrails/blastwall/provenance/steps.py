"""Patterns of fields: dotted keys, with `*` for one key, `**` for any number and `|` between alternatives."""

import re
from collections.abc import Sequence

REMEMBERED = 4096
"""Ways through a pattern that are kept: the keys of an output may be anybody's."""

State = frozenset[tuple[int, int]]
"""Which patterns are followed, and how far."""


class Patterns:
    """Several patterns, followed along the keys of a value all at once."""

    __slots__ = ("_known", "_patterns", "start")

    def __init__(self, patterns: Sequence[str]) -> None:
        """Read patterns such as `emails.id`, `**.from|sender` or `user.*_id`."""
        self._patterns = [tuple(map(_step, pattern.split("."))) for pattern in patterns]
        self._known: dict[tuple[State, str], State] = {}
        self.start = self._closed({(number, 0) for number in range(len(self._patterns))})

    def after(self, state: State, key: str) -> State:
        """Say how far the patterns are followed behind a key."""
        found = self._known.get((state, key))
        if found is None:
            found = self._closed(set(self._moved(state, key)))
            if len(self._known) < REMEMBERED:
                self._known[state, key] = found
        return found

    def matched(self, state: State) -> list[int]:
        """Give the numbers of the patterns that end here."""
        return [number for number, at in state if at == len(self._patterns[number])]

    def _moved(self, state: State, key: str) -> "list[tuple[int, int]]":
        moved = []
        for number, at in state:
            steps = self._patterns[number]
            if at < len(steps):
                step = steps[at]
                if step is None:
                    moved.append((number, at))
                elif step.fullmatch(key):
                    moved.append((number, at + 1))
        return moved

    def _closed(self, state: set[tuple[int, int]]) -> State:
        """Add where `**` stands for no key at all."""
        for number, at in list(state):
            steps = self._patterns[number]
            while at < len(steps) and steps[at] is None:
                at += 1
                state.add((number, at))
        return frozenset(state)


def _step(text: str) -> re.Pattern[str] | None:
    """Compile one step; None for `**`."""
    if text == "**":
        return None
    parts = (re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in text.split("|"))
    return re.compile("|".join(parts), re.DOTALL)


def literal(pattern: str) -> frozenset[str]:
    """Give the keys that a pattern names outright."""
    named = (part for step in pattern.split(".") for part in step.split("|"))
    return frozenset(part for part in named if not {"*", "?"} & set(part))
