"""`blastwall scan`: the MCP clients of this machine, their servers, and what is wrong with them."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from blastwall.cli.output import AsJson, Exit, emit, err, stop
from blastwall.cli.scanned import as_dict, launched, tell
from blastwall.clients.find import Found, Machine, find
from blastwall.clients.findings import Finding, findings
from blastwall.clients.legs import Reach, reach, together
from blastwall.clients.servers import Configured
from blastwall.clients.starting import Listed, listed
from blastwall.clients.table import CLIENTS, Client, named
from blastwall.errors import BackendError
from blastwall.imports.draft import fitting
from blastwall.policy.explain import plain

Project = Annotated[
    str, typer.Option("--project", metavar="DIR", help="Look at the files of this project, too.")
]
Only = Annotated[
    list[str] | None, typer.Option("--client", "-c", metavar="CLIENT", help="Only this one; repeatable.")
]
Start = Annotated[
    bool,
    typer.Option("--start", help="Ask which servers to start, in a sandbox, to see what their tools can do."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="With --start: start them all without asking.")]


def scan(
    project: Project = ".",
    client: Only = None,
    start: Start = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Find the MCP clients of this machine and look their servers through. Exit 1 when there is something.

    Nothing is started, resolved or fetched. With --start, each server that you agree to is started in a
    sandbox without a network to list its tools: then poisoned and shadowing descriptions are found, and
    what tools of several servers could do together.
    """
    folder = os.path.realpath(project)
    found = list(find(Machine.here(), folder, _clients(client)))
    every = findings(found, folder)
    reached: list[Reach] = []
    if start or yes:
        if not yes and (as_json or not _attended()):
            raise typer.BadParameter("there is nobody to ask which servers may be started: add --yes for all")
        more, reached = _started(found, yes=yes)
        every += more
    if as_json:
        emit(ok=not every, **as_dict(found, every, reached))
    else:
        tell(found, every, reached)
    raise typer.Exit(Exit.FOUND if every else Exit.OK)


def _clients(given: Sequence[str] | None) -> Sequence[Client]:
    try:
        return [named(name) for name in given] if given else CLIENTS
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _started(found: Sequence[Found], *, yes: bool) -> tuple[list[Finding], list[Reach]]:
    """Start what may be started, each server once, and look at what came."""
    answers: dict[tuple[object, ...], Listed | str | None] = {}
    servers = [server for one in found for server in one.servers]
    for server in servers:
        wanted = server.transport == "stdio" and not server.disabled and not server.proxied
        if wanted and server.launch not in answers:
            answers[server.launch] = _answer(server, yes=yes)
    every: list[Finding] = []
    asked: list[tuple[Configured, Listed]] = []
    for server in servers:
        match answers.get(server.launch):
            case Listed() as said:
                asked.append((server, said))
            case str(why):
                every.append(_of(server, "not-started", why, "so nothing is known of its tools"))
            case None:  # nobody wanted it
                pass
    reached = [reach(server, said) for server, said in asked]
    return [*every, *_hidden(asked), *together(reached)], reached


def _attended() -> bool:
    return sys.stdin.isatty()


def _answer(server: Configured, *, yes: bool) -> Listed | str | None:
    if server.expanded:
        return f"its client fills in {server.expanded[0]}, which is not known here"
    if not yes:
        what = plain(" ".join(launched(server)))
        err.print(f"{plain(server.name)} ({server.client}): {what}", markup=False)
        if not typer.confirm("Start it in a sandbox, without a network?", err=True):
            return None
    try:
        return listed(server)
    except BackendError as error:
        return str(error)


def _hidden(asked: Sequence[tuple[Configured, Listed]]) -> Iterator[Finding]:
    """Say what the proxy would hide, among the servers of each client."""
    try:
        from blastwall_mcp.scan import hidden  # noqa: PLC0415  # an extra, and its import takes a second
    except ImportError as error:
        stop(Exit.FAILED, str(error))
    for client in dict.fromkeys(server.client for server, _ in asked):
        names: dict[str, tuple[Configured, Listed]] = {}
        for server, said in asked:
            if server.client == client:
                names[fitting(server.name, names)] = server, said
        looked = {name: (said.instructions, said.tools) for name, (_, said) in names.items()}
        for code, name, tool, why in hidden(looked):
            what = f"its tool {tool!r}" if tool else "its instructions"
            yield _of(names[name][0], code, f"{what}: {why}", "take the server out, or let blastwall hide it")


def _of(server: Configured, code: str, message: str, fix: str) -> Finding:
    return Finding(code, server.client, server.file, server.line, server.name, message, fix)
