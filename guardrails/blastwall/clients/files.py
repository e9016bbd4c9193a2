"""Writing into a client's file: whole or not at all, only if it is still the file that was read."""

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from blastwall.clients.reading import File
from blastwall.errors import BackendError
from blastwall.trust.owners import exposed

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def writable(file: File) -> None:
    """Make sure that a file can be replaced without giving anybody else a say in it.

    Raises:
        BackendError: saying what to do.

    """
    status, folder = file.status, os.stat(os.path.dirname(file.real))
    if status.st_nlink > 1:
        raise BackendError(f"{file.real} has {status.st_nlink} hard links, which replacing it would part")
    if why := exposed(status):
        raise BackendError(f"{file.real} can't be believed: {why}")
    if why := exposed(folder):
        raise BackendError(f"the folder of {file.real} can't be believed: {why}")


def backup(file: File) -> str:
    """Keep a copy beside a file, for the user alone, and give its path."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    path = f"{file.real}.{stamp}.blastwall"
    _create(path, file.content, 0o600, None)
    return path


def replace(file: File, content: bytes) -> None:
    """Put new content in the place of what was read. Mode and owner stay.

    Raises:
        BackendError: when the file is another one by now, or can't be written.

    """
    new = f"{file.real}.{os.getpid()}.blastwall-new"
    with suppress(FileNotFoundError):
        os.unlink(new)
    try:
        _create(new, content, stat.S_IMODE(file.status.st_mode), file.status)
        unchanged(file)
        os.rename(new, file.real)
    except OSError as error:
        raise BackendError(f"{file.real} can't be written: {error.strerror}") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(new)
    _durable(os.path.dirname(file.real))


def unchanged(file: File) -> None:
    """Look once more at a file that was read.

    Raises:
        BackendError: when it is another one, or holds something else.

    """
    try:
        found = os.stat(file.path)
        with open(file.real, "rb") as stream:
            content = stream.read(len(file.content) + 1)
    except OSError:
        raise BackendError(_CHANGED.format(file.path)) from None
    if not os.path.samestat(found, file.status) or content != file.content:
        raise BackendError(_CHANGED.format(file.path))


_CHANGED = "{} changed while it was being edited, and was left alone: close the client, and try again"


def write_own(path: Path, content: bytes) -> None:
    """Write a file of blastwall's own, for the user alone, whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.unlink(missing_ok=True)
        _create(str(new), content, 0o600, None)
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise BackendError(f"{path} can't be written: {error.strerror}") from None


def _create(path: str, content: bytes, mode: int, owner: os.stat_result | None) -> None:
    with open(os.open(path, _NEW, 0o600), "wb") as stream:
        if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _durable(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
