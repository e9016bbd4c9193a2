"""Where withheld outputs wait for a person: one file each, out of the agent's sight."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blastwall.errors import BackendError
from blastwall.frozen import thaw
from blastwall.values import Finding, ToolCall, ToolOutput

KEPT = 1000
"""Outputs that are kept; the oldest goes when one more comes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One withheld output, for a person's eyes only."""

    id: str
    time: str
    connector: str
    tool: str
    findings: tuple[dict[str, Any], ...]
    output: Any


class Quarantine:
    """A folder of withheld outputs, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        """Make nothing yet: the first output does."""
        self.path = path

    def keep(self, call: ToolCall, output: ToolOutput, findings: tuple[Finding, ...]) -> str:
        """Keep an output and give its id.

        Raises:
            BackendError: when it can't be written.

        """
        name = f"q-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        content = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "connector": call.connector,
            "tool": call.tool,
            "findings": [asdict(finding) | {"action": finding.action.name.lower()} for finding in findings],
            "output": thaw(output.value),
        }
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(self._file(name), flags, 0o600)
            try:
                with open(descriptor, "w", encoding="utf-8") as file:
                    json.dump(content, file, ensure_ascii=False)
            except OSError:
                self._file(name).unlink()
                raise
            for old in self.ids()[:-KEPT]:
                self._file(old).unlink(missing_ok=True)
        except OSError as error:
            raise BackendError(f"the quarantine {self.path} can't be written: {error.strerror}") from None
        return name

    def ids(self) -> list[str]:
        """List what is kept, oldest first."""
        return sorted(file.stem for file in self.path.glob("q-*.json"))

    def show(self, name: str) -> Kept:
        """Give one withheld output back.

        Raises:
            BackendError: when there is none of this id, or it can't be read.

        """
        if name not in self.ids():
            raise BackendError(f"nothing is kept under {name!r}: see `blastwall quarantine list`")
        try:
            content = json.loads(self._file(name).read_text(encoding="utf-8"))
            return Kept(id=name, **content | {"findings": tuple(content["findings"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BackendError(f"{self._file(name)} can't be read ({type(error).__name__})") from None

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.json"
