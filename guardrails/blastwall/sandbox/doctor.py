"""What can be contained on this machine: found out by trying, and by trying to get out."""

import json
import os
import secrets
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.sandbox import cgroups, enter
from blastwall.sandbox.bubblewrap import NOBODY, tools
from blastwall.sandbox.process import run
from blastwall.sandbox.python import python_paths
from blastwall.values import Profile, Strength

_ATTEMPTS = Path(__file__).with_name("_attempts.py")


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether one strength of sandbox works here; if not, why not and what to do."""

    strength: Strength
    available: bool
    detail: str = ""
    problem: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One attempt to get out: whether the wall held, and what was seen."""

    name: str
    held: bool
    detail: str


def probe(strength: Strength) -> Probe:
    """Start a sandbox of this strength and see whether it runs."""
    if strength is Strength.VM:
        from blastwall.sandbox import vm  # noqa: PLC0415  # for who has it

        found = vm.probe()
        return Probe(strength, found.ok, found.detail, found.problem, found.fix)
    try:
        done = run(["true"], Profile("doctor", strength=strength, timeout_s=_PATIENCE_S))
        if done.returncode == 0:
            return Probe(strength, available=True, detail=_DETAILS[strength]())
        problem = f"`true` failed inside ({done.returncode}): {done.stderr[-200:].decode(errors='replace')}"
        return Probe(strength, available=False, problem=problem, fix="run it with `blastwall run -- true`")
    except BackendError as error:
        problem, _, fix = str(error).removeprefix("no sandbox: ").partition("; ")
        return Probe(strength, available=False, problem=problem, fix=fix)


def _os() -> str:
    user = f"as user {NOBODY} or the workspace's owner" if os.geteuid() == 0 else "as you"
    return f"{tools().bwrap}, seccomp, {enter.walls()}, {cgroups.summary()}, no network, {user}"


def _container() -> str:
    from blastwall.sandbox.gvisor import outer, platforms  # noqa: PLC0415  # for who has it

    return f"{outer.runsc()}, platform {platforms.chosen()}, no network"


_DETAILS = {Strength.OS: _os, Strength.CONTAINER: _container}

_PATIENCE_S = 60.0
"""Longest that a trial may take."""


def escapes() -> tuple[Check, ...]:
    """Try to get out of a throw-away sandbox, harmlessly, in a dozen ways.

    Every attempt aims at a canary of our own making: a file, a listener on loopback, an environment variable.

    Raises:
        SandboxUnavailable: when there is no sandbox to get out of.

    """
    with tempfile.TemporaryDirectory(prefix="blastwall-doctor-") as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        canary = Path(folder, "canary")
        canary.write_text("canary", encoding="utf-8")
        canary.chmod(0o666)
        Path(folder).chmod(0o755)
        aims = {"canary": str(canary), "port": listener.getsockname()[1], "pid": os.getpid()}
        command = [sys.executable, "-I", "-c", _ATTEMPTS.read_text(encoding="utf-8"), json.dumps(aims)]
        # The environment that the attempts look for is ours, so its names go in by stdin, never its values.
        names = json.dumps(sorted(os.environ)).encode()
        profile = Profile("doctor", timeout_s=30, env=(("BLASTWALL_CANARY", secrets.token_hex()),))
        done = run(command, profile, stdin=names, read=python_paths())
        intact = canary.read_text(encoding="utf-8") == "canary"
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise BackendError("the escape attempts could not start inside the sandbox") from None
    checks = [Check(name, held=bool(held), detail=str(detail)) for name, held, detail in found]
    return (*checks, Check("the canary outside is as it was", intact, ""))
