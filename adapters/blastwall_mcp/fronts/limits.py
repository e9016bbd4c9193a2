"""How much of the front one principal may use, and all of them together."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

REQUESTS = 256
"""Requests that are answered at the same time."""

STREAMS = 512
"""Open streams of notices, which cost a connection and little else."""

SHARE = 4
"""Where there are several principals, one may use a quarter of everything."""

RETRY_S = 1


class Busy(Exception):
    """No more of this now. `mine`: the principal itself uses too much, rather than everybody together."""

    def __init__(self, mine: bool) -> None:
        """Say whose doing it is."""
        super().__init__("too much at once")
        self.mine = mine


@dataclass(slots=True)
class Pool:
    """Places of one kind, counted by who holds them."""

    everybody: int
    each: int
    held: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def place(self, who: str) -> Generator[None]:
        """Hold a place for a while.

        Raises:
            Busy: there is none.

        """
        self.take(who)
        try:
            yield
        finally:
            self.give(who)

    def take(self, who: str) -> None:
        """Hold a place until it is given back; raises like `place`."""
        if self.held[who] >= self.each:
            raise Busy(mine=True)
        if self.held.total() >= self.everybody:
            raise Busy(mine=False)
        self.held[who] += 1

    def give(self, who: str) -> None:
        """Give a place back."""
        self.held[who] -= 1
        if self.held[who] <= 0:
            del self.held[who]


@dataclass(slots=True)
class Owned:
    """One open session: whose it is, and the ids of its requests that are being answered."""

    owner: str
    answering: set[str] = field(default_factory=set)


class Sessions:
    """The open sessions of the legacy era, each of which is its principal's alone."""

    def __init__(self, most: int, each: int) -> None:
        """Begin with none."""
        self._most, self._each = most, each
        self._open: dict[str, Owned] = {}
        self._opening: Counter[str] = Counter()

    @contextmanager
    def opening(self, who: str) -> Generator[None]:
        """Hold a place while a session is being opened.

        Raises:
            Busy: there is none.

        """
        if sum(owned.owner == who for owned in self._open.values()) + self._opening[who] >= self._each:
            raise Busy(mine=True)
        if len(self._open) + self._opening.total() >= self._most:
            raise Busy(mine=False)
        self._opening[who] += 1
        try:
            yield
        finally:
            self._opening[who] -= 1

    def opened(self, session: str, who: str) -> None:
        """Note whose a session is, before its id is told to anybody."""
        self._open[session] = Owned(who)

    def closed(self, session: str) -> None:
        """Forget a session."""
        self._open.pop(session, None)

    def of(self, session: str, who: str) -> Owned | None:
        """Give a session to its owner, and to nobody else."""
        owned = self._open.get(session)
        return owned if owned is not None and owned.owner == who else None

    def stolen(self, session: str, who: str) -> bool:
        """Say whether a session is open, and somebody else's."""
        return session in self._open and self._open[session].owner != who
