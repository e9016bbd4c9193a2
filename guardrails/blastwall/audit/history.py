"""What a whole audit log says was decided."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from blastwall.audit.verify import verify
from blastwall.errors import AuditError
from blastwall.frozen import freeze
from blastwall.policy.observed import Observed
from blastwall.provenance.origins import Context
from blastwall.provenance.recorded import annotations, from_json
from blastwall.values import Reason, ToolCall


def decisions(path: Path) -> Iterator[Observed]:
    """Give every decision of a log, in its order. What came of its charges afterwards is not told again.

    Raises:
        AuditError: when the log can't be read or is not whole. A log that was changed proves nothing, and
            a policy that is learned from it would be its attacker's.

    """
    found = verify(path)
    if not found.ok:
        raise AuditError(f"{path}:{found.line}: {found.problem}: see `blastwall audit verify {path}`")
    history = _History()
    try:
        with path.open(encoding="utf-8") as log:
            for line in islice(log, found.records):
                record = json.loads(line)
                history.hear(record)
                if record["event"] == "decision" and not _again(record["details"]):
                    yield history.decision(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditError(
            f"{path} is no audit log of this version ({type(error).__name__}: {error})"
        ) from None


def _again(details: Mapping[str, Any]) -> bool:
    """Say whether a decision is the second one on a call: what came of charges that could not be paid."""
    return "over" in details or details.get("reason") == Reason.USED_UP.value


@dataclass(slots=True)
class _History:
    """What has been read so far: the words of every session's user, None where they were not recorded."""

    heard: dict[str, list[str | None]] = field(default_factory=lambda: defaultdict(list))

    def hear(self, record: Mapping[str, Any]) -> None:
        """Keep what a user said. A session and its children hear the same words."""
        session, details = record["session"], record["details"]
        match record["event"]:
            case "prompt":
                self.heard[session].append(details.get("text"))
            case "child":
                self.heard[session] = self.heard[details["of"]]
            case _:
                pass

    def decision(self, record: Mapping[str, Any]) -> Observed:
        """Read one decision."""
        details = record["details"]
        call = _call(record)
        return Observed(
            record["n"],
            record["connector"],
            record["tool"],
            record["call"],
            str(details["verdict"]),
            str(details.get("rule") or ""),
            str(details.get("reason") or ""),
            call,
            self._context(record, call),
        )

    def _context(self, record: Mapping[str, Any], call: ToolCall | None) -> Context | None:
        """Read what the decision leaned on; what can't be read back in full counts as not recorded."""
        recorded = record["details"].get("context")
        heard = self.heard[record["session"]]
        words = [text for text in heard if text is not None]
        if recorded is None or call is None or len(words) < len(heard):
            return None
        try:
            return from_json(freeze(recorded), call.arguments, words)
        except ValueError:
            return None


def _call(record: Mapping[str, Any]) -> ToolCall | None:
    """Make the call again, if it was recorded in full and is the one that the digest is of."""
    arguments = record.get("arguments")
    if not isinstance(arguments, dict):
        return None
    details = record["details"]
    try:
        call = ToolCall.of(
            record["connector"],
            record["tool"],
            arguments,
            annotations(freeze(details.get("annotations", {}))),
            str(details.get("fingerprint") or ""),
        )
    except ValueError:
        return None
    return call if call.digest == record["call"] else None
