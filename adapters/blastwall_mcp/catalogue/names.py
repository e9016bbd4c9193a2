"""How a connector's tool is called towards the client: short, plain, and the same every time."""

import hashlib
import re

LONGEST = 64
"""Characters that a tool's name may have with every client and model API known to us."""

SEPARATOR = "__"
_HASH = 12
_PLAIN = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OTHER = re.compile(r"[^a-zA-Z0-9-]+")


def exposed(connector: str, tool: str) -> str:
    """Give the name of a tool: `connector__tool`, or something like it with a hash where that won't do.

    An altered name never contains the separator, so no server can name a tool such that it gets the
    altered name of another's.
    """
    name = f"{connector}{SEPARATOR}{tool}"
    if _PLAIN.fullmatch(name):
        return name
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    start = _OTHER.sub("_", name)[: LONGEST - _HASH - 1].rstrip("_")
    return f"{start}_{mark}"
