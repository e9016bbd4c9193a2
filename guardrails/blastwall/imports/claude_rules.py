"""What becomes of each of Claude Code's permission rules.

An allow rule is carried over only where it allows nothing that Claude Code would ask about or deny; a deny or
ask rule stops at least what it stopped there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from blastwall.imports import shell
from blastwall.imports.draft import Connector, Draft, Effect
from blastwall.imports.fields import Field, Surroundings
from blastwall.imports.paths import Anchors, Reach, allowed, plain_path, reached, spellings
from blastwall.imports.patterns import anywhere, globbed, quoted
from blastwall.policy.addresses import HostPattern

OWN = "claude-code"
"""The connector of Claude Code's own tools."""

READERS = {"Read": "file_path", "NotebookRead": "notebook_path", "Grep": "path", "Glob": "path", "LS": "path"}
EDITORS = {
    "Edit": "file_path",
    "Write": "file_path",
    "MultiEdit": "file_path",
    "NotebookEdit": "notebook_path",
}
_SEARCHERS = ("Grep", "Glob", "LS")
"""Tools that look into what lies under their path, and may leave it out."""

_PROTECTED = (".git", ".claude", ".mcp.json", ".vscode", ".idea", ".husky", ".bashrc", ".zshrc", ".gitconfig")
"""Names that Claude Code asks about even where edits are allowed."""

_SPELT = "|".join(map(quoted, _PROTECTED))

_OF_BASH = re.compile(r"(?:run_in_background|timeout|description|dangerouslyDisableSandbox)\s*:")
_PARAMETER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*:\s*(.*?)\s*", re.DOTALL)

Kind = Literal["deny", "ask", "allow"]
Demands = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule as it is written: `tool(inside)`, and the folder that its `/path` starts from."""

    kind: Kind
    tool: str
    inside: str | None
    at: Field
    settings: str

    @property
    def text(self) -> str:
        """The rule itself."""
        return str(self.at.value)


@dataclass(slots=True)
class Permissions:
    """All rules and modes of the files that are imported, and the draft that they go into."""

    draft: Draft
    around: Surroundings
    entries: list[Entry] = field(default_factory=list)
    modes: list[Field] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether nobody is asked: `dontAsk` denies what no rule allows."""
        return any(mode.value == "dontAsk" for mode in self.modes)

    def own(self, at: Field) -> Connector:
        """Give the connector of Claude Code's own tools."""
        return self.draft.tools(at)

    def anchors(self, entry: Entry) -> Anchors:
        """Say where a rule's paths start."""
        return Anchors(self.around.directory, self.around.home, entry.settings)

    def stops(self, tools: Iterable[str]) -> list[Reach]:
        """Give what the deny and ask rules about the files of these tools reach."""
        return [
            reached(entry.inside, self.anchors(entry))
            for entry in self.entries
            if entry.kind != "allow" and entry.tool in tools and entry.inside not in (None, "*")
        ]

    def left(self, entry: Entry, why: str) -> None:
        """Note an allow rule that is not carried over."""
        if not entry.tool.startswith("mcp__"):
            self.own(entry.at)
        becomes = "denied" if self.silent else "asked for"
        self.draft.note(entry.at, f"{entry.text} is {becomes}, not allowed: {why}")

    def add(
        self, entry: Entry, connector: Connector, tools: Sequence[str], args: Demands | None = None
    ) -> None:
        """Add what a rule becomes."""
        effect: Effect = "deny" if entry.kind == "ask" and self.silent else entry.kind
        connector.add(effect, tools, args, origin=f"{entry.at.where}: {entry.kind} {entry.text}")

    def whole(self, entry: Entry, tools: Sequence[str]) -> None:
        """Carry a rule over to whole tools, because what it stops can't be said more closely."""
        message = (
            f"{entry.text} stops {' and '.join(tools)} as a whole: what it means can't be said more closely"
        )
        self.draft.note(entry.at, message)
        self.add(entry, self.own(entry.at), tools)


def translate(permissions: Permissions) -> None:
    """Turn every rule into rules of the draft, and what is left into a question."""
    for entry in permissions.entries:
        if "*" not in entry.tool or entry.kind == "allow":
            _rule(permissions, entry)
    for entry in permissions.entries:
        if "*" in entry.tool and entry.kind != "allow":
            _every(permissions, entry)
    permissions.draft.asking = not permissions.silent


def _rule(permissions: Permissions, entry: Entry) -> None:
    if entry.tool.startswith("mcp__"):
        _mcp(permissions, entry)
    elif "*" in entry.tool:
        permissions.left(entry, "Claude Code skips it, too: name the tool, or mcp__server__*")
    elif entry.tool == "Cd":
        permissions.draft.note(entry.at, "Cd rules are about a command of the user's, not about a tool")
    elif entry.inside is None or entry.inside == "*":
        _whole(permissions, entry)
    else:
        _SPECIFIERS.get(entry.tool, _parameter)(permissions, entry)


def _every(permissions: Permissions, entry: Entry) -> None:
    """Carry a deny or ask rule over whose name is a glob over all tools."""
    if entry.inside is not None and entry.inside != "*":
        permissions.draft.note(entry.at, "the specifier is left out: every call of these tools is stopped")
    head = entry.tool.partition("*")[0]
    for (own, name), connector in permissions.draft.connectors.items():
        prefix = "" if own else f"mcp__{_normal(name)}__"
        if own and head.startswith("mcp__"):
            continue
        if head.startswith(prefix):
            permissions.add(entry, connector, [entry.tool.removeprefix(prefix)])
        elif prefix.startswith(head):
            permissions.add(entry, connector, ["*"])


def _mcp(permissions: Permissions, entry: Entry) -> None:
    written = entry.tool.removeprefix("mcp__")
    known = [
        name
        for name in permissions.draft.servers
        if written == _normal(name) or written.startswith(f"{_normal(name)}__")
    ]
    servers = known or [written.partition("__")[0]]
    if entry.kind == "allow" and (entry.inside is not None or len(servers) > 1 or "*" in servers[0]):
        why = (
            "it names no one server"
            if entry.inside is None
            else "an allow rule on an MCP tool has no specifier"
        )
        permissions.left(entry, why)
        return
    for server in servers:
        tool = written.removeprefix(_normal(server)).removeprefix("__") or "*"
        connector = permissions.draft.connector(server, entry.at)
        permissions.add(entry, connector, [tool], _demand(entry.inside))


def _normal(server: str) -> str:
    """Give a server's name as Claude Code has it in the names of its tools."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", server)


def _whole(permissions: Permissions, entry: Entry) -> None:
    own = permissions.own(entry.at)
    if entry.kind != "allow":
        permissions.add(entry, own, _kin(entry.tool))
    elif entry.tool in ("Bash", "PowerShell"):
        permissions.left(entry, "a whole shell is contained by no rule: allow it with a `sandbox`, if at all")
    elif entry.tool in EDITORS:
        permissions.left(
            entry, "Claude Code asks about .git, .claude and the like all the same: name a folder"
        )
    elif entry.tool in READERS and _undecided(permissions, entry.tool):
        permissions.left(entry, "what the other rules stop can't be told from a link to it")
    else:
        permissions.add(entry, own, [entry.tool])


def _undecided(permissions: Permissions, tool: str) -> bool:
    """Say whether a deny or ask rule on files can't be carried over exactly enough to allow the rest."""
    stops = permissions.stops({*READERS, *EDITORS})
    return bool(stops) if tool in _SEARCHERS else not all(stop.whole for stop in stops)


def _kin(tool: str) -> list[str]:
    """Give the tools that a deny or ask rule on a whole tool stops."""
    if tool == "Read":
        return [*READERS, *EDITORS]
    if tool == "Edit":
        return list(EDITORS)
    return ["Agent", "Task"] if tool in ("Agent", "Task") else [tool]


def _bash(permissions: Permissions, entry: Entry) -> None:
    command = re.sub(r":\*$", " *", entry.inside or "")
    if _OF_BASH.match(command):
        return _parameter(permissions, entry)
    own = permissions.own(entry.at)
    if entry.kind != "allow":
        pattern = shell.reach(command)
        demand: Demands = {"command": {"pattern": pattern}} if pattern else {}
        return permissions.add(entry, own, ["Bash"], demand)
    if "*" in command:
        return permissions.left(
            entry, "what starts like it may do anything behind a `;`: name whole commands"
        )
    if not shell.plain(command):
        return permissions.left(
            entry, "only a command of plain words, that runs no other, is sure to be that one"
        )
    if shell.names_files(command) and permissions.stops({*READERS, *EDITORS}):
        return permissions.left(entry, "it may name files that other rules stop")
    return permissions.add(entry, own, ["Bash"], {"command": {"enum": [command]}})


def _powershell(permissions: Permissions, entry: Entry) -> None:
    if entry.kind == "allow":
        permissions.left(entry, "PowerShell has too many names for one command")
    else:
        permissions.whole(entry, ["PowerShell"])


def _read(permissions: Permissions, entry: Entry) -> None:
    if entry.kind == "allow":
        _path(permissions, entry, ["Read"])
    else:
        _stop(permissions, entry, READERS | EDITORS)


def _edit(permissions: Permissions, entry: Entry) -> None:
    if entry.kind == "allow":
        _path(permissions, entry, ["Edit", "Write", "MultiEdit"])
    else:
        _stop(permissions, entry, EDITORS)


def _unconsulted(permissions: Permissions, entry: Entry) -> None:
    """Carry a path rule over that Claude Code accepts and never consults: what it would deny, if it did."""
    right = "Read" if entry.tool in READERS else "Edit"
    permissions.draft.note(
        entry.at, f"Claude Code never consults {entry.text}: write {right}({entry.inside})"
    )
    if entry.kind != "allow":
        _stop(permissions, entry, READERS | EDITORS if right == "Read" else EDITORS)


def _path(permissions: Permissions, entry: Entry, tools: Sequence[str]) -> None:
    folder = allowed(entry.inside or "", permissions.anchors(entry))
    if folder is None or not plain_path(folder):
        return permissions.left(entry, "only one file, or one folder as `folder/**`, can be carried over")
    if permissions.around.resolve(folder, None) != folder:
        return permissions.left(entry, "it lies behind a link: name the place that it leads to")
    if not all(stop.whole for stop in permissions.stops({*READERS, *EDITORS})):
        return permissions.left(entry, "what the other rules stop can't be told from a link to it")
    own = permissions.own(entry.at)
    own.directory = permissions.around.directory
    demand = {"under": [folder], "pattern": spellings(folder, permissions.around.directory)}
    permissions.add(entry, own, tools, {"file_path": demand})
    if "Edit" in tools:
        effect: Effect = "deny" if permissions.silent else "ask"
        origin = "Claude Code asks about these even where edits are allowed"
        places = [
            f"{root}/{name}"
            for root in dict.fromkeys([folder, permissions.around.directory])
            for name in _PROTECTED
        ]
        own.add(effect, tools, {"file_path": {"under": places}}, origin=origin)
        own.add(effect, tools, {"file_path": {"pattern": anywhere(f"(?:{_SPELT})")}}, origin=origin)
    return None


def _stop(permissions: Permissions, entry: Entry, tools: Mapping[str, str]) -> None:
    reach = reached(entry.inside or "", permissions.anchors(entry))
    if reach.spelt is None:
        return permissions.whole(entry, list(tools))
    own = permissions.own(entry.at)
    for name in dict.fromkeys(tools.values()):
        kin = [tool for tool, argument in tools.items() if argument == name]
        if reach.folder is not None and plain_path(reach.folder):
            own.directory = permissions.around.directory
            permissions.add(entry, own, kin, {name: {"under": [reach.folder]}})
        permissions.add(entry, own, kin, {name: {"pattern": reach.spelt}})
    return None


def _fetch(permissions: Permissions, entry: Entry) -> None:
    kind, _, domain = (entry.inside or "").partition(":")
    host = domain.strip().lower().rstrip(".")
    own = permissions.own(entry.at)
    if kind.strip() == "domain" and host == "*":
        permissions.add(entry, own, ["WebFetch"])
    elif kind.strip() == "domain" and _host(host):
        permissions.add(entry, own, ["WebFetch"], {"url": {"hosts": [host]}})
    elif entry.kind == "allow":
        permissions.left(entry, "it is no plain domain")
    else:
        permissions.whole(entry, ["WebFetch"])


def _host(text: str) -> bool:
    try:
        HostPattern.parse(text)
    except ValueError:
        return False
    return ":" not in text and "*" not in text.removeprefix("*.")


def _parameter(permissions: Permissions, entry: Entry) -> None:
    if entry.kind == "allow":
        return permissions.left(entry, "one parameter does not make a call safe")
    demand = _demand(entry.inside)
    if not demand and entry.tool in ("Agent", "Task"):
        demand = {"subagent_type": {"enum": [entry.inside]}}
    if not demand:
        return permissions.whole(entry, _kin(entry.tool))
    return permissions.add(entry, permissions.own(entry.at), _kin(entry.tool), demand)


def _demand(inside: str | None) -> Demands:
    """Read `parameter:value`."""
    found = _PARAMETER.fullmatch(inside or "")
    if found is None:
        return {}
    name, value = found.groups()
    if "*" in value:
        return {name: {"pattern": globbed(value)}}
    if value in ("true", "false"):
        return {name: {"enum": [value == "true", value]}}
    return {name: {"enum": [int(value), value] if re.fullmatch(r"-?\d{1,18}", value) else [value]}}


_SPECIFIERS = {
    "Bash": _bash,
    "PowerShell": _powershell,
    "Read": _read,
    "Edit": _edit,
    "WebFetch": _fetch,
    **dict.fromkeys(({*READERS, *EDITORS} - {"Read", "Edit"}), _unconsulted),
}
