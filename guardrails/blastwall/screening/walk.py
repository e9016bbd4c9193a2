"""The strings of a JSON value: collected for a look, located for a finding, replaced for a cut."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import ascii_letters, digits

from blastwall.frozen import MAX_DEPTH, FrozenDict, Json

ROOT = "$"
"""The path of a whole value."""

_PLAIN = frozenset(ascii_letters + digits + "_-")
_OTHER_BYTES = 8


class TooDeep(ValueError):
    """A value nested deeper than `frozen.MAX_DEPTH`."""


class NotText(ValueError):
    """A value that is no JSON, or text that is no valid Unicode."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One string of a value: a text leaf or an object's key, numbered in document order.

    `path` shows a key only if it is short and plain, for a key is the output's text too; any other
    key is shown as its position, `{2}`.
    """

    path: str
    text: str
    is_key: bool


def collect(value: Json) -> tuple[list[str], int]:
    """Give every string of `value`, keys before their values, and the bytes of everything else.

    What is not text counts as 8 bytes a value.

    Raises:
        TooDeep: nested beyond `MAX_DEPTH`.
        NotText: something is not JSON.

    """
    texts: list[str] = []
    return texts, _collect(value, texts, MAX_DEPTH)


def _collect(value: object, texts: list[str], depth: int) -> int:
    if isinstance(value, str):
        texts.append(value)
        return 0
    if depth < 0:
        raise TooDeep
    if isinstance(value, Mapping):
        return _OTHER_BYTES + sum([_member(key, item, texts, depth - 1) for key, item in value.items()])
    if isinstance(value, tuple | list):
        return _OTHER_BYTES + sum([_collect(item, texts, depth - 1) for item in value])
    if value is None or isinstance(value, int | float):
        return _OTHER_BYTES
    raise NotText


def _member(key: object, item: object, texts: list[str], depth: int) -> int:
    if not isinstance(key, str):
        raise NotText
    texts.append(key)
    return _collect(item, texts, depth)


def leaves(value: Json, path: str = ROOT) -> Iterator[Leaf]:
    """Go through the strings of `value` in the order of `collect`, each with its path."""
    if isinstance(value, str):
        yield Leaf(path, value, is_key=False)
    elif isinstance(value, Mapping):
        for position, (key, item) in enumerate(value.items()):
            yield Leaf(f"{path}.{{{position}}}", key, is_key=True)
            yield from leaves(item, f"{path}.{_step(key, position)}")
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from leaves(item, f"{path}[{position}]")


def _step(key: str, position: int) -> str:
    return key if 0 < len(key) <= 40 and _PLAIN.issuperset(key) else f"{{{position}}}"


def replace(value: Json, texts: Iterator[str]) -> Json:
    """Rebuild `value` with other strings, given in the order of `collect`. Keys stay as they are."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, Mapping):
        return FrozenDict(_replaced(value, texts))
    if isinstance(value, tuple | list):
        return tuple([replace(item, texts) for item in value])
    return value


def _replaced(members: Mapping[str, Json], texts: Iterator[str]) -> Iterator[tuple[str, Json]]:
    for key, item in members.items():
        next(texts)
        yield key, replace(item, texts)
