"""One server as a client has it configured: the same nouns, whichever client wrote it down."""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import re2

Pairs = tuple[tuple[str, str], ...]

_EXPANDED = re2.compile(r"\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*|%[A-Za-z_][A-Za-z0-9_]{2,}%|\{env:[^}]*\}")
_NOT_TAKEN = ("envFile", "headersHelper", "oauth", "env_http_headers", "bearer_token_env_var", "env_vars")
_URLS = ("url", "serverUrl", "httpUrl")
_DIRECTORIES = ("cwd", "working_directory")


@dataclass(frozen=True, slots=True)
class Configured:
    """A server in a client's file.

    Attributes:
        client: The client's name.
        file: The file, as the client has it.
        line: Where in it; 0 where that isn't known.
        name: What the client calls the server.
        keys: What leads to all servers there.
        project: The project that brings the file along; "" for the user's own.
        transport: `stdio`, `http` or `sse`; "" where there is neither a command nor a URL.
        command: The program and its arguments.
        env, headers: As they are written.
        directory: Where it starts.
        url: Where it is.
        disabled: Whether the client leaves it alone.
        odd: What of it could not be understood.
        own: What only the client itself could do with it.

    """

    client: str
    file: str
    line: int
    name: str
    keys: tuple[str, ...]
    project: str = ""
    transport: str = ""
    command: tuple[str, ...] = ()
    env: Pairs = ()
    headers: Pairs = ()
    directory: str = ""
    url: str = ""
    disabled: bool = False
    odd: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def launch(self) -> tuple[object, ...]:
        """What is started or connected to: two servers with the same are the same."""
        return self.transport, self.command, self.url, self.directory, self.env, self.headers

    @property
    def proxied(self) -> bool:
        """Whether this is blastwall's own entry, which guards others."""
        return os.path.basename("".join(self.command[:1])) == "blastwall" and self.command[1:2] == ("proxy",)

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text in it, with what a person would call its place."""
        yield from ((f"args[{i - 1}]" if i else "command", text) for i, text in enumerate(self.command))
        yield from ((f"env.{name}", value) for name, value in self.env)
        yield from ((f"headers.{name}", value) for name, value in self.headers)
        if self.url:
            yield "url", self.url
        if self.directory:
            yield "cwd", self.directory

    @property
    def expanded(self) -> list[str]:
        """Name what the client would fill in itself, such as `${TOKEN}`."""
        found = [match[0] for _, text in self.texts for match in _EXPANDED.finditer(text)]
        return list(dict.fromkeys(found))


def configured(at: Configured, block: Any) -> Configured:
    """Read a server's block into its place."""
    reader = _Block(block if isinstance(block, dict) else None)
    return Configured(
        at.client,
        at.file,
        at.line,
        at.name,
        at.keys,
        at.project,
        _transport(reader, at.client),
        reader.command(),
        reader.pairs("env", "environment"),
        reader.pairs("headers", "http_headers"),
        reader.first(_DIRECTORIES),
        reader.first(_URLS),
        reader.data.get("disabled") is True or reader.data.get("enabled") is False,
        reader.odd(),
        reader.own(),
    )


def _transport(reader: "_Block", client: str) -> str:
    url = reader.first(_URLS)
    if not url:
        return "stdio" if reader.command() else ""
    said = str(reader.data.get("type") or reader.data.get("transport") or "").lower()
    # Gemini CLI calls the newer one `httpUrl`.
    old = said == "sse" or (not said and client == "gemini-cli" and "httpUrl" not in reader.data)
    return "sse" if old or url.rstrip("/").endswith("/sse") else "http"


class _Block:
    """A block that may hold anything."""

    def __init__(self, data: dict[str, Any] | None) -> None:
        self.data: Mapping[str, Any] = data or {}
        self._odd: list[str] = [] if data is not None else ["it is no block of keys and values"]

    def odd(self) -> tuple[str, ...]:
        if not self.command() and not self.first(_URLS) and not self.own():
            self._odd.append("there is neither a command nor a URL")
        return tuple(dict.fromkeys(self._odd))

    def own(self) -> tuple[str, ...]:
        taken = [f"`{key}` is the client's own" for key in _NOT_TAKEN if self.data.get(key)]
        extension = "settings" in self.data and "command" not in self.data  # of Zed
        return (*taken, *(["an extension of the client starts it"] if extension else ()))

    def first(self, keys: tuple[str, ...]) -> str:
        found = next((self.data[key] for key in keys if self.data.get(key)), "")
        return found if isinstance(found, str) else self._not(f"`{keys[0]}` is no text")

    def command(self) -> tuple[str, ...]:
        given, args = self.data.get("command"), self.data.get("args")
        if isinstance(given, dict):  # as Zed had it once
            args = given.get("args")
            given = given.get("path")
        words = [*given] if isinstance(given, list) else [given] if given else []
        words += args if isinstance(args, list) else []
        if not all(isinstance(word, str) for word in words) or not isinstance(args, list | None):
            self._not("`command` or `args` is no list of texts")
        return tuple(word if isinstance(word, str) else str(word) for word in words)

    def pairs(self, *keys: str) -> Pairs:
        block = self.data.get("command")
        inner = block.get("env") if isinstance(block, dict) and "env" in keys else None
        found = next((self.data[key] for key in keys if self.data.get(key)), inner) or {}
        if not isinstance(found, dict):
            self._not(f"`{keys[0]}` is no block of keys and values")
            return ()
        if not all(isinstance(value, str | int | float | bool) for value in found.values()):
            self._not(f"a value of `{keys[0]}` is no text")
        return tuple((name, _text(value)) for name, value in found.items())

    def _not(self, why: str) -> str:
        self._odd.append(why)
        return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def inside(url: str) -> bool:
    """Say whether an address is one of this machine, or of a network that is nobody else's."""
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def local(url: str) -> bool:
    """Say whether an address is one of this machine."""
    host = host_of(url)
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


def host_of(url: str) -> str:
    """Give the host of an address; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
