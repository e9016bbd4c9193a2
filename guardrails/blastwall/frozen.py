"""Deeply frozen JSON and its one canonical text: what makes "the call judged is the call run" checkable."""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Never, Union

import msgspec

MAX_DEPTH = 64
"""Deepest nesting that `freeze` accepts. RFC 8259 section 9 lets a parser set such a limit."""

MAX_SIZE = 1 << 26
"""Most that one value may come to: its characters, and 64 for each value in it. What is shared counts
every time, so that a YAML file of aliases of aliases can't grow without bounds here."""

MAX_BITS = 63
"""Longest integer: what every JSON reader in use keeps exactly as a signed 64-bit number."""

Json = Union[None, bool, int, float, str, tuple["Json", ...], Mapping[str, "Json"]]  # noqa: UP007
"""A frozen JSON value: scalars, tuples for arrays, `FrozenDict` for objects."""

Other = Callable[[object], object]
"""Gives something nearer to JSON for a value that is none, or raises `NotJson`."""


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


def freeze(value: object, other: Other | None = None) -> Json:
    """Copy `value` into frozen JSON.

    Dicts need string keys; tuples count as arrays; subclasses of the JSON types (an `IntEnum`, a
    `str` subclass) become the plain type, so that no overridden method runs after this point.

    Args:
        value: What to copy.
        other: What to do with values and keys that are not JSON; without it they are refused.

    Raises:
        NotJson: for anything else, NaN and infinities, integers beyond 64 bits, text that is not valid
            Unicode, keys that read alike, nesting beyond `MAX_DEPTH` and more than `MAX_SIZE`.

    """
    return _Copy(other).freeze(value, MAX_DEPTH)


_SCALARS = (str, int, float, type(None))
_ARRAYS = (list, tuple)
_OBJECTS = (dict, Mapping)  # dict first: most are, and the abstract class is slow to ask
_VALUE = 64


class _Unlike(NotJson):
    """A scalar that looks like JSON and is none."""


class _Copy:
    """One copying, with the room that it has left."""

    __slots__ = ("_other", "_room")

    def __init__(self, other: Other | None) -> None:
        self._other = other
        self._room = MAX_SIZE

    def freeze(self, value: object, depth: int) -> Json:
        if isinstance(value, _SCALARS):
            try:
                return self._text(value) if isinstance(value, str) else _number(value)
            except _Unlike:
                if self._other is None:
                    raise
        if depth == 0:
            raise NotJson("$", f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, _ARRAYS):
            return self._array(value, depth - 1)
        if isinstance(value, _OBJECTS):
            return self._object(value, depth - 1)
        if self._other is None:
            raise NotJson("$", f"a {type(value).__name__} is not JSON")
        return self.freeze(self._other(value), depth - 1)

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise NotJson("$", f"larger than {MAX_SIZE} characters, where every value counts for {_VALUE}")

    def _text(self, value: str) -> str:
        text = value if type(value) is str else str.__str__(value)
        self._take(len(text))
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise _Unlike("$", "text with a lone surrogate is not valid Unicode") from None
        return text

    def _array(self, value: list[Any] | tuple[Any, ...], depth: int) -> tuple[Json, ...]:
        self._take(len(value) * _VALUE)
        frozen: list[Json] = []
        try:
            for item in value:
                frozen.append(self.freeze(item, depth))  # noqa: PERF401  # its length is the path of an error
        except NotJson as error:
            raise NotJson(f"$[{len(frozen)}]{error.path[1:]}", error.problem) from None
        return tuple(frozen)

    def _object(self, value: Mapping[Any, Any], depth: int) -> FrozenDict:
        self._take(len(value) * _VALUE)
        frozen: dict[str, Json] = {}
        for key, item in value.items():
            name = self._key(key, depth)
            if name in frozen:
                raise NotJson("$", "two keys read alike")
            try:
                frozen[name] = self.freeze(item, depth)
            except NotJson as error:
                raise NotJson(f"$.{name}{error.path[1:]}", error.problem) from None
        return FrozenDict(frozen)

    def _key(self, key: object, depth: int) -> str:
        if isinstance(key, str) and self._other is None:
            return self._text(key)
        if self._other is None:
            raise NotJson("$", f"a {type(key).__name__} is no key of JSON")
        frozen = self.freeze(key, depth)
        return frozen if isinstance(frozen, str) else canonical(frozen)


def _number(value: float | None) -> int | float | None:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        if int.bit_length(value) <= MAX_BITS:
            return int.__int__(value)
        raise _Unlike("$", f"an integer of more than {MAX_BITS} bits is not read alike everywhere")
    if math.isfinite(value):
        return float.__float__(value)
    raise _Unlike("$", f"{value} has no JSON form")


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
