"""What each server showed when it was first seen: the store of pins, and how a later look compares.

One JSON file, replaced as a whole under a lock, so that proxies which run at the same time see one truth.
Whatever is wrong with it is an error: a pin that can't be read permits nothing.
"""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from blastwall.errors import BackendError
from blastwall.frozen import Json, canonical, digest, freeze, thaw
from blastwall.trust.owners import exposed

MAX_BYTES = 1 << 26
"""Largest store, in bytes."""

MOST_SETS = 64
"""Capability sets that one connector is pinned for: a client chooses its own, and must not fill the disk."""

PATIENCE_S = 5.0
"""How long another process may hold the lock."""

NOTED = frozenset(("server",))
"""Kinds of which a change is told and nothing is barred."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing that a server shows: a `tool`, a `prompt`, its `instructions`, its `launch`, the `server`."""

    kind: str
    name: str
    definition: Json

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of its canonical JSON."""
        return digest(canonical(self.definition))


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was pinned.

    Attributes:
        connector, offered: Whose, and towards clients of which capabilities; "" for all of them.
        kind, name: What it is.
        before: Its pinned definition; None where there was none.
        after: Its definition now; None where it is gone.

    """

    connector: str
    offered: str
    kind: str
    name: str
    before: Json
    after: Json

    @property
    def bars(self) -> bool:
        """Whether nothing may use it until somebody approves: not what is gone, or only noted."""
        return self.after is not None and self.kind not in NOTED

    @property
    def fingerprint(self) -> str:
        """That of what is there now; "" where it is gone."""
        return "" if self.after is None else digest(canonical(self.after))


@dataclass(frozen=True, slots=True)
class Sight:
    """What came of a look: whether it was the first, and what is not as it was pinned."""

    first: bool
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is pinned of one connector towards clients of one capability set."""

    connector: str
    offered: str
    since: str
    items: tuple[Shown, ...]
    changes: tuple[Change, ...]


class _Set(msgspec.Struct, forbid_unknown_fields=True):
    """What is pinned of one capability set, and what waits for somebody's approval, by `kind/name`."""

    since: str
    pinned: dict[str, object] = {}
    waiting: dict[str, object] = {}
    gone: list[str] = []


class _Store(msgspec.Struct, forbid_unknown_fields=True):
    version: int = 1
    connectors: dict[str, dict[str, _Set]] = {}


@dataclass(slots=True)
class _Open:
    """The store while it is locked."""

    store: _Store
    changed: bool = field(default=False)


class Pins:
    """The pins of one policy. Safe to use from several threads and processes at once."""

    def __init__(self, path: Path) -> None:
        """Make nothing yet: the first sight does."""
        self.path = path

    def revision(self) -> object:
        """Give something that changes whenever the store does, for the price of one look at the folder."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def sight(self, connector: str, offered: str, shown: Sequence[Shown]) -> Sight:
        """Compare what a server shows with what is pinned; the first sight pins it.

        A new capability set is a first sight too, but what another set of the connector has pinned
        differently waits for approval: else a changed server needed only another client.

        Raises:
            BackendError: the store can't be read or written. Then nothing that is shown may be used.

        """
        items = {f"{item.kind}/{item.name}": item for item in shown}
        with self._opened() as opened:
            sets = opened.store.connectors.setdefault(connector, {})
            first = offered not in sets
            if first:
                if len(sets) >= MOST_SETS:
                    raise BackendError(
                        f"connector {connector} is pinned for {MOST_SETS} sets of client capabilities"
                        f" already: `blastwall pins forget {connector}` starts anew"
                    )
                sets[offered] = _first(items, sets.values())
                opened.changed = True
            elif _compared(sets[offered], items):
                opened.changed = True
            return Sight(first, tuple(_changes(connector, offered, sets[offered])))

    def known(self) -> tuple[Pinned, ...]:
        """Give all that is pinned, by connector.

        Raises:
            BackendError: the store can't be read.

        """
        with _storing(self.path):
            return tuple(
                Pinned(
                    connector,
                    offered,
                    one.since,
                    tuple(_item(key, value) for key, value in sorted(one.pinned.items())),
                    tuple(_changes(connector, offered, one)),
                )
                for connector, sets in sorted(self._read().connectors.items())
                for offered, one in sorted(sets.items())
            )

    def approve(self, changes: Iterable[Change]) -> int:
        """Pin exactly these definitions, whatever the servers show meanwhile. Says how many were pinned.

        What was forgotten meanwhile stays forgotten.

        Raises:
            BackendError: the store can't be read or written.

        """
        done = 0
        with self._opened() as opened:
            for change in changes:
                one = opened.store.connectors.get(change.connector, {}).get(change.offered)
                if one is not None:
                    _approve(one, change)
                    opened.changed = True
                    done += 1
        return done

    def forget(self, connector: str) -> bool:
        """Forget a connector, so that its next sight is the first; False if it is not known.

        Raises:
            BackendError: the store can't be read or written.

        """
        with self._opened() as opened:
            opened.changed = opened.store.connectors.pop(connector, None) is not None
            return opened.changed

    @contextmanager
    def _opened(self) -> Generator[_Open]:
        """Hold the store, and write it when it changed and nothing went wrong."""
        with _storing(self.path), _locked(self.path):
            opened = _Open(self._read())
            yield opened
            if opened.changed:
                _replace(self.path, msgspec.json.encode(opened.store))

    def _read(self) -> _Store:
        with _storing(self.path):
            content = _content(self.path)
            if content is None:
                return _Store()
            store = msgspec.json.decode(content, type=_Store)
            if store.version != 1:
                raise ValueError(f"version {store.version} is none that this blastwall knows")
            return store


def pins_of(state: Path) -> Pins:
    """Give the pins in a policy's state folder."""
    return Pins(state / "pins.json")


def _first(items: Mapping[str, Shown], others: Iterable[_Set]) -> _Set:
    elsewhere: dict[str, list[str]] = {}
    for other in others:
        for key, definition in other.pinned.items():
            elsewhere.setdefault(key, []).append(_text(definition))
    made = _Set(datetime.now(UTC).isoformat(timespec="seconds"))
    for key, item in items.items():
        known = elsewhere.get(key)
        agrees = known is None or canonical(item.definition) in known
        (made.pinned if agrees else made.waiting)[key] = thaw(item.definition)
    return made


def _compared(one: _Set, items: Mapping[str, Shown]) -> bool:
    """Note what differs from the pins now; say whether that is news."""
    waiting = {
        key: thaw(item.definition)
        for key, item in items.items()
        if key not in one.pinned or _text(one.pinned[key]) != canonical(item.definition)
    }
    gone = sorted(one.pinned.keys() - items.keys())
    if (waiting, gone) == (one.waiting, one.gone):
        return False
    one.waiting, one.gone = waiting, gone
    return True


def _approve(one: _Set, change: Change) -> None:
    key = f"{change.kind}/{change.name}"
    if change.after is None:
        one.pinned.pop(key, None)
        one.gone = [name for name in one.gone if name != key]
        return
    one.pinned[key] = thaw(change.after)
    if key in one.waiting and _text(one.waiting[key]) == canonical(change.after):
        del one.waiting[key]


def _changes(connector: str, offered: str, one: _Set) -> Iterable[Change]:
    for key, definition in sorted(one.waiting.items()):
        item = _item(key, definition)
        before = freeze(one.pinned[key]) if key in one.pinned else None
        yield Change(connector, offered, item.kind, item.name, before, item.definition)
    for key in one.gone:
        item = _item(key, one.pinned.get(key))
        yield Change(connector, offered, item.kind, item.name, item.definition, None)


def _item(key: str, definition: object) -> Shown:
    kind, _, name = key.partition("/")
    return Shown(kind, name, freeze(definition))


def _text(definition: object) -> str:
    return canonical(freeze(definition))


@contextmanager
def _storing(path: Path) -> Generator[None]:
    """Say of whatever goes wrong what to do about it."""
    try:
        yield
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BackendError(
            f"the pins {path} can't be used ({why}): make sure that you alone can write the file and that the"
            " disk is not full; if it is damaged, move it away, which forgets every pin"
        ) from None


def _content(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if others := exposed(status):
            raise ValueError(others)
        if status.st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        return file.read()


@contextmanager
def _locked(path: Path) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path.with_name(f"{path.name}.lock"), flags, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    """Put new content in the place of the old, all of it or nothing, and durably."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it would grow larger than {MAX_BYTES >> 20} MiB")
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.rename(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
