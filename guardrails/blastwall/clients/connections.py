"""Putting blastwall in front of the servers that a client has, and taking it away again."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from blastwall.clients import files
from blastwall.clients.edits import NAME, Edited, Run, replaced, restored
from blastwall.clients.find import Found, Machine, find
from blastwall.clients.policies import Written, unfit
from blastwall.clients.reading import File, Unreadable, read
from blastwall.clients.servers import Configured
from blastwall.clients.table import Client, Form
from blastwall.errors import BackendError
from blastwall.paths import state_directory
from blastwall.trust.reading import read_untrusted
from blastwall.trust.store import Store


@dataclass(frozen=True, slots=True)
class Connection:
    """What is remembered of one file, so that it can be restored.

    Attributes:
        client: Whose file it is.
        path: The file.
        real: Where it really was.
        project: The project that brings it along; "" for the user's own.
        form, keys: Where in it the servers stood.
        runs: The servers, as they were written.
        backup: A copy of the file as it was.
        policy: The policy file that they went to.
        policy_before: That file as it was; None if there was none.
        policy_after: The SHA-256 of that file as it was written.
        secrets: The files that their credentials went to.
        since: When, in UTC.

    """

    client: str
    path: str
    real: str
    project: str
    form: Form
    keys: tuple[str, ...]
    runs: tuple[Run, ...]
    backup: str
    policy: str
    policy_before: bytes | None
    policy_after: str
    secrets: tuple[str, ...]
    since: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What connecting one file would do.

    Attributes:
        found: The file.
        keys: Where in it the servers are.
        taken: The servers that go behind blastwall.
        left: Those that stay where they are, and why.

    """

    found: Found
    keys: tuple[str, ...]
    taken: tuple[Configured, ...]
    left: tuple[tuple[Configured, str], ...]

    @property
    def file(self) -> File:
        """The file, which was read."""
        assert self.found.file is not None, "a plan is made of what was read"  # noqa: S101  # for the type checker
        return self.found.file


def plans(machine: Machine, client: Client, project: str = "") -> list[Plan]:
    """Look at a client's files: the user's own, or those of a project.

    Raises:
        BackendError: when one can't be read, is not trusted, or is connected already.

    """
    made: list[Plan] = []
    for found in find(machine, project, [client]):
        if found.problem:
            raise BackendError(f"{found.path}: {found.problem}")
        every = dict.fromkeys(server.keys for server in found.servers)
        made += [_plan(found, keys, project) for keys in every if _wanted(found, keys, project)]
    if not any(plan.taken or plan.left for plan in made):
        raise BackendError(f"{client.title} has no servers {'in this project' if project else 'of its own'}")
    return made


def _wanted(found: Found, keys: tuple[str, ...], project: str) -> bool:
    """Say whether these servers are the project's, or the user's for every project."""
    of_project = found.place.project or "{project}" in found.place.keys
    return (found.place.project or project in keys) if project else not of_project


def _plan(found: Found, keys: tuple[str, ...], project: str) -> Plan:
    if found.project:
        Store().require(read_untrusted(found.path, found.project))
    servers = [server for server in found.servers if server.keys == keys]
    if (
        any(server.name == NAME or server.proxied for server in servers)
        or _record(os.path.realpath(found.path), keys).exists()
    ):
        raise BackendError(
            f"{found.path} is connected already: see `blastwall disconnect {found.client.name}`"
        )
    judged = [
        (_in_folder(server, project), _staying(found, _in_folder(server, project))) for server in servers
    ]
    taken = tuple(server for server, why in judged if not why)
    return Plan(found, keys, taken, tuple((server, why) for server, why in judged if why))


def _in_folder(server: Configured, project: str) -> Configured:
    """Fill in what is certain: which folder the project is."""
    if not project:
        return server

    def filled(text: str) -> str:
        return text.replace("${workspaceFolder}", project)

    return replace(
        server,
        command=tuple(map(filled, server.command)),
        env=tuple((name, filled(value)) for name, value in server.env),
        directory=filled(server.directory),
    )


def _staying(found: Found, server: Configured) -> str:
    """Say why a server is not taken over, or ""."""
    if found.place.form is Form.XML:
        return "the IDE overwrites this file: add blastwall in its settings, and take the servers out there"
    if server.disabled:
        return "it is turned off"
    if why := next(iter((*server.odd, *server.own)), ""):
        return why
    if server.expanded:
        return f"the client fills in {server.expanded[0]}, and a policy fills in nothing"
    if server.directory and not os.path.isabs(server.directory):
        return "its folder is relative, and blastwall is started elsewhere"
    return unfit(server)


def edited(plan: Plan, command: Sequence[str]) -> Edited:
    """Give the file's new text, with the proxy in the place of the servers.

    Raises:
        BackendError: when it is written such that it can't be edited.

    """
    entry: dict[str, object] = {"type": "stdio"} if plan.found.client.typed else {}
    entry |= {"command": command[0], "args": list(command[1:])}
    names = {server.name for server in plan.taken}
    try:
        return replaced(plan.file.text, plan.found.place.form, plan.keys, names, entry)
    except Unreadable as error:
        raise BackendError(f"{plan.found.path}: {error}") from None


def connect(plan: Plan, new: Edited, policy: Path, before: bytes | None, written: Written) -> Connection:
    """Write the client's file, and remember what stood in it. The policy is written already.

    Raises:
        BackendError: when that can't be done; the file is then as it was.

    """
    files.writable(plan.file)
    files.unchanged(plan.file)
    made = Connection(
        plan.found.client.name,
        plan.found.path,
        plan.file.real,
        plan.found.project or next((key for key in plan.keys if os.path.isabs(key)), ""),
        plan.found.place.form,
        plan.keys,
        new.runs,
        files.backup(plan.file),
        str(policy),
        before,
        hashlib.sha256(written.text.encode()).hexdigest(),
        tuple(written.secrets),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    record = _record(plan.file.real, plan.keys)
    files.write_own(record, msgspec.json.encode(made))
    try:
        files.replace(plan.file, new.text.encode())
    except BackendError:
        record.unlink()
        os.unlink(made.backup)
        raise
    return made


def connections(client: str, project: str = "") -> Iterator[Connection]:
    """Give what is connected of a client: the user's own files, or those of a project.

    Raises:
        BackendError: when a record can't be read.

    """
    for path in sorted(_records().glob("*.json")):
        try:
            made = msgspec.json.decode(path.read_bytes(), type=Connection)
        except (OSError, msgspec.MsgspecError) as error:
            raise BackendError(f"the record {path} can't be read: {error}") from None
        if (made.client, made.project) == (client, project):
            yield made


def disconnect(made: Connection) -> tuple[str, ...]:
    """Put the servers back into a client's file; what else changed there meanwhile stays.

    What was added to the policy goes too, unless somebody wrote into it meanwhile.

    Returns:
        The names that the client has other servers under by now; those stay.

    Raises:
        BackendError: when that can't be done; the file is then as it was.

    """
    try:
        file = read(made.path)
        if file is None:
            raise Unreadable("is gone")
        if file.real != made.real:
            raise Unreadable(f"leads to {file.real} now, and not to {made.real}")
        back = restored(file.text, made.form, made.keys, made.runs)
    except Unreadable as error:
        raise BackendError(f"{made.path}: {error}. As it was before, it is in {made.backup}") from None
    files.writable(file)
    files.replace(file, back.text.encode())
    _record(made.real, made.keys).unlink()
    with suppress(OSError):
        if Path(made.backup).read_bytes() == back.text.encode():
            os.unlink(made.backup)
    _policy_back(made)
    return back.kept


def _policy_back(made: Connection) -> None:
    policy = Path(made.policy)
    with suppress(OSError):
        if hashlib.sha256(policy.read_bytes()).hexdigest() != made.policy_after:
            return
        if made.policy_before is None:
            policy.unlink()
        else:
            files.write_own(policy, made.policy_before)
        for secret in made.secrets:
            os.unlink(secret)


def _records() -> Path:
    return state_directory() / "connections"


def _record(real: str, keys: Sequence[str]) -> Path:
    mark = hashlib.sha256("\0".join((real, *keys)).encode()).hexdigest()
    return _records() / f"{mark[:32]}.json"
