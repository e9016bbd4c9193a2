"""A package that npx fetched earlier, so that its server can be started where there is no network."""

import glob
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from blastwall.trust.packages import package, unwrapped

_MOST_BYTES = 1 << 20


def cached(command: Sequence[str], home: str) -> tuple[str, ...] | None:
    """Give the command that npx would come to, if the very package that is asked for is in its cache."""
    found = package(command)
    words = unwrapped(command)
    if found is None or found.kind != "npm" or found.spec not in words:
        return None
    rest = words[words.index(found.spec) + 1 :]
    wanted = found.spec[len(found.name) + 1 :] if found.pinned else ""
    for folder, described in _packages(home, found.name):
        program = _program(folder, described, found.name)
        if program and (not wanted or described.get("version") == wanted.removeprefix("v")):
            return ("node", program, *rest)
    return None


def _packages(home: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the copies of a package, the newest first. Its name comes from a client's file."""
    if name.startswith(".") or ".." in name or os.path.isabs(name):
        return
    pattern = os.path.join(glob.escape(home), ".npm/_npx/*/node_modules", glob.escape(name), "package.json")
    for path in sorted(glob.glob(pattern), key=os.path.getmtime, reverse=True):
        try:
            with open(path, "rb") as stream:
                described = json.loads(stream.read(_MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(described, dict):
            yield os.path.dirname(path), described


def _program(folder: str, described: dict[str, Any], name: str) -> str:
    """Give the file that a package runs as, which lies inside of it; "" if that isn't certain."""
    programs = described.get("bin")
    if isinstance(programs, dict):
        own = programs.get(name.rpartition("/")[2])
        programs = own or (next(iter(programs.values())) if len(programs) == 1 else None)
    if not isinstance(programs, str):
        return ""
    path = os.path.realpath(os.path.join(folder, programs))
    inside = path.startswith(os.path.realpath(folder) + os.sep)
    return path if inside and os.path.isfile(path) else ""
