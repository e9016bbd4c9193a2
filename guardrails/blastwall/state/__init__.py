"""What outlives a call."""

from blastwall.state.ledger import Counters, Ledger
from blastwall.state.quarantine import Kept, Quarantine

__all__ = ["Counters", "Kept", "Ledger", "Quarantine"]
