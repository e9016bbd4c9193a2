"""One command in a sandbox, awaited. Apart from `process`, because asyncio costs 60 ms to import."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from blastwall.sandbox.launch import launch
from blastwall.sandbox.process import CHUNK, Capped, Completed, Launch, Watch
from blastwall.sandbox.running import Running
from blastwall.values import Profile


async def arun(
    argv: Sequence[str],
    profile: Profile,
    *,
    stdin: bytes = b"",
    read: Iterable[Path] = (),
    launch: Launch = launch,
    **options: Any,
) -> Completed:
    """Run a command in a sandbox of this profile; cancellation kills it and everything inside.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine. Nothing ran.

    """
    watch = Watch(profile)
    # Started without awaiting: there is no moment in which it runs and a cancellation would not find it.
    with launch(argv, profile, stdin=stdin, read=read, **options) as running:
        await apump(running, watch)
        return watch.completed(running)


async def apump(running: Running, watch: Watch) -> None:
    """Drain the pipes until both end and the command with them, or until it has to be stopped."""
    parts = asyncio.gather(
        _drain(running.stdout, watch.out), _drain(running.stderr, watch.err), _ended(running)
    )
    try:
        while not parts.done():
            await asyncio.wait([parts], timeout=watch.pause_s())
            # Looking at a large workspace takes its time, which is not the event loop's.
            if not parts.done() and await asyncio.to_thread(watch.over):
                return
        await parts
    finally:
        parts.cancel()


async def _ended(running: Running) -> None:
    await _readable(running.fileno())
    running.kill()  # whatever it left behind keeps the pipes open no longer


async def _drain(pipe: IO[bytes], into: Capped) -> None:
    while True:
        await _readable(pipe.fileno())
        data = os.read(pipe.fileno(), CHUNK)
        into.add(data)
        if not data:
            return


async def _readable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
