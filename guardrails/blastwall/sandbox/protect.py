"""What of a workspace nobody inside may write or make: what the host would run, load or believe later."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from blastwall.errors import BackendError

SECRET = (".env", ".env.local", ".env.production")
"""Files of secrets. Inside they read as empty, too."""

FILES = (
    *SECRET,
    *".bash_profile .bashrc .envrc .gitconfig .gitmodules .mcp.json .npmrc .profile .ripgreprc".split(),
    *".yarnrc.yml .zprofile .zshenv .zshrc blastwall.yaml".split(),
)
"""Start-up files of shells and tools, and settings that make an agent start something."""

FOLDERS = ".claude .codex .cursor .devcontainer .gemini .husky .idea .vscode .windsurf .zed".split()
"""Configuration of editors and agents: tasks, hooks, servers to start."""

GIT = ("hooks", "config", "config.worktree")
"""What of a `.git` folder makes git run programs. The rest has to stay writable, or nothing could commit."""

MOST = 200
"""Protected paths of one workspace. Each costs a mount, and a descriptor while the sandbox is built."""

_WHOLE = {name.casefold() for name in (*FILES, *FOLDERS)}
_CROWDED = {"node_modules", "site-packages", ".venv", "__pycache__"}
"""Folders of thousands of installed files, into which nobody looks."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """The protected paths of one workspace, relative to it.

    Attributes:
        there: Those that exist.
        missing: Those that don't, each with whether a folder is to stand in for it.

    """

    there: tuple[str, ...] = ()
    missing: tuple[tuple[str, bool], ...] = ()


NOTHING = Guarded()


def protected(path: PurePosixPath, extra: Iterable[str] = ()) -> bool:
    """Say whether a path, relative to the workspace, is one that nobody inside may write or make.

    Names are compared without regard to case, since some file systems do the same (CVE-2025-59944).

    Args:
        path: The path; what lies below a protected folder is protected too.
        extra: More protected paths, relative to the workspace.

    """
    parts = tuple(part.casefold() for part in path.parts)
    if any(part in _WHOLE for part in parts):
        return True
    for index, part in enumerate(parts):
        if part == ".git" and _of_git(parts[index + 1 :]):
            return True
    return any(parts[: len(own)] == own for own in map(_folded, extra))


def _of_git(below: tuple[str, ...]) -> bool:
    """Say whether this is `.git` itself, or a part of it or of a submodule's that makes git run things."""
    if not below:
        return True
    return below[0] in GIT or (below[0] == "modules" and any(part in GIT for part in below[1:]))


def _folded(path: str) -> tuple[str, ...]:
    return tuple(part.casefold() for part in PurePosixPath(path).parts)


def guarded(workspace: str, extra: Iterable[str] = ()) -> Guarded:
    """Find the protected paths of a workspace: all that exist at any depth, and those that its top lacks.

    Raises:
        BackendError: when one can't be protected.

    """
    there: dict[str, None] = {}
    missing: dict[str, bool] = {}
    repositories = []
    for name, repository in _found(workspace):
        if repository:
            repositories.append(name)
        else:
            there[name] = None
    for name, folder in _wanted(workspace, repositories, extra):
        if os.path.islink(f"{workspace}/{name}"):
            raise BackendError(
                f"the workspace's {name} is a symlink, which nothing could keep from being replaced:"
                " put there what it leads to, or run in a copy"
            )
        if os.path.exists(f"{workspace}/{name}"):
            there[name] = None
        else:
            missing.setdefault(*_first_missing(workspace, name, folder=folder))
    if len(there) + len(missing) > MOST:
        raise BackendError(
            f"the workspace holds {len(there)} paths that need protection, more than {MOST}:"
            " use a smaller folder, or run in a copy"
        )
    return Guarded(tuple(there), tuple(missing.items()))


def _wanted(workspace: str, repositories: list[str], extra: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Give what must not be made, with whether a folder stands in for it."""
    for name in FILES:
        yield name, False
    for name in (*FOLDERS, *([] if os.path.lexists(f"{workspace}/.git") else [".git"])):
        yield name, True
    for repository in repositories:
        yield f"{repository}/hooks", True
        yield f"{repository}/config", False
    for path in extra:
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise BackendError(f"the sandbox profile protects {path!r}: write a path inside the workspace")
        yield str(PurePosixPath(path)), False


def _first_missing(workspace: str, name: str, *, folder: bool) -> tuple[str, bool]:
    """Give the outermost part of a path that is not there: without it, the rest can't be made either."""
    parts = PurePosixPath(name).parts
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if not os.path.lexists(f"{workspace}/{above}"):
            return above, True
    return name, folder


def _found(workspace: str) -> Iterator[tuple[str, bool]]:
    """Give what is there, at any depth, and each repository's folder (True).

    A deeper symlink of such a name is left alone: what it leads to is protected where that lies.
    """
    ahead = [""]  # no recursion: whoever wrote the workspace chose its depth
    while ahead:
        below = ahead.pop()
        for entry in _entries(f"{workspace}/{below}"):
            name, folded = below + entry.name, entry.name.casefold()
            if folded == ".git":
                yield from _repository(workspace, name) if entry.is_dir() else [(name, False)]
            elif folded in _WHOLE:
                yield name, False
            elif entry.is_dir() and folded not in _CROWDED:
                ahead.append(name + "/")


def _repository(workspace: str, git: str) -> Iterator[tuple[str, bool]]:
    """Give a repository's folder, what in it makes git run programs, and the same of its submodules."""
    ahead = [git]
    while ahead:
        folder = ahead.pop()
        entries = {entry.name: entry for entry in _entries(f"{workspace}/{folder}")}
        if "HEAD" in entries:
            yield folder, True
            yield from ((f"{folder}/{part}", False) for part in GIT if part in entries)
            ahead += [f"{folder}/modules"] if "modules" in entries else []
        elif folder == git:
            yield git, False  # no repository yet: it is not to become one
        else:
            ahead += [f"{folder}/{name}" for name, entry in entries.items() if entry.is_dir()]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """List what is no symlink."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.is_symlink()]
    except OSError:
        return []
