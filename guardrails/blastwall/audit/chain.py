"""How audit records are chained, so that any edit shows."""

import json
from dataclasses import dataclass
from typing import Any

from blastwall.frozen import Json, canonical, digest

GENESIS = "0" * 64
"""What the first record follows."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a log: its number (from 1; 0 for an empty log) and its hash."""

    number: int = 0
    hash: str = GENESIS


def seal(head: Head, body: dict[str, Json]) -> tuple[Head, str]:
    """Chain a record behind `head`: the new head, and the record's line (with its newline).

    The hash is SHA-256 over the canonical JSON of the record without its hash, which holds the number
    and the hash of the record before it.
    """
    number = head.number + 1
    text = canonical(body | {"n": number, "prev": head.hash})
    hashed = digest(text)
    return Head(number, hashed), f'{{"hash":"{hashed}",{text[1:]}\n'


def follow(head: Head, line: str) -> Head:
    """Check that a line (without its newline) is the one record that can follow `head`.

    Raises:
        ValueError: saying what is wrong with it.

    """
    try:
        record: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("this is not a JSON record") from None
    if not isinstance(record, dict) or {"hash", "n", "prev"} - record.keys():
        raise ValueError("this is not an audit record")
    if record["n"] != head.number + 1:
        raise ValueError(f"record {record['n']} stands where {head.number + 1} belongs")
    if record["prev"] != head.hash:
        raise ValueError("this record does not follow the one before it")
    text = '{"hash":"' + str(record["hash"]) + '",'
    if not line.startswith(text) or digest("{" + line.removeprefix(text)) != record["hash"]:
        raise ValueError("this record was changed after it was written")
    return Head(record["n"], record["hash"])
