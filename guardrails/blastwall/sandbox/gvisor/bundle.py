"""What runsc is told: the OCI configuration of a container, and of a process in it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from blastwall.sandbox import cgroups
from blastwall.sandbox.bubblewrap import HOME, start_folder
from blastwall.sandbox.mounts import SCRATCH, Kind, Mount, within
from blastwall.values import Profile

ROOT = "/stage/root"
"""Where the outer sandbox has put together what the container sees, every path in its own place."""

_MIB = 1 << 20
_STACK = 8 * _MIB
_CAPABILITIES = ("bounding", "effective", "inheritable", "permitted", "ambient")

_FIRST = 'exec 3>&2 2>/dev/null; ("$@") 2>&3 3>&-; exit $?'
"""Stays as the first process of a namespace, and says nothing of its own about how the command ended."""


def config(
    process: Mapping[str, object],
    profile: Profile,
    shown: Iterable[Mount],
    staged: Mapping[str, str],
    *,
    network: bool,
) -> bytes:
    """Give the `config.json` of a container.

    Args:
        process: Its first process, as `process` gives it.
        profile: What it may touch.
        shown: What of the host it sees, in the order of mounting.
        staged: What is bound into its own folders besides, and where that lies in the root.
        network: Whether it uses the outer sandbox's network, which holds nothing but a way to the gate.

    """
    mounts = [*_private(profile), *_bound(tuple(shown)), *(_bind(*pair, "ro") for pair in staged.items())]
    namespaces = ["pid", "mount", "ipc", "uts", *([] if network else ["network"])]
    return json.dumps(
        {
            "ociVersion": "1.0.2",
            "hostname": "sandbox",
            "process": process,
            # The outer sandbox made it read-only, in a way that nothing inside of that can undo or repeat.
            "root": {"path": ROOT, "readonly": False},
            "mounts": mounts,
            "linux": {"namespaces": [{"type": name} for name in namespaces]},
        }
    ).encode()


def process(argv: Sequence[str], profile: Profile, environment: Mapping[str, str]) -> dict[str, object]:
    """Describe one process.

    Its user is number 0 for gVisor: the only user that the outer sandbox knows, an unprivileged one on the
    host, and without any capability here either. A command doesn't even see that number: `nested`.
    """
    return {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": list(argv),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": start_folder(profile),
        "capabilities": {kind: [] for kind in _CAPABILITIES},
        "noNewPrivileges": True,
        "rlimits": [
            {"type": f"RLIMIT_{name}", "soft": soft, "hard": hard} for name, soft, hard in _limits(profile)
        ],
    }


def nested(
    argv: Sequence[str], profile: Profile, user: tuple[int, int], *, session: bool = False
) -> list[str]:
    """Give the command in a user namespace, one of gVisor's own, in which it is this ordinary user.

    In the container of a session it gets a process namespace too, so that nothing it started outlives it.
    gVisor counts processor time only for a process that sets the limit for itself.
    """
    words = ["/usr/bin/unshare", "--user", f"--map-user={user[0]}", f"--map-group={user[1]}"]
    if session:
        words += ["--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", _FIRST, "sh"]
    else:
        words += ["--"]
    if profile.cpu_s is not None:
        words += ["/bin/sh", "-c", f'ulimit -t {math.ceil(profile.cpu_s)}; exec "$@"', "sh"]
    return [*words, *argv]


def _limits(profile: Profile) -> list[tuple[str, int, int]]:
    """Give the limits that gVisor keeps, soft and hard.

    RLIMIT_DATA is not among them: gVisor counts nothing but the heap of `brk` for it. Where no control group
    counts the memory of everything together, address space is what is left to count.
    """
    memory = profile.memory_mb * _MIB
    counted = cgroups.hierarchy().version > 0
    return [
        ("NOFILE", profile.open_files, profile.open_files),
        ("FSIZE", profile.file_mb * _MIB, profile.file_mb * _MIB),
        ("NPROC", profile.processes, profile.processes),
        ("STACK", min(_STACK, memory), memory),
        ("CORE", 0, 0),
        *([] if counted else [("AS", memory, memory)]),
    ]


def _private(profile: Profile) -> list[dict[str, object]]:
    options = [f"size={profile.scratch_mb * _MIB}", "mode=0700", "nosuid", "nodev"]
    scratch = ["/dev/shm", "/tmp", "/run", HOME, *([SCRATCH] if profile.workspace is None else [])]  # noqa: S108
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        _tmpfs("/dev", ["mode=0755", "size=65536"]),
        *(_tmpfs(path, options) for path in scratch),
    ]


def _tmpfs(path: str, options: list[str]) -> dict[str, object]:
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bound(shown: tuple[Mount, ...]) -> list[dict[str, object]]:
    """Bind what may change while the container lives; the system's own files are in its root.

    What lies below a bound folder comes along, mounts and all: there the host's kernel says what may be
    written. Only a workspace below a readable folder has to be bound for itself.
    """
    bound: list[dict[str, object]] = []
    readable = [mount.target for mount in shown if mount.target == "/"]
    writable: list[str] = []
    for mount in shown:
        if not mount.ours or mount.target == "/":
            continue
        if mount.kind is Kind.WRITE and not within(mount.target, writable):
            writable.append(mount.target)
            bound.append(_bind(mount.target, mount.target, "rw"))
        elif mount.kind is Kind.READ and not within(mount.target, readable + writable):
            readable.append(mount.target)
            bound.append(_bind(mount.target, mount.target, "ro"))
    return bound


def _bind(target: str, source: str, access: str) -> dict[str, object]:
    options = ["rbind", access, "nosuid", "nodev"]
    return {"destination": target, "type": "bind", "source": ROOT + source, "options": options}
