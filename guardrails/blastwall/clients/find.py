"""Looking for the clients of this machine: which files there are, and which servers stand in them."""

import glob
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blastwall.clients.documents import parsed, places
from blastwall.clients.positions import Positions, line
from blastwall.clients.reading import File, Unreadable, read
from blastwall.clients.servers import Configured, configured
from blastwall.clients.table import CLIENTS, RUNS, Client, Form, Place
from blastwall.policy.source import Source


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the files would be.

    Attributes:
        home: The user's home folder.
        env: The environment, of which only the variables that move files are looked at.
        platform: As `sys.platform` has it.

    """

    home: str
    env: Mapping[str, str]
    platform: str = sys.platform

    @classmethod
    def here(cls) -> "Machine":
        """Give this machine, for this user."""
        return cls(os.path.expanduser("~"), os.environ)

    def paths(self, place: Place, project: str = "") -> list[str]:
        """Give the files that a place stands for; those with a `*` only if they are there."""
        if place.project:  # the home folder is nobody's project: its files are the user's
            strange = project and os.path.realpath(project) != os.path.realpath(self.home)
            return [os.path.join(project, place.linux)] if strange else []
        path = {"darwin": place.macos, "win32": place.windows}.get(self.platform) or place.linux
        moved = self.env.get(place.moved_by, "")
        if os.path.isabs(moved):
            return [os.path.join(moved, os.path.basename(path))]
        path = path.replace("{config}", glob.escape(self._config()), 1)
        path = path.replace("%APPDATA%", glob.escape(self.env.get("APPDATA", self.home)), 1)
        path = glob.escape(self.home) + path[1:] if path.startswith("~/") else path
        return sorted(glob.glob(path)) if "*" in place.linux else [_unescaped(path)]

    def _config(self) -> str:
        given = self.env.get("XDG_CONFIG_HOME", "")
        return given if os.path.isabs(given) else os.path.join(self.home, ".config")


def _unescaped(path: str) -> str:
    for special in "*?[":
        path = path.replace(f"[{special}]", special)
    return path


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a client that is there.

    Attributes:
        client: Whose it is.
        path: The file.
        place: The row of the table.
        project: The project that brings it along; "" for the user's own.
        file: What was read; None where `problem` says why not.
        servers: What stands in it.
        problem: Why it can't be read as what it is.

    """

    client: Client
    path: str
    place: Place
    project: str = ""
    file: File | None = None
    servers: tuple[Configured, ...] = ()
    problem: str = ""


def find(machine: Machine, project: str = "", clients: Sequence[Client] = CLIENTS) -> Iterator[Found]:
    """Read every file of every client that is there. What can't be read is told, not raised."""
    for client in clients:
        known: dict[str, tuple[File, Any] | str | None] = {}
        for place in client.places:
            root = project if place.project else ""
            for path in machine.paths(place, project):
                if path not in known:
                    known[path] = _content(path, root, place.form)
                if found := _found(client, path, place, root, known[path]):
                    yield found


def _content(path: str, root: str, form: Form) -> tuple[File, Any] | str | None:
    """Give a file and what is in it, or why that can't be had."""
    try:
        file = read(path, root)
        return (file, parsed(file.text, form)) if file else None
    except Unreadable as error:
        return str(error)


def _found(
    client: Client, path: str, place: Place, root: str, content: tuple[File, Any] | str | None
) -> Found | None:
    match content:
        case (File() as file, data):
            servers = tuple(_servers(client, place, file, data, root))
            return (
                Found(client, path, place, root, file, servers) if servers or not _elsewhere(place) else None
            )
        case str(problem) if not _elsewhere(place):
            return Found(client, path, place, root, problem=problem)
        case _:
            return None


def _elsewhere(place: Place) -> bool:
    """Say whether another place is in the same file, so that what is wrong with it is told there."""
    return "{project}" in place.keys


def _servers(client: Client, place: Place, file: File, data: Any, root: str) -> Iterator[Configured]:
    text = file.text if place.form is Form.JSON else ""
    positions = Positions(text)
    for keys in _expanded(data, place.keys, ()):
        block = at(data, keys)
        for name, inner in block.items() if isinstance(block, dict) else ():
            found = positions.members(keys).get(name)
            number = line(text, found.start) if found else 0
            yield configured(Configured(client.name, file.path, number, name, keys, root), inner)


def _expanded(data: Any, keys: Sequence[str], done: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Give the keys with those of every project in the place of `{project}`."""
    if not keys:
        yield done
    elif keys[0] != "{project}":
        yield from _expanded(data, keys[1:], (*done, keys[0]))
    else:
        inner = at(data, done)
        for name in inner if isinstance(inner, dict) else ():
            yield from _expanded(data, keys[1:], (*done, name))


def at(data: Any, keys: Sequence[str]) -> Any:
    """Give what stands under these keys, or None."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def running(project: str) -> Iterator[tuple[str, int, str]]:
    """Give what else of a project's files makes a client run something: file, line and what."""
    for name in dict.fromkeys(name for name, _, _ in RUNS):
        path = os.path.join(project, name)
        try:
            file = read(path, project)
            source = places(file.text) if file else Source({})
        except Unreadable:
            continue
        for file_name, keys, what in RUNS:
            if file_name == name and at(source.data, keys):
                yield path, source.place(keys, key=True)[0], what
    yield from _tasks(project)


def _tasks(project: str) -> Iterator[tuple[str, int, str]]:
    """Find tasks that VS Code starts as soon as the folder is opened."""
    path = os.path.join(project, ".vscode/tasks.json")
    try:
        file = read(path, project)
        source = places(file.text) if file else Source({})
    except Unreadable:
        return
    tasks = at(source.data, ("tasks",))
    for number, task in enumerate(tasks if isinstance(tasks, list) else ()):
        if at(task, ("runOptions", "runOn")) == "folderOpen":
            yield path, source.place(("tasks", number))[0], "a task that starts when the folder is opened"
