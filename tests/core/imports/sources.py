"""What the other products do with a call, written down once more from their documents: slow and simple.

Each gives `allow`, `ask` or `deny`. Where a document leaves something open, the stricter reading counts.
"""

import json
import posixpath
import re
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

DIRECTORY = "/home/me/project"
HOME = "/home/me"
LINKS = {
    "/home/me/project/src/out": "/etc",
    "/home/me/project/notes": "/home/me/project/secrets",
    "/home/me/project/src/hook": "/home/me/project/.git",
    "/home/me/elsewhere": "/home/me/project/src",
    "/home/me/project/src/cert": "/home/me/project/private/a.pem",
    "/home/me/project/src/key": "/home/me/project/src/deep/a.pem",
}
"""Symbolic links of the pretended file system."""

PROTECTED = {".git", ".claude", ".mcp.json", ".vscode", ".idea", ".husky", ".bashrc", ".zshrc", ".gitconfig"}
EDITORS = {"Edit", "Write", "MultiEdit"}
STRICTNESS = ("allow", "ask", "deny")


def absolute(path):
    return posixpath.normpath(posixpath.join(DIRECTORY, path))


def target(path):
    """Follow the links on a path."""
    for _ in range(9):
        for link, leads in LINKS.items():
            if path == link or path.startswith(link + "/"):
                path = posixpath.normpath(leads + path[len(link) :])
                break
        else:
            return path
    return path


def resolve(path, base):
    """What `blastwall.paths.resolve` would say of the pretended file system."""
    if path.startswith("~") or "$" in path or "://" in path or path != path.strip():
        return None
    whole = posixpath.join(str(base or DIRECTORY), path)
    plain = target(posixpath.normpath(whole))
    return None if ".." in path and plain != posixpath.normpath(whole) else plain


# --- Claude Code ------------------------------------------------------------------------------------

SEPARATORS = re.compile(r"&&|\|\||\|&|[;&|\n]")
WRAPPER = re.compile(r"(?:timeout(?: -\S+)* \S+|time|nice|nohup|stdbuf -\S+|command|builtin|noglob|xargs) ")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=\S* ")


def claude(settings, tool, arguments, server=None):
    """`settings` is a list of files' permissions."""
    name = tool if server is None else f"mcp__{re.sub('[^A-Za-z0-9_-]', '_', server)}__{tool}"
    modes = {each.get("defaultMode") for each in settings}
    if "plan" in modes and name in EDITORS:
        return "deny"
    for kind in ("deny", "ask", "allow"):
        rules = [rule for each in settings for rule in each.get(kind, ())]
        if _claude_matches(kind, rules, name, arguments):
            if kind == "ask" and "dontAsk" in modes:
                return "deny"
            return kind if kind != "allow" else _claude_allowed(name, arguments)
    return "deny" if "dontAsk" in modes else "ask"


def _claude_allowed(name, arguments):
    """An allow rule never reaches these."""
    if name in EDITORS:
        path = absolute(arguments["file_path"])
        if PROTECTED & {*path.split("/"), *target(path).split("/")}:
            return "ask"
    if name == "Bash" and re.search(r"[<>`]|\$\(", arguments["command"]):
        return "ask"
    return "allow"


def _claude_matches(kind, rules, name, arguments):
    split = [re.fullmatch(r"([^(]+)(?:\((.*)\))?", rule, re.DOTALL).groups() for rule in rules]
    split = [(tool, None if inside == "*" else inside) for tool, inside in split]
    if name == "Bash":
        bash = [
            inside
            for tool, inside in split
            if tool == "Bash" and inside and "run_in_background" not in inside
        ]
        if bash and _bash(kind, bash, arguments["command"]):
            return True
    paths = [(tool, inside) for tool, inside in split if inside and tool in ("Read", "Edit")]
    if name in EDITORS | {"Read"} and _paths(kind, paths, name, arguments["file_path"]):
        return True
    return any(_one(kind, tool, inside, name, arguments) for tool, inside in split)


def _one(kind, tool, inside, name, arguments):
    if inside is None:
        mine = tool == name or (tool == "Edit" and kind != "allow" and name in EDITORS)
        server = re.fullmatch(r"mcp__[^_]+(?:_[^_]+)*", tool) and name.startswith(tool + "__")
        globbed = (
            "*" in tool and (kind != "allow" or re.match(r"mcp__[^*]+?__", tool)) and fnmatchcase(name, tool)
        )
        return mine or bool(server) or bool(globbed)
    if tool == name == "WebFetch":
        host = (urlsplit(arguments["url"]).hostname or "").rstrip(".").lower()
        domain = inside.removeprefix("domain:").lower().rstrip(".")
        return host.endswith(domain[1:]) if domain.startswith("*.") else domain in (host, "*")
    found = re.fullmatch(r"(\w+):(\S+)", inside)
    if tool == name and kind != "allow" and found and found[1] in arguments:
        value = arguments[found[1]]
        return fnmatchcase(json.dumps(value) if isinstance(value, bool) else str(value), found[2])
    return False


def _bash(kind, patterns, command):
    parts = [part.strip() for part in SEPARATORS.split(command) if part.strip()]
    matched = [any(_command(kind, pattern, part) for pattern in patterns) for part in parts]
    return bool(matched) and (all(matched) if kind == "allow" else any(matched))


def _command(kind, pattern, command):
    while found := WRAPPER.match(command) or (kind != "allow" and ASSIGNMENT.match(command)):
        command = command[found.end() :]
    pattern = re.sub(r":\*$", " *", pattern)
    regex = ".*".join(map(re.escape, pattern.split("*")))
    regex = regex.removesuffix(r"\ .*") + "(?: .*)?" if pattern.endswith(" *") else regex
    return re.fullmatch(regex, command, re.DOTALL) is not None


def _paths(kind, rules, name, path):
    used = [inside for tool, inside in rules if tool == "Read" or name != "Read"]
    if kind == "allow":
        used = [inside for tool, inside in rules if (tool == "Read") == (name == "Read")]
    literal = absolute(path)
    both = [any(_gitignore(kind, rule, each) for rule in used) for each in (literal, target(literal))]
    return all(both) if kind == "allow" else any(both)


def _gitignore(kind, pattern, path):
    if pattern.startswith("//"):
        root, rest = "/", pattern[2:]
    elif pattern.startswith("~/"):
        root, rest = HOME, pattern[2:]
    elif pattern.startswith("/"):
        root, rest = DIRECTORY, pattern[1:]
    else:
        root, rest = DIRECTORY, pattern.removeprefix("./")
    single = "/" not in rest.removesuffix("/**") and not pattern.startswith(("/", "~"))
    deep = "(?:.*/)?" if single and (kind != "allow" or not rest.endswith("/**")) else ""
    regex = ""
    for part in re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", rest):
        regex += {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            part, re.escape(part)
        )
    return re.fullmatch(re.escape(root.rstrip("/")) + "/" + deep + regex + "(?:/.*)?", path) is not None


# --- Gemini CLI -------------------------------------------------------------------------------------


def gemini(rules, tool, arguments, server=None):
    """`rules` are the `[[rule]]`s of one file."""
    verdicts = [_gemini(rules, tool, arguments, server)]
    if server is None and tool == "run_shell_command":
        parts = SEPARATORS.split(arguments["command"])
        verdicts += [_gemini(rules, tool, arguments | {"command": part.strip()}, server) for part in parts]
        if re.search(r"[<>]", arguments["command"]) and verdicts == ["allow"] * len(verdicts):
            verdicts.append("ask")
    return max(verdicts, key=STRICTNESS.index)


def _gemini(rules, tool, arguments, server):
    name = tool if server is None else f"mcp_{server}_{tool}"
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    matching = [rule for rule in rules if _gemini_matches(rule, name, tool, text, server)]
    best = max((rule["priority"] for rule in matching), default=None)
    first = [rule["decision"].removesuffix("_user") for rule in matching if rule["priority"] == best]
    return max(first, key=STRICTNESS.index, default="ask")


def _gemini_matches(rule, name, tool, text, server):
    if rule.get("modes") and rule["decision"] == "allow":  # the mode in which the rule is least welcome
        return False
    if "mcpName" in rule:
        if server is None or rule["mcpName"] not in ("*", server):
            return False
        name = tool
    names = rule.get("toolName", "*")
    if not any(fnmatchcase(name, each) for each in ([names] if isinstance(names, str) else names)):
        return False
    if "commandPrefix" in rule:
        prefixes = rule["commandPrefix"]
        starts = [json.dumps(each)[1:-1] for each in ([prefixes] if isinstance(prefixes, str) else prefixes)]
        return any(re.search('"command":"' + re.escape(each) + r'(?:[\s"]|\\")', text) for each in starts)
    pattern = rule.get("argsPattern") or (
        '"command":"' + rule["commandRegex"] if "commandRegex" in rule else ""
    )
    return re.search(pattern, text) is not None


# --- VS Code ----------------------------------------------------------------------------------------

ALWAYS_ASKED = {"rm", "rmdir", "del", "dd", "kill", "curl", "wget", "eval", "chmod", "chown", "xargs", "find"}


def vscode(settings, tool, arguments):
    """`settings` are one file's."""
    if tool == "run_in_terminal":
        return _terminal(settings, arguments["command"])
    if tool == "fetch_webpage":
        return _fetch(settings, arguments["urls"])
    return "ask"


def _terminal(settings, command):
    if settings.get("chat.tools.terminal.enableAutoApprove") is False or re.search(r"[<>`]|\$\(", command):
        return "ask"
    entries = {
        key: value["approve"] if isinstance(value, dict) else value
        for key, value in settings.get("chat.tools.terminal.autoApprove", {}).items()
    }
    parts = [part.strip() for part in SEPARATORS.split(command) if part.strip()] or [""]
    if any(
        value is False and _entry(key, part) for key, value in entries.items() for part in (*parts, command)
    ):
        return "ask"
    if any(part.split(" ")[0] in ALWAYS_ASKED for part in parts):
        return "ask"
    approved = all(
        any(value is True and _entry(key, part) for key, value in entries.items()) for part in parts
    )
    return "allow" if approved else "ask"


def _entry(key, command):
    if key.startswith("/"):
        pattern, _, flags = key[1:].rpartition("/")
        return re.search(pattern, command, re.IGNORECASE if "i" in flags else 0) is not None
    return command.startswith(key)


def _fetch(settings, urls):
    if settings.get("chat.tools.eligibleForAutoApproval", {}).get("fetch_webpage") is False:
        return "ask"
    entries = settings.get("chat.tools.urls.autoApprove", {})
    for url in urls:
        found = [value for pattern, value in entries.items() if fnmatchcase(url, pattern)]
        both = [
            v if isinstance(v, bool) else all(v.get(k) for k in ("approveRequest", "approveResponse"))
            for v in found
        ]
        if not both or not all(both):
            return "ask"
    return "allow"
