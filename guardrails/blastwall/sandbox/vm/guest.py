"""What a guest is told when it starts: everything that it will ever know of its profile."""

import base64
import json
from typing import TYPE_CHECKING

from blastwall.errors import BackendError
from blastwall.sandbox import bubblewrap
from blastwall.sandbox.mounts import SCRATCH, workspace_inside
from blastwall.sandbox.vm.contents import GIVEN
from blastwall.values import Profile

if TYPE_CHECKING:
    from blastwall.egress import Gate

_MIB = 1 << 20


def configuration(profile: Profile, gate: "Gate | None") -> bytes:
    """Give the one message that a guest gets before all commands."""
    user, group = bubblewrap.identity(profile)
    scratch = ["/tmp", "/dev/shm", bubblewrap.HOME]  # noqa: S108
    if profile.workspace is None:
        scratch.append(SCRATCH)
    told = {
        "uid": user,
        "gid": group,
        "workspace": "" if profile.workspace is None else workspace_inside(profile),
        "scratch": scratch,
        "scratch_mb": profile.scratch_mb,
        "memory": profile.memory_mb * _MIB,
        "processes": profile.processes,
        "limits": dict(map(_limit, bubblewrap.limits(profile))),
        "tunnel": gate is not None,
        "files": {
            _place(path): base64.b64encode(content).decode()
            for path, content in bubblewrap.files(profile, gate).items()
        },
    }
    return json.dumps(told).encode("ascii")


def _limit(option: str) -> tuple[str, tuple[int, int]]:
    """Read one option of prlimit: `--data=N`, or `--stack=SOFT:HARD`."""
    name, _, value = option.removeprefix("--").partition("=")
    soft, _, hard = value.partition(":")
    return name.upper(), (int(soft), int(hard or soft))


def _place(path: str) -> str:
    if path in GIVEN:
        return f"/run{path}"
    if not path.startswith("/run/"):
        raise BackendError(f"a virtual machine can't be given a file at {path}")
    return path
