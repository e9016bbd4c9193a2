"""Whether a definition has a form in a protocol version: one without would spoil the client's whole list."""

from mcp_types import methods
from pydantic import ValidationError

from blastwall_mcp.catalogue.entries import SORTS, Entry


def fits(entry: Entry, version: str) -> bool:
    """Say whether a client of this version can read what it is told of an entry."""
    sort = SORTS[entry.kind]
    page = {sort.key: [entry.listed], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    try:
        methods.validate_server_result(sort.method, version, page)
    except (ValidationError, KeyError, ValueError):
        return False
    return True
