"""What a sandbox holds of the host while it lives, and gives back: its group, its placeholders, its entry."""

import atexit
import contextlib
import fcntl
import itertools
import json
import os
import secrets
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import _reaper, cgroups
from blastwall.sandbox.protect import NOTHING, Guarded, guarded
from blastwall.values import Profile

_NUMBERS = itertools.count()
_held: set[int] = set()
"""Locks on workspaces. A forked child lets go of them, or they would outlive us with it."""


@dataclass(slots=True)
class Lease:
    """One sandbox's hold on the host."""

    profile: Profile
    groups: tuple[str, ...]
    guarded: Guarded
    _path: str
    _entry: dict[str, object] = field(default_factory=dict)

    def argv(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Give a command that counts against this sandbox's limits from its first moment."""
        return cgroups.joined(self.groups, argv)

    def runs(self, pid: int) -> None:
        """Note the process that holds everything inside, so that others can list it and end it."""
        self._entry |= {"pid": pid, "started": _reaper.started(pid)}
        _write(self._path, self._entry)


def folder() -> Path:
    """Give the folder of this user's running sandboxes; nobody else may look into it.

    Raises:
        BackendError: when it belongs to somebody else.

    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() == 0:
        found = Path("/run/blastwall")
    elif os.path.isabs(runtime) and os.path.isdir(runtime):
        found = Path(runtime, "blastwall")
    else:
        found = Path(f"/tmp/blastwall-{os.geteuid()}")  # noqa: S108  # checked below
    try:
        found.mkdir(mode=0o700, exist_ok=True)
        known = os.lstat(found)
    except OSError as error:
        raise BackendError(
            f"{found}, where running sandboxes are noted, can't be made: {error.strerror}"
        ) from None
    if not stat.S_ISDIR(known.st_mode) or known.st_uid != os.geteuid() or known.st_mode & 0o077:
        raise BackendError(f"{found} is not ours alone: remove it, or set XDG_RUNTIME_DIR")
    return found


@contextlib.contextmanager
def lease(profile: Profile) -> Iterator[Lease]:
    """Take hold of what a sandbox of this profile needs of the host, and leave nothing behind.

    Raises:
        SandboxUnavailable: when its limits can't be set.
        BackendError: when its workspace can't be protected.

    """
    owner = _owner()
    name = f"{os.getpid()}-{next(_NUMBERS)}"
    path = f"{owner}/{name}.json"
    groups = cgroups.paths(f"blastwall-{Path(owner).name}-{name}")
    entry: dict[str, object] = {
        "name": profile.name,
        "strength": profile.strength.value,
        "workspace": str(profile.workspace or ""),
        "owner": os.getpid(),
        "since": time.time(),
        "groups": groups,
    }
    with _placed(profile) as found:
        _write(path, entry)  # before anything is made: whoever cleans up must know of all of it
        try:
            _group(groups, profile)
            yield Lease(profile, groups, found, path, entry)
        finally:
            _reaper.end(path)


def _group(groups: tuple[str, ...], profile: Profile) -> None:
    try:
        cgroups.make(groups, profile)
    except OSError as error:
        raise SandboxUnavailable(
            f"no sandbox: its control group can't be made; {error.strerror}: {error.filename}"
        ) from error


@contextlib.contextmanager
def _placed(profile: Profile) -> Iterator[Guarded]:
    """Stand something harmless in for what must not be made, as long as any sandbox uses the workspace."""
    if profile.workspace is None:
        yield NOTHING
        return
    where = os.stat(profile.workspace)
    locks = folder() / "workspaces"
    locks.mkdir(mode=0o700, exist_ok=True)
    used = str(locks / f"{where.st_dev}-{where.st_ino}")
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with _reaper.mutex(str(locks)):
        held = os.open(used, flags, 0o600)
        _held.add(held)
        fcntl.flock(held, fcntl.LOCK_SH)
    try:
        yield _place(str(profile.workspace), profile, str(locks), used)
    finally:
        with _reaper.mutex(str(locks)), contextlib.suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reaper.unplace(used)
        _held.discard(held)
        os.close(held)


def _place(workspace: str, profile: Profile, locks: str, used: str) -> Guarded:
    """Make what is missing. All of it is noted first: whoever cleans up must know of it."""
    found = guarded(workspace, profile.protect)
    with _reaper.mutex(locks):
        noted = set((_reaper.read(used) or {}).get("placeholders", []))
        noted.update(name for name, _ in found.missing)
        # What an older sandbox left when the machine stopped, and its notes with it.
        noted.update(name for name in found.there if _reaper.stands_in(f"{workspace}/{name}"))
        _write(used, {"workspace": workspace, "placeholders": sorted(noted)})
    for name, is_folder in found.missing:
        try:
            _stand_in(workspace, name, is_folder=is_folder)
        except FileExistsError:
            continue  # another sandbox of this workspace was faster; what is there gets covered
        except OSError as error:
            raise BackendError(f"{workspace}/{name} can't be protected: {error.strerror}") from error
    return found


def _stand_in(workspace: str, name: str, *, is_folder: bool) -> None:
    """Make one thing that is empty and that nobody may write, whatever the umask."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    last, mode = os.path.basename(name), _reaper.EMPTY_FOLDER if is_folder else _reaper.EMPTY_FILE
    with _reaper.parent(workspace, name) as above:
        if is_folder:
            os.mkdir(last, mode, dir_fd=above)
            made = os.open(last, flags | os.O_RDONLY | os.O_DIRECTORY, dir_fd=above)
        else:
            made = os.open(last, flags | os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode, dir_fd=above)
        try:
            if not is_folder:
                os.write(made, _reaper.content(name))
            os.fchmod(made, mode)
            os.utime(made, (_reaper.MARK_S, _reaper.MARK_S))
        finally:
            os.close(made)


def _write(path: str, entry: dict[str, object]) -> None:
    """Write in place: the file is also a lock, and stays the one that others opened."""
    with open(path, "r+" if os.path.exists(path) else "x", encoding="utf-8") as file:
        file.write(json.dumps(entry))
        file.truncate()


# --- This process as an owner -------------------------------------------------------------------------


class _Owner:
    """The folder of this process's sandboxes, whose lock says that it lives, and the reaper that waits."""

    def __init__(self) -> None:
        top = folder()
        (top / "owners").mkdir(mode=0o700, exist_ok=True)
        # The reaper first: from then on somebody knows that we were there.
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", _reaper.__file__, str(top), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={},
        )
        self.path = f"{top}/owners/{os.getpid()}-{secrets.token_hex(4)}"
        with _reaper.mutex(str(top / "owners")):
            os.mkdir(self.path, 0o700)
            self._lock = os.open(f"{self.path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """End: the reaper cleans up, and ends too."""
        os.close(self._lock)
        with contextlib.suppress(OSError), self._reaper:  # it may have been killed
            self._to_reaper().write(b"!")

    def forget(self) -> None:
        """Let go of it in a forked child, which would seem to be the owner for as long as it lives."""
        os.close(self._lock)
        with contextlib.suppress(OSError):
            self._to_reaper().close()
        self._reaper.returncode = 0  # it is no child of ours to wait for

    def _to_reaper(self) -> IO[bytes]:
        assert self._reaper.stdin is not None  # noqa: S101  # a pipe, as started
        return self._reaper.stdin


_owning = threading.Lock()
_own: _Owner | None = None


def _owner() -> str:
    """Give this process's folder; a forked child is an owner of its own."""
    global _own
    with _owning:
        if _own is not None and not os.path.isdir(_own.path):  # somebody swept /tmp
            _own.close()
            _own = None
        _own = _own or _Owner()
        return _own.path


def _forked() -> None:
    global _own, _owning
    _owning = threading.Lock()  # another thread of the parent may have held it
    if _own is not None:
        _own.forget()
    _own = None
    while _held:
        os.close(_held.pop())


def _end() -> None:
    global _own
    if _own is not None:
        _own.close()
    _own = None


os.register_at_fork(after_in_child=_forked)
atexit.register(_end)
