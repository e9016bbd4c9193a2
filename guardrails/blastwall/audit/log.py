"""The append-only log: a record is on disk before the effect that it announces."""

import errno
import fcntl
import json
import os
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from blastwall.audit.chain import Head, follow, seal
from blastwall.errors import AuditError
from blastwall.frozen import Json
from blastwall.values import ToolCall

LARGEST_ARGUMENTS = 1 << 15
"""Canonical calls above this many characters are recorded by digest and size only."""

_Identity = tuple[int, int] | None
"""Which file it is, whatever it is called; None where there is none."""

_HEAD = re.compile(rb"([0-9]{20}) ([0-9a-f]{64})\n")
_HEAD_BYTES = 20 + 1 + 64 + 1


def head_path(log: Path) -> Path:
    """Give the file beside a log that says how it ends: without it, a cut-off tail would not show."""
    return log.with_name(log.name + ".head")


class AuditLog:
    """A chained JSON-lines file. Threads and processes may share it: each record is written under a lock.

    Args:
        path: The log; its folder is made, both for the owner only.
        durability: `process-crash` hands each record to the kernel, which survives the death of this
            process; `power-loss` also waits for the disk (fsync), which costs milliseconds.
        arguments: `full` records a call's arguments, `digest` only their digest.
        policy: Digest of the policy in force, for records that don't give their own.

    """

    def __init__(
        self,
        path: Path,
        *,
        durability: str = "process-crash",
        arguments: str = "full",
        policy: str = "",
    ) -> None:
        """Open nothing yet: the first record does."""
        self.path = path
        self.waits = durability == "power-loss"
        self._full = arguments == "full"
        self._policy = policy
        self._lock = threading.Lock()
        self._log = -1
        self._headfile = -1
        self._head = Head()
        self._size = -1
        self._owner = 0
        self._identity: _Identity = None

    def write(
        self, session: str, event: str, call: ToolCall, details: Mapping[str, Json], policy: str = ""
    ) -> None:
        """Append one record. It is durable when this returns.

        Args:
            session: The id of the agent run.
            event: What happened.
            call: The call that it happened to.
            details: What belongs to the event.
            policy: Digest of the policy that decided, which a reload may have replaced since.

        Raises:
            AuditError: when that can't be had: a full disk, a lost right, a log that does not end as
                its head says.

        """
        body: dict[str, Json] = {
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "session": session,
            "event": event,
            "connector": call.connector,
            "tool": call.tool,
            "call": call.digest,
            "policy": policy or self._policy,
            "details": details,
        }
        if event == "decision" and self._full:
            fits = len(call.canonical) <= LARGEST_ARGUMENTS
            body["arguments"] = call.arguments if fits else f"{len(call.canonical)} characters, not recorded"
        try:
            with self._lock:
                self._append(body)
        except OSError as error:
            raise AuditError(f"the audit log {self.path} can't be written: {error.strerror}") from None

    def close(self) -> None:
        """Close the files. The log may be written to again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        for descriptor in (self._log, self._headfile):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._headfile = -1

    def __del__(self) -> None:
        """Close the files of a log that nobody holds any more; every record is in them already."""
        self._close()

    def _append(self, body: dict[str, Json]) -> None:
        size = self._locked()
        try:
            if size != self._size:
                self._catch_up(size)
            head, line = seal(self._head, body)
            data = line.encode()
            self._write_whole(data)
            if self.waits:
                os.fsync(self._log)  # first, so that no power loss leaves the head ahead of the log
            self._write_head(head)
            self._head, self._size = head, self._size + len(data)
        finally:
            fcntl.flock(self._log, fcntl.LOCK_UN)

    def _locked(self) -> int:
        """Lock the file that stands at the log's path now and give its size.

        A log that was moved away or deleted since is not written to: its records would be lost. Nor are
        a parent's descriptors in a forked child: they share one lock, which then keeps neither out.
        """
        while True:
            if self._log < 0 or self._owner != os.getpid():
                self._open()
            fcntl.flock(self._log, fcntl.LOCK_EX)
            identity, size = _standing(self.path)
            if identity == self._identity:
                return size
            self._close()

    def _write_whole(self, data: bytes) -> None:
        """Write all of a record or none of it: a torn line would break the chain for every later one."""
        try:
            written = os.write(self._log, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, "no space left for a whole record")
        except OSError:
            os.ftruncate(self._log, self._size)
            raise

    def _write_head(self, head: Head) -> None:
        os.pwrite(self._headfile, b"%020d %s\n" % (head.number, head.hash.encode()), 0)
        if self.waits:
            os.fsync(self._headfile)

    def _open(self) -> None:
        self._close()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        headfile = os.open(head_path(self.path), flags, 0o600)
        try:
            self._log = os.open(self.path, flags | os.O_APPEND, 0o600)
        except OSError:
            os.close(headfile)
            raise
        self._headfile, self._owner, self._size = headfile, os.getpid(), -1
        self._identity, _ = _identified(os.fstat(self._log))
        if self.waits:
            _sync_folder(self.path.parent)

    def _catch_up(self, size: int) -> None:
        """Read the end that another writer, or an earlier process, left."""
        head = read_head(os.pread(self._headfile, _HEAD_BYTES + 1, 0))
        before, last, unfinished = self._ending(size)
        if _claimed(last) != head:
            # A writer that died between the log and its head leaves the log one record ahead.
            if _claimed(before) != head:
                raise AuditError(
                    f"the audit log {self.path} does not end as its head file says:"
                    " see `blastwall audit verify`, then move both files away to start a new log"
                )
            try:
                head = follow(head, last.decode(errors="replace"))
            except ValueError as error:
                raise AuditError(
                    f"the audit log {self.path}: {error}; see `blastwall audit verify`"
                ) from None
            self._write_head(head)  # now, lest the log gets two ahead
        if unfinished:
            # Its writer died in the middle of it, so nobody was told that it is durable.
            os.ftruncate(self._log, size - len(unfinished))
        self._head, self._size = head, size - len(unfinished)

    def _ending(self, size: int) -> tuple[bytes, bytes, bytes]:
        """Give the last two lines and what stands behind the last newline."""
        block, tail = 1 << 16, b""
        while tail.count(b"\n") < 3 and len(tail) < size:
            start = max(0, size - len(tail) - block)
            tail = os.pread(self._log, size - len(tail) - start, start) + tail
        *_, before, last, unfinished = [b"", b"", *tail.split(b"\n")]
        return before, last, unfinished


def read_head(content: bytes) -> Head:
    """Read a head file.

    Raises:
        AuditError: when it is none.

    """
    if not content:
        return Head()
    found = _HEAD.fullmatch(content)
    if found is None:
        raise AuditError("the audit head file is damaged: see `blastwall audit verify`")
    return Head(int(found[1]), found[2].decode())


def _standing(path: Path) -> tuple[_Identity, int]:
    """Say which file stands at a path now, and its size."""
    try:
        return _identified(os.lstat(path))
    except OSError:
        return None, 0


def _identified(status: os.stat_result) -> tuple[_Identity, int]:
    return (status.st_dev, status.st_ino), status.st_size


def _claimed(line: bytes) -> Head | None:
    """Give the head that a record says it is; no line is the start of a log."""
    if not line:
        return Head()
    try:
        record = json.loads(line)
        return Head(record["n"], record["hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _sync_folder(path: Path) -> None:
    """Make a folder's entries survive a power loss (fsync(2): a new file's entry needs this)."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
