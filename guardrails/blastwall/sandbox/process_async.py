"""One command in a sandbox, awaited. Apart from `process`, because asyncio costs 60 ms to import."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from blastwall.sandbox.bubblewrap import prepare
from blastwall.sandbox.process import Capped, Completed, kill
from blastwall.values import Profile

_CHUNK = 1 << 16


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
    with prepare(argv, profile, read=read) as prepared:
        process = await asyncio.create_subprocess_exec(
            *prepared.argv,
            env=prepared.env,
            pass_fds=prepared.pass_fds,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        timed_out = False
        try:
            async with asyncio.timeout(profile.timeout_s):
                await asyncio.gather(
                    _feed(process.stdin, stdin), _drain(process.stdout, out), _drain(process.stderr, err)
                )
                await process.wait()
        except TimeoutError:
            timed_out = True
        finally:
            if process.returncode is None:
                kill(process.pid)
                await asyncio.shield(process.wait())
    assert process.returncode is not None  # noqa: S101  # waited for
    return Completed(
        returncode=process.returncode,
        stdout=out.kept,
        stderr=err.kept,
        truncated=out.truncated or err.truncated,
        timed_out=timed_out,
        duration_s=time.monotonic() - began,
    )


async def _feed(pipe: asyncio.StreamWriter | None, data: bytes) -> None:
    assert pipe is not None  # noqa: S101  # a pipe, as started
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()


async def _drain(pipe: asyncio.StreamReader | None, into: Capped) -> None:
    assert pipe is not None  # noqa: S101  # a pipe, as started
    while data := await pipe.read(_CHUNK):
        into.add(data)
