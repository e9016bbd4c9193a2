"""Sandboxes: what a tool call may touch, enforced by the operating system."""

from typing import TYPE_CHECKING, Any

from blastwall.sandbox.bubblewrap import Prepared, prepare
from blastwall.sandbox.child import kill
from blastwall.sandbox.doctor import Check, Probe, escapes, probe
from blastwall.sandbox.launch import launch
from blastwall.sandbox.process import Completed, run
from blastwall.sandbox.python import ToolRaised, acall, call

if TYPE_CHECKING:
    from blastwall.sandbox.process_async import arun

__all__ = [
    "Check",
    "Completed",
    "Prepared",
    "Probe",
    "ToolRaised",
    "acall",
    "arun",
    "call",
    "escapes",
    "kill",
    "launch",
    "prepare",
    "probe",
    "run",
]


def __getattr__(name: str) -> Any:
    if name != "arun":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from blastwall.sandbox.process_async import arun  # noqa: PLC0415  # asyncio costs 60 ms to import

    return arun
