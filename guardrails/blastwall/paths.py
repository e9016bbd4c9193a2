"""Where a path argument really points: the one look at the file system that deciding needs."""

import os
from pathlib import Path


def resolve(path: str, base: Path | None) -> str | None:
    """Resolve `path` against `base` (the current directory by default), following every symlink.

    A path that doesn't exist yet resolves as far as it exists. None means that it can't be said where
    it leads: a leading `~`, a `$`, a NUL, a URL.
    """
    # A tool may expand these, or not.
    if path.startswith(("~", "file:")) or "://" in path or "$" in path or "\0" in path:
        return None
    try:
        return os.path.realpath(Path(base or Path.cwd(), path))
    except (OSError, ValueError):
        return None
