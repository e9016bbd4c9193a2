"""How the proxy introduces itself, to clients and to servers."""

from importlib.metadata import version

from mcp_types import Implementation

IDENTITY = Implementation(name="blastwall", version=version("blastwall"))
