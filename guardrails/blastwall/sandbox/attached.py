"""A command with our own input and output, as on a command line. What it shows can't take over a terminal."""

import codecs
import os
import threading
from typing import IO

from blastwall.sandbox.process import CHUNK, Completed, Watch, pump
from blastwall.sandbox.running import Running
from blastwall.values import Profile

_TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What changes the direction of writing, so that a name reads as another one."""

_CONTROLS = {code: "?" for code in (*range(32), *range(0x7F, 0xA0), *_TURNING) if chr(code) not in "\t\n\r"}
"""What a terminal obeys instead of showing it: colours, but also titles, the clipboard, answers typed."""


class _Outlet:
    """Passes a stream on to one of ours; to a terminal as plain text."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if os.isatty(descriptor) else None

    def pass_on(self, data: bytes) -> None:
        if self._decoder is not None:
            data = self._decoder.decode(data, final=not data).translate(_CONTROLS).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]


def attach(running: Running, profile: Profile, *, keep: bool = False) -> Completed:
    """Pass our input to a command and its output to ours, until its end or until its time is up.

    Args:
        running: The command.
        profile: Its limits.
        keep: Keep its output instead of passing it on.

    Raises:
        SandboxUnavailable: when the sandbox never was. Nothing ran.

    """
    watch = Watch(profile)
    if running.stdin is not None:
        threading.Thread(target=_feed, args=(running.stdin,), daemon=True).start()
    if keep:
        pump(running, watch)
    else:
        shown = _Outlet(2)

        def err(data: bytes) -> None:
            watch.err.add(data)  # it says why there was no sandbox, if there was none
            shown.pass_on(data)

        pump(running, watch, out=_Outlet(1).pass_on, err=err)
    return watch.completed(running)


def _feed(into: IO[bytes]) -> None:
    try:
        while data := os.read(0, CHUNK):
            into.write(data)
            into.flush()
        into.close()
    except (OSError, ValueError):
        return  # it ended first
