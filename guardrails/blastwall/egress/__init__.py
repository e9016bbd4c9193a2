"""The only way out of a sandbox: allowed places, counted bytes, credentials put in outside, all recorded."""

from blastwall.egress.decide import Decision
from blastwall.egress.gate import CA_FILE, PORT, Gate

__all__ = ["CA_FILE", "PORT", "Decision", "Gate"]
