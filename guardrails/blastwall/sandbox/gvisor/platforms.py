"""How gVisor gets hold of system calls on this machine: found out by starting a container, once per boot."""

import contextlib
import functools
import json
import os
import select
from pathlib import Path

from blastwall.errors import SandboxUnavailable
from blastwall.sandbox.gvisor.contained import contained, counted
from blastwall.sandbox.gvisor.outer import Plan, runsc
from blastwall.sandbox.lease import folder, lease
from blastwall.values import Profile, Strength

PLATFORMS = ("systrap", "ptrace", "kvm")
"""In the order of trying. KVM last: where it can't work, it may hang rather than say so."""

PATIENCE_S = 10.0
"""Longest that a container may take to start and to end."""

_PROBE = Profile("probe", strength=Strength.CONTAINER, memory_mb=512)


def chosen() -> str:
    """Give the platform to use.

    Raises:
        SandboxUnavailable: when none works. It is not remembered, so that a repair helps at once.

    """
    return _chosen(runsc())


@functools.cache
def _chosen(program: str) -> str:
    machine = _machine(program)
    remembered = folder() / "gvisor.json"
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        found = json.loads(remembered.read_text(encoding="utf-8"))
        if found["machine"] == machine and found["platform"] in PLATFORMS:
            return str(found["platform"])
    problems = {}
    for platform in PLATFORMS:
        problem = problem_of(platform)
        if problem is None:
            text = json.dumps({"machine": machine, "platform": platform})
            remembered.write_text(text, encoding="utf-8")
            return platform
        problems[platform] = problem
    told = ", ".join(f"{platform}: {problem}" for platform, problem in problems.items())
    raise SandboxUnavailable(
        f"no sandbox: gVisor ({program}) can't run here ({told}); it needs user namespaces, and a kernel"
        " that lets processes be traced (kernel.yama.ptrace_scope below 3)"
    )


def _machine(program: str) -> list[object]:
    """Say on what the answer depends: this boot, and this very program."""
    about = os.stat(program)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return [boot, program, about.st_mtime_ns, about.st_size, os.geteuid()]


def problem_of(platform: str) -> str | None:
    """Say what keeps a container of this platform from running, or None if nothing does."""
    plan = Plan(["true"], _PROBE, platform)
    with lease(counted(_PROBE)) as held, contained(plan, held, b"") as running:
        over = select.poll()
        over.register(running, select.POLLIN)
        if not over.poll(PATIENCE_S * 1000):
            return f"it hung for {PATIENCE_S:g} s"
        code = running.wait()
        try:
            running.check(running.stderr.read())
        except SandboxUnavailable as error:
            return str(error).removeprefix("no sandbox: ").partition(";")[0]
        return None if code == 0 else f"`true` ended with {code}"
