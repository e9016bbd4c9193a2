"""Control groups: the limits that count everything inside together. Version 2, version 1, or none."""

import errno
import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from blastwall.values import Profile

_MIB = 1 << 20
_BUILDERS = 8
"""Processes that build the wall and count for a moment: bubblewrap's, and what it starts to get inside."""

_JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'


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
        delegated = _delegated(*_place(mounted[""], own[""]))
        if delegated is not None:
            return Hierarchy(2, (delegated,))
    found = []
    for controller in ("memory", "pids"):
        path = next((path for names, path in own.items() if controller in names.split(",")), None)
        folder = _place(mounted[controller], path)[1] if path and controller in mounted else None
        if folder is None or not os.access(folder, os.W_OK):
            return Hierarchy(0)
        found.append(folder)
    return Hierarchy(1, tuple(found))


def _mounted(table: str) -> list[tuple[str, tuple[str, str]]]:
    """Give each controller's mount: its point, and which group that is. Version 2 has the name ``""``."""
    found = []
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        group, point = (_unescaped(word) for word in before.split()[3:5])
        if kind == "cgroup2":
            found.append(("", (point, group)))
        elif kind == "cgroup":
            found += [(name, (point, group)) for name in options.split(",")]
    return found


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _place(mount: tuple[str, str], path: str) -> tuple[str, str]:
    """Give the mount point and a group's folder below it. A container may see a part of the tree only."""
    point, group = mount
    below = os.path.relpath(path, group)
    return point, os.path.normpath(f"{point}/{below}") if below.split("/")[0] != ".." else point


def _delegated(root: str, own: str) -> str | None:
    """Give the nearest of our ancestors in which groups with both controllers can be made.

    A group with controllers for its children holds no processes itself, but for the root: so ours is none.
    The nearest, since what limits us is to limit the sandbox. And to move a process takes the right to write
    `cgroup.procs` where the paths from the old and the new group meet: that is there too. systemd gives both
    to the user below `user@.service`, and never for a login's own scope.
    """
    folder = Path(own)
    while folder.is_relative_to(root):
        try:
            enabled = (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
        except OSError:
            return None
        if not (os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)):
            return None
        if {"memory", "pids"} <= set(enabled):
            return str(folder)
        folder = folder.parent
    return None


def summary() -> str:
    """Say what counts everything inside together, for the doctor."""
    found = hierarchy()
    if not found.version:
        return "no control groups: memory is limited for each process, not for all of them together"
    return f"control groups v{found.version}"


def paths(name: str) -> tuple[str, ...]:
    """Give where a group of this name will be: one folder, one for each controller, or none."""
    return tuple(f"{folder}/{name}" for folder in hierarchy().folders)


def make(groups: tuple[str, ...], profile: Profile) -> None:
    """Make a group with the profile's limits.

    Raises:
        OSError: when the kernel refuses.

    """
    memory = str(profile.memory_mb * _MIB)
    limits = {
        "memory.max": memory,
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "memory.limit_in_bytes": memory,
        "memory.memsw.limit_in_bytes": memory,
        "pids.max": str(profile.processes + _BUILDERS),
    }
    written = set()
    for group in groups:
        os.mkdir(group)
        for file, value in limits.items():
            if os.path.exists(f"{group}/{file}"):  # each controller and version has its own
                Path(group, file).write_text(value, encoding="ascii")
                written.add(file)
    if groups and not ("pids.max" in written and written & {"memory.max", "memory.limit_in_bytes"}):
        raise OSError(errno.ENOENT, "a controller was switched off", groups[0])


def joined(groups: tuple[str, ...], argv: tuple[str, ...]) -> tuple[str, ...]:
    """Give a command that joins the groups first, so that no process of it is ever outside of them."""
    if not groups:
        return argv
    # Version 1 also takes a single thread, which a shell is. For that the kernel need not wait until no
    # process anywhere is just starting or ending, which takes 6 ms and more.
    members = "tasks" if hierarchy().version == 1 else "cgroup.procs"
    return ("/bin/sh", "-c", _JOIN, "join", *(f"{group}/{members}" for group in groups), "--", *argv)
