"""Whose fault it was, in the type. A refusal inside the core is a value (`Denied`), never an exception."""

from collections.abc import Sequence
from dataclasses import dataclass


class BlastwallError(Exception):
    """The root of every exception that blastwall raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy file. `line` and `column` count from 1; 0 where there is no position."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class PolicyError(BlastwallError):
    """You wrote the policy wrong, or it can't be read. Every problem at once; nothing was loaded."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems in the order of the file."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class BackendError(BlastwallError):
    """The outside failed (a sandbox, an upstream server, the audit log). The message says what to do."""


class AuditError(BackendError):
    """The audit log could not be written, read or trusted."""


class SandboxUnavailable(BackendError):
    """No sandbox of the strength that the profile asks for can be had here. Nothing ran."""


class Suspended(BlastwallError):
    """A handler must unwind the framework (a LangGraph interrupt): the cause is re-raised by the adapter."""


class ToolFailed(BlastwallError):
    """The tool reported a failure; its own words were changed or withheld by screening."""


class RefusedError(BlastwallError):
    """What a guarded plain function raises instead of running. The message is safe to show to the model."""
