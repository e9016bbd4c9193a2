"""`blastwall proxy`: an MCP server over every upstream in the policy."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from typing import Annotated, Literal

import typer

from blastwall.cli.output import Exit, PolicyFiles, stop
from blastwall.cli.policies import in_force
from blastwall.errors import BackendError, PolicyError
from blastwall.guard import Guard

Level = Annotated[
    Literal["error", "warning", "info", "debug"],
    typer.Option("--log-level", help="What is told on stderr; info includes what the servers write there."),
]
OverHttp = Annotated[
    bool, typer.Option("--http", help="Serve over HTTP instead of stdin and stdout, as the policy says.")
]
Address = Annotated[
    str, typer.Argument(metavar="HOST:PORT", help="With --http: where, instead of the policy's address.")
]


def proxy(
    address: Address = "",
    policy: PolicyFiles = [],  # noqa: B006  # typer reads it once
    http: OverHttp = False,
    log_level: Level = "warning",
) -> None:
    """Serve every MCP server of the policy as one, over stdin and stdout: register this in your client."""
    logging.basicConfig(
        stream=sys.stderr, level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    if address and not http:
        raise typer.BadParameter("an address is for --http", param_hint="HOST:PORT")
    host, port = _read(address)
    files = in_force(policy)
    try:
        asyncio.run(_serving(Guard.from_file(files[0], narrowing=files[1:]), http, host, port))
    except PolicyError as error:
        stop(Exit.POLICY, str(error))
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    except KeyboardInterrupt:
        stop(Exit.OK)


def _serving(guard: Guard, http: bool, host: str, port: int | None) -> Coroutine[None, None, None]:
    try:
        import blastwall_mcp  # noqa: PLC0415  # an extra, and its import takes a second
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    return blastwall_mcp.serve_http(guard, host, port) if http else blastwall_mcp.serve_stdio(guard)


def _read(address: str) -> tuple[str, int | None]:
    """Read HOST:PORT; each may be left out."""
    host, colon, port = address.rpartition(":")
    if not address:
        return "", None
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:
        raise typer.BadParameter(f"{address!r} is no address: write 127.0.0.1:8765", param_hint="HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
