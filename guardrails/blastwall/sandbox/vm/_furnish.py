"""Runs inside the guest, once: makes the machine what the host said, before any command."""

import base64
import ctypes
import os
from typing import Any

CGROUPS = "/sys/fs/cgroup"
_TUNNEL_USERS = (65533, 65532)
_NOSUID, _NODEV = 2, 4
_HARDENED = {
    "kernel/dmesg_restrict": "1",
    "kernel/kptr_restrict": "2",
    "kernel/unprivileged_bpf_disabled": "1",
    "kernel/perf_event_paranoid": "3",
    "kernel/modules_disabled": "1",
    "user/max_user_namespaces": "0",
    "fs/protected_symlinks": "1",
    "fs/protected_hardlinks": "1",
    "fs/protected_fifos": "2",
    "fs/protected_regular": "2",
}

libc = ctypes.CDLL(None, use_errno=True)


def port(name: str) -> int:
    """Open the virtio-serial port of this name. Its node belongs to root alone."""
    ports = "/sys/class/virtio-ports"
    for node in os.listdir(ports):
        with open(f"{ports}/{node}/name", encoding="ascii") as file:
            if file.read().strip() == name:
                return os.open(f"/dev/{node}", os.O_RDWR | os.O_CLOEXEC)
    raise FileNotFoundError(name)


def mount(source: str, target: str, kind: str, options: str, flags: int = _NOSUID | _NODEV) -> None:
    """Mount something on a folder, which is made if need be."""
    os.makedirs(target, exist_ok=True)
    words = [word.encode() for word in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def furnish(config: dict[str, Any]) -> None:
    """Make the machine what the host said, once: mounts, limits, files; then no module goes in any more."""
    for place in config["scratch"]:
        mount("tmpfs", place, "tmpfs", f"size={config['scratch_mb']}m,mode=0700,uid={config['uid']}")
    if config["workspace"]:
        options = "trans=virtio,version=9p2000.L,msize=262144,cache=mmap,access=any"
        mount("workspace", config["workspace"], "9p", options)
    for path, content in config["files"].items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))
    if config["tunnel"]:
        _dig(config["uid"])
    os.makedirs(f"{CGROUPS}/commands")
    write(f"{CGROUPS}/cgroup.subtree_control", "+memory +pids")
    write(f"{CGROUPS}/commands/memory.max", str(config["memory"]))
    write(f"{CGROUPS}/commands/pids.max", str(config["processes"]))
    for name, value in _HARDENED.items():
        write(f"/proc/sys/{name}", value, missing_ok=True)


def _dig(taken: int) -> None:
    """Start what carries connections to the gate, as a user that no command is."""
    from blastwall.sandbox.vm import _tunnel  # noqa: PLC0415  # 0.3 s, and most machines have no gate

    way, listening = port("egress"), _tunnel.listener()
    if os.fork() == 0:
        try:
            drop(_TUNNEL_USERS[taken == _TUNNEL_USERS[0]], _TUNNEL_USERS[0])
            _tunnel.Tunnel(way, listening).serve()
        finally:
            os._exit(1)
    os.close(way)
    listening.close()


def drop(uid: int, gid: int) -> None:
    """Become an ordinary user for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def write(path: str, text: str, *, missing_ok: bool = False) -> None:
    """Write a setting of the kernel."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except FileNotFoundError:
        if not missing_ok:
            raise
