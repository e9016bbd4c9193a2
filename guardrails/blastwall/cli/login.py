"""`blastwall login`: log in at the server of a connector with a browser."""

import asyncio
import logging
import sys
from typing import Annotated

import typer

from blastwall.cli.output import Exit, PolicyFiles, out, stop
from blastwall.cli.policies import policy_or_stop
from blastwall.errors import BackendError
from blastwall.values import Server

Connector = Annotated[str, typer.Argument(help="The connector whose server wants a login.")]
Scope = Annotated[str, typer.Option("--scope", help="What is asked for, instead of what the policy says.")]
Forget = Annotated[bool, typer.Option("--forget", help="Forget the login instead.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tell on stderr what goes on.")]


def login(
    connector: Connector,
    policy: PolicyFiles = [],  # noqa: B006  # typer reads it once
    scope: Scope = "",
    forget: Forget = False,
    debug: Debug = False,
) -> None:
    """Open the browser for a login at a connector's server; what comes of it is kept in the keyring only."""
    logging.basicConfig(stream=sys.stderr, level="DEBUG" if debug else "CRITICAL")
    server = policy_or_stop(*policy).servers.get(connector)
    if server is None or server.oauth is None:
        stop(Exit.FAILED, f"connector {connector} has no `server` with `oauth` in the policy")
    try:
        asyncio.run(_forgotten(connector) if forget else _logged_in(connector, server, scope))
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    out.print(f"the login for {connector} is {'forgotten' if forget else 'kept in the keyring'}")


async def _logged_in(connector: str, server: Server, scope: str) -> None:
    try:
        from blastwall_mcp.upstreams.oauth import login as flow  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    await flow(connector, server, scope=scope)


async def _forgotten(connector: str) -> None:
    try:
        from blastwall_mcp.upstreams.logins import forget  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    await forget(connector)
