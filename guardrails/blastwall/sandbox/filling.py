"""A copy of a workspace is filled: with its files, folders and symlinks, without its credentials."""

import errno
import os
import pwd
import stat
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.sandbox.bubblewrap import NOBODY
from blastwall.sandbox.mounts import SECRETS
from blastwall.sandbox.trees import (
    MOST_DEPTH,
    MOST_ENTRIES,
    NOT_THERE,
    PERMISSIONS,
    Entry,
    Kind,
    below,
    digest,
    entry,
    file,
    opened,
    pour,
)

_EXAMPLES = (".example", ".sample", ".template", ".dist", ".defaults")
_OF_PROJECTS = (".claude", ".claude.json", ".codex", ".gemini", ".yarnrc.yml")
"""Secret in a home; in a workspace, a project's own settings."""

_WITHHELD = tuple(
    f"/{name}"
    for name in (
        *(secret for secret in SECRETS if secret not in _OF_PROJECTS),
        *".envrc id_dsa id_ecdsa id_ed25519 id_rsa".split(),
    )
)


def withheld(path: str) -> bool:
    """Say whether a path of a workspace may hold credentials, by its name."""
    folded = f"/{path.casefold()}"
    name = folded.rpartition("/")[2]
    if name == ".env" or name.startswith(".env."):
        return not name.endswith(_EXAMPLES)
    return folded.endswith(_WITHHELD)


def fill(workspace: str, tree: Path) -> "Filling":
    """Copy a workspace, a real path, into a folder that is made for it.

    Raises:
        OSError: when it can't be read, or the copy can't be written.
        BackendError: when there is too much of it.

    """
    with opened(workspace) as source:
        top = os.fstat(source)
        owner = _owner(top) if os.geteuid() == 0 else None
        filling = Filling(owner, reader=owner if top.st_uid else None)
        tree.mkdir(mode=0o700)
        with opened(str(tree)) as target:
            filling.folder(source, target, "")
            os.fchmod(target, stat.S_IMODE(top.st_mode) & PERMISSIONS | stat.S_IRWXU)
            filling.give(target)
    return filling


def _owner(top: os.stat_result) -> tuple[int, int]:
    """Give whom root's copies belong to: the workspace's owner, unless that is root, too."""
    if top.st_uid == 0:
        return NOBODY, NOBODY
    try:
        return top.st_uid, pwd.getpwuid(top.st_uid).pw_gid or NOBODY
    except KeyError:
        return top.st_uid, NOBODY


class Filling:
    """Copies one tree into another, both by descriptor.

    Attributes:
        baseline: What was copied.
        left_out: What was not, with the reasons.

    """

    def __init__(self, owner: tuple[int, int] | None, reader: tuple[int, int] | None) -> None:
        """Say whom the copy belongs to, and who must be able to read what goes in."""
        self._owner, self._reader = owner, reader
        self.baseline: dict[str, Entry] = {}
        self.left_out: list[tuple[str, str]] = []

    def folder(self, source: int, target: int, prefix: str) -> None:
        """Copy what is in a folder."""
        for name in sorted(os.listdir(source)):
            path = prefix + name
            try:
                why = "may hold credentials" if withheld(path) else self._one(source, target, name, path)
            except OSError as error:
                if error.errno not in (*NOT_THERE, errno.EACCES, errno.EPERM):
                    raise
                why = "can't be read"
            if why:
                self.left_out.append((path, why))
            if len(self.baseline) + len(self.left_out) > MOST_ENTRIES:
                raise BackendError(
                    f"the workspace holds more than {MOST_ENTRIES} files: use a smaller folder"
                )

    def give(self, target: int) -> None:
        """Give a file or folder of the copy to its owner."""
        if self._owner is None:
            return
        try:
            os.fchown(target, *self._owner)
        except OSError as error:
            raise BackendError(
                f"the copy can't be given to user {self._owner[0]}: {error.strerror}"
            ) from None

    def _one(self, source: int, target: int, name: str, path: str) -> str:
        """Copy one thing; or say why it stays out."""
        seen = os.stat(name, dir_fd=source, follow_symlinks=False)
        here = entry(source, name)
        match here.kind:
            case Kind.OTHER:
                return f"is {here.content}"
            case Kind.LINK:
                self._link(target, name, here)
            case _ if self._closed(seen):
                return "is closed to the owner of the workspace"
            case Kind.FILE:
                here = self._file(source, target, name)
            case Kind.FOLDER:
                if path.count("/") + 1 == MOST_DEPTH:
                    return f"is deeper than {MOST_DEPTH} folders"
                self._folder(source, target, name, path, here)
        self.baseline[path] = here
        return ""

    def _link(self, target: int, name: str, here: Entry) -> None:
        os.symlink(here.content, name, dir_fd=target)
        if self._owner:
            os.chown(name, *self._owner, dir_fd=target, follow_symlinks=False)

    def _file(self, source: int, target: int, name: str) -> Entry:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with file(source, name) as old:
            new = os.open(name, flags, 0o600, dir_fd=target)
            try:
                seen = os.fstat(old)
                mode = seen.st_mode & PERMISSIONS
                pour(old, new)
                self.give(new)
                os.fchmod(new, mode)
                os.utime(new, ns=(seen.st_atime_ns, seen.st_mtime_ns))
                # Of the copy, not of the workspace's file, which somebody may be writing.
                return Entry(Kind.FILE, mode, os.fstat(new).st_size, digest(new))
            finally:
                os.close(new)

    def _folder(self, source: int, target: int, name: str, path: str, here: Entry) -> None:
        with below(os.dup(source), name) as old:
            os.mkdir(name, 0o700, dir_fd=target)
            self.baseline[path] = here  # before what is in it
            with below(os.dup(target), name) as new:
                self.folder(old, new, path + "/")
                self.give(new)
                os.fchmod(new, here.mode)

    def _closed(self, seen: os.stat_result) -> bool:
        """Say whether root would give away what only root may read."""
        if self._reader is None:
            return False
        user, group = self._reader
        needed = 0o5 if stat.S_ISDIR(seen.st_mode) else 0o4
        shift = 6 if seen.st_uid == user else 3 if seen.st_gid == group else 0
        return seen.st_mode >> shift & needed != needed
