"""Whether the address of an image only says how to show it, as a badge or an avatar does."""

import re

_QUERY = re.compile(r"[?]([^\s()<>\"'?]+)")
_LONG_PATH = re.compile(r"[\w%+=-]{48}")
_PRESENTATION = frozenset(
    "style label labelcolor color logo logocolor logowidth branch tag event job svg raw v ver version s size "
    "w h width height format fm fit dpr quality cacheseconds maxage theme sanitize ref".split()
)
_LONGEST_VALUE = 40


def is_presentation(image: str) -> bool:
    """Say whether every parameter of a matched image's address is a usual one, and short."""
    queries = _QUERY.findall(image)
    parameters = [parameter for query in queries for parameter in query.replace("&amp;", "&").split("&")]
    return bool(parameters) and _LONG_PATH.search(image) is None and all(map(_is_usual, parameters))


def _is_usual(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.lower() in _PRESENTATION and len(value) <= _LONGEST_VALUE
