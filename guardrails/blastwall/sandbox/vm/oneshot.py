"""One command in a machine of its own, and whether that works here."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blastwall.errors import BackendError
from blastwall.sandbox.running import Running
from blastwall.sandbox.vm import qemu
from blastwall.sandbox.vm.image import image
from blastwall.sandbox.vm.machine import Machine, chosen
from blastwall.values import Profile, Strength

if TYPE_CHECKING:
    from blastwall.egress import Gate


@dataclass(frozen=True, slots=True)
class Found:
    """Whether virtual machines work here; if not, why not and what to do."""

    ok: bool
    detail: str = ""
    problem: str = ""
    fix: str = ""


@contextmanager
def launch(
    argv: Sequence[str],
    profile: Profile,
    *,
    stdin: bytes | None = None,
    read: Iterable[Path] = (),
    gate: "Gate | None" = None,
) -> Iterator[Running]:
    """Boot a machine, start a command in it, and destroy the machine at the end of the block.

    Args:
        argv: The command and its arguments, as seen inside.
        profile: What it may touch.
        stdin: Its whole input, or None for a pipe.
        read: Refused when there is any: a machine is shown its workspace only.
        gate: The only way to a network.

    Raises:
        SandboxUnavailable: when no machine can be had here. Nothing ran.
        BackendError: when the profile does not fit one. Nothing ran.

    """
    qemu.refuse(profile, read)
    with Machine(profile, gate) as machine, machine.start(argv, stdin=stdin) as command:
        yield command


def probe() -> Found:
    """Boot a machine, run a command in it, and say how that went."""
    profile = Profile("doctor", strength=Strength.VM, memory_mb=128, timeout_s=60)
    try:
        built = image()
        processor, why = chosen(built)
        with (
            Machine(profile, built=built, processor=processor) as machine,
            machine.start(["true"], stdin=b"") as command,
        ):
            code = command.wait()
    except BackendError as error:
        problem, _, fix = str(error).removeprefix("no sandbox: ").partition("; ")
        return Found(ok=False, problem=problem, fix=fix)
    if code != 0:
        return Found(ok=False, problem=f"`true` failed inside ({code})", fix="remove the image's cache")
    slow = f", emulated, so that boots take seconds, since {why}" if processor == qemu.TCG else ""
    return Found(
        ok=True, detail=f"QEMU with {processor.upper()}, kernel {built.version}, no network card{slow}"
    )
