"""A command with our own input and output, as on a command line. What it shows can't take over a terminal."""

import codecs
import os
import selectors
import threading
from typing import IO

from blastwall.sandbox.process import CHUNK, Completed, Watch
from blastwall.sandbox.running import Running
from blastwall.values import Profile

_CONTROLS = {code: "?" for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}
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


def attach(running: Running, profile: Profile) -> Completed:
    """Pass our input to a command and its output to ours, until its end or until its time is up.

    Raises:
        SandboxUnavailable: when the sandbox never was. Nothing ran.

    """
    watch = Watch(profile)
    if running.stdin is not None:
        threading.Thread(target=_feed, args=(running.stdin,), daemon=True).start()
    with selectors.DefaultSelector() as selector:
        selector.register(running, selectors.EVENT_READ)
        selector.register(running.stdout, selectors.EVENT_READ, _Outlet(1))
        selector.register(running.stderr, selectors.EVENT_READ, _Outlet(2))
        while selector.get_map() and not watch.over():
            for key, _ in selector.select(watch.pause_s()):
                if key.data is None:
                    running.kill()  # whatever it left behind keeps the pipes open no longer
                    selector.unregister(key.fileobj)
                    continue
                data = os.read(key.fd, CHUNK)
                if key.fileobj is running.stderr:
                    watch.err.add(data)
                key.data.pass_on(data)
                if not data:
                    selector.unregister(key.fileobj)
    return watch.completed(running)


def _feed(into: IO[bytes]) -> None:
    try:
        while data := os.read(0, CHUNK):
            into.write(data)
            into.flush()
        into.close()
    except (OSError, ValueError):
        return  # it ended first
