"""Verification: every edit of a log is found, and the right line is named."""

import fcntl
import json
import random
import threading

import pytest
from tests.core.audit.logs import CALL, rechained, written

from blastwall.audit import AuditLog, verify
from blastwall.audit.log import head_path
from blastwall.errors import AuditError

RECORDS = 20


@pytest.fixture
def log(tmp_path):
    return written(tmp_path / "audit.jsonl", RECORDS)


def test_a_whole_log_is_whole(log):
    found = verify(log)
    assert (found.ok, found.records, found.line, found.problem) == (True, RECORDS, None, "")
    assert found.head == json.loads(log.read_text().splitlines()[-1])["hash"]
    assert verify(log, expected=found.head).ok


def test_every_changed_byte_is_found_in_its_line(log):
    """One random change of each byte of the whole log."""
    content, dice = log.read_bytes(), random.Random(1)
    line = 1
    for i, byte in enumerate(content):
        changed = dice.choice([b for b in (byte ^ 1, byte ^ 0x20, byte ^ 0x80, 10, 32) if b != byte])
        log.write_bytes(content[:i] + bytes([changed]) + content[i + 1 :])
        found = verify(log)
        assert (found.ok, found.line) == (False, line), (i, bytes([byte]), bytes([changed]), found)
        line += byte == ord("\n")
    assert line == RECORDS + 1


def test_every_added_and_removed_byte_is_found_in_its_line(log):
    content = log.read_bytes()
    for i in range(0, len(content), 7):
        line = content[:i].count(b"\n") + 1
        for spoilt in (content[:i] + b"x" + content[i:], content[:i] + content[i + 1 :]):
            log.write_bytes(spoilt)
            assert verify(log).line == line, (i, spoilt[i - 2 : i + 2])


@pytest.mark.parametrize("at", range(RECORDS))
def test_a_removed_doubled_or_foreign_line_is_found_in_its_place(log, tmp_path, at):
    lines = log.read_bytes().splitlines(keepends=True)
    foreign = written(tmp_path / "other.jsonl", RECORDS).read_bytes().splitlines(keepends=True)

    def spoil(content):
        log.write_bytes(b"".join(content))
        return verify(log).line

    assert spoil(lines[:at] + lines[at + 1 :]) == at + 1
    assert spoil(lines[: at + 1] + lines[at:]) == at + 2
    # Another log's first record is as good a first record: the second one does not follow it.
    assert spoil([*lines[:at], foreign[at], *lines[at + 1 :]]) == max(at + 1, 2)
    assert spoil([*lines[:at], b"\n", *lines[at:]]) == at + 1
    assert spoil(lines) is None, "the control"


def test_every_swap_of_two_lines_is_found_at_the_first(log):
    lines = log.read_bytes().splitlines(keepends=True)
    for i in range(RECORDS):
        for j in range(i + 1, RECORDS):
            swapped = list(lines)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            log.write_bytes(b"".join(swapped))
            assert verify(log).line == i + 1


@pytest.mark.parametrize("kept", range(RECORDS))
def test_a_cut_off_end_is_found(log, kept):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:kept]))
    found = verify(log)
    assert (found.line, found.records) == (kept + 1, kept)
    assert found.problem == f"{RECORDS - kept} record(s) are missing at the end"
    log.write_bytes(b"".join(lines[:kept]) + lines[kept][:-1])
    assert (verify(log).line, verify(log).problem) == (kept + 1, "the last record is cut off")


def test_bytes_that_are_no_text_are_said_to_be_none(log):
    log.write_bytes(b"\xff" + log.read_bytes())
    assert verify(log).problem == "this is not UTF-8 text"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda records: [r for r in records if r["details"]["number"] != 5],
        lambda records: [r | {"tool": "harmless"} for r in records],
        lambda records: records[:-3],
        lambda records: records[::-1],
    ],
)
def test_a_new_chain_by_who_can_write_both_files_shows_only_by_a_hash_kept_elsewhere(log, spoil):
    kept_elsewhere = verify(log).head
    rechained(log, spoil)
    assert verify(log).ok, "nothing in the two files gives it away"
    found = verify(log, expected=kept_elsewhere)
    assert found.problem == "the log does not end with the hash that you gave"
    assert not found.ok


def test_a_head_file_that_was_put_back_is_found(log):
    old = head_path(log).read_bytes()
    written(log, 2)
    head_path(log).write_bytes(old)
    found = verify(log)
    assert found.problem == "2 records stand after the recorded end: the head file was put back"
    assert found.line == RECORDS + 3


def test_a_writer_that_died_between_both_files_is_no_tampering(log):
    old = head_path(log).read_bytes()
    written(log, 1)
    head_path(log).write_bytes(old)
    assert verify(log).ok


def test_a_head_file_of_another_log_is_found(log, tmp_path):
    other = written(tmp_path / "other.jsonl", RECORDS)
    head_path(log).write_bytes(head_path(other).read_bytes())
    assert verify(log).problem == "the head file belongs to another log"


def test_an_emptied_head_file_is_found(log):
    head_path(log).write_bytes(b"")
    assert not verify(log).ok


def test_every_changed_byte_of_the_head_file_is_found(log):
    content = head_path(log).read_bytes()
    for i, byte in enumerate(content):
        head_path(log).write_bytes(content[:i] + bytes([byte ^ 1]) + content[i + 1 :])
        try:
            assert not verify(log).ok
        except AuditError as error:
            assert "the audit head file is damaged" in str(error)


def test_an_empty_log_is_whole(tmp_path):
    log = tmp_path / "audit.jsonl"
    log.touch()
    head_path(log).touch()
    assert verify(log).ok
    assert verify(log).records == 0


@pytest.mark.parametrize("missing", ["log", "head"])
def test_a_missing_file_can_not_be_verified(log, missing):
    gone = log if missing == "log" else head_path(log)
    gone.unlink()
    with pytest.raises(AuditError, match=f"{gone} can't be read: No such file or directory"):
        verify(log)


def test_a_log_that_others_write_to_is_verified_as_it_stands(log):
    """Without the snapshot, records written meanwhile would look like a head file put back."""
    writer = AuditLog(log)

    def write():
        for _ in range(1000):
            writer.write("session", "result", CALL, {})

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while thread.is_alive():
        seen.append(verify(log))
    thread.join()
    writer.close()
    assert all(found.ok for found in seen)
    assert verify(log).records == RECORDS + 1000


def test_verifying_leaves_no_lock_behind(log):
    verify(log)
    with log.open("rb") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
