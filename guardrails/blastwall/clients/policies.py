"""A client's servers as connectors of a policy: taken over as they are, and allowed what a template says."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blastwall.clients.launches import template
from blastwall.clients.secrets import placeholder
from blastwall.clients.servers import Configured, inside
from blastwall.errors import PolicyError, Problem
from blastwall.imports.draft import fitting
from blastwall.imports.writing import remark, scalar
from blastwall.paths import resolve
from blastwall.policy import parse
from blastwall.policy.shipped import parameters
from blastwall.policy.source import Source, read
from blastwall.trust.packages import unwrapped

_HEAD = """\
# Written by `blastwall connect`. Silence denies: a connector without rules allows nothing.
version: 1
connectors:
"""

NO_RULES = "rules: []"


@dataclass(frozen=True, slots=True)
class Written:
    """A policy's new text.

    Attributes:
        text: All of it.
        connectors: What each server is called there.
        new: Which of them were not there before.
        bare: Which of those have no rules, so that nothing of them is allowed yet.
        secrets: The files that its credentials are kept in, with what goes into them.

    """

    text: str
    connectors: Mapping[Configured, str]
    new: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _New:
    """A connector to be, and the file of its credential; "" for none."""

    server: Configured
    secret: str = ""


def extended(old: str | None, servers: Sequence[Configured], file: str, folder: Path) -> Written:
    """Add connectors to a policy's text, which otherwise stays as it is; None makes a new one.

    A connector that starts the same server is used again. A bearer token goes into a file of its own in
    `folder`: no secret of a header stands in a policy.

    Raises:
        PolicyError: when there is no place for them.

    """
    source = read(old.removeprefix("\ufeff")) if old is not None else Source({})
    known = {key: _block(source, key) for key in ("connectors", "credentials")}
    names: dict[Configured, str] = {}
    new: dict[str, _New] = {}
    for server in servers:
        same = next((name for name, block in known["connectors"].items() if _same(block, server)), None)
        taken = {*known["connectors"], *known["credentials"], *new, *_there(folder)}
        names[server] = same or fitting(server.name, taken if token(server) else {*known["connectors"], *new})
        if same is None:
            name = names[server]
            new[name] = _New(server, str(folder / name) if token(server) else "")
    secrets = {one.secret: token(one.server) for one in new.values() if one.secret}
    added = {
        "connectors": lambda indent: _lines(new, indent),
        "credentials": lambda indent: _credentials(new, indent),
    }
    text = old if old is not None else _HEAD
    for key in ("connectors", *(["credentials"] if secrets else [])) if new else ():
        text = _inserted(text, key, added[key], file)
    bare = tuple(name for name, one in new.items() if NO_RULES in _rules(one.server))
    return Written(text, names, tuple(new), bare, secrets)


def _block(source: Source, key: str) -> Mapping[str, Any]:
    found = source.data.get(key) if isinstance(source.data, dict) else None
    return found if isinstance(found, dict) else {}


def _there(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def token(server: Configured) -> str:
    """Give the bearer token that a server is sent, or ""."""
    found = next((value for name, value in server.headers if name.lower() == "authorization"), "")
    scheme, _, rest = found.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" and not placeholder(found) else ""


def unfit(server: Configured) -> str:
    """Say why a server can't be taken into a policy as it is, or ""."""
    nowhere = Path("/")
    try:
        text = extended(None, [server], "", nowhere / "run").text
        parse(text.encode(), file="", directory=nowhere, state=nowhere / "run", resolve=resolve)
    except PolicyError as error:
        return error.problems[0].message
    return ""


_LAUNCH = ("command", "args", "env", "url", "transport", "headers")
"""What makes a server the one that it is."""


def _same(block: Any, server: Configured) -> bool:
    if not isinstance(block, dict) or not isinstance(block.get("server"), dict):
        return False
    wanted, there = _server(server), block["server"]
    same = all(there.get(key) == wanted.get(key) for key in _LAUNCH)
    # Whose token a credential holds is not known here.
    return same and not token(server) and block.get("directory", "") == server.directory


def _server(server: Configured) -> dict[str, Any]:
    if server.transport == "stdio":
        block: dict[str, Any] = {"command": server.command[0]}
        block |= {"args": list(server.command[1:])} if server.command[1:] else {}
        return block | ({"env": dict(server.env)} if server.env else {})
    block = {"url": server.url, "transport": server.transport}
    block |= {"private": True} if inside(server.url) else {}
    bearer = token(server)
    headers = {name: value for name, value in server.headers if not bearer or name.lower() != "authorization"}
    return block | ({"headers": headers} if headers else {})


def _inserted(old: str, key: str, added: Callable[[str], Iterable[str]], file: str) -> str:
    """Add lines at the end of a block of the whole file."""
    source = read(old.removeprefix("\ufeff"))
    newline = "\r\n" if "\r\n" in old else "\n"
    lines = old.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    position, indent = _place(source, key, lines, file)
    head = [] if (key,) in source.keys else [f"{key}:{newline}"]
    new = (f"{line}{newline}" for line in added(indent))
    return "".join([*lines[:position], *head, *new, *lines[position:]])


def _place(source: Source, key: str, lines: Sequence[str], file: str) -> tuple[int, str]:
    """Give the number of lines before the end of a block, and how far its keys are indented."""
    if (key,) not in source.keys:
        return len(lines), "  "
    start = source.keys[key,][0]
    keys = [place for loc, place in source.keys.items() if len(loc) == 2 and loc[0] == key]
    if any(line == start for line, _ in keys) or (not keys and source.data[key] is not None):
        message = f"its {key} are written in one line: write each on its own, below `{key}:`"
        raise PolicyError([Problem(file, start, 1, key, message)])
    after = [line for loc, (line, _) in source.keys.items() if len(loc) == 1 and line > start]
    position = min(after) - 1 if after else len(lines)
    while position > start and lines[position - 1].strip()[:1] in ("", "#"):
        position -= 1
    return position, " " * (keys[0][1] - 1) if keys else "  "


def _lines(new: Mapping[str, _New], indent: str) -> Iterator[str]:
    for name, one in new.items():
        server = one.server
        yield f"{indent}# {remark(server.name)} of {server.client}, from {remark(server.file)}"
        yield f"{indent}{scalar(name)}:"
        yield from (f"{indent}  {line}" for line in _connector(server))
        if one.secret:
            yield f"{indent}    credential: {scalar(name)}"


def _credentials(new: Mapping[str, _New], indent: str) -> Iterator[str]:
    for name, one in new.items():
        if one.secret:
            host = urlsplit(one.server.url).netloc
            yield f"{indent}{scalar(name)}: {{file: {scalar(one.secret)}, hosts: [{scalar(host)}]}}"


def _connector(server: Configured) -> Iterator[str]:
    yield from _rules(server)
    if server.directory:
        yield f"directory: {scalar(server.directory)}"
    yield "server:"
    for key, value in _server(server).items():
        if isinstance(value, dict):
            yield f"  {key}:"
            yield from (f"    {scalar(name)}: {scalar(text)}" for name, text in value.items())
        elif isinstance(value, list):
            yield f"  {key}: [{', '.join(map(scalar, value))}]"
        else:
            yield f"  {key}: {scalar(value)}"
    if server.transport == "stdio":
        yield "  sandbox: none  # as the client ran it: name one once you know what it needs"


def _rules(server: Configured) -> Iterator[str]:
    title = template(server.command) if server.command else ""
    needs = [name for name, block in parameters(title).items() if block.get("required")] if title else []
    roots = _folders(server) if needs == ["roots"] else []
    if title and (not needs or roots):
        yield f"template: {title}"
        if roots:
            yield f"with: {{roots: [{', '.join(map(scalar, roots))}]}}"
        return
    yield NO_RULES
    if title:
        yield f"# instead of `rules`, once you know what to give it: template: {title}"
    else:
        yield "# nothing is allowed yet. For what only looks:"
        yield '#   - {id: look, effect: allow, tools: ["get_*", "list_*", "read_*", "search_*"]}'
        yield "# `blastwall learn` proposes rules from what was called."


def _folders(server: Configured) -> list[str]:
    """Give the folders that a server is started on; none if that is not certain."""
    words = [word for word in unwrapped(server.command)[1:] if os.path.isabs(word) and os.path.isdir(word)]
    return [] if any(os.path.realpath(word) == "/" for word in words) else words
