"""The messages between host and guest: their numbers, their head, and how much may be under way."""

import struct

CONFIGURE, START, INPUT, KILL, CREDIT = 1, 2, 3, 4, 5
"""What the host says. An INPUT without bytes is the end of the input."""
READY, OUTPUT, ERRORS, EXITED, TAKEN = 65, 66, 67, 68, 69
"""What the guest says. TAKEN is the credit for input."""

HEAD = struct.Struct(">BII")
CODE = struct.Struct(">I")
GRANT = struct.Struct(">BI")
"""A credit: which output, and how many bytes more."""
CHUNK = 1 << 16
WINDOW = 1 << 18
"""Bytes of one output that may be on their way to a host that has not taken them yet."""
