"""Audit logs for tests, and what an attacker does to one."""

import json

from blastwall.audit import GENESIS, AuditLog, Head
from blastwall.audit.chain import seal
from blastwall.audit.log import head_path
from blastwall.values import ToolCall

CALL = ToolCall.of("files", "read", {"path": "a.txt"})


def written(path, records, **options):
    """Write a log of so many records and close it."""
    log = AuditLog(path, **options)
    for i in range(records):
        log.write("session", "decision" if i % 2 == 0 else "result", CALL, {"number": i})
    log.close()
    return path


def rechained(path, spoil):
    """Change the records, then make a new, perfect chain and a head file of them: the attacker owns both."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    head, lines = Head(0, GENESIS), []
    for record in spoil(records):
        body = {key: value for key, value in record.items() if key not in ("hash", "n", "prev")}
        head, line = seal(head, body)
        lines.append(line)
    path.write_text("".join(lines))
    head_path(path).write_text(f"{head.number:020d} {head.hash}\n")
