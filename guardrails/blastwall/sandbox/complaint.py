"""Why bubblewrap could not build a sandbox here, in words, with what to do about it."""

import re
from pathlib import Path

from blastwall.errors import SandboxUnavailable

_REFUSED = re.compile("namespace|[ug]id map|RTM_NEWADDR|Failed to make / slave|mount proc")
"""What bubblewrap says when something keeps it from making namespaces, or from using them."""


def unavailable(complaint: bytes) -> SandboxUnavailable:
    """Give the error for a sandbox of which bubblewrap said this instead of starting a command in it."""
    problem, fix = _why(complaint.decode(errors="replace").strip())
    return SandboxUnavailable(f"no sandbox: {problem}; {fix}")


def _why(complaint: str) -> tuple[str, str]:
    if not _REFUSED.search(complaint):
        return (
            complaint or "bubblewrap failed without a word",
            "see whether `bwrap --ro-bind / / --unshare-all true` works here",
        )
    return _refused(complaint)


def _refused(complaint: str) -> tuple[str, str]:
    """Say who keeps us from making namespaces: the known causes, one after the other."""
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
    if "Microsoft" in _setting("/proc/sys/kernel/osrelease"):  # WSL 2 spells it small, and has a kernel
        return "WSL 1 has no namespaces", "wsl --set-version DISTRIBUTION 2, in Windows"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            f"this container may not make namespaces: {complaint}",
            "start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )
    return complaint, "ask who runs this machine to allow unprivileged user namespaces"


def _setting(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""
