"""Claude Code's path patterns: gitignore's syntax behind four anchors.

The forms are those of https://code.claude.com/docs/en/permissions#read-and-edit: `//path` from the root of
the file system, `~/path` from the home folder, `/path` from what the settings file belongs to, and `path` or
`./path` from the working directory. A relative name of one segment is meant at any depth by deny and ask
rules, and at the top only by allow rules.
"""

import posixpath
import re
from dataclasses import dataclass

from blastwall.imports.patterns import anywhere, quoted

_SPECIAL = re.compile(r"[*?\[\]!\\]")


@dataclass(frozen=True, slots=True)
class Anchors:
    """Where patterns start: the working directory, the home folder, and the settings' own folder."""

    directory: str
    home: str
    settings: str


@dataclass(frozen=True, slots=True)
class Reach:
    """What a pattern may reach.

    Attributes:
        folder: A file or folder that it means.
        whole: Whether that is all that it means.
        spelt: An RE2 pattern of every way in which such a path may be written; None when it is any.

    """

    folder: str | None
    whole: bool
    spelt: str | None


def plain_path(path: str) -> bool:
    """Say whether a policy takes this path as it stands: nothing in it is expanded."""
    return re.search(r"[$]|://|^~|^\s|\s$|[\x00-\x1f]", path) is None


def allowed(pattern: str, anchors: Anchors) -> str | None:
    """Give the one file or folder of an allow rule; None where it means anything else."""
    root, rest = _anchored(pattern, anchors)
    return None if rest is None or _SPECIAL.search(rest) else _joined(root, rest)


def spellings(folder: str, directory: str) -> str:
    """Give an RE2 pattern of the plain ways to write a path into a folder. A link has another name."""
    inside = f"{folder}/".startswith(f"{directory}/".replace("//", "/"))
    relative = posixpath.relpath(folder, directory)
    ways = [quoted(folder.rstrip("/"))]
    if inside and relative == ".":
        return f"(?s){ways[0]}(?:/.*)?|[^/~].*"
    if inside:
        ways.append(rf"(?:\./)?{quoted(relative)}")
    return f"(?s)(?:{'|'.join(ways)})(?:/.*)?"


def reached(pattern: str, anchors: Anchors) -> Reach:
    """Give what a deny or ask rule may reach: at least what the source stops, links aside."""
    root, rest = _anchored(pattern, anchors)
    if rest is None:
        return Reach(None, False, None)
    if _SPECIAL.search(rest):
        return Reach(None, False, _anywhere(rest.split("/")))
    folder = _joined(root, rest)
    if pattern.startswith(("/", "~")) or "/" in rest:
        return Reach(folder, True, _anywhere(_beyond(folder, anchors.directory)))
    return Reach(folder, False, _anywhere([rest]))


def _anchored(pattern: str, anchors: Anchors) -> tuple[str, str | None]:
    """Split a pattern into its anchor and the rest, without a `/**` at the end; None: this is no pattern."""
    prefix = next((each for each in ("//", "~/", "/", "./") if pattern.startswith(each)), "")
    root = {"//": "/", "~/": anchors.home, "/": anchors.settings}.get(prefix, anchors.directory)
    rest = pattern.removeprefix(prefix)
    if rest in ("**", ""):
        return root, "" if rest or prefix else None
    rest = rest.removesuffix("/**").strip("/")
    strange = rest.startswith(("!", "~")) or ".." in rest.split("/") or not rest
    return root, None if strange else rest


def _joined(root: str, rest: str) -> str:
    return posixpath.normpath(posixpath.join(root, rest))


def _beyond(folder: str, directory: str) -> list[str]:
    """Give the parts of a path that every way to write it holds, relative ones from `directory` included."""
    common = posixpath.commonpath([folder, directory])
    rest = posixpath.relpath(folder, common)
    return [] if rest == "." else rest.split("/")


def _anywhere(parts: list[str]) -> str | None:
    named = [part for part in parts if part.strip("*")]
    if not named:
        return None
    return anywhere("(?:/.*)?/".join(map(_glob, named)))


def _glob(part: str) -> str:
    """Turn one segment into RE2; what only narrows (`[a-c]`) is taken for any text."""
    pieces = re.split(r"(\*+|\?|\[[^\]]*\]?|\\.)", part)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece.startswith(("*", "[")):
        return ".*"
    if piece == "?":
        return "."
    return quoted(piece[1:] if piece.startswith("\\") else piece)
