"""The system-call filter: what a sandboxed program has no business asking of the kernel we share."""

import errno
import functools
import os
import socket
import stat
from typing import Any

from blastwall.errors import SandboxUnavailable

_REFUSED = (
    # Other processes and their memory.
    "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd",
    # Keys, programs and counters inside the kernel.
    "keyctl add_key request_key bpf perf_event_open userfaultfd lookup_dcookie",
    # A second door to every other call.
    "io_uring_setup io_uring_enter io_uring_register",
    # Mounts and namespaces.
    "mount umount umount2 pivot_root move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr",
    "setns unshare chroot open_by_handle_at name_to_handle_at quotactl quotactl_fd",
    # The machine itself.
    "kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct",
    "settimeofday clock_settime clock_adjtime adjtimex syslog vhangup iopl ioperm personality",
    "fanotify_init nfsservctl uselib ustat sysfs _sysctl",
)
_MODES = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "creat": 1,
    "mkdir": 1,
    "mkdirat": 2,
    "mknod": 1,
    "mknodat": 2,
}
_OPENS = {"open": 2, "openat": 3}
"""Which argument of a call is the mode of a file."""

_TYPE = 0xF
"""The part of a socket's type that is its kind; the rest are flags."""
_CLONE_NEWUSER = 0x10000000
_LOW_32 = 0xFFFFFFFF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


@functools.cache
def program() -> bytes:
    """Build the filter as a BPF program; once per process, as it is always the same.

    The list follows what bubblewrap's users, Flatpak and Docker refuse, and adds `AF_UNIX` sockets, so that
    no agent, display or container socket of the host can be reached even where one is readable: of all
    address families IPv4 and IPv6 are left. A system call of another architecture kills the thread that
    makes it (libseccomp's default).

    Raises:
        SandboxUnavailable: when libseccomp is missing.

    """
    seccomp = _library()
    refuse = seccomp.ERRNO(errno.EPERM)
    filtered = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in " ".join(_REFUSED).split():
        _add(filtered, refuse, name)
    _conditions(seccomp, filtered, refuse)
    return _exported(filtered)


@functools.cache
def modes() -> bytes:
    """Build a filter that refuses nothing but files that would become setuid or setgid.

    Raises:
        SandboxUnavailable: when libseccomp is missing.

    """
    seccomp = _library()
    filtered = seccomp.SyscallFilter(seccomp.ALLOW)
    _modes(seccomp, filtered, seccomp.ERRNO(errno.EPERM))
    return _exported(filtered)


def _library() -> Any:
    try:
        import pyseccomp as seccomp  # noqa: PLC0415  # looks for the library with ldconfig when imported
    except (ImportError, RuntimeError) as error:
        raise SandboxUnavailable(
            "no sandbox: libseccomp is missing; install it: apt-get install libseccomp2"
        ) from error
    return seccomp


def _conditions(seccomp: Any, filtered: Any, refuse: Any) -> None:
    argument, masked = seccomp.Arg, seccomp.MASKED_EQ
    _add(filtered, refuse, "clone", argument(0, masked, _CLONE_NEWUSER, _CLONE_NEWUSER))
    # clone3 hides its flags behind a pointer that no filter can follow; glibc falls back to clone.
    _add(filtered, seccomp.ERRNO(errno.ENOSYS), "clone3")
    for request in (_TIOCSTI, _TIOCLINUX):
        # The kernel reads 32 bits of the request; a filter that compares 64 can be walked around.
        _add(filtered, refuse, "ioctl", argument(1, masked, _LOW_32, request))
    _modes(seccomp, filtered, refuse)
    _sockets(seccomp, filtered, refuse)


def _modes(seccomp: Any, filtered: Any, refuse: Any) -> None:
    """Keep files from becoming setuid or setgid, as systemd's RestrictSUIDSGID= does.

    Inside, the bits mean nothing; in a workspace they would wait for whoever runs the file outside.
    """
    argument, masked = seccomp.Arg, seccomp.MASKED_EQ
    for bit in (stat.S_ISUID, stat.S_ISGID):
        for name, place in _MODES.items():
            _add(filtered, refuse, name, argument(place, masked, bit, bit))
        for name, place in _OPENS.items():
            for flag in (os.O_CREAT, os.O_TMPFILE & ~os.O_DIRECTORY):
                flags = argument(place - 1, masked, flag, flag)
                _add(filtered, refuse, name, flags, argument(place, masked, bit, bit))
    for name in ("fchmodat2", "openat2"):  # the one is newer than some libraries, the other hides its mode
        _add(filtered, seccomp.ERRNO(errno.ENOSYS), name)


def _sockets(seccomp: Any, filtered: Any, refuse: Any) -> None:
    """Leave IPv4, IPv6 and connected pairs.

    The kernel reads 32 bits of the family, so that 2**32 + AF_UNIX is AF_UNIX: everything above the last
    allowed number goes, rather than numbers one by one.
    """
    argument, unknown = seccomp.Arg, seccomp.ERRNO(errno.EAFNOSUPPORT)
    last = int(socket.AF_INET6)
    _add(filtered, refuse, "socket", argument(0, seccomp.LT, int(socket.AF_INET)))
    _add(filtered, unknown, "socket", argument(0, seccomp.GT, last))
    for family in range(socket.AF_INET + 1, last):
        _add(filtered, unknown, "socket", argument(0, seccomp.EQ, family))
    # A pair reaches nothing that the process doesn't have already, unless it is of datagrams: those can
    # be sent to any socket's path. The kernel takes SOCK_RAW for SOCK_DGRAM.
    _add(filtered, unknown, "socketpair", argument(0, seccomp.GT, int(socket.AF_UNIX)))
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        _add(filtered, refuse, "socketpair", argument(1, seccomp.MASKED_EQ, _TYPE, int(kind)))


def _add(filtered: Any, action: Any, name: str, *arguments: Any) -> None:
    try:
        filtered.add_rule(action, name, *arguments)
    except ValueError:
        pass  # this architecture, or this libseccomp, has no such call: nothing to refuse
    except RuntimeError as error:
        raise SandboxUnavailable(f"no sandbox: the seccomp filter can't be built ({name})") from error


def _exported(filtered: Any) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            filtered.export_bpf(file)
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)
