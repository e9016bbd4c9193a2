"""The append-only log: a record is on disk before the effect that it announces."""

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from blastwall.audit.chain import GENESIS, Head, follow, seal
from blastwall.errors import AuditError
from blastwall.frozen import FrozenDict, Json
from blastwall.values import ToolCall

LARGEST_ARGUMENTS = 1 << 15
"""Canonical calls above this many characters are recorded by digest and size only."""

_HEAD_FORMAT = "{:020d} {}\n"
_HEAD_BYTES = len(_HEAD_FORMAT.format(0, GENESIS))


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
        policy: Digest of the policy in force, part of every record.

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
        self._size = 0

    def write(self, session: str, event: str, call: ToolCall, details: Mapping[str, Json]) -> None:
        """Append one record. It is durable when this returns.

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
            "policy": self._policy,
            "details": FrozenDict(details),
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
            for descriptor in (self._log, self._headfile):
                if descriptor >= 0:
                    os.close(descriptor)
            self._log = self._headfile = -1

    def _append(self, body: dict[str, Json]) -> None:
        if self._log < 0:
            self._open()
        fcntl.flock(self._log, fcntl.LOCK_EX)
        try:
            if os.fstat(self._log).st_size != self._size:
                self._catch_up()
            head, line = seal(self._head, body)
            data = line.encode()
            self._whole(self._log, data)
            os.pwrite(self._headfile, _HEAD_FORMAT.format(head.number, head.hash).encode(), 0)
            if self.waits:
                os.fsync(self._log)
                os.fsync(self._headfile)
            self._head, self._size = head, self._size + len(data)
        finally:
            fcntl.flock(self._log, fcntl.LOCK_UN)

    def _whole(self, descriptor: int, data: bytes) -> None:
        """Write all of a record or none of it: a torn line would break the chain for every later one."""
        try:
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError(28, "no space left for a whole record")
        except OSError:
            os.ftruncate(descriptor, self._size)
            raise

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._log = os.open(self.path, flags | os.O_APPEND, 0o600)
        self._headfile = os.open(head_path(self.path), flags, 0o600)
        self._size = -1

    def _catch_up(self) -> None:
        """Read the end that another writer, or an earlier process, left."""
        head = read_head(os.pread(self._headfile, _HEAD_BYTES, 0))
        size = os.fstat(self._log).st_size
        *before, last = ["", *self._last_lines(size)]
        if _claimed(last) != head:
            # A writer that died between the log and its head leaves the log one record ahead.
            if _claimed(before[-1] if before else "") != head:
                raise AuditError(
                    f"the audit log {self.path} does not end as its head file says:"
                    " see `blastwall audit verify`, then move both files away to start a new log"
                )
            try:
                head = follow(head, last)
            except ValueError as error:
                raise AuditError(
                    f"the audit log {self.path}: {error}; see `blastwall audit verify`"
                ) from None
        self._head, self._size = head, size

    def _last_lines(self, size: int) -> list[str]:
        """Give the last two lines: a writer that died between log and head leaves one record ahead."""
        block, tail = 1 << 16, b""
        while tail.count(b"\n") < 3 and len(tail) < size:
            start = max(0, size - len(tail) - block)
            tail = os.pread(self._log, size - len(tail) - start, start) + tail
        return [line.decode(errors="replace") for line in tail.split(b"\n")[-3:] if line]


def read_head(content: bytes) -> Head:
    """Read a head file.

    Raises:
        AuditError: when it is none.

    """
    if not content:
        return Head()
    number, _, hashed = content.decode(errors="replace").strip().partition(" ")
    if not number.isdigit() or len(hashed) != len(GENESIS):
        raise AuditError("the audit head file is damaged: see `blastwall audit verify`")
    return Head(int(number), hashed)


def _claimed(line: str) -> Head | None:
    """Give the head that a record says it is; no line is the start of a log."""
    if not line:
        return Head()
    try:
        record = json.loads(line)
        return Head(record["n"], record["hash"])
    except (ValueError, KeyError, TypeError):
        return None
