"""The proxy as a whole: the servers of a policy, the engine, and one client on stdin and stdout."""

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from blastwall.errors import BackendError
from blastwall.guard import Guard
from blastwall.session import Session
from blastwall_mcp.catalogue.pinned import of_guard
from blastwall_mcp.engine.engine import Engine
from blastwall_mcp.fronts.stdio_front import StdioFront
from blastwall_mcp.upstreams.pool import Pool
from blastwall_mcp.upstreams.stdio import front


async def serve_stdio(guard: Guard) -> None:
    """Serve every MCP server of the guard's policy as one, until the client closes our stdin.

    All calls of one run belong to one session of the audit log.

    Raises:
        BackendError: the policy names no server, or stdin and stdout are not pipes.

    """
    if not guard.policy.servers:
        raise BackendError("no connector of the policy has a `server`: add one to have something to serve")
    with guard.session() as session:
        async with front() as wire, until_terminated() as tasks:
            async with serving(guard, session, tasks) as engine:
                client = StdioFront(engine, session, wire, guard.policy.front.era)
                tasks.start_soon(client.warm)
                await wire.run(client.on_request, client.on_notify)
                await client.closed()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def serving(guard: Guard, session: Session, tasks: TaskGroup) -> AsyncGenerator[Engine]:
    """Give an engine for the servers of a policy, which live in `tasks` and in the sandboxes of a session."""
    credentials = guard.policy.credentials
    engine = Engine(
        guard,
        lambda servers, hooks: Pool(servers, session.boxes.launch, tasks, hooks, credentials),
        of_guard(guard),
    )
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def until_terminated() -> AsyncGenerator[TaskGroup]:
    """Give a task group that SIGTERM cancels, so that upstreams and sandboxes are cleaned up."""
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        yield tasks
