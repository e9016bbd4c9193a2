"""The scalars of a call's arguments, and the names of fields that may be more than names."""

import re
from collections.abc import Iterator, Mapping

from blastwall.frozen import Json
from blastwall.provenance.origins import Path

_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$-]{0,40}")


def leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Go through the scalars of a value, each with its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


def names(value: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Go through the keys that are no plain names: what is in them goes out with the call too."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not _NAME.fullmatch(key):
                yield (*path, key), key
            yield from names(item, (*path, key))
    elif isinstance(value, tuple | list):
        for position, item in enumerate(value):
            yield from names(item, (*path, position))
