"""Where a path argument really points: the one look at the file system that deciding needs."""

import errno
import os
from pathlib import Path

_MOST_LINKS = 40
"""Symlinks that one path may pass, as on Linux (path_resolution(7))."""

_OWN = ("/proc/self", "/proc/thread-self")
"""Links that lead every process somewhere else."""

_NO_LINK = (errno.EINVAL, errno.ENOENT, errno.ENOTDIR)
"""What readlink says of something that is no link, or isn't there yet."""


def resolve(path: str, base: Path | None) -> str | None:
    """Resolve `path` against `base` (the current directory by default), following every symlink.

    A path that doesn't exist yet resolves as far as it exists. None means that it can't be said where
    it leads: a leading `~`, a `$`, a NUL, a URL, white space at an end, a folder that can't be looked
    into, or a `..` behind a symlink, which some tools take back by name and others by folder.
    """
    # A tool may expand or strip these, or not.
    if path.lower().startswith(("~", "file:")) or path != path.strip() or "://" in path or "$" in path:
        return None
    try:
        whole = os.path.join(base or os.getcwd(), path)
        real = _followed(whole)
        return real if ".." not in path or real == _followed(os.path.normpath(whole)) else None
    except (OSError, ValueError):
        return None


def _followed(path: str) -> str:
    """Follow every symlink, as the kernel does.

    `os.path.realpath` takes whatever it can't look at for no link: a link behind more than PATH_MAX
    characters of folders, or behind a closed one, would lead out unseen (compare CVE-2025-4517).
    """
    real, links = "/", 0
    ahead = path.split("/")[::-1]
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            real = os.path.dirname(real)
            continue
        step = os.path.join(real, name)
        target = _link(step)
        if target is None:
            real = step
            continue
        links += 1
        if links > _MOST_LINKS or step in _OWN:
            raise OSError(errno.ELOOP, "this leads nowhere certain")
        real = "/" if target.startswith("/") else real
        ahead.extend(target.split("/")[::-1])
    return real


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise


def state_directory() -> Path:
    """Give where state goes when a policy doesn't say: `$XDG_STATE_HOME/blastwall` (XDG base directories)."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state") / "blastwall"
