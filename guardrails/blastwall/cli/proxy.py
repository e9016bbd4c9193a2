"""`blastwall proxy`: an MCP server over every upstream in the policy."""

import asyncio
import logging
import sys
from typing import Annotated, Literal

import typer

from blastwall.cli.output import Exit, PolicyFiles, stop
from blastwall.errors import BackendError, PolicyError
from blastwall.guard import Guard

Level = Annotated[
    Literal["error", "warning", "info", "debug"],
    typer.Option("--log-level", help="What is told on stderr; info includes what the servers write there."),
]


def proxy(
    policy: PolicyFiles = ["blastwall.yaml"],  # noqa: B006  # typer reads it once
    log_level: Level = "warning",
) -> None:
    """Serve every MCP server of the policy as one, over stdin and stdout: register this in your client."""
    logging.basicConfig(
        stream=sys.stderr, level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        from blastwall_mcp import serve_stdio  # noqa: PLC0415  # an extra, and its import takes a second
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    try:
        asyncio.run(serve_stdio(Guard.from_file(policy[0], narrowing=policy[1:])))
    except PolicyError as error:
        stop(Exit.POLICY, str(error))
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    except KeyboardInterrupt:
        stop(Exit.OK)
