"""Takes away what dead processes left of their sandboxes: processes, control groups, placeholders, entries.

It runs in three ways: at the end of every sandbox, by `blastwall sandbox gc`, and as a process of its own
that waits for the death of the program that started it, however sudden. For that one it needs nothing but
the standard library and its own file.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any

EMPTY_FOLDER, EMPTY_FILE = 0o555, 0o444
"""The modes of what stands in for a missing protected path: nobody writes it."""

MARK_S = 1_234_567_890
"""When it claims to have been changed: by that it is known even when no note of it is left."""

_WRITABLE = 0o222
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

PATIENCE_S = 5.0
"""Longest wait for a group to be empty: the kernel takes a moment to bury what was killed."""


def reap(folder: str) -> list[str]:
    """Clean up behind every dead owner in the run folder, and say what was taken away."""
    removed = []
    owners, workspaces = f"{folder}/owners", f"{folder}/workspaces"
    for name in listed(owners):
        with contextlib.ExitStack() as stack:
            with mutex(owners):  # so that no owner is just about to lock its folder
                dead = stack.enter_context(_alone(f"{owners}/{name}/lock"))
            if dead:
                removed += _clear(f"{owners}/{name}")
    for name in listed(workspaces):
        with mutex(workspaces), _alone(f"{workspaces}/{name}") as unused:
            if unused:
                removed += unplace(f"{workspaces}/{name}")
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
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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
    for name in listed(owner):
        if name.endswith(".json"):
            removed += end(f"{owner}/{name}")
    if listed(owner) == ["lock"]:  # or something is left that the next one may be able to take away
        with contextlib.suppress(OSError):
            os.unlink(f"{owner}/lock")
            os.rmdir(owner)
    return removed


def end(path: str) -> list[str]:
    """End one sandbox by its entry: kill what still runs, remove its groups, then the entry."""
    entry = read(path) or {}  # written halfway: nothing was made yet
    _kill(entry)
    gone = [_dissolved(group) for group in entry.get("groups", [])]
    if all(gone):
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
    if pid and entry.get("started") and started(pid) == entry["started"]:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _dissolved(group: str) -> bool:
    """Kill what is in a group, then remove it; say whether it is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.rmdir(group)
        except FileNotFoundError:
            return True
        except OSError:
            with contextlib.suppress(OSError), open(f"{group}/cgroup.procs", encoding="ascii") as file:
                for line in file:
                    with contextlib.suppress(OSError):
                        os.kill(int(line), signal.SIGKILL)
            time.sleep(0.002)
        else:
            return True
    return False


def unplace(path: str) -> list[str]:
    """Remove a workspace's placeholders, by its lock file, which the caller holds alone.

    Only what is still empty, and still nobody's to write as when it was made, is taken away.
    """
    removed = []
    noted = read(path) or {}
    for name in noted.get("placeholders", []):
        with contextlib.suppress(OSError), parent(noted["workspace"], name) as folder:
            last = os.path.basename(name)
            if _empty(last, folder):
                remove = os.rmdir if stat.S_ISDIR(os.lstat(last, dir_fd=folder).st_mode) else os.unlink
                remove(last, dir_fd=folder)
                removed.append(f"{noted['workspace']}/{name}")
    with contextlib.suppress(OSError):
        os.unlink(path)
    return removed


@contextlib.contextmanager
def parent(workspace: str, name: str) -> Iterator[int]:
    """Open the folder that holds a path of a workspace, through no symlink: one could lead out of it."""
    folder = os.open(workspace, _FOLDER)
    try:
        for part in name.split("/")[:-1]:
            above = folder
            folder = os.open(part, _FOLDER, dir_fd=above)
            os.close(above)
        yield folder
    finally:
        os.close(folder)


def content(name: str) -> bytes:
    """Give what a stand-in holds. git takes an empty `commondir` for a broken repository."""
    return b"." if os.path.basename(name) == "commondir" else b""


def stands_in(path: str) -> bool:
    """Say whether something is ours, and stands in for a missing protected path."""
    try:
        return _empty(path) and int(os.lstat(path).st_mtime) == MARK_S
    except OSError:
        return False


def _empty(path: str, folder: int | None = None) -> bool:
    found = os.lstat(path, dir_fd=folder)
    if found.st_mode & _WRITABLE:
        return False
    if stat.S_ISREG(found.st_mode):
        return found.st_size in (0, len(content(path)))
    # A folder that is not empty can't be removed, but it could be taken for a stand-in.
    return stat.S_ISDIR(found.st_mode) and _holds_nothing(path, folder)


def _holds_nothing(path: str, folder: int | None) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        return not os.listdir(descriptor)
    finally:
        os.close(descriptor)


def listed(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []


def main() -> None:
    """Wait until nobody holds the other end of our input, then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder, owner = sys.argv[1:]
    end = select.poll()
    with contextlib.suppress(OSError):  # dead already
        end.register(os.pidfd_open(int(owner)), select.POLLIN)
        farewell = b""
        while said := os.read(0, 4096):
            farewell = said
        if not farewell:  # killed: the kernel closes its descriptors one by one, and its locks are among them
            end.poll(PATIENCE_S * 1000)
    reap(folder)


if __name__ == "__main__":
    main()
