"""Schemas that are short to read and take for ever to check: a few references that multiply each other."""

from collections.abc import Iterator, Mapping
from typing import Any

HEAVIEST = 100_000
"""Subschemas of a schema with every reference replaced by what it refers to. Big APIs have some thousands."""

DEEPEST = 400
"""Subschemas within each other, references followed."""

MOST_NAMED = 12
"""References by another name than their place in the schema: what they multiply is not known."""


def is_bomb(schema: Any) -> bool:
    """Say whether a check against a schema could hold up everybody. One too deep to weigh could."""
    try:
        return _Weighing(schema).weight(schema, DEEPEST) > HEAVIEST
    except (_Endless, RecursionError):
        return True


class _Endless(Exception):
    """Nobody can say how heavy it is."""


class _Weighing:
    """Weighs the parts of one schema, each once. A circle counts as one round: values have an end."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._named = 0
        self._renamed = any(isinstance(part.get("$id"), str) for part in _parts(root) if part is not root)
        self._own = root.get("$id") if isinstance(root, dict) else None

    def weight(self, part: Any, left: int) -> int:
        if left <= 0:
            raise _Endless
        if not isinstance(part, dict | list):
            return 0
        if id(part) not in self._known:
            self._known[id(part)] = 1  # for who comes here again from within
            inner = part.values() if isinstance(part, dict) else part
            heavy = sum(self.weight(one, left - 1) for one in inner)
            heavy += sum(self.weight(one, left - 1) for one in self._meant(part))
            self._known[id(part)] = 1 + min(heavy, HEAVIEST)
        return self._known[id(part)]

    def _meant(self, part: Any) -> Iterator[Any]:
        """Give what a subschema refers to."""
        for word in ("$ref", "$dynamicRef", "$recursiveRef") if isinstance(part, dict) else ():
            if isinstance(reference := part.get(word), str):
                yield self._found(reference)

    def _found(self, reference: str) -> Any:
        place: Any = self._root
        reference = reference.removeprefix(str(self._own))
        steps = reference.removeprefix("#").split("/")[1:]
        if self._renamed or not (reference == "#" or reference.startswith("#/")):
            self._named += 1
            if self._named > MOST_NAMED:
                raise _Endless
            return None
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            else:
                place = place.get(name) if isinstance(place, Mapping) else None
        return place


def _parts(root: Any) -> Iterator[dict[str, Any]]:
    """Give all subschemas, and what looks like one."""
    left = [root]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
