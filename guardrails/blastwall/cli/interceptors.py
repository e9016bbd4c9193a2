"""`blastwall interceptors`: a policy and its screening for other gateways to ask (experimental)."""

import asyncio
import logging
import sys
from typing import Annotated

import typer

from blastwall.cli.output import Exit, PolicyFiles, stop
from blastwall.cli.policies import in_force
from blastwall.errors import BackendError, PolicyError
from blastwall.guard import Guard

Audit = Annotated[bool, typer.Option("--audit", help="Say what would be refused, and refuse nothing.")]


def interceptors(
    policy: PolicyFiles = [],  # noqa: B006  # typer copies it
    audit: Audit = False,
) -> None:
    """Serve the policy as MCP interceptors (draft SEP-2624) over stdin and stdout: experimental."""
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(levelname)s %(name)s: %(message)s")
    files = in_force(policy)
    try:
        from blastwall_mcp.experimental.interceptors import serve  # noqa: PLC0415  # an extra, and slow
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    try:
        asyncio.run(serve(Guard.from_file(files[0], narrowing=files[1:]), audit=audit))
    except PolicyError as error:
        stop(Exit.POLICY, str(error))
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    except KeyboardInterrupt:
        stop(Exit.OK)
