"""The processes at both ends: an upstream server that never outlives the proxy, and the proxy's own pipes."""

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import anyio
from mcp.client.stdio import get_default_environment

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.running import Running
from blastwall.values import Profile, Server
from blastwall_mcp.upstreams.programs import files
from blastwall_mcp.wire.pipes import is_pipe, reading
from blastwall_mcp.wire.wire import Wire, connect

GRACE_S = 0.5
"""Seconds between closing a server's stdin, asking it to end, and killing it. Clients wait 2 s for us."""

_LIFELONG_S = 10 * 365 * 86400.0
"""A profile's time limit also bounds processor time, which a server may use as long as it is needed."""

LONGEST_REMARK = 2000
"""Bytes of one stderr line that are logged."""

_LEASH = 'read -r _; kill -s KILL -- "-$1"'

log = logging.getLogger(__name__)


Launch = Callable[..., AbstractContextManager[Running]]
"""How a command is started in a sandbox: a session's own way."""


@asynccontextmanager
async def spawn(
    connector: str, server: Server, profile: Profile | None, launch: Launch
) -> AsyncGenerator[Wire]:
    """Run a server process, inside `profile` if there is one, and speak to it over its pipes.

    Leaving the block ends the server and all that it started, gently first. If this process dies in any way,
    they are killed. The profile's `timeout_s` limits the server's CPU time, not how long it lives.

    Raises:
        BackendError: the program can't be started.
        SandboxUnavailable: it can't be confined as the policy says.

    """
    if profile is None:
        starting: AbstractContextManager[Running] = _unconfined(connector, server)
    else:
        starting = _confined(connector, server, profile, launch)
    async with _in_a_thread(starting) as running:
        wire = await connect(running.stdout, _pipe(running.stdin), connector)
        remarks = asyncio.create_task(_remarks(running.stderr, connector))
        try:
            yield wire
        finally:
            remarks.cancel()
            with anyio.CancelScope(shield=True):
                wire.pipes.close_sink()
                await _end(running)
                await wire.aclose()


@contextmanager
def _confined(connector: str, server: Server, profile: Profile, launch: Launch) -> Iterator[Running]:
    """Run a server in a sandbox. Where there is none, its user may know of another way."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(launch(server.command, _inside(connector, server, profile)))
        except SandboxUnavailable as error:
            raise SandboxUnavailable(
                f"the server of connector {connector} can't be confined: {error}; or name a profile that this"
                " machine can build in its `sandbox`; or let it do all that you may, with `sandbox: none`"
            ) from None
        yield running


def _inside(connector: str, server: Server, profile: Profile) -> Profile:
    """Give the profile that a server runs in, in which it sees its own program where the policy has it so."""
    read = profile.read
    if server.program_readable:
        env = get_default_environment()
        _require(connector, server, env)
        read = (*read, *files(server.command, server.directory, env.get("PATH", os.defpath)))
    return replace(profile, read=read, env=(*profile.env, *server.env), timeout_s=_LIFELONG_S)


@asynccontextmanager
async def _in_a_thread(starting: AbstractContextManager[Running]) -> AsyncGenerator[Running]:
    """Start something without holding up the other servers: a machine takes seconds to boot.

    In a thread of the event loop's own, which lives as long as the loop: the kernel ends a sandbox with the
    thread that started it.
    """
    stack, over = ExitStack(), threading.Event()

    def enter() -> Running:
        try:
            return stack.enter_context(starting)
        finally:
            if over.is_set():  # cancelled meanwhile
                stack.close()

    try:
        yield await asyncio.to_thread(enter)
    finally:
        over.set()
        stack.close()


class _Unconfined:
    """An ordinary process, as a `Running`."""

    def __init__(self, process: subprocess.Popen[bytes], ended: int) -> None:
        self.stdin, self.stdout, self.stderr = process.stdin, _pipe(process.stdout), _pipe(process.stderr)
        self._process, self._ended = process, ended

    def fileno(self) -> int:
        return self._ended

    def ask(self) -> None:
        _kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        _kill(self._process.pid, signal.SIGKILL)

    def wait(self) -> int:
        return self._process.wait()

    def check(self, complaint: bytes) -> None:
        pass


@contextmanager
def _unconfined(connector: str, server: Server) -> Iterator[_Unconfined]:
    env = get_default_environment() | dict(server.env)
    _require(connector, server, env)
    setpriv = shutil.which("setpriv")
    bound = (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
    process = _popen(connector, (*bound, *server.command), env=env, cwd=server.directory)
    leash = _leash(process.pid)
    ended = os.pidfd_open(process.pid)
    try:
        yield _Unconfined(process, ended)
    finally:
        _kill(process.pid, signal.SIGKILL)
        leash.kill()
        with leash, suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        os.close(ended)


def _require(connector: str, server: Server, env: Mapping[str, str]) -> None:
    """Say that a program is missing before `setpriv` or a sandbox says it in its own way."""
    program = server.command[0]
    if os.sep in program:
        program = str(Path(server.directory or ".") / program)
    if shutil.which(program, path=env.get("PATH", os.defpath)) is None:
        raise BackendError(
            f"the server of connector {connector} can't be started: there is no program"
            f" {server.command[0]!r}; install it or correct `command` in the policy"
        )


def _popen(connector: str, argv: tuple[str, ...], **options: Any) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, **options)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise BackendError(
            f"the server of connector {connector} can't be started ({type(error).__name__}):"
            " correct its `command` or `directory` in the policy"
        ) from None


def _leash(group: int) -> subprocess.Popen[bytes]:
    """Start a shell that kills the process group as soon as nobody holds the other end of its stdin.

    The parent-death signal alone reaches the first process only, and launchers such as npx start another.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", _LEASH, "leash", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # pragma: no cover  # Popen was given PIPE for all three
        raise BackendError("a server process has no pipes")
    return stream


async def _end(running: Running) -> None:
    """Wait for a server whose stdin is closed; ask, then force, what does not end by itself."""
    ask = running.ask if isinstance(running, _Unconfined) else running.kill
    for insist in (ask, running.kill):
        with anyio.move_on_after(GRACE_S):
            await anyio.wait_readable(running.fileno())
            break
        insist()


def _kill(group: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, how)


async def _remarks(stream: IO[bytes], connector: str) -> None:
    """Drain a server's stderr into our log: it can't block, and it never reaches the client."""
    lines, transport = await reading(stream, LONGEST_REMARK)
    try:
        while text := await lines.read(LONGEST_REMARK):
            for line in text.decode(errors="replace").splitlines():
                log.info("%s: %s", connector, "".join(c if c.isprintable() else "?" for c in line))
    finally:
        transport.close()


@asynccontextmanager
async def front() -> AsyncGenerator[Wire]:
    """Speak to the client over our own stdin and stdout, which nothing else can reach meanwhile.

    Raises:
        BackendError: they are not pipes.

    """
    if not (is_pipe(0) and is_pipe(1)):
        raise BackendError(
            "stdin and stdout are not pipes: this is an MCP server, so name it in your MCP client's settings"
        )
    with ExitStack() as stack:
        source = stack.enter_context(os.fdopen(_take(0, os.O_RDONLY), "rb", 0))
        sink = stack.enter_context(os.fdopen(_take(1, None), "wb", 0))
        wire = await connect(source, sink, "the client")
        try:
            yield wire
        finally:
            await wire.aclose()


def _take(descriptor: int, instead: int | None) -> int:
    """Move a standard stream away; leave /dev/null, or stderr for stray prints, in its place."""
    private = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    sys.stdout.flush()
    if instead is None:
        os.dup2(2, descriptor)
    else:
        null = os.open(os.devnull, instead)
        os.dup2(null, descriptor)
        os.close(null)
    return private
