"""The narrowest demands on arguments that every one of a number of calls meets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from blastwall.frozen import FrozenDict, Json
from blastwall.policy import constraints
from blastwall.policy.addresses import HostPattern, mail_addresses, place
from blastwall.policy.constraints import ArgumentCheck
from blastwall.policy.truth import Check, Resolved, Truth

FEW = 8
"""Distinct values that are still a list, and no longer a kind of value."""

MANY = 32
"""Hosts and mail addresses that a person would still read one by one."""

LONGEST_WORD = 64
"""Characters of a value that is listed as it is."""

SHALLOWEST = 2
"""Folders below the root that a common folder must have: `/srv/project` may be one, `/etc` not."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Demand:
    """One argument's demand: as the policy file has it, and compiled."""

    block: Mapping[str, Any]
    checks: tuple[Check, ...] = ()
    whole: tuple[Check, ...] = ()

    def met(self, path: Path, calls: Iterable[FrozenDict], resolved: Resolved) -> bool:
        """Say whether every call meets it."""
        return all(self.holds(path, call, resolved) is Truth.YES for call in calls)

    def holds(self, path: Path, arguments: FrozenDict, resolved: Resolved) -> Truth:
        """Say whether one call meets it."""
        optional = self.block.get("optional", False)
        check = ArgumentCheck(path, self.checks, self.whole, "", optional, is_path="under" in self.block)
        return check.holds(arguments, resolved, any_member=False)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What can be demanded of arguments.

    Attributes:
        demands: The demands, by argument.
        open: Arguments of which nothing can be demanded.

    """

    demands: Mapping[Path, Demand] = field(default_factory=dict)
    open: tuple[str, ...] = ()

    @property
    def args(self) -> dict[str, Mapping[str, Any]]:
        """The `args` block of a rule."""
        return {".".join(path): demand.block for path, demand in self.demands.items()}

    def decides(self, arguments: FrozenDict, resolved: Resolved) -> bool:
        """Say whether the demands can be checked on other arguments, met or not."""
        found = [demand.holds(path, arguments, resolved) for path, demand in self.demands.items()]
        return Truth.NO in found or Truth.UNKNOWN not in found


def narrowed(
    calls: Sequence[FrozenDict],
    resolved: Resolved,
    forbidden: frozenset[str],
    secret: frozenset[str] = frozenset(),
) -> Narrowed:
    """Find what all these arguments have in common.

    Args:
        calls: The arguments of each call.
        resolved: Where their path arguments lead.
        forbidden: Folders that are too much to be named, such as the user's home.
        secret: Arguments of which no value may be shown.

    """
    found: dict[Path, Demand] = {}
    opened = []
    for path in _paths(calls):
        demands: Iterable[Demand] = ()
        if _can_be_named(path):
            demands = _demands(path, calls, resolved, forbidden)
        if path[0] in secret:
            demands = (demand for demand in demands if _LISTING.isdisjoint(demand.block))
        met = next((demand for demand in demands if demand.met(path, calls, resolved)), None)
        if met is None:
            opened.append(".".join(path))
        else:
            found[path] = met
    return Narrowed(found, tuple(opened))


_LISTING = frozenset({"enum", "under", "hosts", "recipients", "minimum"})
"""Demands that show the values that they were made of."""


def strings(value: Json) -> Iterator[str]:
    """Give every text in a value: what may be a path."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | Mapping):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from strings(member)


def _can_be_named(path: Path) -> bool:
    return all(name and "." not in name for name in path)


def _paths(calls: Iterable[FrozenDict]) -> list[Path]:
    """Name every argument, and what is inside of those that are objects."""
    found: dict[Path, None] = {}

    def walk(value: Mapping[str, Json], above: Path) -> None:
        for name, inner in value.items():
            if isinstance(inner, Mapping) and inner:
                walk(inner, (*above, name))
            else:
                found[(*above, name)] = None

    for call in calls:
        walk(call, ())
    return list(found)


def _demands(
    path: Path, calls: Sequence[FrozenDict], resolved: Resolved, forbidden: frozenset[str]
) -> Iterator[Demand]:
    """Give the demands to be tried, the narrowest first."""
    values: list[Json] = []
    lengths: list[int] = []
    always = True
    for call in calls:
        value = _find(path, call)
        always = always and value not in (_ABSENT, None, ())
        if isinstance(value, tuple):
            lengths.append(len(value))
            values.extend(value)
        elif value is not _ABSENT:
            values.append(value)
    whole = {"max_items": max(lengths)} if lengths else {}
    length = (constraints.no_more(max(lengths)),) if lengths else ()
    optional = {} if always else {"optional": True}
    given: list[Json] = [value for value in values if value is not None]
    for block, check in _kinds(path[-1], given, resolved, forbidden) if given else _nothing(values):
        yield Demand(block | whole | optional, (check,), length)
    if whole:
        yield Demand(whole | optional, (), length)


_ABSENT = object()


def _find(path: Path, arguments: FrozenDict) -> Any:
    value: Any = arguments
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = value[name]
    return value


Candidate = tuple[dict[str, Any], Check]


def _nothing(values: list[Json]) -> Iterator[Candidate]:
    if values:
        yield {"enum": [None]}, constraints.one_of([None])


def _kinds(
    name: str, values: list[Json], resolved: Resolved, forbidden: frozenset[str]
) -> Iterator[Candidate]:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(texts) == len(values):
        for find in (_links, _recipients):
            yield from find(texts)
        if _names_path(name) or all(map(_written_as_path, texts)):
            yield from _folders(texts, resolved, forbidden)
    yield from _few(values)
    if len(texts) == len(values):
        limit = _rounded(max(map(len, texts)))
        yield {"max_length": limit}, constraints.no_longer(limit)
    if len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        yield {"minimum": low, "maximum": high}, constraints.between(low, high)


def _few(values: list[Json]) -> Iterator[Candidate]:
    """List the values, when they are few: words, or whatever comes again and again."""
    distinct: dict[tuple[type, Json], Json] = {}
    for value in values:
        if isinstance(value, tuple | Mapping):
            return
        distinct.setdefault((type(value), value), value)
    again = len(values) >= 2 * len(distinct)
    if len(distinct) <= FEW and all(_word(value, again=again) for value in distinct.values()):
        listed = sorted(distinct.values(), key=lambda value: (type(value).__name__, value))
        yield {"enum": listed}, constraints.one_of(listed)


def _word(value: Json, *, again: bool) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_WORD and (again or not any(map(str.isspace, value)))
    return again or isinstance(value, bool)


def _links(texts: list[str]) -> Iterator[Candidate]:
    hosts: set[str] = set()
    for text in texts:
        found = place(text) if "://" in text else None
        if found is None:
            return
        host = f"[{found.host}]" if ":" in found.host else found.host
        hosts.add(host if found.standard else f"{host}:{found.port}")
    if len(hosts) <= MANY:
        listed = sorted(hosts)
        yield {"hosts": listed}, constraints.to_hosts(HostPattern.parse(host) for host in listed)


def _recipients(texts: list[str]) -> Iterator[Candidate]:
    addresses: set[str] = set()
    for text in texts:
        found = mail_addresses(text)
        if found is None:
            return
        addresses.update(found)
    if len(addresses) <= MANY:
        yield {"recipients": sorted(addresses)}, constraints.to_recipients(addresses)


def _folders(texts: list[str], resolved: Resolved, forbidden: frozenset[str]) -> Iterator[Candidate]:
    places = sorted({resolved.get(text) or "" for text in texts})
    if not all(places):
        return
    common = _common(places)
    parents = sorted({str(PurePosixPath(path).parent) for path in places})
    for folders in ([common], parents, places):
        small = len(folders) <= FEW and not any(_too_much(folder, forbidden) for folder in folders)
        if small:
            yield {"under": folders}, constraints.under(map(PurePosixPath, folders))
            return


def _written_as_path(text: str) -> bool:
    """Say whether a text can be nothing but a path: a name with a slash in it may be a repository."""
    return text.startswith(("/", "./", "../"))


def _names_path(name: str) -> bool:
    return name.lower().endswith(_PATH_WORDS)


_PATH_WORDS = ("path", "paths", "file", "files", "filename", "folder", "directory", "dir", "cwd")


def _common(places: Sequence[str]) -> str:
    """Give the lowest folder that holds all of them; of one alone, itself."""
    common = PurePosixPath(places[0])
    for path in map(PurePosixPath, places[1:]):
        while common != path and common not in path.parents:
            common = common.parent
    return str(common)


def _too_much(folder: str, forbidden: frozenset[str]) -> bool:
    if folder in forbidden or len(PurePosixPath(folder).parts) <= SHALLOWEST:
        return True
    if "$" in folder or folder != folder.strip():  # no policy file can name it
        return True
    return any(PurePosixPath(folder) in PurePosixPath(home).parents for home in forbidden)


def _rounded(size: int) -> int:
    """Round up to 1, 2 or 5 times a power of ten."""
    step = 1
    while True:
        for limit in (step, 2 * step, 5 * step):
            if size <= limit:
                return limit
        step *= 10
