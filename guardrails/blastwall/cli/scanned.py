"""What a scan found, in words and as JSON."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from blastwall.cli.output import out
from blastwall.clients.find import Found
from blastwall.clients.findings import Finding
from blastwall.clients.legs import Reach, few
from blastwall.clients.secrets import secrets
from blastwall.clients.servers import Configured, host_of
from blastwall.policy.explain import plain
from blastwall.trust.packages import package

_LONGEST = 160
_FIELDS = ("code", "client", "file", "line", "server", "message", "fix")


def tell(found: Sequence[Found], every: Sequence[Finding], reached: Sequence[Reach]) -> None:
    """Print all files with their servers, each with what is wrong with it; then what is about several."""
    left = list(every)
    told = ""
    for one in found:
        if one.path != told:  # Claude Code's own file holds servers in several places
            out.print(Text.assemble((one.client.title, "bold"), f"  {plain(_short(one.path))}"))
        told = one.path
        _findings(_take(left, one.path, ""), "  ")
        for server in one.servers:
            out.print(_server(server, max(len(plain(s.name)) for s in one.servers)))
            _findings(_take(left, one.path, server.name, server.keys, one.servers), "      ")
            _reach(next((r for r in reached if r.server == server), None))
    if left:
        out.print()
        _findings(left, "")
    out.print()
    out.print(Text(_counted(found, every), style="bold"))


def _take(
    left: list[Finding], file: str, server: str, keys: object = None, servers: Sequence[Configured] = ()
) -> list[Finding]:
    """Take out the findings of one server, or of a file."""
    line = next((s.line for s in servers if s.name == server and s.keys == keys), 0)
    mine = [
        one
        for one in left
        if (one.file, one.server, one.line) == (file, server, line)
        and one.code not in ("toxic-combination", "project-runs")
    ]
    for one in mine:
        left.remove(one)
    return mine


def _findings(some: Sequence[Finding], indent: str) -> None:
    for one in some:
        where = f"{plain(one.file)}:{one.line}: " if not indent and one.line else ""
        where = where or (f"{one.client}: " if not indent and one.client else "")
        message = plain(one.message)
        legs: list[str] = []
        if one.code == "toxic-combination":  # one line for each leg
            message, _, rest = message.partition(": ")
            message, legs = f"{message}:", rest.split("; ")
        _print(Text.assemble(where, (one.code, "bold yellow"), f": {message}"), indent)
        for leg in legs:
            _print(Text(leg), f"{indent}    ")
        _print(Text(plain(one.fix), style="dim"), f"{indent}    ")


def _print(text: Text, indent: str) -> None:
    """Print one line; where a person looks at it, as many as it takes, all of them indented."""
    wide = out.width - len(indent) if out.is_terminal else text.cell_len + 1
    for line in text.wrap(out, max(wide, 20)):
        out.print(Text.assemble(indent, line))


def _server(server: Configured, width: int) -> Text:
    what = plain(" ".join(launched(server)))
    what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}..."
    off = (
        "  (turned off)" if server.disabled else "  (guards what its policy names)" if server.proxied else ""
    )
    off += f"  (in {plain(_short(server.keys[1]))})" if len(server.keys) > 1 else ""
    kind = server.transport or "?"
    return Text.assemble(
        "  ", (f"{plain(server.name):<{width}}", "cyan"), f"  {kind:<5}  {what}", (off, "dim")
    )


def _reach(one: Reach | None) -> None:
    for leg, tools in one.legs.items() if one else ():
        _print(Text(f"{leg}: {plain(few(tools))}", style="dim"), "      ")


def launched(server: Configured) -> Iterator[str]:
    """Give the words of a launch, and of an address its host; a secret is left out."""
    if server.url:
        yield host_of(server.url) or next(iter(server.expanded), "?")
    hidden = {place for _, place in secrets(server)}
    for number, word in enumerate(server.command, -1):
        yield "***" if f"args[{number}]" in hidden else word


def _short(path: str) -> str:
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path


def _counted(found: Sequence[Found], every: Sequence[Finding]) -> str:
    servers = sum(len(one.servers) for one in found)
    clients = len({one.client for one in found})
    if not found:
        return "no MCP client was found"
    things = f"{len(every)} finding{'s' if len(every) != 1 else ''}" if every else "nothing to say"
    return f"{_number(servers, 'server')} of {_number(clients, 'client')}: {things}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def as_dict(found: Sequence[Found], every: Sequence[Finding], reached: Sequence[Reach]) -> dict[str, Any]:
    """Give all of it as JSON. No secret is in it."""
    return {
        "files": [_file(one) for one in found],
        "findings": [{name: getattr(one, name) for name in _FIELDS} for one in every],
        "tools": [
            {
                "client": one.server.client,
                "server": one.server.name,
                "file": one.server.file,
                "legs": dict(one.legs),
            }
            for one in reached
        ],
    }


def _file(one: Found) -> dict[str, Any]:
    return {
        "client": one.client.name,
        "path": one.path,
        "project": bool(one.project),
        "problem": one.problem,
        "servers": [_as_dict(server) for server in one.servers],
    }


def _as_dict(server: Configured) -> dict[str, Any]:
    found = package(server.command)
    return {
        "name": server.name,
        "line": server.line,
        "keys": list(server.keys),
        "transport": server.transport,
        "launch": list(launched(server)),
        "package": found.name if found else None,
        "pinned": found.pinned if found else None,
        "disabled": server.disabled,
    }
