"""`blastwall proxy`: an MCP server over every upstream in the policy."""

import asyncio

from blastwall.cli.output import Exit, PolicyFile, stop
from blastwall.errors import BackendError, PolicyError
from blastwall.guard import Guard


def proxy(policy: PolicyFile = "blastwall.yaml") -> None:
    """Serve every MCP server of the policy as one, over stdin and stdout: register this in your client."""
    try:
        from blastwall_mcp import serve_stdio  # noqa: PLC0415  # an extra, and its import takes a second
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    try:
        asyncio.run(serve_stdio(Guard.from_file(policy)))
    except PolicyError as error:
        stop(Exit.POLICY, str(error))
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    except KeyboardInterrupt:
        stop(Exit.OK)
