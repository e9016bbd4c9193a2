"""`mcpServers` and its kin: how each client writes down a server, and what of it a policy can take.

The forms are those of https://code.claude.com/docs/en/mcp (`.mcp.json`), of `docs/tools/mcp-server.md` in
google-gemini/gemini-cli (`settings.json`) and of
https://code.visualstudio.com/docs/agents/reference/mcp-configuration (`servers` in `mcp.json`).
"""

import posixpath
import re

from blastwall.imports.draft import Connector, Draft, Server
from blastwall.imports.fields import Field
from blastwall.imports.paths import plain_path

_HARMLESS = frozenset(
    {"LOG_LEVEL", "NODE_ENV", "DEBUG", "TZ", "LANG", "LC_ALL", "NO_COLOR", "PYTHONUNBUFFERED", "PYTHONUTF8"}
)
"""Variables whose value may be copied. Every other value may be a secret."""

_VALUE = re.compile(r"[A-Za-z0-9_.,*:/+-]{0,40}")
_SECRET = re.compile(
    r"(?i)(?:key|token|secret|passw|pwd|credential|auth|bearer|cookie|session|signature)"
    r"|://[^/]*@|^(?:sk|pk|ghp|gho|ghs|github_pat|glpat|xox[a-z]|AKIA|AIza|eyJ)[-_A-Za-z0-9]"
    r"|[A-Za-z0-9+_=-]{32,}"
)
"""An argument that may hold a secret, or announce one."""

_EXPANDED = re.compile(r"[$%]|\{\{|^~|`")


def add(draft: Draft, name: str, at: Field, *, workspace: str) -> Connector:
    """Make a connector of one server; what starts it is left out where that is not certain.

    Args:
        draft: Where it goes.
        name: The client's name for it.
        at: Its block.
        workspace: What `${workspaceFolder}` means.

    """
    connector = draft.connector(name, at)
    if (url := at.get("url") or at.get("httpUrl") or at.get("serverUrl")) is not None:
        draft.note(url, "a server behind a URL can't be started by a policy: put the rules on its tools only")
    elif at.get("command") is None:
        draft.note(at, "there is no `command`: the rules are carried over, and nothing starts the server")
    else:
        _stdio(draft, connector, at, workspace)
    for key in ("headers", "envFile", "oauth", "headersHelper", "sandbox"):
        if (field := at.get(key)) is not None:
            draft.note(field, f"`{key}` is not carried over", key=True)
    return connector


def _stdio(draft: Draft, connector: Connector, at: Field, workspace: str) -> None:
    command = at.get("command")
    assert command is not None, "the caller has looked"  # noqa: S101  # for the type checker
    arguments = at.get("args")
    words = [command, *(arguments.texts() if arguments else [])]
    texts = [word.text().replace("${workspaceFolder}", workspace) for word in words]
    directory = _directory(draft, at, workspace)
    env = tuple(_env(draft, at))
    for word, text in zip(words, texts, strict=True):
        if _EXPANDED.search(text):
            draft.note(word, "the client would expand this, and a policy does not: `server` is left out")
            return
    if any(_SECRET.search(text) for text in texts[1:]):
        at_words = arguments or at
        draft.note(
            at_words, "this may hold a secret, which is never copied: `server` is left out, write it by hand"
        )
        return
    if not texts[0]:
        raise command.wrong("must not be empty")
    connector.directory = directory
    connector.server = Server(texts[0], tuple(texts[1:]), env, _timeout(draft, at))


def _directory(draft: Draft, at: Field, workspace: str) -> str | None:
    field = at.get("cwd")
    if field is None:
        return None
    path = field.text().replace("${workspaceFolder}", workspace)
    if _EXPANDED.search(path) or not path or not plain_path(path):
        draft.note(field, "the client would expand this, and a policy does not: `directory` is left out")
        return None
    return posixpath.normpath(posixpath.join(workspace, path))


def _timeout(draft: Draft, at: Field) -> float | None:
    """Read Gemini CLI's `timeout`, in milliseconds."""
    field = at.get("timeout")
    if field is None:
        return None
    if isinstance(field.value, bool) or not isinstance(field.value, int | float) or field.value <= 0:
        raise field.wrong("must be a number of milliseconds")
    if field.value > 86_400_000:
        draft.note(field, "more than a day: the default is kept")
        return None
    return float(field.value) / 1000


def _env(draft: Draft, at: Field) -> list[tuple[str, str]]:
    """Copy what can't be a secret; every other variable is left out and told, without its value."""
    kept = []
    env = at.get("env")
    for name, field in env.fields() if env else ():
        value = field.value if isinstance(field.value, str) else None
        if name in _HARMLESS and value is not None and _VALUE.fullmatch(value) and not _SECRET.search(value):
            kept.append((name, value))
            continue
        message = f"the value of {name} may be a secret and is not copied: {_credential(name)}"
        draft.note(field, message, key=True)
    return kept


def _credential(name: str) -> str:
    example = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else "NAME"
    return (
        f"write a credential {{env: {example}, hosts: [...], variable: {example}}} and name it in a sandbox"
    )
