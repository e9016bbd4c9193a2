"""`blastwall lint`: what is right in a policy and still can't be meant."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from blastwall.advice.compare import AnyPolicy
from blastwall.advice.lint import Finding, Tool, Tools
from blastwall.advice.lint import lint as looked
from blastwall.cli.history import history
from blastwall.cli.output import AsJson, Exit, emit, out
from blastwall.cli.policies import policy_or_stop
from blastwall.policy import Layered, Policy
from blastwall.policy.explain import plain
from blastwall.policy.source import Source, read
from blastwall.replay import annotations
from blastwall.values import Credential
from blastwall.values import Source as Kept

File = Annotated[str, typer.Argument(metavar="FILE", help="The policy file.")]
Listed = Annotated[
    list[str] | None,
    typer.Option("--tools", "-t", metavar="[CONNECTOR=]FILE", help="The JSON of a server's tools/list."),
]
Log = Annotated[
    Path | None, typer.Option("--log", "-l", metavar="LOG", help="Take the tools of this audit log.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Tell as well what is only less tight than it could be.")
]
Over = Annotated[
    list[str] | None, typer.Option("--over", metavar="LAYER", help="A policy file that narrows this one.")
]


def lint(
    file: File,
    tools: Listed = None,
    log: Log = None,
    over: Over = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Look a policy file through for what its author can't have meant. Exit 1 when there is something.

    Give it the tools that the connectors have, and it finds patterns that match none of them and arguments
    that they don't take.
    """
    policy = policy_or_stop(file, *(over or []), as_json=as_json, acts=False)
    primary, narrowing = (policy.primary, policy.narrowing) if isinstance(policy, Layered) else (policy, ())
    source = read(Path(file).read_text(encoding="utf-8-sig"))
    known = _merged([*_listed(primary, tools or []), *(_seen(log) if log else ())])
    found = looked(primary, source, known, narrowing, strict=strict)
    found = sorted([*found, *_credentials(primary, source)], key=lambda one: (one.line, one.column))
    if as_json:
        emit(ok=not found, file=file, findings=[_as_dict(one) for one in found])
    else:
        _tell(file, found)
    raise typer.Exit(Exit.FOUND if found else Exit.OK)


def _tell(file: str, found: list[Finding]) -> None:
    for one in found:
        place = f"{file}:{one.line}:{one.column}: "
        out.print(Text.assemble(place, (one.code, "bold yellow"), f": {plain(one.message)}"))
        out.print(Text(f"    {plain(one.fix)}", style="dim"))
    if not found:
        out.print(Text(f"{file}: nothing to say"))


def _as_dict(one: Finding) -> dict[str, object]:
    names = ("line", "column", "code", "path", "message", "fix")
    return {name: getattr(one, name) for name in names}


def _merged(pairs: Iterable[tuple[str, Tool]]) -> Tools:
    """Bring tools together by connector; of two that are called alike, the one with a known schema stays."""
    found: dict[str, dict[str, Tool]] = {}
    for connector, tool in pairs:
        kept = found.setdefault(connector, {}).setdefault(tool.name, tool)
        if kept.arguments is None:
            found[connector][tool.name] = tool
    return {connector: tuple(tools.values()) for connector, tools in found.items()}


def _seen(log: Path) -> Iterator[tuple[str, Tool]]:
    for seen in history(log):
        yield seen.connector, Tool(seen.tool)


def _listed(policy: AnyPolicy, given: list[str]) -> Iterator[tuple[str, Tool]]:
    for word in given:
        connector, equals, file = word.partition("=")
        path = file if equals else word
        for tool in _tools(path):
            owner = connector if equals else _owner(policy, tool.name, path)
            if owner not in policy.connectors:
                raise typer.BadParameter(f"no connector {owner!r} in the policy, for the tools of {path}")
            yield owner, tool


def _owner(policy: AnyPolicy, tool: str, path: str) -> str:
    only = list(policy.connectors) if len(policy.connectors) == 1 else []
    owner = only[0] if only else policy.connector_of(tool)
    if owner is None:
        raise typer.BadParameter(f"whose tools are these? Say it: --tools CONNECTOR={path}")
    return str(owner)


def _tools(path: str) -> Iterator[Tool]:
    """Read tools as MCP lists them: `{"tools": [{"name": ..., "inputSchema": ...}]}`, or the list alone."""
    try:
        data = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} is no JSON that can be read: {error}") from None
    listed = data.get("tools") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise typer.BadParameter(f"{path} holds no list of tools, as MCP's tools/list gives it")
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise typer.BadParameter(f"{path} holds a tool without a name")
        hints = item.get("annotations")
        yield Tool(item["name"], _arguments(item), annotations(hints if isinstance(hints, dict) else {}))


def _arguments(tool: dict[str, Any]) -> frozenset[str] | None:
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return frozenset(properties) if isinstance(properties, dict) else None


def _credentials(policy: Policy, source: Source) -> Iterator[Finding]:
    """Find credentials that are not where the policy says. None is read."""
    for name, credential in policy.credentials.items():
        if why := _missing(credential):
            key = credential.source.value
            line, column = source.place(("credentials", name, key))
            path = f"credentials.{name}.{key}"
            yield Finding(
                line, column, "missing-credential", path, why, "put it there, or name another place"
            )


def _missing(credential: Credential) -> str:
    place = credential.locator[0]
    if credential.source is Kept.ENV and not os.environ.get(place):
        return f"the variable {place} is not set here"
    if credential.source is Kept.FILE and not os.path.isfile(place):
        return f"there is no file {place}"
    if credential.source is Kept.COMMAND and not shutil.which(place):
        return f"there is no program {place}"
    return ""
