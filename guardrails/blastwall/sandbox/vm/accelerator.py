"""Whether the processor's own virtualisation works here: found out by booting, remembered until a reboot.

`/dev/kvm` promises nothing: on nested hosts it can be opened, and then no guest ever says a word.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from blastwall.sandbox.vm import qemu
from blastwall.sandbox.vm.image import Image

DEVICE = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def chosen(image: Image, trial: Callable[[], str]) -> tuple[str, str]:
    """Give the accelerator that works here, and why it is that one.

    Args:
        image: What would be booted.
        trial: Boots a machine with KVM, and gives what went wrong, or nothing.

    """
    closed = _closed()
    if closed:
        return qemu.TCG, closed
    verdict = image.folder.parent / f"kvm-{_circumstances(image)}"
    try:
        why = verdict.read_text(encoding="utf-8")
    except OSError:
        why = trial()
        _remember(verdict, why)
    return (qemu.TCG, why) if why else (qemu.KVM, "a machine booted with it")


def _closed() -> str:
    """Say why QEMU's user can't open the device; root's QEMU runs as somebody else."""
    try:
        known = DEVICE.stat()
    except OSError:
        return f"there is no {DEVICE}"
    if os.geteuid() != 0:
        able = os.access(DEVICE, os.R_OK | os.W_OK)
    else:
        able = known.st_mode & (stat.S_IROTH | stat.S_IWOTH) == stat.S_IROTH | stat.S_IWOTH
    return "" if able else f"{DEVICE} is closed to the user that QEMU runs as; open it: chmod 666 {DEVICE}"


def _circumstances(image: Image) -> str:
    program = os.stat(qemu.program())
    said = (
        f"{_BOOT_ID.read_text(encoding='ascii')} {os.geteuid()} {image.folder.name}"
        f" {program.st_size} {program.st_mtime_ns}"
    )
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _remember(verdict: Path, why: str) -> None:
    new = verdict.with_name(f".{verdict.name}-{os.getpid()}")
    new.write_text(why, encoding="utf-8")
    new.rename(verdict)
