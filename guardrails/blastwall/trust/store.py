"""What the user has trusted: a folder of records, each of one content at one place for one user."""

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from blastwall.errors import BackendError, BlastwallError
from blastwall.paths import state_directory
from blastwall.trust.owners import exposed
from blastwall.trust.reading import MAX_BYTES, Untrusted

_MOST = 2 * MAX_BYTES
"""Largest record: its content in base64, and the rest."""


class NotTrusted(BlastwallError):
    """The user has not trusted this, and nothing of it was used. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """One file that the user looked at and trusted.

    Attributes:
        path, device, inode: Where it stood.
        digest: The SHA-256 of its content.
        user: The user's number.
        since: When, in UTC.
        content: What was looked at, so that a change can be shown.

    """

    path: str
    device: int
    inode: int
    digest: str
    user: int
    since: str
    content: bytes


class Store:
    """The records of one user, whom alone they may be written by. What can't be believed trusts nothing."""

    def __init__(self, directory: Path | None = None) -> None:
        """Make nothing yet: the first trust does."""
        self.directory = directory or directory_of_trust()

    def trusted(self, found: Untrusted) -> bool:
        """Say whether the user trusted this very content, at this place."""
        return not self.objection(found)

    def require(self, found: Untrusted) -> bytes:
        """Give the content that was read, now that it is trusted.

        Raises:
            NotTrusted: when it is not, saying what to do.

        """
        if why := self.objection(found):
            path = found.where.path
            raise NotTrusted(f"{path} {why}: look at it, then run `blastwall trust {path}`")
        return found.content

    def objection(self, found: Untrusted) -> str:
        """Say why this is not trusted, or "" if it is."""
        try:
            record = self.record(found.where.path)
        except BackendError as error:
            return f"is not trusted ({error})"
        if record is None:
            return "is not trusted"
        if record.digest != found.digest:
            return f"is not trusted: it changed since you trusted it on {record.since}"
        if (record.device, record.inode) != (found.where.device, found.where.inode):
            return "is not trusted: it is in another folder than the one that stood here when you trusted it"
        return ""

    def record(self, path: str) -> Trusted | None:
        """Give what was trusted at a place.

        Raises:
            BackendError: when the store or the record can't be believed.

        """
        return self._read(_name(path), path) if self._there() else None

    def records(self) -> list[Trusted]:
        """Give all that is trusted, by path.

        Raises:
            BackendError: when the store or a record can't be believed.

        """
        if not self._there():
            return []
        names = [name for name in os.listdir(self.directory) if name.endswith(".json")]
        found = [self._read(name) for name in names]
        return sorted((record for record in found if record), key=lambda record: record.path)

    def add(self, found: Untrusted) -> Trusted:
        """Trust what was read, and shown, instead of what was trusted at this place before.

        Raises:
            BackendError: when that can't be written down.

        """
        where, now = found.where, datetime.now(UTC).isoformat(timespec="seconds")
        record = Trusted(
            where.path, where.device, where.inode, found.digest, os.geteuid(), now, found.content
        )
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.directory.mkdir(exist_ok=True, mode=0o700)
            self._there()
            _replace(self.directory / _name(where.path), msgspec.json.encode(record))
        except UnicodeEncodeError:
            raise BackendError("the path is no UTF-8 text, so it can't be written down: rename it") from None
        except OSError as error:
            raise BackendError(
                f"the trust store {self.directory} can't be written: {error.strerror}"
            ) from None
        return record

    def forget(self, path: str) -> bool:
        """Trust nothing at a place any more. Say whether something was.

        Raises:
            BackendError: when that can't be done.

        """
        if not self._there():
            return False
        try:
            os.unlink(self.directory / _name(path))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise BackendError(
                f"the trust store {self.directory} can't be written: {error.strerror}"
            ) from None
        return True

    def _there(self) -> bool:
        """Say whether there is a store; one that others could have written is refused."""
        try:
            status = os.lstat(self.directory)
            above = os.stat(self.directory.parent)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise BackendError(f"the trust store {self.directory} can't be read: {error.strerror}") from None
        if not stat.S_ISDIR(status.st_mode):
            raise BackendError(f"the trust store {self.directory} is no folder: move it away")
        if why := _others(status) or exposed(above):
            raise BackendError(f"the trust store {self.directory} can't be believed: {why}")
        return True

    def _read(self, name: str, path: str | None = None) -> Trusted | None:
        file = self.directory / name
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BackendError(f"the record {file} can't be read: {error.strerror}") from None
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if why := _others(status):
                raise BackendError(f"the record {file} can't be believed: {why}")
            content = stream.read(_MOST + 1) if stat.S_ISREG(status.st_mode) else b""
        return _believed(content, file, path)


def directory_of_trust() -> Path:
    """Give the folder of the records: `$XDG_STATE_HOME/blastwall/trust`."""
    return state_directory() / "trust"


def _name(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest() + ".json"


def _others(status: os.stat_result) -> str:
    if status.st_uid != os.geteuid():
        return f"it belongs to another user ({status.st_uid})"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return "others than its owner can open it: chmod go-rwx"
    return ""


def _believed(content: bytes, file: Path, path: str | None) -> Trusted:
    """Read a record that is whole: under its own name, of this user, with the content of its digest."""
    damaged = BackendError(f"the record {file} is damaged: move it away, and trust again what it was for")
    try:
        record = msgspec.json.decode(content, type=Trusted)
    except msgspec.MsgspecError:
        raise damaged from None
    whole = (
        file.name == _name(record.path)
        and path in (None, record.path)
        and record.user == os.geteuid()
        and hashlib.sha256(record.content).hexdigest() == record.digest
    )
    if not whole:
        raise damaged
    return record


def _replace(file: Path, content: bytes) -> None:
    """Put a file in another's place at once: it is never half there."""
    new = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
