"""Secrets in plain text: which kind, and where. The secret itself is never given on."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import re2

from blastwall.clients.servers import Configured

_KINDS = tuple(
    (kind, re2.compile(pattern))
    for kind, pattern in (
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{36,})"),
        ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("a Slack token", r"\bxox[a-z]-[A-Za-z0-9-]{10,}"),
        ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("an API key", r"\bsk-[A-Za-z0-9_-]{20,}"),
        ("a Stripe key", r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("an npm token", r"\bnpm_[A-Za-z0-9]{36}"),
        ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{32,}"),
        ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
        ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    )
)

_TELLING = re2.compile(
    r"(?i)(?:api[_-]?key|access[_-]?key|private[_-]?key|(?:^|[_-])key$|token|secret|passw(?:or)?d|pwd$|passphrase"
    r"|credential|authorization|bearer|cookie|(?:^|[_-])pat$|signature)"
)
"""What a name is like whose value is a secret."""

_NO_SECRET = re2.compile(r"(?i)(?:_|-|^)(?:file|path|dir|url|uri|host|env|name|id|type|limit|max[a-z_]*)$")
_PLACEHOLDER = re2.compile(
    r"(?i)<[^>]*>|your[-_ ]?\w*|x{3,}|\*{3,}|\.{3}|(?:change|replace)[-_ ]?me|example|placeholder|todo|none|"
    r"null|true|false|[0-9]{0,6}"
)
_REFERENCE = re2.compile(r"\$\{[^}]*\}|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|\{env:[^}]*\}|op://\S*|se://\S*")
_FLAG = re2.compile(r"(?s)--?([A-Za-z][A-Za-z0-9_-]*)(?:[=:](.*))?")
_PAIR = re2.compile(r"(?s)([A-Za-z][A-Za-z0-9_-]*)\s*[=:]\s*(.+)")
_SCHEME = re2.compile(r"(?i)(?:bearer|basic|token)\s+")
_LONG = re2.compile(r"[A-Za-z0-9_=-]{24,}")


def secrets(server: Configured) -> Iterator[tuple[str, str]]:
    """Give the kind of each secret in a server's block, and its place there; one for each place."""
    for place, text in server.texts:
        if kind := _known(text) or _address(text):
            yield kind, place
        elif place.startswith(("env.", "headers.")) and _is_secret(place.partition(".")[2], text):
            yield "a value that its name calls secret", place
    yield from _arguments(server.command)


def _known(text: str) -> str:
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), "")


def _is_secret(name: str, value: str) -> bool:
    if not _TELLING.search(name) or _NO_SECRET.search(name):
        return False
    return not placeholder(value)


def placeholder(value: str) -> bool:
    """Say whether a value is none yet: `<your key>`, `${TOKEN}`, or too short to be a secret."""
    left = _REFERENCE.sub("", _SCHEME.sub("", value)).strip()
    return len(left) < 6 or bool(_PLACEHOLDER.fullmatch(left))


def _address(text: str) -> str:
    """Look into an address: its password, its query and a long random piece of its path."""
    if "://" not in text:
        return ""
    try:
        parts = urlsplit(text)
        password, query = parts.password, parse_qsl(parts.query, max_num_fields=100)
    except ValueError:
        return ""
    if password and _is_secret("password", unquote(password)):
        return "a password in an address"
    if any(_is_secret(name, value) for name, value in query):
        return "a secret in an address"
    pieces = parts.path.split("/") if parts.scheme in ("http", "https") else ()
    return "a long random piece of an address" if any(map(_random, pieces)) else ""


def _random(piece: str) -> bool:
    mixed = any(map(str.isdigit, piece)) and any(map(str.isalpha, piece))
    return mixed and bool(_LONG.fullmatch(piece))


def _arguments(command: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Look at flags that announce a secret, with their value behind `=` or as the next word."""
    for number, word in enumerate(command[1:]):
        if _known(word) or _address(word):
            continue  # told already
        flag, pair = _FLAG.fullmatch(word), _PAIR.fullmatch(word)
        place = f"args[{number}]"
        if flag and flag[2] is None:
            following = command[number + 2 : number + 3]
            if following and not following[0].startswith("-") and not _known(following[0]):
                if _is_secret(flag[1], following[0]):
                    yield "a value that its flag calls secret", f"args[{number + 1}]"
        elif flag and _is_secret(flag[1], flag[2] or ""):
            yield "a value that its flag calls secret", place
        elif pair and _is_secret(pair[1], pair[2]):
            yield "a value that its name calls secret", place
