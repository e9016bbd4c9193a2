"""How much a workspace grew: no kernel limit counts that for a folder, so it is looked at now and then."""

import errno
import glob
import os
import stat
import time

from blastwall.errors import BackendError
from blastwall.values import Profile

_MIB = 1 << 20
_INODE = 4096
"""Bytes that a file counts at least, so that a flood of empty ones is found out too."""

_EVERY_S = 0.1
_TICK_S = 0.02
"""By how much the clock of the file systems may run behind."""

_SHARE = 10
"""The part of the time that looking may take: a tree that takes long is looked at more rarely."""


class Growth:
    """Watches one workspace while one command runs."""

    def __init__(self, profile: Profile) -> None:
        """Remember how full the file system is."""
        self._workspace = None if profile.workspace is None else str(profile.workspace)
        self._most = profile.disk_mb * _MIB
        self._began = time.time() - _TICK_S
        self._free = self._room()
        self._next = time.monotonic() + _EVERY_S

    def pause_s(self) -> float:
        """Give how long until the next look."""
        return float("inf") if self._workspace is None else self._next - time.monotonic()

    def too_much(self) -> bool:
        """Look, if it is time for that. Cheap as long as the file system as a whole did not fill up."""
        if self._workspace is None or time.monotonic() < self._next:
            return False
        began = time.monotonic()
        found = self._free - self._room() > self._most and self._new() > self._most
        self._next = time.monotonic() + max(_EVERY_S, (time.monotonic() - began) * _SHARE)
        return found

    def _room(self) -> int:
        if self._workspace is None:
            return 0
        try:
            found = os.statvfs(self._workspace)
        except OSError as error:
            raise BackendError(
                f"the workspace {self._workspace} is not there, or was swapped for something else"
                f" ({error.strerror}): try again"
            ) from None
        return found.f_bfree * found.f_frsize + found.f_ffree * _INODE

    def _new(self) -> int:
        """Add up what was changed since the start, until that is too much, and what has no name any more."""
        total = 0
        ahead = [str(self._workspace)]
        while ahead and total <= self._most:
            folder = ahead.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        total += self._counted(entry, ahead)
            except OSError as error:
                if self._hides(folder, error):
                    return self._most + 1
        return total if total > self._most else total + self._nameless()

    def _counted(self, entry: os.DirEntry[str], ahead: list[str]) -> int:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return 0  # it vanished meanwhile
        if stat.S_ISDIR(found.st_mode):
            ahead.append(entry.path)
        return max(found.st_blocks * 512, _INODE) if found.st_ctime >= self._began else 0

    def _hides(self, folder: str, error: OSError) -> bool:
        """Say whether a folder was closed to us, or buried below too long a path, since the start."""
        if error.errno == errno.ENAMETOOLONG:
            return True
        try:
            return error.errno == errno.EACCES and os.lstat(folder).st_ctime >= self._began
        except OSError:
            return False

    def _nameless(self) -> int:
        """Add up files that were removed while they are open: they take room, and no folder shows them."""
        device = os.stat(str(self._workspace)).st_dev
        found: dict[int, int] = {}
        for path in glob.iglob("/proc/[0-9]*/fd/*"):
            try:
                file = os.stat(path)
            except OSError:
                continue  # it ended, or it is somebody else's
            if file.st_nlink == 0 and file.st_dev == device and file.st_ctime >= self._began:
                found[file.st_ino] = file.st_blocks * 512
        return sum(found.values())
