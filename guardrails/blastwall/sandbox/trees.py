"""A tree of files that somebody hostile may have written: no symlink in it is ever followed."""

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import secrets
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from blastwall.errors import BackendError

MOST_DEPTH = 100
"""Folders in folders. Deeper ones are not looked into: each level costs a descriptor."""

MOST_ENTRIES = 1_000_000
"""Paths of one tree."""

PERMISSIONS = 0o777
"""The bits of a mode that count: none that would make a file run as its owner."""

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What the kernel says of a path that is not there, or lies behind a file or a symlink."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not keep us waiting
_FICLONE = 0x40049409
_NO_SUCH_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM)
_CHUNK = 1 << 20


class Kind(Enum):
    """What lies at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a tree.

    Attributes:
        kind: What lies there.
        mode: Permission bits of a file or folder.
        size: Bytes of a file.
        content: SHA-256 of a file, where it was asked for; the text of a symlink; what anything else is.

    """

    kind: Kind
    mode: int = 0
    size: int = 0
    content: str = ""


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a folder by its real, absolute path, of which no part may be a symlink.

    Raises:
        BackendError: when it can't be reached like that.

    """
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(below(os.open("/", _FOLDER), path))
        except OSError as error:
            raise BackendError(f"the folder {path} can't be opened: {error.strerror}") from None
        yield folder


@contextmanager
def below(top: int, path: str) -> Iterator[int]:
    """Open the folder at a path below `top`, which is closed."""
    folder = top
    try:
        for name in filter(None, path.split("/")):
            deeper = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = deeper
        yield folder
    finally:
        os.close(folder)


@contextmanager
def around(top: int, path: str) -> Iterator[tuple[int, str]]:
    """Open the folder that holds a path below `top`; give it with the path's last name."""
    above, _, name = path.rpartition("/")
    with below(os.dup(top), above) as folder:
        yield folder, name


@contextmanager
def file(folder: int, name: str) -> Iterator[int]:
    """Open a file to read it.

    Raises:
        OSError: also when it is anything but a file.

    """
    descriptor = os.open(name, _READ, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        yield descriptor
    finally:
        os.close(descriptor)


def look(top: int, path: str, sizes: Container[int] = ()) -> Entry | None:
    """Say what lies at a path below `top`, or None. A file is read only if it has one of these sizes."""
    try:
        with around(top, path) as (folder, name):
            return entry(folder, name, sizes)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise


def entry(folder: int, name: str, sizes: Container[int] = ()) -> Entry:
    """Say what lies in a folder. A file is read only if it has one of these sizes."""
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    mode = seen.st_mode & PERMISSIONS
    if stat.S_ISLNK(seen.st_mode):
        return Entry(Kind.LINK, content=os.readlink(name, dir_fd=folder))
    if stat.S_ISDIR(seen.st_mode):
        return Entry(Kind.FOLDER, mode)
    if not stat.S_ISREG(seen.st_mode):
        return Entry(Kind.OTHER, content=_OTHERS.get(stat.S_IFMT(seen.st_mode), "no file"))
    if seen.st_size not in sizes:
        return Entry(Kind.FILE, mode, seen.st_size)
    try:
        with file(folder, name) as descriptor:
            return Entry(Kind.FILE, mode, seen.st_size, digest(descriptor))
    except PermissionError:
        return Entry(Kind.OTHER, content="a file that can't be read")


_OTHERS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def scan(top: int, known: Mapping[str, Entry]) -> dict[str, Entry]:
    """List a tree. A file is read only where it may still be the one that is known, by its size.

    So the work is bounded by what is known, not by what somebody put there.

    Raises:
        BackendError: when there are too many paths.

    """
    found: dict[str, Entry] = {}
    _scan(top, "", known, found)
    return found


def _scan(folder: int, prefix: str, known: Mapping[str, Entry], found: dict[str, Entry]) -> None:
    for name in sorted(os.listdir(folder)):
        path = prefix + name
        before = known.get(path)
        try:
            found[path] = here = entry(folder, name, (before.size,) if before else ())
        except FileNotFoundError:
            continue  # it has just gone: the other side's users go on with their work
        if len(found) > MOST_ENTRIES:
            raise BackendError(f"there are more than {MOST_ENTRIES} files: too many to look at")
        if here.kind is not Kind.FOLDER:
            continue
        if path.count("/") + 1 == MOST_DEPTH:
            found[path] = Entry(Kind.OTHER, content=f"deeper than {MOST_DEPTH} folders")
            continue
        try:
            with below(os.dup(folder), name) as deeper:
                _scan(deeper, path + "/", known, found)
        except PermissionError:
            found[path] = Entry(Kind.OTHER, content="a folder that can't be read")


def digest(descriptor: int) -> str:
    """Give the SHA-256 of a file."""
    with open(descriptor, "rb", closefd=False) as stream:
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pour(source: int, target: int) -> None:
    """Copy a file's content, shared by both where the file system can."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        return
    try:
        while os.copy_file_range(source, target, _CHUNK << 6):
            pass
    except OSError as error:
        if error.errno not in _NO_SUCH_COPY:
            raise
    # Both stand where the kernel's copy ended: at the end, unless it could not begin or go on.
    while data := os.read(source, _CHUNK):
        written = 0
        while written < len(data):
            written += os.write(target, data[written:])


def remove(folder: int, name: str) -> None:
    """Remove a tree, however deep: each folder is brought up to its top before it is emptied."""
    fresh = map(f"{secrets.token_hex(8)}-{{}}".format, itertools.count())
    with below(os.dup(folder), name) as top:
        while names := os.listdir(top):
            for each in names:
                _dissolve(top, each, fresh)
    os.rmdir(name, dir_fd=folder)


def _dissolve(top: int, name: str, fresh: Iterator[str]) -> None:
    if not _may_be_emptied(top, name):
        os.unlink(name, dir_fd=top)
        return
    with below(os.dup(top), name) as folder:
        for deeper in os.listdir(folder):
            if _may_be_emptied(folder, deeper):
                os.rename(deeper, next(fresh), src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(deeper, dir_fd=folder)
    os.rmdir(name, dir_fd=top)


def _may_be_emptied(folder: int, name: str) -> bool:
    """Say whether this is a folder; and see to it that we may change it, whatever its mode was."""
    seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(seen.st_mode):
        return False
    if seen.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        held = os.open(name, os.O_PATH | _FOLDER, dir_fd=folder)
        try:
            os.chmod(f"/proc/self/fd/{held}", stat.S_IRWXU)
        finally:
            os.close(held)
    return True
