"""Virtual machines: commands in a guest that has its own kernel, the workspace, and nothing else."""

from blastwall.sandbox.vm.command import Command
from blastwall.sandbox.vm.machine import Machine
from blastwall.sandbox.vm.oneshot import Found, launch, probe
from blastwall.sandbox.vm.pool import Pool

__all__ = ["Command", "Found", "Machine", "Pool", "launch", "probe"]
