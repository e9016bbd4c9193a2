"""What can be contained on this machine: found out by trying, and by trying to get out."""

import json
import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from blastwall.errors import BackendError, SandboxUnavailable
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
    if strength is not Strength.OS:
        return Probe(
            strength,
            available=False,
            problem="not available in this version",
            fix="use strength os; a profile that asks for this one is refused, never run in a weaker one",
        )
    try:
        done = run(["true"], Profile("doctor", timeout_s=20))
    except SandboxUnavailable as error:
        problem, _, fix = str(error).removeprefix("no sandbox: ").partition("; ")
        return Probe(strength, available=False, problem=problem, fix=fix)
    if done.returncode == 0:
        user = f"as user {NOBODY} or the workspace's owner" if os.geteuid() == 0 else "as you"
        return Probe(strength, available=True, detail=f"{tools().bwrap}, seccomp, no network, {user}")
    problem, fix = _why(done.stderr.decode(errors="replace").strip())
    return Probe(strength, available=False, problem=problem, fix=fix)


def _why(complaint: str) -> tuple[str, str]:
    """Put bubblewrap's complaint in words, with the known causes first."""
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps ordinary programs from making user namespaces (Ubuntu 23.10 and later)",
            "give /usr/bin/bwrap a profile that says `userns,`;"
            " or: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "this kernel keeps users from making namespaces", "sysctl kernel.unprivileged_userns_clone=1"
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "user namespaces are switched off", "sysctl user.max_user_namespaces=10000"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            f"this container may not make namespaces: {complaint}",
            "start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )
    return (
        complaint or "bubblewrap failed without a word",
        "run `bwrap --ro-bind / / --unshare-all true` to see it",
    )


def _setting(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


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
        done = run(command, Profile("doctor", timeout_s=30), read=python_paths())
        intact = canary.read_text(encoding="utf-8") == "canary"
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise BackendError("the escape attempts could not start inside the sandbox") from None
    checks = [Check(name, held=bool(held), detail=str(detail)) for name, held, detail in found]
    return (*checks, Check("the canary outside is as it was", intact, ""))
