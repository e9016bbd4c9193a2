"""How a connector's tools and prompts are called towards the client: short, plain, and always the same."""

import hashlib
import re
from collections.abc import Iterable

from mcp_types import methods

from blastwall.screening.fold import fold

LONGEST = 64
"""Characters that a tool's name may have with every client and model API known to us."""

SEPARATOR = "__"
"""What stands between connector and tool unless the policy names something else."""

_HASH = 12
_PLAIN = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ALTERED = re.compile(rf"_[0-9a-f]{{{_HASH}}}\Z")
_OTHER = re.compile(r"[^a-zA-Z0-9-]+")
_BETWEEN = re.compile(r"[\W_]+")
_ALIKE = str.maketrans("01i", "oll")
_METHODS = frozenset(
    method.casefold()
    for known in (methods.MONOLITH_REQUESTS, methods.MONOLITH_NOTIFICATIONS)
    for method in known
)


def exposed(connector: str, name: str, separator: str = SEPARATOR) -> str:
    """Give the name of a tool: `connector__tool`, or something like it with a hash where that won't do.

    An altered name ends as no unaltered one does, so no server can name a tool such that it gets the
    altered name of another's.
    """
    plain = f"{connector}{separator}{name}"
    if _PLAIN.fullmatch(plain) and not _ALTERED.search(plain):
        return plain
    mark = hashlib.sha256(f"{connector}\0{name}".encode(errors="surrogatepass")).hexdigest()[:_HASH]
    start = _OTHER.sub("_", plain)[: LONGEST - _HASH - 1].rstrip("_")
    return f"{start}_{mark}"


def owner(name: str, connectors: Iterable[str], separator: str = SEPARATOR) -> str | None:
    """Say whose an exposed name reads as: the longest connector that it begins with; None for none."""
    prefixed = [connector for connector in connectors if name.startswith(connector + separator)]
    return max(prefixed, key=len, default=None)


def reads_as(text: str) -> str:
    """Give what a name reads as to somebody in a hurry: no disguised letters, no case, one separator."""
    return _BETWEEN.sub("_", letters(text).casefold()).strip("_").translate(_ALIKE)


def letters(text: str) -> str:
    """Take the disguises off a text: what looks like a Latin letter is one, what is invisible is gone."""
    if text.isascii():
        return text
    return "".join([fold(char) for char in text])


def is_message(name: str) -> bool:
    """Say whether a name could be taken for a message of the protocol, which has scopes of its own.

    Methods of one plain word (`ping`) are left out: in a policy, messages begin with `mcp:`.
    """
    read = letters(name).strip().casefold()
    return read.startswith("mcp:") or ("/" in read and read in _METHODS)
