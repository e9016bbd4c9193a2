"""Landlock, the second wall: what files may be touched, said once more, by the process about itself.

The mount namespace shows little, and what it shows can't be written but where the profile says so. Should a
descriptor, a mount or a bug lead around that, the kernel still asks this list.
"""

import ctypes
import functools
import struct
from collections.abc import Iterable

_CREATE_RULESET = 444  # the same number on every architecture
_VERSION = 1
_OLDEST = 2
"""Version 1 forbids every rename between folders, which ordinary programs need."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ALL_BY_VERSION = {2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_SCOPES = 0b11
"""Abstract Unix sockets and signals reach no process outside of the sandbox (version 6)."""

_READ = _EXECUTE | _READ_FILE | _READ_DIR


@functools.cache
def version() -> int:
    """Give the version of Landlock that this kernel has; 0 where it has none that is of use."""
    found = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    return int(found) if found >= _OLDEST else 0


def words(writable: Iterable[str]) -> list[str]:
    """Give the rules as words for `enter`: the ruleset's attributes, then an access and a path for each.

    All that is visible may be read and run, devices may be used, and the given folders may be written.
    """
    newest = min(version(), max(_ALL_BY_VERSION))
    every = _ALL_BY_VERSION[newest]
    attributes = struct.pack("=QQQ", every, 0, _SCOPES if version() >= 6 else 0)
    if version() < 6:
        attributes = attributes[: 16 if version() >= 4 else 8]  # as long as this kernel knows them
    device = (_READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV) & every
    rules = [(_READ, "/"), (device, "/dev"), *((every & ~_IOCTL_DEV, path) for path in writable)]
    return [
        attributes.hex(),
        str(len(rules)),
        *(word for access, path in rules for word in (str(access), path)),
    ]
