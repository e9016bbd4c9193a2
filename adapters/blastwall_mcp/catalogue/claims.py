"""Whose a resource is: URIs are not renamed, so exactly one connector must stand behind one."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate

LONGEST_URI = 8192
"""Characters of a URI that anything is claimed about."""

MOST_LINKS = 1000
"""Links of one connector's outputs that are remembered; the oldest is forgotten first."""

_DEEPEST = 8


class Template:
    """A URI template as a claim. One that begins with no scheme of its own claims nothing."""

    def __init__(self, text: str) -> None:
        """Read a template; what can't be read, or matched in linear time, claims nothing."""
        self._parsed: UriTemplate | None = None
        if ":" in text.partition("{")[0]:
            try:
                self._parsed = UriTemplate.parse(text, max_length=LONGEST_URI, max_variables=16)
            except InvalidUriTemplate:
                pass

    def matches(self, uri: str) -> bool:
        """Say whether a URI is one of the template's."""
        return self._parsed is not None and self._parsed.match(uri, max_uri_length=LONGEST_URI) is not None


class Links:
    """The URIs that outputs pointed to, by connector: what a client may read though nobody listed it."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._links: dict[str, OrderedDict[str, None]] = {}

    def remember(self, connector: str, result: Any) -> None:
        """Remember every link in a result of this connector."""
        links = self._links.setdefault(connector, OrderedDict())
        for uri in _uris(result, _DEEPEST):
            links[uri] = None
            links.move_to_end(uri)
        while len(links) > MOST_LINKS:
            links.popitem(last=False)

    def claimants(self, uri: str) -> list[str]:
        """Name the connectors whose outputs pointed to a URI."""
        return [connector for connector, links in self._links.items() if uri in links]


def _uris(value: Any, depth: int) -> Iterator[str]:
    """Find `resource_link` blocks and embedded resources, wherever a result has its content."""
    blocks = value if isinstance(value, list | tuple) else [value]
    for block in blocks if depth else ():
        if not isinstance(block, Mapping):
            continue
        uri = _linked(block)
        if isinstance(uri, str) and len(uri) <= LONGEST_URI:
            yield uri
        for name in ("content", "messages"):
            yield from _uris(block.get(name), depth - 1)


def _linked(block: Mapping[str, Any]) -> Any:
    match block:
        case {"type": "resource_link", "uri": uri} | {"type": "resource", "resource": {"uri": uri}}:
            return uri
        case _:
            return None
