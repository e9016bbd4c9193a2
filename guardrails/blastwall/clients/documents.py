"""A client's file as plain data, whatever its form, with the line of everything that has one."""

import json
import tomllib
from typing import Any, NoReturn
from xml.etree import ElementTree as Xml

import re2

from blastwall.clients.reading import Unreadable
from blastwall.clients.table import Form
from blastwall.imports import jsonc
from blastwall.policy.source import MAX_DEPTH, Source

_HALF = re2.compile(r"\\u[dD][89a-fA-F]")
"""One half of a character that takes two: alone it is no Unicode."""

_REMARK = re2.compile(r"(?s)<!--.*?-->")
_COMPONENTS = ("McpApplicationServerCommands", "McpProjectServerCommands")


def parsed(text: str, form: Form) -> Any:
    """Read a text.

    Raises:
        Unreadable: when it is not what it should be; the message names the line.

    """
    match form:
        case Form.JSON:
            return _json(text)
        case Form.TOML:
            return _toml(text)
        case Form.XML:
            return _xml(text)


def _json(text: str) -> Any:
    try:
        # What a program wrote, which may be long, is read by a reader in C; the rest by one that can say
        # where something is wrong, and knows comments.
        if not _HALF.search(text):
            return json.loads(
                text.removeprefix("\ufeff"), object_pairs_hook=_unique, parse_constant=_constant
            )
    except (ValueError, RecursionError):
        pass
    return places(text).data


def places(text: str) -> Source:
    """Read JSON with the place of everything in it.

    Raises:
        Unreadable: as `parsed`.

    """
    source = jsonc.read(text)
    for mistake in source.mistakes:
        line, column = mistake.place or source.place(mistake.loc)
        raise Unreadable(f"line {line}, column {column}: {mistake.message}")
    return source


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"this is not TOML: {error}") from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def _xml(text: str) -> dict[str, Any]:
    """Read the servers of the AI Assistant into the form that all others have."""
    if "<!" in _REMARK.sub("", text):
        raise Unreadable("holds a document type, which no settings file of an IDE does")
    try:
        # No declarations, so no entities: neither a bomb nor a file from elsewhere.
        root = Xml.fromstring(text.removeprefix("\ufeff"))  # noqa: S314
    except (Xml.ParseError, ValueError) as error:
        raise Unreadable(f"this is not XML: {error}") from None
    if _depth(root) > MAX_DEPTH:
        raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
    found: dict[str, Any] = {}
    for component in root.iter("component"):
        if component.get("name") in _COMPONENTS:
            found |= dict(filter(None, map(_entry, component.iter())))
    return {"mcpServers": found}


def _depth(root: Xml.Element) -> int:
    depth, level = 0, [root]
    while level and depth <= MAX_DEPTH:
        depth, level = depth + 1, [inner for outer in level for inner in outer]
    return depth


def _entry(element: Xml.Element) -> tuple[str, dict[str, Any]] | None:
    options = {one.get("name"): one.get("value", "") for one in element.findall("option")}
    name = options.get("name")
    url = options.get("url") or options.get("serverUrl")
    if not name or not (options.get("programPath") or url):
        return None
    env = {str(one.get("name")): one.get("value", "") for one in element.findall("envs/env")}
    entry: dict[str, Any] = {"url": url} if url else {"command": options["programPath"]}
    if options.get("enabled") == "false":
        entry["disabled"] = True
    return name, entry | {"args": options.get("arguments", "").split(), "env": env}
