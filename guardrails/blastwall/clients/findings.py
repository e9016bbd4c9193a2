"""What is wrong with the servers of this machine's clients, as far as their files say."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blastwall.clients.find import Found, running
from blastwall.clients.launches import imitated, piped
from blastwall.clients.secrets import secrets
from blastwall.clients.servers import Configured, host_of, local
from blastwall.screening.fold import fold
from blastwall.trust.owners import exposed
from blastwall.trust.packages import package, unwrapped


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to do something about.

    Attributes:
        code: What it is, for machines.
        client: Whose; "" where it is about several.
        file, line: Where; line 0 where there is none.
        server: Which server; "" for the file.
        message: What it is. It quotes no secret and nothing that a server says of itself.
        fix: What to do.

    """

    code: str
    client: str
    file: str
    line: int
    server: str
    message: str
    fix: str


def findings(found: Sequence[Found], project: str = "") -> list[Finding]:
    """Look at all files and servers; what is about several of them comes last."""
    servers = [server for one in found for server in one.servers]
    every = [
        *(finding for one in found for finding in _of_file(one)),
        *(finding for server in servers for finding in of_server(server)),
        *(_runs(*each) for each in (running(project) if project else ())),
        *_alike(servers),
    ]
    return list(dict.fromkeys(every))


def _of_file(found: Found) -> Iterator[Finding]:
    def finding(code: str, message: str, fix: str) -> Finding:
        return Finding(code, found.client.name, found.path, 0, "", message, fix)

    if found.problem:
        yield finding(
            "unreadable", f"can't be read: {found.problem}", "mend it: its servers were not looked at"
        )
    if found.file is None:
        return
    places = (found.file.status, os.stat(os.path.dirname(found.file.real)))
    for status, what in zip(places, ("the file", "its folder"), strict=True):
        if why := exposed(status):
            yield finding("writable", f"{what}: {why}", "whoever writes it chooses what your client runs")


def of_server(server: Configured) -> Iterator[Finding]:
    """Look at one server's block."""

    def finding(code: str, message: str, fix: str) -> Finding:
        return Finding(code, server.client, server.file, server.line, server.name, message, fix)

    for kind, place in secrets(server):
        yield finding(
            "secret",
            f"{kind}, in plain text, in {place}",
            "renew it, and keep the new one in a keyring",
        )
    if server.transport == "stdio":
        yield from (finding(*each) for each in _launched(server.command))
    if server.project and server.transport and not server.disabled:
        does = (
            f"runs `{_short(server.command)}`"
            if server.command
            else f"connects to {(host_of(server.url) or 'an address')}"
        )
        yield finding(
            "project-server",
            f"this project {does} once its client trusts the folder",
            "read it before you do",
        )
    if _in_clear(server.url):
        yield finding(
            "no-tls", f"{(host_of(server.url) or 'an address')} is reached without TLS", "write https://"
        )
    for odd in server.odd:
        yield finding("malformed", odd, "correct it: the client may read it in another way than we do")


_PINS = {"npm": "@1.2.3", "pypi": "==1.2.3", "image": "@sha256:...", "module": "@v1.2.3"}


def _launched(command: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    if piped(command):
        yield (
            "pipe-to-shell",
            "hands what it downloads to an interpreter",
            "download it once, read it, name the file",
        )
        return
    found = package(command)
    if found is not None and not found.pinned:
        yield (
            "unpinned",
            f"whatever is the newest of {found.name} runs at each start",
            f"name one version of it, as in `{found.name}{_PINS[found.kind]}`",
        )
    if found is not None and (meant := imitated(found)):
        yield (
            "lookalike",
            f"the package {found.name!r} is spelt almost like {meant!r}",
            "check which one you mean",
        )
    for word in unwrapped(command)[:2]:
        if os.path.isabs(word) and (why := _exposed(word)):
            yield "writable", f"{word}: {why}", "whoever writes it chooses what your client runs"


def _exposed(path: str) -> str:
    try:
        return exposed(os.stat(path))
    except (OSError, ValueError):
        return ""


def _runs(path: str, line: int, what: str) -> Finding:
    message = f"this project has {what}, for its client to run"
    return Finding(
        "project-runs", "", path, line, "", message, "read it before your client trusts the folder"
    )


def _alike(servers: Sequence[Configured]) -> Iterator[Finding]:
    """Find names that read the same and are not: the agent that means one gets the other."""
    readings: defaultdict[str, list[Configured]] = defaultdict(list)
    for server in servers:
        readings[_reading(server.name)].append(server)
    for group in readings.values():
        for server in group:
            other = next((o for o in group if o.name != server.name and o.launch != server.launch), None)
            if other is not None and (server.name, server.file) > (other.name, other.file):
                message = f"its name reads like {other.name!r} of {other.file}, and it is another server"
                yield Finding(
                    "lookalike",
                    server.client,
                    server.file,
                    server.line,
                    server.name,
                    message,
                    "rename one of them",
                )


_ALIKE = str.maketrans("01i", "oll")


def _reading(name: str) -> str:
    plain = "".join(map(fold, name)).casefold()
    return "".join(char for char in plain if char.isalnum()).translate(_ALIKE)


def _in_clear(url: str) -> bool:
    return url.lower().startswith(("http://", "ws://")) and not local(url)


def _short(command: tuple[str, ...]) -> str:
    """Name the program and what it starts, without any argument that might be a secret."""
    found = package(command)
    return f"{os.path.basename(command[0])} {found.name}" if found else os.path.basename(command[0])
