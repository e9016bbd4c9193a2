"""Claude Code's `permissions` and `mcpServers` as a policy.

The forms are those of https://code.claude.com/docs/en/permissions as it stood in August 2026: `allow`,
`ask` and `deny` hold `Tool`, `Tool(specifier)` or `Tool(parameter:value)`; deny beats ask beats allow, as
here; what no rule speaks of is asked for, or denied in `dontAsk` mode. Its own tools become one connector,
`claude-code`; each MCP server becomes one of its own.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence

from blastwall.errors import PolicyError, Problem
from blastwall.imports import servers
from blastwall.imports.claude_rules import EDITORS, OWN, Entry, Kind, Permissions, translate
from blastwall.imports.draft import Draft
from blastwall.imports.fields import Field, Given, Surroundings, of_json

_RULE = re.compile(r"([A-Za-z_*][A-Za-z0-9_*.-]*)(?:\((.*)\))?", re.DOTALL)
_KINDS: tuple[Kind, ...] = ("deny", "ask", "allow")
_MODES = ("default", "manual", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions")
_LOST = ("hooks", "sandbox", "enabledMcpjsonServers", "disabledMcpjsonServers", "apiKeyHelper")


def draft(files: Sequence[Given], around: Surroundings) -> Draft:
    """Draft a policy from settings files and `.mcp.json` files; later files only narrow the first.

    Raises:
        PolicyError: when a file can't be read as what it is.

    """
    made = Draft("Claude Code", OWN)
    tops = [of_json(given) for given in files]
    for top in tops:
        _servers(made, top, around.directory)
    permissions = _permissions(made, files, tops, around)
    if not made.connectors and not permissions.entries and not permissions.modes:
        message = "there are no permissions and no mcpServers in it"
        raise PolicyError([Problem(files[0].name, 0, 0, "", message)])
    _modes(permissions)
    translate(permissions)
    return made


def _servers(made: Draft, top: Field, directory: str) -> None:
    for name, field in _fields(top.get("mcpServers")):
        servers.add(made, name, field, workspace=directory)
    for key in _LOST:
        if (lost := top.get(key)) is not None:
            made.note(lost, f"`{key}` is not carried over", key=True)


def _permissions(
    made: Draft, files: Sequence[Given], tops: Sequence[Field], around: Surroundings
) -> Permissions:
    permissions = Permissions(made, around)
    for number, (given, top) in enumerate(zip(files, tops, strict=True)):
        if (block := top.get("permissions")) is None:
            continue
        for kind in _KINDS:
            _entries(permissions, kind, block, given, first=number == 0)
        if (mode := block.get("defaultMode")) is not None:
            mode.one_of(*_MODES)
            permissions.modes.append(mode)
        folders = block.get("additionalDirectories")
        for folder in folders.texts() if folders else ():
            made.note(folder, "files in a further folder are asked for: write an allow rule with `under`")
    return permissions


def _entries(permissions: Permissions, kind: Kind, block: Field, given: Given, *, first: bool) -> None:
    listed = block.get(kind)
    granted = {entry.text for entry in permissions.entries if entry.kind == "allow"}
    for field in listed.items() if listed else ():
        found = _RULE.fullmatch(field.text().strip())
        if found is None:
            raise field.wrong(f"{field.value!r} is no rule: write Tool or Tool(specifier)")
        entry = Entry(kind, found[1], found[2], field, _settings(given, permissions.around.home))
        if kind != "allow" or first or entry.text in granted:
            permissions.entries.append(entry)
        else:
            permissions.draft.note(field, "a later file can't allow more than the first: move it there")


def _settings(given: Given, home: str) -> str:
    """Give the folder that `/path` starts from: the project of its settings, or ~/.claude for the user's."""
    folder = posixpath.dirname(given.path)
    owner = posixpath.dirname(folder) if posixpath.basename(folder) == ".claude" else folder
    return folder if owner == home else owner


def _modes(permissions: Permissions) -> None:
    """Say what becomes of a mode: `dontAsk` turns every question into a denial, `plan` stops edits."""
    for mode in permissions.modes:
        if mode.value in ("acceptEdits", "auto", "bypassPermissions"):
            message = f"{mode.value} is not carried over: what no rule allows is asked for"
            permissions.draft.note(mode, message)
        if mode.value == "plan":
            own = permissions.own(mode)
            own.add("deny", tuple(EDITORS), origin=f"{mode.where}: plan mode edits nothing")


def _fields(block: Field | None) -> Iterator[tuple[str, Field]]:
    return block.fields() if block else iter(())
