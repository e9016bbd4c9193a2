"""What a definition's texts speak of: the names in them that are no ordinary words."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from blastwall.frozen import Json
from blastwall_mcp.catalogue.names import letters

MOST_NAMES = 20_000
"""Names that are kept of one definition. A longer one is no description of anything."""

_WINDOW = 4
_END = "\0"
"""Stands between two texts, so that none goes on in the next one."""

_RUN = re.compile(r"\w+(?:[.:/-]+\w+)*")
_JOINT = re.compile(r"[.:/]+|__+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CALLED = r"(?:\s{1,8}(?:called|named))?\s{0,8}"
_QUOTED = r"[`'\"\u2018\u201c]([\w.-]{1,64})[`'\"\u2019\u201d]"
_THING = r"\b(?:tools?|functions?|prompts?|servers?|connectors?|toolsets?|mcp)\b"
_WORD = r"\b([\w.-]{1,64})"
_POINTED = [
    re.compile(p, re.IGNORECASE) for p in (rf"{_QUOTED}\s{{1,8}}{_THING}", rf"{_THING}{_CALLED}{_QUOTED}")
]
_SERVERS = [
    re.compile(p, re.IGNORECASE)
    for p in (rf"{_WORD}\s{{1,8}}(?:connector|mcp)\b", rf"\b(?:connector|mcp\s{{1,8}}server){_CALLED}{_WORD}")
]


@dataclass(frozen=True, slots=True)
class Speech:
    """The names in a text, without case and disguises.

    Attributes:
        names: Words that can only be names: `read_file`, `readFile`, `get-all-things`.
        qualified: What can be a connector with a tool of it: `files__read`, `files.read`, `files/read`.
        pointed: Any word that is quoted beside the word tool, prompt or server.
        servers: Any word that is told to be a connector.

    """

    names: frozenset[str] = frozenset()
    qualified: frozenset[str] = frozenset()
    pointed: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()


def key(name: str) -> str:
    """Give the form in which a name is looked up: `readFile` and `read_file` are one."""
    return _HUMP.sub("_", letters(name)).casefold()


def is_distinctive(name: str) -> bool:
    """Say whether a word can only be a name: no dictionary has it, and nobody writes it by chance."""
    read = key(name)
    return "_" in read.strip("_") or read.count("-") > 1


def joined(name: str) -> str:
    """Give the form in which a qualified name is looked up, whatever stands between its parts."""
    return "_".join(part for part in _JOINT.split(key(name)) if part)


def said(definition: Json) -> Speech:
    """Find the names that the texts of a definition speak of.

    The keys and values of a schema that are one word are no speech, unless it has a double underscore.
    """
    read = letters(_END.join(_texts(definition, prose=False)))
    names: set[str] = set()
    qualified: set[str] = set()
    servers = {key(word) for pattern in _SERVERS for word in pattern.findall(read)}
    for run in _RUN.findall(read):
        if run.isalpha() and (run[1:].islower() or len(run) == 1):
            continue  # a word, as most are
        parts = _JOINT.split(run)
        names.update(key(part) for part in parts if is_distinctive(part))
        qualified.update(_windows([key(part) for part in parts if part]))
        servers.update(key(one) for one, _ in pairwise(run.split("__")) if one)
        if len(names) + len(qualified) > MOST_NAMES:
            break
    pointed = frozenset(key(word) for pattern in _POINTED for word in pattern.findall(read))
    return Speech(frozenset(names), frozenset(qualified), pointed, frozenset(servers))


def _windows(parts: list[str]) -> Iterator[str]:
    for start in range(len(parts)):
        for end in range(start + 1, min(start + _WINDOW, len(parts)) + 1):
            window = "_".join(parts[start:end])
            if "_" in window or "-" in window:
                yield window


def _texts(value: Json, *, prose: bool) -> Iterator[str]:
    """Give every text that says something: titles and descriptions, and whatever else is more than a word."""
    if isinstance(value, str):
        if prose or "__" in value or " " in value or not value.isascii() or len(value.split()) > 1:
            yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(name, prose=False)
            yield from _texts(item, prose=name in ("title", "description") and isinstance(item, str))
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item, prose=False)
