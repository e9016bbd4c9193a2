"""Whether an audit log is whole: every edit, insertion, removal and truncation, by line."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blastwall.audit.chain import Head, follow
from blastwall.audit.log import head_path, read_head
from blastwall.errors import AuditError


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. `line` counts from 1 and is None where nothing is wrong."""

    path: Path
    records: int
    head: str
    line: int | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether the log is whole."""
        return self.line is None


def verify(path: Path, expected: str | None = None) -> Verified:
    """Check a whole log against its own chain and its head file.

    Args:
        path: The log.
        expected: The last hash, when it was kept elsewhere. Who can write the log can write its head
            file too and make a new chain; only a hash kept out of reach shows that.

    Raises:
        AuditError: when the log or its head file can't be read.

    """
    head = Head()
    try:
        with path.open("rb") as log:
            recorded, size = _snapshot(path, log)
            for number, raw in enumerate(_lines(log, size), 1):
                try:
                    if not raw.endswith(b"\n"):
                        raise ValueError("the last record is cut off")
                    head = follow(head, raw[:-1].decode())
                except ValueError as error:
                    return Verified(path, head.number, head.hash, number, _plain(error))
    except OSError as error:
        raise AuditError(f"{error.filename or path} can't be read: {error.strerror}") from None
    problem = _ending(head, recorded, expected)
    return Verified(path, head.number, head.hash, head.number + 1 if problem else None, problem)


def _snapshot(path: Path, log: BinaryIO) -> tuple[Head, int]:
    """Give the recorded head and the size that belong together, while others may go on writing."""
    fcntl.flock(log, fcntl.LOCK_SH)
    try:
        return read_head(head_path(path).read_bytes()), os.fstat(log.fileno()).st_size
    finally:
        fcntl.flock(log, fcntl.LOCK_UN)


def _lines(log: BinaryIO, size: int) -> Iterator[bytes]:
    while log.tell() < size:
        yield log.readline()


def _plain(error: ValueError) -> str:
    return "this is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def _ending(head: Head, recorded: Head, expected: str | None) -> str:
    """Say what is wrong with the end. One record past the head is a writer that died between both."""
    if expected is not None and head.hash != expected:
        return "the log does not end with the hash that you gave"
    missing = recorded.number - head.number
    if missing > 0:
        return f"{missing} record(s) are missing at the end"
    if missing < -1:
        return f"{-missing} records stand after the recorded end: the head file was put back"
    if missing == 0 and recorded.hash != head.hash:
        return "the head file belongs to another log"
    return ""
