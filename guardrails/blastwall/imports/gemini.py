"""Gemini CLI's policy files and `settings.json` as a policy.

The forms are those of `docs/reference/policy-engine.md`, `docs/reference/tools.md` and
`docs/tools/mcp-server.md` in google-gemini/gemini-cli, read in the versions of summer 2026, and of its
`packages/core/src/policy`. There the rule with the highest priority decides; here deny beats ask beats allow:
the strictest of the rules that match is never looser than the first of them. Its own tools become one
connector, `gemini-cli`; each MCP server becomes one of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from blastwall.errors import PolicyError, Problem
from blastwall.imports import servers, shell
from blastwall.imports.draft import Connector, Draft, Effect
from blastwall.imports.fields import Field, Given, Surroundings, of_json, of_toml
from blastwall.imports.patterns import certain, either
from blastwall.policy.globs import meet

OWN = "gemini-cli"
SHELL = "run_shell_command"

_DECISIONS: dict[str, Effect] = {"allow": "allow", "ask_user": "ask", "deny": "deny"}
_ABOUT = ("commandPrefix", "commandRegex", "argsPattern")
_SOMETIMES = ("subagent", "toolAnnotations", "modes", "interactive")
_KNOWN = frozenset(
    {"toolName", "mcpName", *_ABOUT, *_SOMETIMES, "decision", "priority", "denyMessage", "deny_message"}
    | {"allowRedirection", "allow_redirection"}
)
_LISTS = {
    "excludeTools": ("tools", "exclude"),
    "allowedTools": ("tools", "allowed"),
    "coreTools": ("tools", "core"),
    "allowMCPServers": ("mcp", "allowed"),
    "excludeMCPServers": ("mcp", "excluded"),
}
"""The lists in the settings, by their old names at the top and by their new ones."""

_FILES = {
    "read_file": "file_path",
    "write_file": "file_path",
    "replace": "file_path",
    "list_directory": "dir_path",
}
"""Tools that the CLI keeps inside the workspace, and their argument."""

_SEARCHES = ("glob", "grep_search", "search_file_content", "read_many_files")
"""Tools that it keeps there, too, by arguments that may be left out."""

Target = tuple[str | None, str]
"""A server (None: the CLI itself) and a glob of its tools."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One `[[rule]]`."""

    effect: Effect
    priority: int
    at: Field
    targets: tuple[Target, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name.text() for name in self.at.listed("toolName")] or ["*"]

    @property
    def origin(self) -> str:
        said = "ask_user" if self.effect == "ask" else self.effect
        loc = ".".join(map(str, self.at.loc))
        return f"{self.at.where}: {loc}: {said} {', '.join(self.names)}, priority {self.priority}"


@dataclass(slots=True)
class _Import:
    draft: Draft
    directory: str
    rules: list[_Rule] = field(default_factory=list)
    granted: list[Target] = field(default_factory=list)

    def connector(self, server: str | None, at: Field) -> Connector:
        return self.draft.tools(at) if server is None else self.draft.connector(server, at)


def draft(files: Sequence[Given], around: Surroundings) -> Draft:
    """Draft a policy from policy files (`.toml`) and settings files (`.json`).

    Raises:
        PolicyError: when a file can't be read as what it is.

    """
    made = _Import(Draft("Gemini CLI", OWN), around.directory)
    settings = [of_json(given) for given in files if not given.name.endswith(".toml")]
    rules = [
        _read(at) for given in files if given.name.endswith(".toml") for at in _rules(made, of_toml(given))
    ]
    for top in settings:
        _servers(made, top)
    for rule in rules:
        _introduce(made, rule)
    made.rules = [_Rule(r.effect, r.priority, r.at, tuple(_targets(made, r))) for r in rules]
    for top in settings:
        _lists(made, top)
    made.rules = [replace(rule, targets=tuple(_needed(made, rule))) for rule in made.rules]
    for rule in made.rules:
        _carry(made, rule)
    _outranked(made)
    if not made.draft.connectors:
        message = "there are no rules and no mcpServers in it"
        raise PolicyError([Problem(files[0].name, 0, 0, "", message)])
    return made.draft


def _rules(made: _Import, top: Field) -> Iterator[Field]:
    for key, at in top.fields():
        if key == "rule":
            yield from at.items()
        else:
            made.draft.note(at, f"`{key}` is not carried over", key=True)


def _read(at: Field) -> _Rule:
    for key, value in at.fields():
        if key not in _KNOWN:
            raise value.wrong(f"unknown key {key!r}")
    effect = _DECISIONS[at.needed("decision").one_of(*_DECISIONS)]
    priority = at.needed("priority")
    if type(priority.value) is not int or not 0 <= priority.value <= 999:
        raise priority.wrong("must be a whole number from 0 to 999")
    about = [key for key in _ABOUT if at.get(key) is not None]
    if len(about) > 1:
        raise at.wrong(f"{about[0]} and {about[1]} can't stand in one rule")
    rule = _Rule(effect, priority.value, at)
    if about and about[0] != "argsPattern" and rule.names != [SHELL]:
        raise at.wrong(f'{about[0]} needs toolName = "{SHELL}"')
    for name in at.listed("toolName"):
        _tool(name, wild=True)
    return rule


def _tool(at: Field, *, wild: bool = False) -> str:
    name = at.text()
    if not name or any(c in name for c in ("[]{}()|^$\\!" if wild else "[]{}()|^$\\!*?")):
        raise at.wrong(f"{name!r} is no name of a tool")
    return name


def _introduce(made: _Import, rule: _Rule) -> None:
    """Make a connector of every server that a rule names, before rules for all servers are carried over."""
    server = rule.at.get("mcpName")
    if server is not None:
        if server.text() != "*":
            made.draft.connector(server.text(), server)
        return
    for name in rule.names:
        alone, _, tool = name.removeprefix("mcp_").partition("_")
        known = any(name.startswith(f"mcp_{each}_") for each in made.draft.servers)
        if name.startswith("mcp_") and tool and alone and "*" not in alone and not known:
            made.draft.connector(alone, rule.at)


def _targets(made: _Import, rule: _Rule) -> Iterator[Target]:
    """Read which tools a rule names."""
    server = rule.at.get("mcpName")
    for name in rule.names:
        if server is None:
            yield from _named(made, name)
        elif server.text() == "*":
            yield from ((each, name) for each in made.draft.servers)
        else:
            yield server.text(), name


def _named(made: _Import, name: str) -> Iterator[Target]:
    """Read a name without a server: `*`, a tool of the CLI, or `mcp_server_tool` with wildcards."""
    if not name.startswith("mcp_"):
        yield None, name
    for server in made.draft.servers:
        for prefix in (f"mcp_{server}_", f"{server}__"):
            if name.startswith(prefix):
                yield server, name.removeprefix(prefix)
            elif "*" in name and meet(name, f"{prefix}*"):
                yield server, "*"


def _carry(made: _Import, rule: _Rule) -> None:
    for key in ("denyMessage", "deny_message"):
        if (message := rule.at.get(key)) is not None:
            made.draft.note(message, f"`{key}` is not carried over: write `instead`", key=True)
    sometimes = [key for key in _SOMETIMES if (when := rule.at.get(key)) is not None and when.value != []]
    if rule.effect == "allow":
        _allow(made, rule, sometimes)
        return
    for key in sometimes:
        made.draft.note(rule.at, f"`{key}` is left out: the rule stops these calls always")
    demand = _demand(made, rule)
    for server, tool in rule.targets:
        made.connector(server, rule.at).add(rule.effect, [tool], demand, origin=rule.origin)


def _allow(made: _Import, rule: _Rule, sometimes: Sequence[str]) -> None:
    why = _uncertain(rule, sometimes)
    if why:
        made.draft.note(rule.at, f"what it allows is asked for: {why}")
        return
    for server, tool in rule.targets:
        if server is None:
            _own(made, tool, rule.at, rule.origin)
        else:
            made.connector(server, rule.at).add("allow", [tool], origin=rule.origin)


def _uncertain(rule: _Rule, sometimes: Sequence[str]) -> str:
    if sometimes:
        return f"it holds for some `{sometimes[0]}` only"
    if rule.at.get("argsPattern") is not None:
        return "a pattern over the text of all arguments says little of one"
    if any(rule.at.get(key) is not None for key in _ABOUT):
        return "what starts or reads like it may do anything behind a `;`"
    if rule.at.get("mcpName") is None and any("mcp_" in name or "__" in name for name in rule.names):
        return "a name with `_` in it may mean several servers: use mcpName"
    return ""


def _own(made: _Import, tool: str, at: Field, origin: str) -> None:
    """Allow one of the CLI's own tools, as far as it would go there."""
    own = made.connector(None, at)
    if "*" in tool or "?" in tool:
        made.draft.note(at, "its own tools are asked for: name those that may run unasked")
    elif tool == SHELL:
        made.draft.note(at, "the shell is asked for: no rule contains a whole shell, a `sandbox` does")
    elif tool in _SEARCHES:
        made.draft.note(at, f"{tool} is asked for: its arguments don't say where it looks")
    elif tool in _FILES:
        own.directory = made.directory
        own.add("allow", [tool], {_FILES[tool]: {"under": [made.directory]}}, origin=origin)
    else:
        own.add("allow", [tool], origin=origin)


def _demand(made: _Import, rule: _Rule) -> dict[str, dict[str, Any]]:
    """Give what a deny or ask rule demands of a command: never less than what it stops there."""
    patterns: list[str | None] = [shell.reach(f"{p.text()} *") for p in rule.at.listed("commandPrefix")]
    patterns += [certain(regex.text()) for regex in rule.at.listed("commandRegex")]
    patterns += [None for _ in rule.at.listed("argsPattern")]
    found = [pattern for pattern in patterns if pattern]
    if patterns and len(found) == len(patterns):
        whole = found[0]
        for pattern in found[1:]:
            whole = either(whole, pattern)
        return {"command": {"pattern": whole}}
    for key in _ABOUT:
        if (written := rule.at.get(key)) is not None:
            message = f"the tool is stopped as a whole: what {key} means can't be said in RE2 for sure"
            made.draft.note(written, f"{message}; write args: {{name: {{pattern: ...}}}} in its place")
    return {}


def _needed(made: _Import, rule: _Rule) -> Iterator[Target]:
    """Leave out where a question is asked without its rule, too: every allow rule there outranks it.

    Priorities are compared within one file only: another may be of another tier.
    """
    settings = _Rule("allow", -1, rule.at, tuple(made.granted))
    for target in rule.targets:
        made.connector(target[0], rule.at)
        one = replace(rule, targets=(target,))
        if rule.effect != "ask" or any(
            other.at.file != rule.at.file or other.priority <= rule.priority
            for other in (*made.rules, settings)
            if other.effect == "allow" and _overlap(one, other)
        ):
            yield target


def _outranked(made: _Import) -> None:
    """Note every allow rule that decides there and does not here."""
    for rule in made.rules:
        below = [other for other in made.rules if other.effect != "allow" and other.priority < rule.priority]
        if rule.effect == "allow" and any(_overlap(rule, other) for other in below):
            message = f"its priority {rule.priority} outranks a deny or ask rule there; here that rule wins"
            made.draft.note(rule.at, message)


def _overlap(one: _Rule, other: _Rule) -> bool:
    return any(
        server == theirs and meet(tool, their_tool)
        for server, tool in one.targets
        for theirs, their_tool in other.targets
    )


def _servers(made: _Import, top: Field) -> None:
    block = top.get("mcpServers")
    for name, at in block.fields() if block else ():
        connector = servers.add(made.draft, name, at, workspace=made.directory)
        for tool in at.listed("excludeTools"):
            connector.add("deny", [_tool(tool)], origin=f"{tool.where}: excludeTools")
        include, trust = at.get("includeTools"), at.get("trust")
        included = [_tool(tool) for tool in include.texts()] if include else ["*"]
        if include is not None:
            message = "a tool that is not included is not there at all; here it is asked for"
            made.draft.note(include, message)
        if trust is not None and trust.flag() and included:
            connector.add("allow", included, origin=f"{trust.where}: trust")
            made.granted += [(name, tool) for tool in included]
    for key in ("hooks", "toolDiscoveryCommand", "toolCallCommand", "sandbox"):
        if (lost := top.get(key)) is not None:
            made.draft.note(lost, f"`{key}` is not carried over", key=True)


def _lists(made: _Import, top: Field) -> None:
    """Carry the lists in the settings over."""
    for old, (outer, inner) in _LISTS.items():
        section = top.get(outer)
        new = section.listed(inner) if section and isinstance(section.value, dict) else []
        for at in (*top.listed(old), *new):
            _listed(made, f"{outer}.{inner}", at)


def _listed(made: _Import, key: str, at: Field) -> None:
    name = at.text().partition("(")[0]
    origin = f"{at.where}: {key} {at.text()}"
    if key == "mcp.excluded":
        for excluded in made.draft.servers if name == "*" else [name]:
            made.draft.connector(excluded, at).add("deny", ["*"], origin=origin)
    elif key == "tools.exclude":
        if name != at.text():
            made.draft.note(at, "the tool is denied as a whole: what stands in the parentheses is left out")
        tool = SHELL if name == "ShellTool" else _tool(replace(at, value=name), wild=True)
        for server, each in _named(made, tool):
            made.connector(server, at).add("deny", [each], origin=origin)
    elif key == "tools.allowed" and name == at.text() and name != "ShellTool":
        _own(made, _tool(at, wild=True), at, origin)
        made.granted.append((None, name))
    else:
        made.draft.note(at, f"{key} is not carried over: what no rule speaks of is asked for")
