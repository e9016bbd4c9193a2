"""Reading what nobody has trusted yet: one regular file, bounded, once, and no step outside its project."""

import errno
import hashlib
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass

from blastwall.errors import BlastwallError

MAX_BYTES = 1 << 18
"""Largest file of a project that is read, in bytes; a policy may be as large."""

_MOST_LINKS = 40
"""Symlinks that one path may pass, as on Linux (path_resolution(7))."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What stands there may be replaced between the look at it and the opening: a pipe must not make us wait,
# nor a terminal become ours.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NotReadable(BlastwallError):
    """There is no such file that may be read. The message says why, without the path."""


@dataclass(frozen=True, slots=True)
class Where:
    """What trust holds on to beside the content.

    Attributes:
        path: The file, with no symlink on the way.
        device, inode: Which folder it stood in.

    """

    path: str
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Untrusted:
    """A file of a project as it was read, once: data. Who asks whether it is trusted uses this content.

    Attributes:
        content: The bytes.
        digest: Their SHA-256.
        where: What else trust holds on to.

    """

    content: bytes
    digest: str
    where: Where


def read_untrusted(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> Untrusted:
    """Read a file of a project.

    Nothing outside of `root` is opened or even looked at, whatever links lead there (a look can make the
    system mount something), and nothing but a regular file. Folders may be links to other folders of the
    project; the file itself may be none.

    Raises:
        NotReadable: when that can't be done.

    """
    try:
        top = os.path.realpath(root, strict=True)
        folder, name = os.path.split(os.path.abspath(path))
        steps = _steps(_below(folder, os.path.abspath(root), top), top)
        with ExitStack() as opened:
            descriptor = _descend(top, steps, opened)
            found = os.fstat(descriptor)
            content = _content(name, descriptor)
    except ValueError:
        raise NotReadable("a path holds no NUL") from None
    except OSError as error:
        raise NotReadable(f"can't be read: {error.strerror}") from None
    where = Where(os.path.join(top, *steps, name), found.st_dev, found.st_ino)
    return Untrusted(content, hashlib.sha256(content).hexdigest(), where)


def _below(folder: str, root: str, top: str) -> list[str]:
    """Give the steps down from the project's folder as they are written."""
    for above in (root, top):
        if os.path.commonpath((folder, above)) == above:
            return folder[len(above) :].split("/")
    real = os.path.realpath(folder, strict=True)
    if os.path.commonpath((real, top)) != top:
        raise _outside(top)
    return real[len(top) :].split("/")


def _steps(written: list[str], top: str) -> list[str]:
    """Follow every link on the way, as long as it stays inside: what is outside is not looked at."""
    done: list[str] = []
    ahead, links = written[::-1], 0
    while ahead:
        step = ahead.pop()
        if step == "..":
            if not done:
                raise _outside(top)
            done.pop()
        elif step not in ("", "."):
            target = _link(os.path.join(top, *done, step))
            links += target is not None
            if links > _MOST_LINKS:
                raise NotReadable("lies behind too many symlinks")
            if target is None:
                done.append(step)
                continue
            if target.startswith("/"):
                target, done = _inside(target, top), []
            ahead += target.split("/")[::-1]
    return done


def _inside(target: str, top: str) -> str:
    """Give the rest of a link's absolute target that is written as a place inside the project."""
    if not target.startswith(top.rstrip("/") + "/"):
        raise _outside(top)
    return target[len(top) :]


def _outside(top: str) -> NotReadable:
    return NotReadable(f"lies outside of the project {top}, or a symlink leads there")


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _descend(top: str, steps: list[str], opened: ExitStack) -> int:
    """Open each folder in the one above: a link that was put there meanwhile is refused by the kernel."""
    descriptor = os.open(top, _FOLDER)
    opened.callback(os.close, descriptor)
    for step in steps:
        descriptor = os.open(step, _FOLDER, dir_fd=descriptor)
        opened.callback(os.close, descriptor)
    return descriptor


def _content(name: str, folder: int) -> bytes:
    # Opening a device may already do something, so its kind is looked at first.
    expected = _regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
    descriptor = os.open(name, _FILE, dir_fd=folder)
    with open(descriptor, "rb") as file:
        found = _regular(os.fstat(descriptor))
        if not os.path.samestat(found, expected):
            raise NotReadable("was replaced while it was read: try again")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NotReadable(
            f"larger than {MAX_BYTES} bytes: nothing of a project that needs trust is that long"
        )
    return content


def _regular(status: os.stat_result) -> os.stat_result:
    if stat.S_ISLNK(status.st_mode):
        raise NotReadable("is a symlink: put there what it leads to")
    if not stat.S_ISREG(status.st_mode):
        raise NotReadable("is no regular file")
    return status
