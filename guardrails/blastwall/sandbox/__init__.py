"""Sandboxes: what a tool call may touch, enforced by the operating system."""

from blastwall.sandbox.bubblewrap import Prepared, prepare
from blastwall.sandbox.doctor import Check, Probe, escapes, probe
from blastwall.sandbox.process import Completed, kill, run
from blastwall.sandbox.python import ToolRaised, acall, call

__all__ = [
    "Check",
    "Completed",
    "Prepared",
    "Probe",
    "ToolRaised",
    "acall",
    "call",
    "escapes",
    "kill",
    "prepare",
    "probe",
    "run",
]
