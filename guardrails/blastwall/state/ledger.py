"""What rates and budgets have left: a session's own counters, and rolling windows that all sessions share."""

import errno
import math
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.values import Charge

SLOTS = 100
"""Parts of a window that are kept apart. What was spent is let go up to one of them late, never early, and
a counter never takes more than so many rows and one."""

PATIENCE_S = 5.0
"""How long another process may hold the ledger before this one gives up."""

_SLACK = 1 + 1e-9
"""Ten times 0.1 is a little less or more than 1: a limit is kept to nine digits."""

_TABLES = """
CREATE TABLE IF NOT EXISTS spent (
    key TEXT NOT NULL, at REAL NOT NULL, until REAL NOT NULL, amount REAL NOT NULL, PRIMARY KEY (key, at)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spent_until ON spent (until);
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), latest REAL NOT NULL);
"""

_SPEND = """
INSERT INTO spent (key, at, until, amount) VALUES (?, ?, ?, ?)
ON CONFLICT (key, at) DO UPDATE SET amount = amount + excluded.amount, until = max(until, excluded.until)
"""

_TICK = """
INSERT INTO clock (one, latest) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET latest = excluded.latest
"""


_inherited: list[sqlite3.Connection] = []
"""A parent's connections in a forked child: closing one there could spoil the file for the parent."""


class Counters:
    """What one session has used up. Its children share the very object, so that none gets a budget anew."""

    __slots__ = ("_used", "lock")

    def __init__(self) -> None:
        """Start with nothing used."""
        self.lock = threading.Lock()
        self._used: dict[str, float] = {}

    def used(self, key: str) -> float:
        """Say how much of a budget the session has used."""
        return self._used.get(key, 0.0)

    def add(self, charges: Sequence[Charge]) -> None:
        """Count what is charged to the session. The caller holds the lock."""
        for charge in charges:
            if charge.per_s is None:
                self._used[charge.key] = self.used(charge.key) + charge.amount


class Ledger:
    """Spends charges, all of a call's or none, whatever threads and processes do at the same time.

    A clock that is set back gives no budget back: the ledger goes by the latest time that it has seen, and
    stands still until the clock gets there.

    Args:
        path: The file; its folder is made, both for the owner only.
        durability: `power-loss` waits for the disk (fsync), as the audit log does.

    """

    def __init__(self, path: Path, *, durability: str = "process-crash") -> None:
        """Open nothing yet: the first charge to a window does."""
        self.path = path
        self.waits = durability == "power-loss"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._identity: tuple[int, int] | None = None

    def spend(self, charges: Sequence[Charge], counters: Counters) -> Charge | None:
        """Spend all charges, or give the first one that is used up and spend nothing.

        An amount that is no number from 0 counts as used up: it could only give budget back.

        Raises:
            BackendError: when the windows can't be read or written. Nothing was spent in the session then.

        """
        with counters.lock:
            if any(charge.per_s is not None for charge in charges):
                with self._lock:
                    over = self._spent(charges, counters)
            else:
                over = _exhausted(charges, lambda charge: counters.used(charge.key))
            if over is None:
                counters.add(charges)
        return over

    def close(self) -> None:
        """Close the file. The ledger may be used again."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        """Close the file of a ledger that nobody holds any more."""
        self._close()

    def _spent(self, charges: Sequence[Charge], counters: Counters) -> Charge | None:
        try:
            return _spend(self._connected(), charges, counters)
        except (OSError, sqlite3.Error) as error:
            self._close()
            raise BackendError(
                f"the ledger {self.path} can't be used ({error}): make sure that it can be written and that"
                " the disk is not full; if it is damaged, move it away, which forgets what was spent"
            ) from None
        except BaseException:
            self._close()  # and so roll back
            raise

    def _connected(self) -> sqlite3.Connection:
        """Give the connection to the file that stands at the path now, of this very process."""
        current = self._connection is not None and self._owner == os.getpid()
        if not current or _identity(self.path) != self._identity:
            self._close()
            self._open()
        assert self._connection is not None  # noqa: S101  # just opened
        return self._connection

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(self.path)
        self._owner, self._identity = os.getpid(), _identity(self.path)
        self._connection = sqlite3.connect(
            self.path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if self.waits else 'NORMAL'}")
        _write_ahead(self._connection)
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._owner != os.getpid():
            _inherited.append(connection)
        elif connection is not None:
            connection.close()


def _make(path: Path) -> None:
    """Make the file for the owner only, unless it is there.

    One that is there is not opened: closing that descriptor would take SQLite's locks on the file away
    from every other connection of this process (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file") from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let SQLite write ahead: a commit costs no fsync, and neither a crash nor a power loss spoils the file.

    Several processes may find a new file at once, and SQLite's own patience does not cover this step.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _spend(connection: sqlite3.Connection, charges: Sequence[Charge], counters: Counters) -> Charge | None:
    connection.execute("BEGIN IMMEDIATE")
    (latest,) = connection.execute("SELECT TOTAL(latest) FROM clock").fetchone()
    now = max(_now(), latest)
    connection.execute(_TICK, (now,))
    connection.execute("DELETE FROM spent WHERE until <= ?", (now,))

    def used(charge: Charge) -> float:
        if charge.per_s is None:
            return counters.used(charge.key)
        since = (charge.key, now - charge.per_s)
        query = "SELECT TOTAL(amount) FROM spent WHERE key = ? AND at > ?"
        return float(connection.execute(query, since).fetchone()[0])

    over = _exhausted(charges, used)
    if over is None:
        connection.executemany(_SPEND, _rows(charges, now))
    connection.execute("COMMIT")
    return over


def _rows(charges: Sequence[Charge], now: float) -> list[tuple[str, float, float, float]]:
    """Put each amount to the end of its slot, which is when the last of it can have been spent."""
    rows = []
    for charge in charges:
        if charge.per_s is not None:
            slot = charge.per_s / SLOTS
            at = (math.floor(now / slot) + 1) * slot
            rows.append((charge.key, at, at + charge.per_s, charge.amount))
    return rows


def _exhausted(charges: Sequence[Charge], used: Callable[[Charge], float]) -> Charge | None:
    taken: dict[str, float] = {}
    for charge in charges:
        before = taken.get(charge.key, 0.0)
        # Said so that a NaN anywhere makes it used up.
        if not (_sound(charge) and used(charge) + before + charge.amount <= charge.limit * _SLACK):
            return charge
        taken[charge.key] = before + charge.amount
    return None


def _sound(charge: Charge) -> bool:
    window = charge.per_s is None or 0 < charge.per_s < math.inf
    return window and 0 <= charge.amount < math.inf


def _now() -> float:
    return time.time()
