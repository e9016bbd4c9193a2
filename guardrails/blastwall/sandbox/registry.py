"""Which sandboxes of this user run now, in whatever program, and what dead programs left of theirs."""

import os
from dataclasses import dataclass

from blastwall.sandbox import _reaper
from blastwall.sandbox.lease import folder


@dataclass(frozen=True, slots=True)
class Entry:
    """One running sandbox.

    Attributes:
        name: Its profile.
        strength: Of its wall.
        workspace: The folder that it may write; empty for none.
        owner: The process that started it.
        pid: The process that holds everything inside; 0 before it started.
        since: When it started, in seconds since 1970.

    """

    name: str
    strength: str
    workspace: str
    owner: int
    pid: int
    since: float


def entries() -> list[Entry]:
    """List the running sandboxes, oldest first."""
    owners = f"{folder()}/owners"
    found = []
    for owner in _reaper.listed(owners):
        for name in _reaper.listed(f"{owners}/{owner}"):
            entry = _reaper.read(f"{owners}/{owner}/{name}") if name.endswith(".json") else None
            known = {"pid": 0} | {key: entry[key] for key in Entry.__slots__ if key in entry} if entry else {}
            if len(known) == len(Entry.__slots__):  # or it is one of another version
                found.append(Entry(**known))
    return sorted(found, key=lambda entry: entry.since)


def alive(entry: Entry) -> bool:
    """Say whether the program that started it still runs."""
    return os.path.exists(f"/proc/{entry.owner}")


def collect() -> list[str]:
    """Take away what dead programs left, and say what it was."""
    return _reaper.reap(str(folder()))
