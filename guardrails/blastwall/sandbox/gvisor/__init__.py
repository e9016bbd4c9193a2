"""The `container` strength: gVisor, a kernel of its own in between, in an OCI bundle that is made here.

gVisor itself takes about 17 MiB and 40 threads on the host. That memory counts against the profile's
`memory_mb` where there are control groups. In the runsc of Debian 12 (release 20221219) `ls` and `stat` of
GNU coreutils fail with "Invalid argument"; Python, find, cp, git and curl work.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from blastwall.sandbox.gvisor.contained import contained, counted
from blastwall.sandbox.gvisor.outer import Plan, checked
from blastwall.sandbox.gvisor.platforms import chosen
from blastwall.sandbox.gvisor.session import Container
from blastwall.sandbox.lease import lease
from blastwall.sandbox.mounts import mounts
from blastwall.sandbox.running import Running
from blastwall.values import Profile

if TYPE_CHECKING:
    from blastwall.egress import Gate

__all__ = ["Container", "launch"]


@contextmanager
def launch(
    argv: Sequence[str],
    profile: Profile,
    *,
    stdin: bytes | None = None,
    read: Iterable[Path] = (),
    gate: "Gate | None" = None,
) -> Iterator[Running]:
    """Start a command in a container made for it; see `sandbox.launch`."""
    checked(argv)
    platform, read = chosen(), tuple(read)
    mounts(profile, read)  # a workspace that may not be one is not touched
    with lease(counted(profile)) as held:
        plan = Plan(tuple(argv), profile, platform, read, held.guarded, gate)
        with contained(plan, held, stdin) as running:
            yield running
