"""What a rule may demand of an argument, compiled to closures over the frozen arguments."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import re2

from blastwall.frozen import FrozenDict, Json
from blastwall.policy import truth
from blastwall.policy.addresses import LONGEST_LABEL, PLAIN_URL, HostPattern, mail_addresses, place
from blastwall.policy.truth import NO, UNKNOWN, YES, Check, Resolved, Truth


@dataclass(frozen=True, slots=True)
class ArgumentCheck:
    """Everything that one rule demands of one argument.

    Attributes:
        path: The argument's name, then names inside it.
        checks: What must hold of its value; of each member, when it is a list.
        whole: What must hold of the list as a whole.
        expectation: The same in words, for people and the model.
        optional: Whether the argument may be absent.
        is_path: Whether `checks` look at where a path leads.

    """

    path: tuple[str, ...]
    checks: tuple[Check, ...]
    whole: tuple[Check, ...]
    expectation: str
    optional: bool
    is_path: bool

    def holds(self, arguments: FrozenDict, resolved: Resolved, *, any_member: bool) -> Truth:
        """Say whether the demand holds; with `any_member` (deny rules) one member of a list is enough.

        An empty list counts as absent, and so does a null that was not asked for.
        """
        present, value = self.find(arguments)
        if present is Truth.UNKNOWN:
            return present
        if present is Truth.NO or (value == () and self.checks):
            return truth.of(self.optional)
        whole = truth.every(check(value, resolved) for check in self.whole)
        if isinstance(value, tuple):
            combine = truth.some if any_member and self.checks else truth.every
            return min(whole, combine(self._member(member, resolved) for member in value))
        held = min(whole, self._member(value, resolved))
        return truth.of(self.optional) if value is None and held is not Truth.YES else held

    def _member(self, value: Json, resolved: Resolved) -> Truth:
        return truth.every(check(value, resolved) for check in self.checks)

    def find(self, arguments: FrozenDict) -> tuple[Truth, Json]:
        """Give whether the argument is there, and its value.

        UNKNOWN: something that is no object stands on the way to it, or an argument has the whole
        path, dots and all, for its name.
        """
        if len(self.path) > 1 and ".".join(self.path) in arguments:
            return Truth.UNKNOWN, None
        value: Json = arguments
        for name in self.path:
            if value is None:
                return Truth.NO, None
            if not isinstance(value, Mapping):
                return Truth.UNKNOWN, None
            if name not in value:
                return Truth.NO, None
            value = value[name]
        return Truth.YES, value

    def paths(self, arguments: FrozenDict) -> Iterable[str]:
        """Give the path texts that this demand needs resolved."""
        if not self.is_path:
            return ()
        _, value = self.find(arguments)
        members = value if isinstance(value, tuple) else (value,)
        return [member for member in members if isinstance(member, str)]


def one_of(allowed: Iterable[Json]) -> Check:
    """Demand one of these scalars, of the same JSON type: `true` is not 1, but 1.0 is.

    A value of a type that none of them has is UNKNOWN: a tool may take `"true"` for `true`.
    """
    wanted = frozenset((_kind(value), value) for value in allowed)
    kinds = frozenset(kind for kind, _ in wanted)

    def check(value: Json, _: Resolved) -> Truth:
        kind = _kind(value)
        return truth.of((kind, value) in wanted) if kind in kinds else Truth.UNKNOWN

    return check


def _kind(value: Json) -> type:
    return float if type(value) is int else type(value)


def matching(pattern: str) -> Check:
    """Demand text that matches the whole RE2 pattern: linear time, whatever the text."""
    compiled = re2.compile(pattern)

    def check(value: Json, _: Resolved) -> Truth:
        if not isinstance(value, str):
            return Truth.UNKNOWN
        return truth.of(compiled.fullmatch(value) is not None)

    return check


def between(minimum: float | None, maximum: float | None) -> Check:
    """Demand a number within these bounds, both included. In frozen JSON, true and false are none."""
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum

    def check(value: Json, _: Resolved) -> Truth:
        if type(value) is not float and type(value) is not int:
            return UNKNOWN
        return YES if low <= value <= high else NO

    return check


def no_longer(limit: int) -> Check:
    """Demand text of at most `limit` characters."""
    return lambda value, _: truth.of(len(value) <= limit) if isinstance(value, str) else Truth.UNKNOWN


def no_more(limit: int) -> Check:
    """Demand a list of at most `limit` members; a single value counts as one."""
    return lambda value, _: truth.of((len(value) if isinstance(value, tuple) else 1) <= limit)


def under(roots: Iterable[PurePath]) -> Check:
    """Demand a path that leads to one of these resolved folders, or below it, symlinks followed."""
    wanted = tuple(f"{root}/".replace("//", "/") for root in roots)

    def check(value: Json, resolved: Resolved) -> Truth:
        target = resolved.get(value) if isinstance(value, str) else None
        if target is None:
            return UNKNOWN
        return YES if f"{target}/".startswith(wanted) else NO

    return check


def to_hosts(patterns: Iterable[HostPattern]) -> Check:
    """Demand a URL (or bare host) whose parsed host and port one of the patterns covers."""
    wanted = tuple(patterns)
    names = frozenset(p.host for p in wanted if not p.subdomains)
    below = tuple("." + p.host for p in wanted if p.subdomains)
    portless = all(p.port is None for p in wanted)

    def check(value: Json, _: Resolved) -> Truth:
        if not isinstance(value, str):
            return UNKNOWN
        if portless and (plain := PLAIN_URL(value)) and len(host := plain[1]) <= LONGEST_LABEL:
            return YES if host.endswith(below) or host in names else NO
        found = place(value)
        return UNKNOWN if found is None else truth.some(pattern.covers(found) for pattern in wanted)

    return check


def to_recipients(allowed: Iterable[str]) -> Check:
    """Demand that every mail address in the text is listed, or of a listed `@domain`.

    Some listed and some not is UNKNOWN: not allowed, and not past a deny rule either.
    """
    wanted = frozenset(allowed)

    def check(value: Json, _: Resolved) -> Truth:
        addresses = mail_addresses(value) if isinstance(value, str) else None
        if addresses is None:
            return Truth.UNKNOWN
        listed = {a in wanted or "@" + a.rpartition("@")[2] in wanted for a in addresses}
        return Truth.UNKNOWN if len(listed) > 1 else truth.of(True in listed)

    return check
