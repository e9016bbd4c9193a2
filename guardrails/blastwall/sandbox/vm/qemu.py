"""How QEMU is started: every device that a machine will ever have is in this one list of words."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.mounts import workspace_inside
from blastwall.sandbox.vm.image import Image
from blastwall.values import Profile

KVM, TCG = "kvm", "tcg"
"""The processor's own virtualisation, and QEMU's emulation of a processor."""

_TRANSLATED_MB = 128
"""What QEMU keeps of translated code, when it emulates."""
_HEADROOM_MB = 384
"""QEMU itself: its libraries, translated code and the kernel's file."""
_GUEST_MB = 96
"""The guest's kernel, page tables and agent."""
_PROCESSES = 256
_OPEN_FILES = 4096
"""Descriptors for what the guest has open in the workspace."""
_FOR_EVER_S = 10 * 365 * 86400.0
_DENY = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_KERNEL = (
    "quiet loglevel=3 console=ttyS0 panic=-1 oops=panic random.trust_cpu=on audit=0 apparmor=0"
    " cryptomgr.notests no_timer_check 8250.nr_uarts=1"
)
"""Any oops is the end of the machine. The mitigations of processor bugs stay on: off, nothing got faster."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The host's side of the machine: descriptors of connected sockets. There is no other way in or out."""

    commands: int
    tunnel: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them."""
        return (self.commands,) if self.tunnel is None else (self.commands, self.tunnel)


def program() -> str:
    """Find QEMU.

    Raises:
        SandboxUnavailable: with the line that installs it.

    """
    found = shutil.which("qemu-system-x86_64", path="/usr/bin:/usr/local/bin:/usr/libexec")
    if found is None or os.uname().machine != "x86_64":
        raise SandboxUnavailable(
            "no sandbox: QEMU for x86-64 is missing; install it: apt-get install qemu-system-x86"
        )
    return found


def command(image: Image, profile: Profile, ports: Ports, accelerator: str) -> list[str]:
    """Give the words that start a machine.

    It has a console that can only be read, one serial bus with a port for commands and perhaps one for the
    egress gate, one disk that can only be read, and perhaps one shared folder. It has no network card, no
    monitor and no control socket: whatever QEMU could be told later, there is nobody to tell it.
    """
    words = [
        program(),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-vga",
        "none",
        "-parallel",
        "none",
    ]
    words += ["-monitor", "none", "-nic", "none", "-no-reboot", "-sandbox", _DENY, "-M", "q35,hpet=off"]
    words += ["-smp", "1", "-m", str(guest_mb(profile)), *_processor(accelerator)]
    words += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", _KERNEL]
    words += ["-serial", "file:/dev/stdout"]
    words += ["-drive", f"file={_quoted(image.disk)},if=none,id=disk,format=raw,readonly=on,file.locking=off"]
    words += ["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-serial-pci,max_ports=3"]
    words += _port("commands", ports.commands)
    words += [] if ports.tunnel is None else _port("egress", ports.tunnel)
    return words + _folder(profile)


def guest_mb(profile: Profile) -> int:
    """Give the guest's memory: what the profile allows everything inside, and room for the guest itself."""
    return profile.memory_mb + _GUEST_MB


def _processor(accelerator: str) -> list[str]:
    if accelerator == KVM:
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,tb-size={_TRANSLATED_MB}", "-cpu", "max"]


def _port(name: str, descriptor: int) -> list[str]:
    return [
        *("-chardev", f"socket,id={name},fd={descriptor}"),
        *("-device", f"virtserialport,chardev={name},name={name}"),
    ]


def _folder(profile: Profile) -> list[str]:
    """Share the workspace.

    `security_model=none`: modes and symlinks of the guest are those of the host, as for any other program
    of the user whom QEMU runs as. With `mapped-xattr` a script that the agent made would lack its x bit
    outside, and a symlink would be a file. What none lacks, owners and devices, nobody here may make anyway.
    """
    if profile.workspace is None:
        return []
    path = _quoted(workspace_inside(profile))
    share = f"local,id=workspace,path={path},security_model=none,multidevs=remap"
    return ["-fsdev", share, "-device", "virtio-9p-pci,fsdev=workspace,mount_tag=workspace"]


def _quoted(path: object) -> str:
    """Spell a path in QEMU's option syntax, where a comma would begin another option."""
    return str(path).replace(",", ",,")


def outer(profile: Profile) -> Profile:
    """Give the profile of the `os` sandbox that QEMU itself runs in: the workspace, and nothing else.

    Raises:
        BackendError: when the profile asks for more than a machine can be given.

    """
    refuse(profile, profile.read)
    return replace(
        profile,
        directory=".",
        network=(),
        credentials=(),
        env=(),
        timeout_s=_FOR_EVER_S,
        cpu_s=_FOR_EVER_S,
        memory_mb=guest_mb(profile) + _HEADROOM_MB,
        processes=_PROCESSES,
        open_files=_OPEN_FILES,
    )


def refuse(profile: Profile, read: Iterable[Path]) -> None:
    """Refuse to show more of the host than a workspace.

    Raises:
        BackendError: when there is more.

    """
    for path in read:
        raise BackendError(
            f"profile {profile.name!r} is to read {path}, but a virtual machine is shown its workspace only:"
            " copy into the workspace what it needs, or use another strength"
        )
