"""Control groups: the limits that count everything inside together. Version 2, version 1, or none."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from blastwall.values import Profile

_MIB = 1 << 20
_BUILDERS = 8
"""Processes that build the wall and count for a moment: bubblewrap's, and what it starts to get inside."""

_JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be made here.

    Attributes:
        version: 2, 1, or 0 for nowhere.
        folders: The folders below which groups are made; one for each controller in version 1.

    """

    version: int
    folders: tuple[str, ...] = ()


@functools.cache
def hierarchy() -> Hierarchy:
    """Find out where this process may make groups that count memory and processes."""
    return _hierarchy(Path("/proc/self/cgroup"), Path("/proc/self/mountinfo"))


def _hierarchy(membership: Path, mounts: Path) -> Hierarchy:
    try:
        own = dict(line.split(":", 2)[1:] for line in membership.read_text(encoding="utf-8").splitlines())
        mounted = dict(_mounted(mounts.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return Hierarchy(0)
    if "" in own and "" in mounted:
        delegated = _delegated(mounted[""], own[""])
        if delegated is not None:
            return Hierarchy(2, (delegated,))
    found = []
    for controller in ("memory", "pids"):
        path = next((path for names, path in own.items() if controller in names.split(",")), None)
        folder = f"{mounted[controller]}{path}" if path is not None and controller in mounted else None
        if folder is None or not os.access(folder, os.W_OK):
            return Hierarchy(0)
        found.append(folder)
    return Hierarchy(1, tuple(found))


def _mounted(table: str) -> list[tuple[str, str]]:
    """Give each controller's mount point; version 2 has the name ``""``."""
    found = []
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            found.append(("", before.split()[4]))
        elif kind == "cgroup":
            found += [(name, before.split()[4]) for name in options.split(",")]
    return found


def _delegated(root: str, own: str) -> str | None:
    """Give the outermost of our ancestors that was handed to us with both controllers on (systemd does)."""
    found = None
    folder = Path(f"{root}{own}")
    while folder.is_relative_to(root):
        try:
            enabled = (folder / "cgroup.subtree_control").read_text(encoding="utf-8").split()
        except OSError:
            break
        if not (os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)):
            break
        if {"memory", "pids"} <= set(enabled):
            found = str(folder)
        folder = folder.parent
    return found


def paths(name: str) -> tuple[str, ...]:
    """Give where a group of this name will be: one folder, one for each controller, or none."""
    return tuple(f"{folder}/{name}" for folder in hierarchy().folders)


def make(groups: tuple[str, ...], profile: Profile) -> None:
    """Make a group with the profile's limits.

    Raises:
        OSError: when the kernel refuses.

    """
    limits = {
        "memory.max": str(profile.memory_mb * _MIB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "memory.limit_in_bytes": str(profile.memory_mb * _MIB),
        "pids.max": str(profile.processes + _BUILDERS),
    }
    for group in groups:
        os.mkdir(group)
        for file, value in limits.items():
            if os.path.exists(f"{group}/{file}"):  # each controller and version has its own
                Path(group, file).write_text(value, encoding="ascii")


def joined(groups: tuple[str, ...], argv: tuple[str, ...]) -> tuple[str, ...]:
    """Give a command that joins the groups first, so that no process of it is ever outside of them."""
    return ("/bin/sh", "-c", _JOIN, "join", *groups, "--", *argv) if groups else argv
