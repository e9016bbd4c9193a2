"""Policy files on disk: the one place that reads them, once or as often as they change."""

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from blastwall.errors import PolicyError, Problem
from blastwall.paths import resolve, state_directory
from blastwall.policy import Policy, parse
from blastwall.policy.connector import Connector
from blastwall.policy.layers import Layered
from blastwall.policy.rules import Rule
from blastwall.policy.source import MAX_BYTES
from blastwall.trust.owners import exposed
from blastwall.trust.projects import ProjectFile, config_directory, project_of
from blastwall.trust.reading import NotReadable, read_untrusted
from blastwall.trust.store import NotTrusted, Store, directory_of_trust
from blastwall.values import Profile

ORGANISATION = Path("/etc/blastwall/blastwall.yaml")
"""The layer of whoever runs this machine. Where it is there, it narrows every policy that is loaded."""

LOOK_S = 0.2
"""How often the files are looked at; a file that changed within this time may still be in the making."""

COARSE_S = 2.0
"""The coarsest time stamps of a file system in use: a younger file may change once more without a trace."""

AGAIN_S = 5.0
"""When a policy that could not be loaded is tried again although its files did not change."""

_ATTEMPTS = 5

T = TypeVar("T")

log = logging.getLogger("blastwall.policy")

_Mark = tuple[int, ...] | None
"""Which file it is and when it last changed; None where there is none, empty for a pipe: it is read once."""


@dataclass(frozen=True, slots=True)
class _File:
    """One layer.

    Attributes:
        name: As it was given, for messages.
        path: Where it is, whatever the current folder.
        project: What it is of a project; None for the user's own word.

    """

    name: str
    path: Path
    project: ProjectFile | None = None

    @property
    def place(self) -> Path:
        """Where it really stands. A project's file was read where no link leads, and stays where it was."""
        return self.path if self.project else Path(os.path.realpath(self.path))


def load(path: str | os.PathLike[str], *narrowing: str | os.PathLike[str]) -> Policy | Layered:
    """Load a policy file, and the layers that may only take away from it.

    Relative paths in a file start from its own folder. `ORGANISATION` is a further layer where it exists.
    A `ProjectFile` must be trusted; any other file is the user's word, and refused where others could have
    written it.

    Raises:
        PolicyError: when one can't be read or is not trusted, or for every mistake in all of them at once.

    """
    files = _files((path, *narrowing))
    primary, *others = _parsed(files, _contents(files, {}))
    return _layered(primary, others)


class Watched:
    """A policy whose files are looked at again and again. All of a change comes into force, or none of it.

    What can't be loaded leaves the last good policy in force and is said loudly. So is what is only read
    at the start: the state and proxy blocks, and each server with its sandbox, which stay as they run. A
    file that is gone counts as broken, the organisation's too: replacing a file must not open a gap. A
    `ProjectFile` that changed is not taken over until it is trusted again.

    Write a new file and rename it over the old one. One that is written in place is left alone until it
    has not changed for `LOOK_S`; a writer that pauses for longer may get a part of it into force.

    Attributes:
        on_change: Told the old digest, the new one and what waits for a restart, before the new policy is
            in force. If it raises, the old one stays.
        on_problem: Told what is wrong, once for the same.

    """

    def __init__(self, path: str | os.PathLike[str], *narrowing: str | os.PathLike[str]) -> None:
        """Load the files.

        Raises:
            PolicyError: when that can't be done.

        """
        self.on_change: Callable[[str, str, tuple[Problem, ...]], None] = lambda old, new, waiting: None
        self.on_problem: Callable[[PolicyError], None] = lambda error: None
        self._given = _files((path, *narrowing), organisation=False)
        self._lock = threading.Lock()
        self._told = ""
        self._files = _files((path, *narrowing))
        self._tried = self._seen = _marks(self._files)
        self._contents = _contents(self._files, {})
        self._started, *others = _parsed(self._files, self._contents)
        self._policy = _layered(self._started, others)
        self._next = time.monotonic() + LOOK_S
        self._again = self._next if _young(self._tried, COARSE_S) else math.inf

    def current(self) -> Policy | Layered:
        """Give the policy in force. It never raises; another thread's look is not waited for."""
        if time.monotonic() >= self._next and self._lock.acquire(blocking=False):
            try:
                self._look(time.monotonic())
            finally:
                self._lock.release()
        return self._policy

    def _look(self, now: float) -> None:
        self._next = now + LOOK_S
        # What was in force once stays a layer, whether it is there or not.
        files = tuple(dict.fromkeys((*self._given, *_organisation(self._given), *self._files)))
        marks = _marks(files)
        still, self._seen = marks == self._seen, marks
        if marks == self._tried and now < self._again:
            return
        if not still and _young(marks, LOOK_S):
            return
        self._tried = marks
        self._again = now + LOOK_S if _young(marks, COARSE_S) else math.inf
        try:
            self._reload(files)
        except PolicyError as error:
            self._again = now + AGAIN_S
            self._keep(error)
        except Exception as error:  # noqa: BLE001  # nothing that breaks here may put a policy out of force
            self._again = now + AGAIN_S
            self._keep(
                PolicyError([_problem(files[0], f"can't be loaded ({type(error).__name__}: {error})")])
            )

    def _reload(self, files: tuple[_File, ...]) -> None:
        contents = _contents(files, dict(zip(self._files, self._contents, strict=True)))
        if contents == self._contents:
            self._told = ""
            return
        parsed, *others = _parsed(files, contents, (self._started.state.directory,))
        primary, waiting = _as_running(parsed, self._started)
        policy = _layered(primary, others)
        self.on_change(self._policy.digest, policy.digest, waiting)
        log.info("policy %s is in force, after %s", policy.digest, self._policy.digest)
        for problem in waiting:
            log.warning("%s", problem)
        self._files, self._contents, self._policy, self._told = files, contents, policy, ""

    def _keep(self, error: PolicyError) -> None:
        """Say that the last good policy stays, once for the same problems."""
        if str(error) == self._told:
            return
        self._told = str(error)
        log.error(
            "the policy changed and can't be loaded, so %s stays in force:\n%s", self._policy.digest, error
        )
        try:
            self.on_problem(error)
        except Exception:  # the last good policy stays in force, recorded or not
            log.exception("this could not be recorded")


def _files(given: Sequence[str | os.PathLike[str]], *, organisation: bool = True) -> tuple[_File, ...]:
    """Name the layers, the primary first; a file that is given twice counts once."""
    found: dict[str, _File] = {}
    for path in given:
        project = path if isinstance(path, ProjectFile) else None
        file = _File(str(path), Path(os.path.abspath(path)), project)
        found.setdefault(str(file.place), file)
    files = tuple(found.values())
    return (*files, *_organisation(files)) if organisation else files


def _organisation(given: tuple[_File, ...]) -> tuple[_File, ...]:
    """Give the organisation's layer if it is there. One that can't be looked at is: reading it says why."""
    try:
        os.lstat(ORGANISATION)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError:
        pass
    here = os.path.realpath(ORGANISATION)
    if any(os.path.realpath(file.path) == here for file in given):
        return ()
    return (_File(str(ORGANISATION), ORGANISATION),)


def _marks(files: tuple[_File, ...]) -> tuple[_Mark, ...]:
    return tuple(_mark_here(file.path) if file.project else _mark(file.path) for file in files)


def _mark(path: Path) -> _Mark:
    return _mark_of(path, follow=True)


def _mark_here(path: Path) -> _Mark:
    """Mark what stands at a place: where a project's link leads is not even looked at."""
    return _mark_of(path, follow=False)


def _mark_of(path: Path, *, follow: bool) -> _Mark:
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev


def _young(marks: tuple[_Mark, ...], age_s: float) -> bool:
    """Say whether a file changed within this time, or is from the future, as far as the clock can tell."""
    return any(mark and max(mark[:2]) > (time.time() - age_s) * 1e9 for mark in marks)


def _contents(files: tuple[_File, ...], known: Mapping[_File, bytes]) -> tuple[bytes, ...]:
    return _every([partial(_content, file, known.get(file)) for file in files])


def _content(file: _File, known: bytes | None) -> bytes:
    """Read a file that did not change meanwhile; of a pipe, give what is known of it already."""
    if file.project:
        return _of_project(file, file.project)
    if known is not None and _mark(file.path) == ():
        return known
    try:
        for _ in range(_ATTEMPTS):
            before = _mark(file.path)
            content = _own(file)
            if _mark(file.path) == before:
                return content
    except OSError as error:
        raise PolicyError([_problem(file, f"can't be read: {error.strerror}")]) from None
    raise PolicyError(
        [_problem(file, "changes while it is read: write a new file, and rename it over this one")]
    )


def _own(file: _File) -> bytes:
    """Read a file that is the user's word. Who else can write it would speak with the user's voice."""
    with file.path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode) and (why := exposed(status)):
            raise PolicyError([_problem(file, f"can't be believed: {why}")])
        return stream.read(MAX_BYTES + 1)


def _of_project(file: _File, project: ProjectFile) -> bytes:
    """Read a project's file once; what was read is what is trusted, and used."""
    try:
        found = read_untrusted(file.path, file.path.parent if project.acts else project_of(file.path))
        return Store().require(found) if project.acts else found.content
    except NotReadable as error:
        raise PolicyError([_problem(file, str(error))]) from None
    except NotTrusted as error:
        raise PolicyError([_problem(file, str(error).removeprefix(f"{file.path} "))]) from None


def _parsed(
    files: tuple[_File, ...], contents: tuple[bytes, ...], in_use: tuple[Path, ...] = ()
) -> tuple[Policy, ...]:
    """Compile all layers.

    No sandbox of any, and no tool, may touch the file of another, the state folder in use, what the user
    trusts, or the user's settings.
    """
    places = tuple(file.place for file in files)
    trusted = tuple(Path(os.path.realpath(place)) for place in (directory_of_trust(), config_directory()))
    parsed: list[Policy] = []

    def compiled(file: _File, place: Path, content: bytes) -> None:
        policy = parse(
            content,
            file=file.name,
            directory=place.parent,
            state=parsed[0].state.directory if parsed else state_directory(),
            resolve=resolve,
            beside=(*places, *in_use, *trusted),
        )
        parsed.append(_sandboxed(policy, parsed[0]) if file.project and parsed else policy)

    _every([partial(compiled, *layer) for layer in zip(files, places, contents, strict=True)])
    return tuple(parsed)


def _sandboxed(layer: Policy, primary: Policy) -> Policy:
    """Give a project's layer the sandboxes of the policy that grants, which its own could be wider than.

    Raises:
        PolicyError: when it names one that nothing of the same connector runs in there.

    """
    connectors: dict[str, Connector] = {}
    problems: list[Problem] = []
    for name, connector in layer.connectors.items():
        granted = _profiles(primary.connector(name))
        wanted = {rule.profile.name for rule in connector.rules if rule.profile}
        problems += [_no_choice(layer.file, name, box) for box in sorted(wanted - granted.keys())]
        rules = (_in(rule, granted) for rule in connector.rules)
        connectors[name] = replace(connector, rules=tuple(rules))
    if problems:
        raise PolicyError(problems)
    return replace(layer, connectors=connectors)


def _in(rule: Rule, granted: Mapping[str, Profile]) -> Rule:
    return replace(rule, profile=granted.get(rule.profile.name)) if rule.profile else rule


def _profiles(connector: Connector | None) -> Mapping[str, Profile]:
    """Give the sandboxes that something of a connector runs in, by name."""
    if connector is None:
        return {}
    used = [rule.profile for rule in connector.rules]
    used.append(connector.server.profile if connector.server else None)
    return {profile.name: profile for profile in used if profile}


def _no_choice(file: str, connector: str, box: str) -> Problem:
    message = (
        f"a project can't choose the sandbox {box}: nothing of {connector} runs in it by your own policy"
    )
    return Problem(file, 0, 0, f"connectors.{connector}.rules", message)


def _layered(primary: Policy, narrowing: Sequence[Policy]) -> Policy | Layered:
    return Layered(primary, tuple(narrowing)) if narrowing else primary


def _as_running(policy: Policy, running: Policy) -> tuple[Policy, tuple[Problem, ...]]:
    """Give a new policy what is only read at the start from the running one, and say where they differ.

    The guard on a server that runs in one sandbox must not take it for one that runs in another.
    """
    waiting: list[Problem] = []

    def differs(key: str) -> None:
        message = "this takes effect after a restart; what runs stays as it is"
        waiting.append(Problem(policy.file, 0, 0, key, message))

    if policy.state != running.state:
        differs("defaults.state")
    if policy.front != running.front:
        differs("proxy")
    connectors = dict(policy.connectors)
    for name in sorted(policy.servers.keys() | running.servers.keys()):
        if policy.servers.get(name) != running.servers.get(name):
            differs(f"connectors.{name}.server")
            if name in connectors:
                connectors[name] = replace(connectors[name], server=running.servers.get(name))
    running_parts = replace(policy, connectors=connectors, state=running.state, front=running.front)
    return running_parts, tuple(waiting)


def _problem(file: _File, message: str) -> Problem:
    return Problem(file.name, 0, 0, "", message)


def _every(tasks: Sequence[Callable[[], T]]) -> tuple[T, ...]:
    """Do all that can be done, and raise the mistakes of the rest at once."""
    done: list[T] = []
    problems: list[Problem] = []
    for task in tasks:
        try:
            done.append(task())
        except PolicyError as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyError(problems)
    return tuple(done)
