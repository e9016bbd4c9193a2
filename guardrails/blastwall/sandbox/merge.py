"""A reviewed copy is taken over into its workspace, path by path, and nothing else is touched."""

import contextlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from blastwall.errors import BackendError
from blastwall.sandbox.changes import Change, diff, shown
from blastwall.sandbox.copies import Copy
from blastwall.sandbox.trees import Entry, Kind, around, file, look, opened, pour

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it.

    Attributes:
        done: Paths that the workspace now has as the copy has them.
        left: Paths that it has not, each with the reason.

    """

    done: tuple[str, ...]
    left: tuple[tuple[str, str], ...]


def apply(copy: Copy, paths: Sequence[str] | None = None, *, force: bool = False) -> Applied:
    """Take over the changes of a copy: all of them, or those at and below some paths.

    A path that is guarded (a git hook, an editor's tasks, a symlink that leads out) has to be named exactly.
    One that has changed in the workspace, too, is left alone unless it is named exactly and `force` is given.
    A file is replaced in one step. Applying again goes on where the first time ended.

    Args:
        copy: The copy; nothing may run in it.
        paths: What to take over, relative to the workspace.
        force: Overwrite what has changed in the workspace.

    Raises:
        BackendError: when something runs in the copy, nothing has changed at one of the paths, or `force`
            was given without any. Nothing was taken over.

    """
    if force and not paths:
        raise BackendError("to overwrite what has changed in the workspace, name each path")
    with copy.alone():
        changes = diff(copy)
        chosen, left = _chosen(changes, paths, force=force)
        with opened(str(copy.folder)) as theirs, opened(str(copy.workspace)) as ours:
            merge = _Merge(copy.id, theirs, ours)
            for change in _ordered(chosen):
                merge.take(change)
            for change in reversed(chosen):
                merge.close(change)
    done = tuple(change.path for change in chosen if change.path not in merge.failed)
    return Applied(done, tuple(sorted({**left, **merge.failed}.items())))


def _chosen(
    changes: Sequence[Change], paths: Sequence[str] | None, *, force: bool
) -> tuple[list[Change], dict[str, str]]:
    """Part the changes into those to take over, by path, and those asked for that are left alone."""
    named = None if paths is None else {path.strip("/") for path in paths}
    for path in named or ():
        if not any(_at_or_below(change.path, (path,)) for change in changes):
            raise BackendError(f"nothing has changed at {shown(path)!r}: see `blastwall diff`")
    chosen, left = [], {}
    for change in changes:
        exactly = named is not None and change.path in named
        if named is not None and not _at_or_below(change.path, named) and not _above(change, named):
            continue
        why = _why_not(change, exactly=exactly or _above(change, named or ()), force=force and exactly)
        if why:
            left[change.path] = why
        else:
            chosen.append(change)
    return chosen, left


def _at_or_below(path: str, named: Collection[str]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in named)


def _above(change: Change, named: Collection[str]) -> bool:
    """Say whether this is a folder that something named lies in, and that isn't there yet."""
    folder = change.after is not None and change.after.kind is Kind.FOLDER and change.now is None
    return folder and any(name.startswith(f"{change.path}/") for name in named)


def _why_not(change: Change, *, exactly: bool, force: bool) -> str:
    if change.refused:
        return f"it is {change.refused}"
    if change.conflict and not force:
        return "it has changed in the workspace, too"
    if change.guarded and not exactly:
        return change.guarded
    return ""


def _ordered(chosen: list[Change]) -> Iterator[Change]:
    """Give removals first, innermost first; then the rest, outermost first."""
    yield from (change for change in reversed(chosen) if change.after is None)
    yield from (change for change in chosen if change.after is not None)


class _Merge:
    """Takes over one change after the other."""

    def __init__(self, name: str, theirs: int, ours: int) -> None:
        """Start with nothing done. `name` is unique to the copy, whose lock is held."""
        self._new, self._theirs, self._ours = f".blastwall-{name}", theirs, ours
        self.failed: dict[str, str] = {}

    def take(self, change: Change) -> None:
        """Make the workspace have at this path what the copy has there."""
        try:
            with around(self._ours, change.path) as (folder, name):
                sizes = {side.size for side in (change.before, change.after) if side}
                if look(folder, name, sizes) != change.now:
                    self.failed[change.path] = "it has just changed in the workspace"
                else:
                    self._take(change, folder, name)
        except OSError as error:
            self.failed[change.path] = f"it can't be applied: {error.strerror}"

    def close(self, change: Change) -> None:
        """Give a folder its mode, once everything in it is done."""
        if change.after is None or change.after.kind is not Kind.FOLDER or change.path in self.failed:
            return
        try:
            with around(self._ours, change.path) as (folder, name):
                _set_mode(folder, name, change.after.mode)
        except OSError as error:
            self.failed[change.path] = f"its mode can't be set: {error.strerror}"

    def _take(self, change: Change, folder: int, name: str) -> None:
        now = change.now.kind if change.now else None
        if now is Kind.FOLDER and (change.after is None or change.after.kind is not Kind.FOLDER):
            os.rmdir(name, dir_fd=folder)
        if change.after is None:
            if now is not Kind.FOLDER and now is not None:
                os.unlink(name, dir_fd=folder)
        elif change.after.kind is Kind.FOLDER:
            self._folder(change.after, now, folder, name)
        else:
            self._put(change, folder, name)

    def _folder(self, after: Entry, now: Kind | None, folder: int, name: str) -> None:
        if now is Kind.FOLDER:
            _set_mode(folder, name, after.mode | stat.S_IRWXU)
            return
        if now is not None:
            os.unlink(name, dir_fd=folder)
        os.mkdir(name, 0o700, dir_fd=folder)
        _give(folder, name, os.fstat(folder))

    def _put(self, change: Change, folder: int, name: str) -> None:
        """Make a file or symlink beside, then move it into its place in one step."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._new, dir_fd=folder)  # of an earlier time that was interrupted
        there = change.now is not None and change.now.kind is Kind.FILE
        owner = os.stat(name, dir_fd=folder, follow_symlinks=False) if there else os.fstat(folder)
        try:
            if change.after and change.after.kind is Kind.LINK:
                os.symlink(change.after.content, self._new, dir_fd=folder)
            elif change.after:
                self._write(change.path, change.after.mode, folder)
            _give(folder, self._new, owner)
            os.rename(self._new, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self._new, dir_fd=folder)
            raise

    def _write(self, path: str, mode: int, folder: int) -> None:
        with around(self._theirs, path) as (theirs, name), file(theirs, name) as source:
            new = os.open(self._new, _NEW, 0o600, dir_fd=folder)
            try:
                pour(source, new)
                os.fchmod(new, mode)
            finally:
                os.close(new)


def _give(folder: int, name: str, like: os.stat_result) -> None:
    """Let root's work belong to whom the old file belonged to, or the folder."""
    if os.geteuid() == 0:
        os.chown(name, like.st_uid, like.st_gid, dir_fd=folder, follow_symlinks=False)


def _set_mode(folder: int, name: str, mode: int) -> None:
    held = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fchmod(held, mode)
    finally:
        os.close(held)
