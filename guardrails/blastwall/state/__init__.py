"""What outlives a call."""

from blastwall.state.quarantine import Kept, Quarantine

__all__ = ["Kept", "Quarantine"]
