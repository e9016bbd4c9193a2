"""How much a workspace grew: no kernel limit counts that for a folder, so it is looked at now and then."""

import os
import time

from blastwall.values import Profile

_MIB = 1 << 20
_INODE = 4096
"""Bytes that a file counts at least, so that a flood of empty ones is found out too."""

_EVERY_S = 0.1
_SHARE = 10
"""The part of the time that looking may take: a tree that takes long is looked at more rarely."""


class Growth:
    """Watches one workspace while one command runs."""

    def __init__(self, profile: Profile) -> None:
        """Remember how full the file system is."""
        self._workspace = None if profile.workspace is None else str(profile.workspace)
        self._most = profile.disk_mb * _MIB
        self._began = time.time()
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
        found = os.statvfs(self._workspace)
        return found.f_bfree * found.f_frsize + found.f_ffree * _INODE

    def _new(self) -> int:
        """Add up what was changed since the start."""
        total = 0
        ahead = [str(self._workspace)]
        while ahead:
            try:
                with os.scandir(ahead.pop()) as entries:
                    for entry in entries:
                        found = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            ahead.append(entry.path)
                        if found.st_ctime >= self._began:
                            total += max(found.st_blocks * 512, _INODE)
            except OSError:
                continue  # it vanished meanwhile
        return total
