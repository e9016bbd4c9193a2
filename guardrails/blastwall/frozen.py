"""Deeply frozen JSON and its one canonical text: what makes "the call judged is the call run" checkable."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, Never, Union

import msgspec

MAX_DEPTH = 64
"""Deepest nesting that `freeze` accepts. RFC 8259 section 9 lets a parser set such a limit."""

MAX_BITS = 63
"""Longest integer: what every JSON reader in use keeps exactly as a signed 64-bit number."""

Json = Union[None, bool, int, float, str, tuple["Json", ...], Mapping[str, "Json"]]  # noqa: UP007
"""A frozen JSON value: scalars, tuples for arrays, `FrozenDict` for objects."""


class NotJson(ValueError):
    """A value that has no exact JSON form, with the path at which it stands."""

    def __init__(self, path: str, problem: str) -> None:
        """Say where (`$.a[0]`) and what."""
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class FrozenDict(dict[str, Any]):
    """A dict that refuses to change. It stays a dict, so that tools and JSON encoders take it as one."""

    __slots__ = ()

    def _frozen(self, *_: object, **__: object) -> Never:
        raise TypeError("these arguments are frozen: copy them with blastwall.thaw() to change the copy")

    __setitem__ = __delitem__ = __ior__ = _frozen
    clear = pop = popitem = setdefault = update = _frozen

    def __reduce__(self) -> tuple[type["FrozenDict"], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)

    def __copy__(self) -> "FrozenDict":
        return self

    def __deepcopy__(self, _memo: object) -> "FrozenDict":
        return self


def freeze(value: object, path: str = "$", depth: int = MAX_DEPTH) -> Json:
    """Copy `value` into frozen JSON.

    Dicts need string keys; tuples count as arrays; subclasses of the JSON types (an `IntEnum`, a
    `str` subclass) become the plain type, so that no overridden method runs after this point.

    Raises:
        NotJson: for anything else, NaN and infinities, integers beyond 64 bits, text that is not valid Unicode, and nesting
            beyond `MAX_DEPTH`.

    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int | float):
        return _number(value, path)
    if depth == 0:
        raise NotJson(path, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list | tuple):
        return tuple([freeze(item, f"{path}[{i}]", depth - 1) for i, item in enumerate(value)])
    if isinstance(value, Mapping):
        return FrozenDict(_members(value, path, depth - 1))
    raise NotJson(path, f"a {type(value).__name__} is not JSON")


def _number(value: float, path: str) -> int | float:
    if isinstance(value, int):
        if value.bit_length() <= MAX_BITS:
            return int.__int__(value)
        raise NotJson(path, f"an integer of more than {MAX_BITS} bits is not read alike everywhere")
    if math.isfinite(value):
        return float.__float__(value)
    raise NotJson(path, f"{value} has no JSON form")


def _text(value: str, path: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotJson(path, "text with a lone surrogate is not valid Unicode") from None
    return value if type(value) is str else str.__str__(value)


def _members(value: Mapping[Any, Any], path: str, depth: int) -> Iterator[tuple[str, Json]]:
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotJson(path, f"the key {key!r} is not text")
        yield _text(key, path), freeze(item, f"{path}.{key}", depth)


def thaw(value: Json) -> Any:
    """Copy frozen JSON into fresh, ordinary dicts and lists."""
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return value


_encoder = msgspec.json.Encoder(order="deterministic")


def canonical(value: Json) -> str:
    """Give the one text of a frozen value: keys sorted by code point, no white space, shortest floats.

    Equal to RFC 8785 (JCS) but for how some floats are written and for keys beyond the Basic
    Multilingual Plane. It is a fingerprint, never an exchange format.
    """
    return _encoder.encode(value).decode()


def digest(text: str) -> str:
    """Give the lower-case hexadecimal SHA-256 of `text` in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
