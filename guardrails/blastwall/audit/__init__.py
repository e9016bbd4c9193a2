"""The audit chain: what was decided and done, in an order that can't be rewritten unseen."""

from blastwall.audit.chain import GENESIS, Head
from blastwall.audit.log import AuditLog
from blastwall.audit.verify import Verified, verify

__all__ = ["GENESIS", "AuditLog", "Head", "Verified", "verify"]
