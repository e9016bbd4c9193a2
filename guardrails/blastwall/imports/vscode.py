"""VS Code's `mcp.json` and `settings.json` as a policy.

The forms are those of https://code.visualstudio.com/docs/agents/run/approvals and
https://code.visualstudio.com/docs/agents/reference/mcp-configuration, read in the versions of summer 2026,
and of the descriptions of its settings. It denies nothing: `false` means that a person is asked. What nothing
approves is asked for here, too. Its own tools become one connector, `vscode`; each MCP server becomes one of
its own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blastwall.errors import PolicyError, Problem
from blastwall.imports import servers, shell
from blastwall.imports.draft import Draft
from blastwall.imports.fields import Field, Given, Surroundings, of_json
from blastwall.imports.patterns import quoted
from blastwall.policy.addresses import HostPattern

OWN = "vscode"
TERMINAL = "run_in_terminal"
FETCH = "fetch_webpage"
_FETCHERS = (FETCH, "fetch")

_TERMINAL = ("chat.tools.terminal.autoApprove", "github.copilot.chat.agent.terminal.autoApprove")
_TERMINAL_LISTS = (
    "github.copilot.chat.agent.terminal.allowList",
    "github.copilot.chat.agent.terminal.denyList",
)
_ENABLED = "chat.tools.terminal.enableAutoApprove"
_URLS = "chat.tools.urls.autoApprove"
_ELIGIBLE = "chat.tools.eligibleForAutoApproval"
_LOST = (
    "chat.tools.autoApprove",
    "chat.tools.global.autoApprove",
    "chat.tools.edits.autoApprove",
    "chat.permissions.default",
    "chat.agent.sandbox.enabled",
)

_EXACT = re.compile(r"/\^([A-Za-z0-9_/ =:,-]+)\$/")
_SITE = re.compile(r"https://((?:\*\.)?[A-Za-z0-9.-]+)/\*")


@dataclass(frozen=True, slots=True)
class _Settings:
    """All settings of all files, by their whole name."""

    found: tuple[tuple[str, Field], ...]

    def of(self, *names: str) -> list[Field]:
        return [at for name, at in self.found if name in names]


def draft(files: Sequence[Given], around: Surroundings) -> Draft:
    """Draft a policy from `mcp.json` and `settings.json` files; later files only narrow the first.

    Raises:
        PolicyError: when a file can't be read as what it is.

    """
    made = Draft("VS Code", OWN)
    tops = [of_json(given) for given in files]
    for top in tops:
        _servers(made, top, around.directory)
    settings = _Settings(tuple(pair for top in tops for pair in _flat("", top)))
    for at in settings.of(*_LOST):
        made.note(at, "not carried over: what no rule allows is asked for")
    first = files[0].name
    _terminal(made, settings, first)
    _urls(made, settings, first)
    if not made.connectors and not made.notes:
        message = "there are no servers and no settings of agents in it"
        raise PolicyError([Problem(first, 0, 0, "", message)])
    return made


def _flat(prefix: str, at: Field) -> Iterator[tuple[str, Field]]:
    """Give settings by their whole names, however they are nested."""
    for key, field in at.fields():
        name = f"{prefix}{key}"
        yield name, field
        if isinstance(field.value, dict) and len(name) < 40 and not name.endswith("utoApprove"):
            yield from _flat(f"{name}.", field)


def _servers(made: Draft, top: Field, directory: str) -> None:
    legacy = top.get("mcp")
    for block in (top.get("servers"), top.get("mcpServers"), legacy.get("servers") if legacy else None):
        for name, at in block.fields() if block else ():
            servers.add(made, name, at, workspace=directory)
    for inputs in (top.get("inputs"), legacy.get("inputs") if legacy else None):
        for each in inputs.items() if inputs else ():
            made.note(each, "what VS Code asks a person for is no policy's: write it as a credential")


def _terminal(made: Draft, settings: _Settings, first: str) -> None:
    """Allow the whole commands that are approved and that nothing forbids; ask for the rest."""
    for at in settings.of(*_TERMINAL_LISTS):
        made.note(at, "an old list of commands is not carried over: every command is asked for")
    off = any(at.value is False for at in settings.of(_ENABLED))
    entries = [entry for at in settings.of(*_TERMINAL) for entry in at.fields()]
    stopped = [shell.reach(_words(key)) for key, value in entries if _approval(value) is False]
    for key, value in entries:
        approved = _approval(value)
        if approved is None:
            made.note(value, f"{key} only unsets a default, which is not carried over")
        if not approved:
            continue
        exact = _EXACT.fullmatch(key)
        why = _unsure(exact[1] if exact else None, stopped, off=off, late=value.file != first)
        if exact is None or why:
            made.note(value, f"{key} is asked for, not allowed: {why}", key=True)
            continue
        origin = f"{value.where}: {key}"
        made.tools(value).add("allow", [TERMINAL], {"command": {"enum": [exact[1]]}}, origin=origin)


def _unsure(command: str | None, stopped: Sequence[str | None], *, off: bool, late: bool) -> str:
    """Say why an approval of a command can't be carried over; nothing where it can."""
    if off:
        return "automatic approval of commands is turned off"
    if late:
        return "a later file can't allow more than the first: move it there"
    if command is None:
        return "what starts or reads like it may do anything: only /^a whole command$/ is sure to be that one"
    if not shell.plain(command) or shell.names_files(command):
        return "VS Code may ask about it all the same"
    if shell.reaches(stopped, command):
        return "another entry asks about it"
    return ""


def _approval(at: Field) -> bool | None:
    """Read `true`, `false`, `null` or `{approve, matchCommandLine}`."""
    if isinstance(at.value, dict):
        return _approval(at.needed("approve"))
    return None if at.value is None else at.flag()


def _words(key: str) -> str:
    """Give the glob of every command that an entry may mean; a regular expression may mean any."""
    return "*" if key.startswith("/") else f"{key}*"


def _urls(made: Draft, settings: _Settings, first: str) -> None:
    """Allow the sites whose requests and answers are both approved, where no other entry speaks of them."""
    entries = [entry for at in settings.of(_URLS) for entry in at.fields()]
    asked = [pattern for pattern, value in entries if not _both(value)]
    barred = any(at.block().get(name) is False for at in settings.of(_ELIGIBLE) for name in _FETCHERS)
    for pattern, value in entries:
        if not _both(value):
            continue
        site = _SITE.fullmatch(pattern)
        why = _unsure_site(site[1] if site else None, asked, barred=barred, late=value.file != first)
        if site is None or why:
            made.note(value, f"{pattern} is asked for, not allowed: {why}", key=True)
            continue
        demand = {"urls": {"hosts": [site[1]], "pattern": f"(?s)https://{_spelt(site[1])}/.*"}}
        made.tools(value).add("allow", [FETCH], demand, origin=f"{value.where}: {pattern}")


def _unsure_site(site: str | None, asked: Sequence[str], *, barred: bool, late: bool) -> str:
    """Say why an approval of a site can't be carried over; nothing where it can."""
    if site is None or not _host(site):
        return "only a whole site, as https://host/*, can be carried over"
    if late:
        return "a later file can't allow more than the first: move it there"
    if barred:
        return f"`{_ELIGIBLE}` wants a person to approve each fetch"
    return "another entry may ask about it" if any(_near(site, pattern) for pattern in asked) else ""


def _spelt(site: str) -> str:
    """Give a pattern of a site as it is written; any other way to write it is asked for."""
    return quoted(site) if not site.startswith("*") else rf"[a-z0-9.-]+{quoted(site[1:])}"


def _near(site: str, pattern: str) -> bool:
    """Say whether another entry may be about the same site."""
    host = re.fullmatch(r"https?://((?:\*\.)?[A-Za-z0-9.-]+)(?:/.*)?", pattern)
    if host is None:
        return True
    one, other = (text.lower().removeprefix("*.") for text in (site, host[1]))
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _both(at: Field) -> bool:
    """Say whether the request and what comes back are approved."""
    if isinstance(at.value, dict):
        return all(
            (each := at.get(key)) is not None and each.flag() for key in ("approveRequest", "approveResponse")
        )
    return at.flag()


def _host(text: str) -> bool:
    try:
        HostPattern.parse(text)
    except ValueError:
        return False
    return True
