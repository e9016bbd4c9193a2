"""The outer sandbox: bubblewrap around runsc, so that everything of it ends with one process.

runsc leaves processes, mounts and state behind when it is killed. Here it has a process namespace of its own,
in which they all die with the first process, and a mount namespace whose private tmpfs holds its state. It
runs without any privilege on the host: as an ordinary user, in a user namespace where that user is number 0,
and with a filter that keeps files from becoming setuid. So who breaks out of gVisor is nobody, in a sandbox
that shows what the container was shown, with an empty network.
"""

import functools
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import bubblewrap, enter, seccomp
from blastwall.sandbox.bubblewrap import Prepared, identity, start_folder, tools
from blastwall.sandbox.gvisor import bundle
from blastwall.sandbox.holder import Holder, pinned
from blastwall.sandbox.mounts import SCRATCH, SYSTEM, Kind, Mount, mounts, protecting, within
from blastwall.sandbox.protect import NOTHING, Guarded
from blastwall.values import Profile

if TYPE_CHECKING:
    from pathlib import Path

    from blastwall.egress import Gate

NAME = "box"
"""The container's; it is alone in its runsc's state."""

STATE = "/state"
_BUNDLE = "/bundle"
_STAGE = os.path.dirname(bundle.ROOT)
_OWN = ("/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108
"""What gVisor makes by itself; of the host's nothing is shown there."""

_WHERE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INSTALL = "install it: apt-get install runsc, or see https://gvisor.dev/docs/user_guide/install/"

IDLE = ("/bin/sh", "-c", "echo; exec sleep infinity")
"""The first process of a session's container: says that it is there, and waits."""


@functools.cache
def runsc() -> str:
    """Find the program.

    Raises:
        SandboxUnavailable: with the line that installs what is missing.

    """
    found = shutil.which("runsc", path=_WHERE)
    if found is None:
        raise SandboxUnavailable(f"no sandbox: gVisor (runsc) is missing; {_INSTALL}")
    if not within(os.path.realpath(found), SYSTEM):
        raise SandboxUnavailable(
            f"no sandbox: {found} leads out of /usr; put runsc itself into /usr/local/bin"
        )
    return found


@functools.cache
def nsenter() -> str:
    """Find the program that joins namespaces; see `unshare`."""
    return _tool("nsenter")


@functools.cache
def unshare() -> str:
    """Find the program that makes namespaces.

    Raises:
        SandboxUnavailable: with the line that installs it.

    """
    return _tool("unshare")


def _tool(name: str) -> str:
    found = shutil.which(name, path=_WHERE)
    if found is None:
        raise SandboxUnavailable(
            f"no sandbox: util-linux ({name}) is missing; install it: apt-get install util-linux"
        )
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """What one container is made from.

    Attributes:
        argv: Its first process: a command, or None for the container of a session.
        profile: What it may touch.
        platform: How gVisor gets hold of system calls.
        read: More readable host paths.
        guarded: The workspace's protected paths.
        gate: The only way to a network.

    """

    argv: Sequence[str] | None
    profile: Profile
    platform: str
    read: tuple["Path", ...] = ()
    guarded: Guarded = NOTHING
    gate: "Gate | None" = None


@contextmanager
def prepared(plan: Plan, log: int, started: int) -> Iterator[Prepared]:
    """Make everything ready to start a container; see `bubblewrap.prepare` for what that means.

    Args:
        plan: What it is made from.
        log: A file in which runsc says why it could not start it. Nothing inside can write there.
        started: A file in which runsc says that there is a container. Likewise.

    Raises:
        SandboxUnavailable: when no such container can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine.

    """
    checked(plan.argv)
    _check_start(plan.profile)
    shown = protecting(mounts(plan.profile, plan.read), plan.profile, plan.guarded)
    with ExitStack() as stack:
        holder = Holder(stack)
        if os.geteuid() == 0:
            # A user namespace comes after root is left behind: root's own would still be root to every file.
            alone = ["--user", "--map-root-user", "--mount"]
            first = (*become(plan.profile), unshare(), *alone, "--")
            # The kernel lets the user mount a /proc only where a whole one is mounted, reachable or not.
            unshared = ["--perms", "0700", "--dir", "/closed", "--bind", "/proc", "/closed/proc"]
        else:
            bubblewrap.check_writable(plan.profile)
            first = ()
            unshared = ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL"]
        words = holder.words([*unshared, *_around(plan, shown, holder)])
        command = (*first, *_runsc(plan, holder, *(holder.hold(os.dup(file)) for file in (log, started))))
        descriptors = tuple(holder.descriptors)
        yield Prepared((tools().bwrap, "--args", words, "--", *command), {}, descriptors, holder.status)


def checked(argv: Sequence[str] | None) -> None:
    """Refuse what is no command.

    Raises:
        BackendError: when it has no words, or a NUL in one.

    """
    if argv is not None and (not argv or any("\0" in word for word in argv)):
        raise BackendError("a command is one or more words without NUL characters")


def _check_start(profile: Profile) -> None:
    """Refuse to start in a folder that is not there: gVisor would make it."""
    start_folder(profile)
    if profile.workspace is not None and not os.path.isdir(f"{profile.workspace}/{profile.directory}"):
        raise BackendError(
            f"the sandbox profile starts in {profile.directory!r}, which is no folder of the workspace"
        )


def become(profile: Profile) -> tuple[str, ...]:
    """Give what root puts before a command to become the user of this profile, for good."""
    user, group = identity(profile)
    words = (tools().setpriv, f"--reuid={user}", f"--regid={group}", "--clear-groups", "--inh-caps=-all")
    # A change of user clears the parent-death signal: setpriv asks for it again.
    return (*words, "--bounding-set=-all", "--pdeathsig=KILL")


def environment(plan: Plan) -> dict[str, str]:
    """Give the environment of commands.

    Raises:
        BackendError: when the profile's can't be one.

    """
    pairs = bubblewrap.environment(plan.profile, plan.gate)
    if any("\0" in word for pair in pairs.items() for word in pair):
        raise BackendError("the sandbox profile holds a NUL character: take it out of its `env`")
    return pairs


def _stage(plan: Plan, shown: tuple[Mount, ...], holder: Holder) -> list[str]:
    """Put together what the container sees, pinned, below one folder."""
    pin = pinned(holder)
    words = ["--dir", _STAGE, "--tmpfs", bundle.ROOT]
    early = [mount for mount in shown if mount.target == "/"]
    for mount in early:
        words += pin(replace(mount, target=bundle.ROOT))
    for folder in _OWN:
        words += ["--tmpfs", bundle.ROOT + folder]
    words += ["--dir", bundle.ROOT + SCRATCH]  # or gVisor would make it, where it may not
    links = _links(shown)
    for mount in shown:
        place = bundle.ROOT + mount.target
        if mount in early:
            continue
        words += _parents(mount.target)
        if mount.target not in links:
            words += pin(replace(mount, target=place))
        elif os.path.isdir(links[mount.target]):
            words += ["--dir", place]
        else:
            words += ["--file", holder.content("empty", b""), place]
    for path, content in _files(plan, shown).items():
        words += [*_parents(path), "--perms", "0444"]
        words += ["--file", holder.content("file", content), bundle.ROOT + path]
    return [*words, "--remount-ro", bundle.ROOT]


def _parents(path: str) -> list[str]:
    """Make the folders above a path, open to everybody: by itself, bubblewrap makes closed ones."""
    parts = path.split("/")
    above = ["/".join(parts[:end]) for end in range(2, len(parts))]
    return [word for folder in above for word in ("--perms", "0755", "--dir", bundle.ROOT + folder)]


def _links(shown: tuple[Mount, ...]) -> dict[str, str]:
    """Give the symlinks in gVisor's own folders, where none can be put, and where they lead.

    What they lead to is bound in their place, out of the root, and so with everything that covers it.
    """
    links = [mount.target for mount in shown if mount.kind is Kind.SYMLINK and within(mount.target, _OWN)]
    return {link: os.path.realpath(link) for link in links}


def _files(plan: Plan, shown: tuple[Mount, ...]) -> dict[str, bytes]:
    readable = [mount.target for mount in shown if mount.kind is Kind.READ]
    made = bubblewrap.files(plan.profile, plan.gate, plan.guarded)
    return {
        path: content for path, content in made.items() if within(path, _OWN) or not within(path, readable)
    }


def _around(plan: Plan, shown: tuple[Mount, ...], holder: Holder) -> list[str]:
    """Give the arguments of the bubblewrap in which runsc runs."""
    words = ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--new-session"]
    words += ["--die-with-parent", "--seccomp", holder.content("seccomp", seccomp.modes())]
    words += ["--json-status-fd", holder.report(), *_system(), "--proc", "/proc", "--dev", "/dev"]
    if plan.platform == "kvm":
        words += ["--dev-bind-try", "/dev/kvm", "/dev/kvm"]
    words += ["--dir", "/tmp", "--perms", "0777", "--dir", STATE, *_stage(plan, shown, holder)]  # noqa: S108
    argv, profile = plan.argv, plan.profile
    if argv is None:
        first = bundle.process(IDLE, profile, {"PATH": bubblewrap.PATH})
    else:
        first = bundle.process(bundle.nested(argv, profile, identity(profile)), profile, environment(plan))
    staged = {path: path for path in _files(plan, shown) if within(path, _OWN)} | _links(shown)
    config = bundle.config(first, profile, shown, staged, network=plan.gate is not None)
    bundled = ["--perms", "0444", "--file", holder.content("config", config), f"{_BUNDLE}/config.json"]
    return [*words, "--perms", "0755", "--dir", _BUNDLE, *bundled, "--chdir", "/"]


def _system() -> list[str]:
    words = []
    for path in SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    return words


def runsc_words() -> list[str]:
    """Give the beginning of every command line of runsc."""
    return [runsc(), "--root", STATE, "--rootless", "--ignore-cgroups"]


def _runsc(plan: Plan, holder: Holder, log: str, started: str) -> list[str]:
    """Give runsc's own command line, after the steps that have to be taken before it.

    With a gate, gVisor hands TCP and UDP to the kernel of the outer sandbox instead of its own network stack
    (`--network=host`). That is the price of a listener that was made outside: a broken-out-of gVisor may then
    make sockets, yet in a network that has nothing but its own loopback, and on that the gate.
    """
    words = [*runsc_words(), "--overlay2=none", f"--network={'none' if plan.gate is None else 'host'}"]
    words += [f"--platform={plan.platform}", "--log-fd", log, "--log-format=json"]
    words += ["run", "--bundle", _BUNDLE, "--pid-file", f"/proc/self/fd/{started}", NAME]
    if plan.profile.cpu_s is not None and plan.argv is not None:
        words = [tools().prlimit, f"--cpu={math.ceil(plan.profile.cpu_s)}", "--", *words]
    if plan.gate is None:
        return words
    # No Landlock: who lives under it can't mount, and runsc has to.
    return [*enter.command(holder.report, None, holder.hold(plan.gate.listener())), *words]
