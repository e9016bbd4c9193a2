"""Takes away what dead processes left of their sandboxes: processes, control groups, placeholders, entries.

It runs in three ways: at the end of every sandbox, by `blastwall sandbox gc`, and as a process of its own
that waits for the death of the program that started it, however sudden. For that one it needs nothing but
the standard library and its own file.
"""

import contextlib
import fcntl
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any

EMPTY_FOLDER, EMPTY_FILE = 0o555, 0o444
"""The modes of what stands in for a missing protected path: nobody writes it."""

PATIENCE_S = 5.0
"""Longest wait for a group to be empty: the kernel takes a moment to bury what was killed."""


def reap(folder: str) -> list[str]:
    """Clean up behind every dead owner in the run folder, and say what was taken away."""
    removed = []
    for name in _listed(f"{folder}/owners"):
        with _alone(f"{folder}/owners/{name}/lock") as dead:
            if dead:
                removed += _clear(f"{folder}/owners/{name}")
    for name in _listed(f"{folder}/workspaces"):
        with mutex(f"{folder}/workspaces"), _alone(f"{folder}/workspaces/{name}") as unused:
            if unused:
                removed += unplace(f"{folder}/workspaces/{name}")
    return removed


@contextlib.contextmanager
def mutex(folder: str) -> Iterator[None]:
    """Be the only one that changes who uses which workspace. Held for moments only."""
    descriptor = os.open(f"{folder}/.mutex", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(path: str) -> Iterator[bool]:
    """Hold a lock file exclusively for the block; False when somebody alive holds it, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield os.fstat(descriptor).st_nlink > 0
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _clear(owner: str) -> list[str]:
    removed = []
    for name in _listed(owner):
        if name.endswith(".json"):
            removed += end(f"{owner}/{name}")
    with contextlib.suppress(OSError):
        os.unlink(f"{owner}/lock")
        os.rmdir(owner)
    return removed


def end(path: str) -> list[str]:
    """End one sandbox by its entry: kill what still runs, remove its groups, then the entry."""
    entry = read(path)
    if entry is None:
        return []
    _kill(entry)
    for group in entry.get("groups", []):
        _dissolve(group)
    with contextlib.suppress(OSError):
        os.unlink(path)
    return [entry.get("name", "?")]


def read(path: str) -> dict[str, Any] | None:
    """Read one entry; None when it is gone or half written."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def started(pid: int) -> str:
    """Give when a process started, in the kernel's ticks: with its number, that names it for good."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""


def _kill(entry: dict[str, Any]) -> None:
    pid = entry.get("pid", 0)
    if pid and started(pid) == entry.get("started"):
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _dissolve(group: str) -> None:
    """Kill what is in a group, then remove it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.rmdir(group)
        except FileNotFoundError:
            return
        except OSError:
            with contextlib.suppress(OSError), open(f"{group}/cgroup.procs", encoding="ascii") as file:
                for line in file:
                    with contextlib.suppress(OSError):
                        os.kill(int(line), signal.SIGKILL)
            time.sleep(0.002)
        else:
            return


def unplace(path: str) -> list[str]:
    """Remove a workspace's placeholders, by its lock file, which the caller holds alone.

    Only what is still empty, and still nobody's to write as when it was made, is taken away.
    """
    removed = []
    for name in (read(path) or {}).get("placeholders", []):
        with contextlib.suppress(OSError):
            if stands_in(name):
                (os.rmdir if os.path.isdir(name) else os.unlink)(name)
                removed.append(name)
    with contextlib.suppress(OSError):
        os.unlink(path)
    return removed


def stands_in(path: str) -> bool:
    """Say whether something is as empty and as closed as what stands in for a missing protected path."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if found.st_mode == stat.S_IFREG | EMPTY_FILE:
        return found.st_size == 0
    return found.st_mode == stat.S_IFDIR | EMPTY_FOLDER and not _listed(path)


def _listed(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []


def main() -> None:
    """Wait until nobody holds the other end of our input, then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    reap(sys.argv[1])


if __name__ == "__main__":
    main()
