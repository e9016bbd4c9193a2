"""One command in a sandbox, awaited. Apart from `process`, because asyncio costs 60 ms to import."""

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from blastwall.sandbox.bubblewrap import prepare
from blastwall.sandbox.process import CHUNK, Capped, Completed, check_ran, outputs, started
from blastwall.values import Profile


async def arun(
    argv: Sequence[str], profile: Profile, *, stdin: bytes = b"", read: Iterable[Path] = ()
) -> Completed:
    """Run a command in a sandbox of this profile; cancellation kills it and everything inside.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine. Nothing ran.

    """
    began = time.monotonic()
    out, err = Capped(profile.output_kb << 10), Capped(profile.output_kb << 10)
    timed_out = False
    # Started without awaiting: there is no moment in which it runs and a cancellation would not find it.
    with prepare(argv, profile, read=read) as prepared:
        with started(prepared, stdin) as process:
            stdout, stderr = outputs(process)
            try:
                async with asyncio.timeout(began + profile.timeout_s - time.monotonic()):
                    await asyncio.gather(_drain(stdout, out), _drain(stderr, err))
                    await _ended(process.pid)
            except TimeoutError:
                timed_out = True
        check_ran(prepared, process, err)
    return Completed(
        returncode=process.returncode,
        stdout=out.kept,
        stderr=err.kept,
        truncated=out.truncated or err.truncated,
        timed_out=timed_out,
        duration_s=time.monotonic() - began,
    )


async def _drain(pipe: IO[bytes], into: Capped) -> None:
    while True:
        await _readable(pipe.fileno())
        data = os.read(pipe.fileno(), CHUNK)
        if not data:
            return
        into.add(data)


async def _ended(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        await _readable(descriptor)
    finally:
        os.close(descriptor)


async def _readable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
