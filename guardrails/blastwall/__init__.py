"""Contain what an AI agent's tool call can do.

Every tool call is judged by a policy, run where the policy says (here, in a sandbox, or not at all),
screened on its way back, and recorded before it happens. Silence denies:

    guard = Guard.from_file("blastwall.yaml")

    @guard.tool(connector="files")
    def read_note(name: str) -> str: ...
"""

from blastwall.errors import (
    AuditError,
    BackendError,
    BlastwallError,
    PolicyError,
    Problem,
    RefusedError,
    SandboxUnavailable,
    Suspended,
    ToolFailed,
)
from blastwall.frozen import NotJson, freeze, thaw
from blastwall.guard import Guard
from blastwall.session import Session
from blastwall.values import (
    Annotations,
    Approved,
    Ask,
    Classify,
    Delivered,
    Denied,
    Edited,
    Failed,
    Label,
    Outcome,
    Profile,
    Refused,
    Rejected,
    Strength,
    ToolCall,
    ToolOutput,
    Withheld,
)

__all__ = [
    "Annotations",
    "Approved",
    "Ask",
    "AuditError",
    "BackendError",
    "BlastwallError",
    "Classify",
    "Delivered",
    "Denied",
    "Edited",
    "Failed",
    "Guard",
    "Label",
    "NotJson",
    "Outcome",
    "PolicyError",
    "Problem",
    "Profile",
    "Refused",
    "RefusedError",
    "Rejected",
    "SandboxUnavailable",
    "Session",
    "Strength",
    "Suspended",
    "ToolCall",
    "ToolFailed",
    "ToolOutput",
    "Withheld",
    "freeze",
    "thaw",
]
