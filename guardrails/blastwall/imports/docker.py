"""Docker's MCP gateway as a policy: which servers and which of their tools it serves.

The forms are those of `docs/mcp-gateway.md`, `docs/profiles.md`, `docs/server-entry-spec.md` and
`docs/generator/reference/mcp_gateway_run.md` in docker/mcp-gateway, read in the versions of summer 2026:
catalogues and `registry.yaml` (`registry`), `tools.yaml` (server to tools), `config.yaml` (server to
settings), profiles (`servers`), and the gateway's own flags wherever a client or a compose file holds them.
The gateway asks nobody: what it serves runs. Here that is allowed where the tools are named, and asked for
where not.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from blastwall.errors import PolicyError, Problem
from blastwall.imports.draft import Draft, Server
from blastwall.imports.fields import Field, Given, Surroundings, of_json, of_yaml

_OWN_TOOLS = ("mcp-*", "code-mode", "find-tools")
"""The gateway's own tools: they add servers, and tools of servers, while an agent runs."""

_KEPT_FLAGS = ("--block-network", "--block-secrets", "--verify-signatures")
_TOOL = re.compile(r"[A-Za-z0-9_.:/-]+")


@dataclass(slots=True)
class _Import:
    """What the files say: the servers that each list enables, and the tools that each list serves."""

    draft: Draft
    enabled: list[dict[str, Field]] = field(default_factory=list)
    tools: list[dict[str, dict[str, Field]]] = field(default_factory=list)
    named: dict[str, dict[str, Field]] = field(default_factory=dict)
    flags: dict[str, Field] = field(default_factory=dict)
    anywhere: list[dict[str, Field]] = field(default_factory=list)


def draft(files: Sequence[Given], around: Surroundings) -> Draft:
    """Draft a policy from the gateway's files, and from client or compose files with its flags.

    Every list narrows: a server or a tool must be in each file that speaks of it.

    Raises:
        PolicyError: when a file can't be read as what it is.

    """
    made = _Import(Draft("Docker's MCP gateway", asking=False))
    for given in files:
        top = of_json(given) if given.name.endswith(".json") else of_yaml(given)
        if top.value is not None:
            _file(made, top)
    chosen = _chosen(made)
    if not chosen:
        message = "no server is enabled in it: name registry.yaml, a profile, or a file with --servers"
        raise PolicyError([Problem(files[0].name, 0, 0, "", message)])
    for name, at in chosen.items():
        _server(made, name, at)
    return made.draft


def _file(made: _Import, top: Field) -> None:
    keys = set(top.block())
    if "registry" in keys:
        _registry(made, top.needed("registry"))
    elif isinstance(top.value.get("servers"), list):
        _profile(made, top.needed("servers"))
    elif keys & {"mcpServers", "servers", "services", "mcp"}:
        if not list(_gateways(made, top)):
            raise top.wrong("nothing in it runs `docker mcp gateway run`, and no service is the gateway")
    elif all(isinstance(value, list) for value in top.value.values()):
        made.tools.append({name: _texts(at) for name, at in top.fields()})
    elif all(isinstance(value, dict) for value in top.value.values()):
        for name, at in top.fields():
            made.draft.note(
                at, f"the settings of {name} stay where they are: the gateway reads them", key=True
            )
    else:
        raise top.wrong("this is no catalogue, registry.yaml, tools.yaml, config.yaml or profile")


def _texts(at: Field) -> dict[str, Field]:
    for each in at.items():
        if not _TOOL.fullmatch(each.text()):
            raise each.wrong(f"{each.value!r} is no name of a tool")
    return {each.text(): each for each in at.items()}


def _registry(made: _Import, registry: Field) -> None:
    """Read a catalogue, whose entries describe servers, or `registry.yaml`, whose entries enable them."""
    enabled = {}
    for name, at in registry.fields():
        described = isinstance(at.value, dict) and at.value.keys() - {"ref"}
        if described:
            _described(made, name, at)
        else:
            enabled[name] = at
    if enabled:
        made.enabled.append(enabled)


def _described(made: _Import, name: str, at: Field) -> None:
    tools = at.get("tools")
    if tools is not None:
        made.named[name] = {each.needed("name").text(): each for each in tools.items()}
        for tool, each in made.named[name].items():
            if not _TOOL.fullmatch(tool):
                raise each.wrong(f"{tool!r} is no name of a tool")
    for key in ("secrets", "env", "volumes", "allowHosts", "oauth", "config"):
        if (lost := at.get(key)) is not None and lost.value:
            made.draft.note(lost, f"`{key}` is the gateway's affair: it starts the server", key=True)


def _profile(made: _Import, servers: Field) -> None:
    enabled = {}
    for at in servers.items():
        name = _profile_name(at)
        enabled[name] = at
        tools = at.get("tools")
        if tools is not None:
            made.tools.append({name: _texts(tools)})
    made.enabled.append(enabled)


def _profile_name(at: Field) -> str:
    """Give the name of a profile's server: its snapshot's, or the last part of its image or source."""
    snapshot = at.get("snapshot")
    server = snapshot.get("server") if snapshot else None
    if server is not None:
        return server.needed("name").text()
    place = (at.get("image") or at.get("source") or at.needed("image")).text()
    return place.rstrip("/").rpartition("/")[2].partition("@")[0].partition(":")[0]


def _gateways(made: _Import, at: Field) -> Iterator[Field]:
    """Find every list of words that starts the gateway, and read its flags."""
    if isinstance(at.value, dict):
        words = at.value.get("args", at.value.get("command"))
        if isinstance(words, list) and _starts(at.value, words):
            key = "args" if "args" in at.value else "command"
            _flags(made, at.needed(key).texts())
            yield at
            return
        for _, inner in at.fields():
            yield from _gateways(made, inner)


def _starts(block: dict[str, object], words: list[object]) -> bool:
    image = str(block.get("image", ""))
    return words[:3] == ["mcp", "gateway", "run"] or "mcp-gateway" in image.rpartition("/")[2]


def _flags(made: _Import, words: Sequence[Field]) -> None:
    rest = [word for word in words if word.text() not in ("mcp", "gateway", "run")]
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.text().partition("=")
        if flag in ("--servers", "--tools", "--interceptor", "--profile") and not equals and rest:
            value = rest.pop(0).text()
        _flag(made, flag, value, word)


def _flag(made: _Import, flag: str, value: str, at: Field) -> None:
    listed = [each.strip() for each in value.split(",") if each.strip()]
    if flag == "--servers":
        made.enabled.append(dict.fromkeys(listed, at))
    elif flag == "--tools":
        made.anywhere.append(dict.fromkeys(listed, at))
    elif flag in _KEPT_FLAGS:
        made.flags[at.text()] = at
    elif flag == "--interceptor":
        made.draft.note(at, "an interceptor is a program that sees every call: it is not carried over")
    elif flag == "--enable-all-servers":
        made.draft.note(at, "not carried over: only servers that a file names are enabled here")
    elif flag.startswith("--"):
        made.draft.note(at, f"{flag} is not carried over")


def _chosen(made: _Import) -> dict[str, Field]:
    """Give the servers that every list enables."""
    if not made.enabled:
        return {}
    common = set.intersection(*(set(listed) for listed in made.enabled))
    for listed in made.enabled:
        for name, at in listed.items():
            if name not in common:
                made.draft.note(at, f"{name} is left out: another of the files does not enable it")
    return {name: at for name, at in made.enabled[0].items() if name in common}


def _server(made: _Import, name: str, at: Field) -> None:
    connector = made.draft.connector(name, at)
    connector.add("deny", _OWN_TOOLS, origin="the gateway's own tools add others while an agent runs")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", name):
        flags = [flag for flag in made.flags if flag.partition("=")[2] != "false"]
        connector.server = Server("docker", ("mcp", "gateway", "run", f"--servers={name}", *flags))
    else:
        made.draft.note(at, "this is no name that can stand in a command: `server` is left out")
    tools = _served(made, name)
    if tools is None:
        message = (
            f"every tool of {name} is served: here each is asked for, so name those that may run unasked"
        )
        made.draft.note(at, message)
        connector.add("ask", ["*"], origin=f"{at.where}: {name}, with all of its tools")
    for tool, place in (tools or {}).items():
        connector.add("allow", [tool], origin=f"{place.where}: {name}: {tool}")


def _served(made: _Import, name: str) -> dict[str, Field] | None:
    """Give the tools of a server that every list serves; None where no list names any."""
    lists = [listed[name] for listed in made.tools if name in listed]
    lists += [mine for flag in made.anywhere if (mine := _of(flag, name)) is not None]
    if made.named.get(name):
        lists.append(made.named[name])
    if not lists:
        return None
    common = set.intersection(*(set(listed) for listed in lists))
    return {tool: at for tool, at in lists[0].items() if tool in common}


def _of(flag: dict[str, Field], name: str) -> dict[str, Field] | None:
    """Read `--tools`: `server:tool`, `server:*`, or a tool of whatever server; None: all of this one's."""
    if f"{name}:*" in flag or "*" in flag:
        return None
    mine = {tool.removeprefix(f"{name}:"): at for tool, at in flag.items() if tool.startswith(f"{name}:")}
    alone = {tool: at for tool, at in flag.items() if ":" not in tool}
    return {tool: at for tool, at in (mine | alone).items() if _TOOL.fullmatch(tool)}
