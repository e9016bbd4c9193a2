"""What of a workspace nobody inside may write or make: what the host would run, load or believe later."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from blastwall.errors import BackendError
from blastwall.sandbox._reaper import stands_in

SECRET = (".env", ".env.local", ".env.production")
"""Files of secrets. Inside they read as empty, too."""

FILES = (
    *SECRET,
    *".bash_profile .bashrc .envrc .gitconfig .gitmodules .mcp.json .npmrc .profile .ripgreprc".split(),
    *".yarnrc.yml .zprofile .zshenv .zshrc blastwall.yaml".split(),
)
"""Start-up files of shells and tools, and settings that make an agent start something."""

FOLDERS = ".claude .codex .cursor .devcontainer .gemini .githooks .husky .idea .vscode .windsurf .zed".split()
"""Configuration of editors and agents: tasks, hooks, servers to start."""

GIT = ("hooks", "config", "config.worktree", "commondir")
"""What of a `.git` folder makes git run programs. The rest has to stay writable, or nothing could commit.

`commondir` names another folder to take the first two from (gitrepository-layout(5)).
"""

BARE = "HEAD"
"""Without it at its top, a workspace can't be made a bare repository, whose `config` git obeys too."""

MOST = 300
"""Mounts for one workspace's protected paths. Each costs a descriptor while the sandbox is built."""

_WHOLE = {name.casefold() for name in (*FILES, *FOLDERS)}
_DEEPER = ("modules", "worktrees")
"""Where a `.git` folder keeps more of its kind: of submodules, and of working trees elsewhere."""

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
    if parts == (BARE.casefold(),) or any(part in _WHOLE for part in parts):
        return True
    for index, part in enumerate(parts):
        if part == ".git" and _of_git(parts[index + 1 :]):
            return True
    return any(parts[: len(own)] == own for own in map(_folded, extra))


def _of_git(below: tuple[str, ...]) -> bool:
    """Say whether this is `.git` itself, or a part of it or of a submodule's that makes git run things."""
    if not below:
        return True
    return below[0] in GIT or (below[0] in _DEEPER and any(part in GIT for part in below[1:]))


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
        _no_symlink(workspace, name)
        if os.path.exists(f"{workspace}/{name}"):
            there[name] = None
        else:
            missing.setdefault(*_first_missing(workspace, name, folder=folder))
    _not_too_many({*there, *missing})
    return Guarded(tuple(there), tuple(missing.items()))


def _no_symlink(workspace: str, name: str) -> None:
    for end in range(len(name) + 1):
        if name[end : end + 1] in ("/", "") and os.path.islink(f"{workspace}/{name[:end]}"):
            raise BackendError(
                f"the workspace's {name[:end]} is a symlink, which nothing could keep from being replaced:"
                " put there what it leads to, or run in a copy"
            )


def _not_too_many(names: set[str]) -> None:
    """Count the folders on the way, too: they are held in their places."""
    held = set(names)
    for name in names:
        while (name := os.path.dirname(name)) and name not in held:
            held.add(name)
    if len(held) > MOST:
        raise BackendError(
            f"the workspace holds {len(held)} paths that need protection, more than {MOST}:"
            " use a smaller folder, or run in a copy"
        )


def _wanted(workspace: str, repositories: list[str], extra: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Give what must not be made, with whether a folder stands in for it."""
    for name in FILES:
        yield name, False
    for name in FOLDERS:
        yield name, True
    if os.path.islink(f"{workspace}/.git") or not os.path.exists(f"{workspace}/.git"):
        yield ".git", True
    if "" not in repositories:
        yield BARE, False
    for repository in repositories:
        yield from ((repository + part, part == "hooks") for part in GIT)
    for path in extra:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise BackendError(f"the sandbox profile protects {path!r}: write a path inside the workspace")
        yield "/".join(parts), False


def _first_missing(workspace: str, name: str, *, folder: bool) -> tuple[str, bool]:
    """Give the outermost part of a path that is not there: without it, the rest can't be made either."""
    parts = PurePosixPath(name).parts
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if not os.path.lexists(f"{workspace}/{above}") or stands_in(f"{workspace}/{above}"):
            return above, True
    return name, folder


def _found(workspace: str) -> Iterator[tuple[str, bool]]:
    """Give what is there, at any depth, and the folder of each repository (True), with a slash at its end.

    A deeper symlink of such a name is left alone: what it leads to is protected where that lies.
    """
    ahead = [("", False)]  # no recursion: whoever wrote the workspace chose its depth
    while ahead:
        below, covered = ahead.pop()
        entries = _entries(f"{workspace}/{below}")
        if _is_repository(entries) and not covered:
            yield below, True
        for entry in entries.values():
            name, folded = below + entry.name, entry.name.casefold()
            if folded == ".git" and not covered:
                yield from _repository(workspace, name) if _is_folder(entry) else [(name, False)]
            elif folded in _WHOLE and (folded in SECRET or not covered):
                yield name, False
            if _is_folder(entry) and folded != ".git" and folded not in _CROWDED:
                ahead.append((name + "/", covered or folded in _WHOLE))


def _repository(workspace: str, git: str) -> Iterator[tuple[str, bool]]:
    """Give a `.git` folder, if git takes it for one, and those of its submodules and working trees."""
    ahead = [git]
    while ahead:
        folder = ahead.pop()
        entries = _entries(f"{workspace}/{folder}")
        if "HEAD" in entries:
            yield f"{folder}/", True
            ahead += [f"{folder}/{name}" for name in _DEEPER if name in entries]
        elif folder == git:
            yield git, False  # no repository yet: it is not to become one
        else:
            ahead += [f"{folder}/{name}" for name, entry in entries.items() if _is_folder(entry)]


def _is_repository(entries: dict[str, os.DirEntry[str]]) -> bool:
    """Say whether git would take a folder of any name for a bare repository."""
    return entries.keys() >= {"HEAD", "objects", "refs"}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _entries(folder: str) -> dict[str, os.DirEntry[str]]:
    """List what is no symlink."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries if not entry.is_symlink()}
    except OSError:
        return {}
