"""A profile made real with bubblewrap: descriptors, arguments and, for root, another user."""

import functools
import math
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import enter, seccomp
from blastwall.sandbox.holder import Bind, Holder, pinned
from blastwall.sandbox.mounts import (
    SCRATCH,
    SYSTEM,
    Kind,
    Mount,
    mounts,
    protecting,
    within,
    workspace_inside,
)
from blastwall.sandbox.protect import NOTHING, Guarded
from blastwall.values import Profile

if TYPE_CHECKING:
    from blastwall.egress import Gate

NOBODY = 65534
HOME = "/run/home"
PATH = "/usr/local/bin:/usr/bin:/bin"
_STAGE = "/stage"
_MIB = 1 << 20
_OWNER_WRITES = stat.S_IWUSR | stat.S_IXUSR
_STACK = 8 * _MIB
"""The usual soft limit; without a hard one, a stack could grow where RLIMIT_DATA doesn't look."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to start: `argv` with exactly this environment and these descriptors passed on."""

    argv: tuple[str, ...]
    env: dict[str, str]
    pass_fds: tuple[int, ...]
    status: int
    """A file in which bubblewrap says which process is the first inside, and how the command ended.

    A file rather than a pipe: nobody has to read it, and one who reads may come late.
    """


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that build the wall."""

    bwrap: str
    prlimit: str
    setpriv: str


@functools.cache
def tools() -> Tools:
    """Find the programs.

    Raises:
        SandboxUnavailable: with the line that installs what is missing.

    """
    # Ubuntu's AppArmor profile lets only /usr/bin/bwrap make user namespaces.
    bwrap = "/usr/bin/bwrap" if os.access("/usr/bin/bwrap", os.X_OK) else shutil.which("bwrap")
    if bwrap is None:
        raise SandboxUnavailable("no sandbox: bubblewrap is missing; install it: apt-get install bubblewrap")
    found = {
        name: shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") for name in ("prlimit", "setpriv")
    }
    if not all(found.values()):
        raise SandboxUnavailable("no sandbox: util-linux is missing; install it: apt-get install util-linux")
    usage = subprocess.run([bwrap, "--help"], capture_output=True, check=False, timeout=10).stdout
    if b"--bind-fd" not in usage or b"--disable-userns" not in usage:
        raise SandboxUnavailable(
            "no sandbox: this bubblewrap is too old to pin folders by descriptor; it takes 0.10, or a"
            " distribution's patched 0.8: apt-get install --only-upgrade bubblewrap"
        )
    return Tools(bwrap, str(found["prlimit"]), str(found["setpriv"]))


@contextmanager
def prepare(
    argv: Sequence[str],
    profile: Profile,
    *,
    read: Iterable[Path] = (),
    shown: tuple[Mount, ...] | None = None,
    guarded: Guarded = NOTHING,
    gate: "Gate | None" = None,
    keep: Iterable[int] = (),
    devices: Iterable[str] = (),
) -> Iterator[Prepared]:
    """Make everything ready to start `argv` inside a sandbox of this profile.

    Start `Prepared.argv` within the `with` block, with its environment and descriptors and a session of its
    own; the descriptors are closed at its end, and the started process no longer needs them. Killing the
    started process kills everything inside, and so does the end of the thread that started it.

    Args:
        argv: The command and its arguments, as seen inside.
        profile: What it may touch.
        read: More readable host paths.
        shown: What `mounts` decided, where that is known already.
        guarded: The workspace's protected paths; what was missing of them stands by now.
        gate: The only way to a network.
        keep: Descriptors that the command gets, under the same numbers.
        devices: Device files that the command gets.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine.

    """
    if not argv or any("\0" in word for word in argv):
        raise BackendError("a command is one or more words without NUL characters")
    found = tools()
    shown = protecting(mounts(profile, read) if shown is None else shown, profile, guarded)
    with ExitStack() as stack:
        holder = Holder(stack)
        plan = _Plan(profile, shown, guarded, gate, tuple(devices), holder)
        inside = (found.prlimit, *limits(profile), "--", *_enter(plan), *argv)
        if os.geteuid() == 0:
            start = _as_another_user(found, plan)
        else:
            check_writable(profile)
            start = (found.bwrap, "--args", holder.words(_arguments(plan, pinned(holder))))
        passed = (*holder.descriptors, *keep)
        yield Prepared((*start, "--", *inside), {}, passed, holder.status)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one sandbox is built from."""

    profile: Profile
    shown: tuple[Mount, ...]
    guarded: Guarded
    gate: "Gate | None"
    devices: tuple[str, ...]
    holder: Holder


def _enter(plan: _Plan) -> list[str]:
    """Give the last step, with the descriptors that it needs."""
    door = None if plan.gate is None else plan.holder.hold(plan.gate.listener())
    writable = (HOME, "/tmp", "/run", "/dev/shm", workspace_inside(plan.profile))  # noqa: S108
    return enter.command(plan.holder.report, writable, door)


def _as_another_user(found: Tools, plan: _Plan) -> tuple[str, ...]:
    """Start as root, become somebody else, and only then build the sandbox.

    Root's own user namespace would still be root to every file that it shows. So a first bubblewrap, as
    root, gathers the pinned paths on a stage that the other user can reach even where they lie under a
    closed folder such as /root; setpriv drops every privilege; a second bubblewrap builds from the stage.
    """
    user, group = identity(plan.profile)
    holder = plan.holder
    # In a process namespace, since a dying process of one user can't take one of another along.
    stage = ["--die-with-parent", "--unshare-pid", "--info-fd", holder.report()]
    stage += ["--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"]
    stage += ["--dir", "/tmp", "--perms", "0755", "--dir", _STAGE]  # noqa: S108
    for path in (*SYSTEM, "/etc"):
        if os.path.islink(path):
            stage += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            stage += ["--ro-bind", path, path]
    pin = pinned(holder)

    workspace = workspace_inside(plan.profile)
    staged: dict[str, str] = {}

    def bind(mount: Mount) -> list[str]:
        top = next((top for top in staged if within(mount.target, [top])), None)
        if mount.ours and top != workspace:
            staged[mount.target] = place = f"{_STAGE}/{len(stage)}"
            stage.extend([*pin(mount)[:-1], place])
            return ["--bind" if mount.kind is Kind.WRITE else "--ro-bind", place, mount.target]
        if top is None or (mount.kind in (Kind.READ, Kind.WRITE) and not mount.ours):
            return pin(mount)
        # What lies below comes along when its top is bound. And below a closed folder only root gets.
        stage.extend(pin(replace(mount, target=staged[top] + "/" + os.path.relpath(mount.target, top))))
        return []

    inside = holder.words(_arguments(plan, bind))
    become = [found.setpriv, f"--reuid={user}", f"--regid={group}", "--clear-groups", "--inh-caps=-all"]
    # A change of user clears the parent-death signal: setpriv asks for it again.
    become += ["--bounding-set=-all", "--pdeathsig=KILL"]
    return (found.bwrap, "--args", holder.words(stage), "--", *become, found.bwrap, "--args", inside)


def identity(profile: Profile) -> tuple[int, int]:
    """Give the user and group inside: the caller's own; for root, the workspace's owner or nobody."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if profile.workspace is None:
        return NOBODY, NOBODY
    owner = os.stat(profile.workspace)
    if owner.st_uid == 0:
        raise BackendError(
            f"the workspace {profile.workspace} belongs to root, and nothing in a sandbox runs as root:"
            f" chown -R {NOBODY}:{NOBODY} {profile.workspace}, or use a folder of an ordinary user"
        )
    if owner.st_mode & _OWNER_WRITES != _OWNER_WRITES:
        raise BackendError(f"the owner of the workspace {profile.workspace} may not write it: chmod u+rwx it")
    return owner.st_uid, _group(owner.st_uid)


def _group(user: int) -> int:
    """Give a user's own group, never root's: a folder's group may be one that reads more than its owner."""
    try:
        return pwd.getpwuid(user).pw_gid or NOBODY
    except KeyError:
        return NOBODY


def check_writable(profile: Profile) -> None:
    if profile.workspace is not None and not os.access(profile.workspace, os.W_OK | os.X_OK):
        raise BackendError(f"the workspace {profile.workspace} is not yours to write: use another folder")


def _arguments(plan: _Plan, bind: Bind) -> list[str]:
    """Give bubblewrap's own arguments, in the order in which it carries them out."""
    profile, holder = plan.profile, plan.holder
    size = str(profile.scratch_mb * _MIB)
    private = ["--size", size, "--perms", "0700", "--tmpfs"]
    words = ["--unshare-all", "--unshare-user", "--disable-userns", "--assert-userns-disabled"]
    words += ["--new-session", "--die-with-parent", "--cap-drop", "ALL", "--hostname", "sandbox"]
    words += ["--seccomp", holder.content("seccomp", seccomp.program())]
    words += ["--json-status-fd", holder.report()]
    early = [mount for mount in plan.shown if mount.target == "/"]
    for mount in early:
        words += bind(mount)
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += [word for device in plan.devices for word in ("--dev-bind", device, device)]
    words += ["--remount-ro", "/dev", *private, "/dev/shm"]  # noqa: S108
    words += [*private, "/tmp", *private, "/run", *private, HOME]  # noqa: S108
    if profile.workspace is None:
        words += [*private, SCRATCH]
    for mount in plan.shown:
        if mount not in early:
            words += bind(mount)
    words += _files(plan)
    return [*words, "--remount-ro", "/", "--chdir", start_folder(profile), *_environment(plan)]


def start_folder(profile: Profile) -> str:
    """Give where commands start inside.

    Raises:
        BackendError: when the profile names no folder of the workspace.

    """
    if os.path.isabs(profile.directory) or ".." in profile.directory.split("/"):
        raise BackendError(
            f"the sandbox profile starts in {profile.directory!r}: write a folder relative to the workspace"
        )
    return os.path.normpath(f"{workspace_inside(profile)}/{profile.directory}")


def files(profile: Profile, gate: "Gate | None", guarded: Guarded = NOTHING) -> dict[str, bytes]:
    """Give files of our own making: the host's accounts and names are nobody's business inside.

    And git is told not to take what stands in for missing files for somebody's work.
    """
    user, group = identity(profile)
    accounts = f"root:x:0:0::/:/bin/false\nsandbox:x:{user}:{group}::{HOME}:/bin/sh\n"
    own = {
        "/etc/passwd": accounts,
        "/etc/group": f"root:x:0:\nsandbox:x:{group}:\n",
        "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    }
    ignored = [f"/{name}\n" for name, _ in guarded.missing if ".git" not in name.split("/")]
    if ignored:
        own[f"{HOME}/.config/git/ignore"] = "".join(ignored)
    return {path: text.encode() for path, text in own.items()} | dict(gate.files if gate else {})


def _files(plan: _Plan) -> list[str]:
    readable = [mount.target for mount in plan.shown if mount.kind is Kind.READ]
    words = []
    for path, content in files(plan.profile, plan.gate, plan.guarded).items():
        if not within(path, readable):
            option = "--file" if path.startswith("/etc/") else "--ro-bind-data"  # /run stays writable
            words += ["--perms", "0444", option, plan.holder.content("file", content), path]
    return words


def environment(profile: Profile, gate: "Gate | None") -> dict[str, str]:
    """Give the whole environment inside."""
    own = {"PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}  # noqa: S108
    return own | dict(profile.env) | dict(gate.env if gate else {})


def _environment(plan: _Plan) -> list[str]:
    pairs = environment(plan.profile, plan.gate)
    return ["--clearenv", *(word for name, value in pairs.items() for word in ("--setenv", name, value))]


def limits(profile: Profile) -> list[str]:
    """Give prlimit's options. It runs inside, where RLIMIT_NPROC counts the new user namespace alone.

    RLIMIT_DATA rather than RLIMIT_AS: runtimes such as node reserve far more address space than they use.
    """
    seconds, memory = math.ceil(profile.cpu_s or profile.timeout_s + 1), profile.memory_mb * _MIB
    return [
        f"--nproc={profile.processes}",
        f"--data={memory}",
        f"--stack={min(_STACK, memory)}:{memory}",
        f"--nofile={profile.open_files}",
        f"--fsize={profile.file_mb * _MIB}",
        f"--cpu={seconds}",
        "--core=0",
    ]
