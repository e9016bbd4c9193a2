"""Start a command in a sandbox, whatever its strength. A missing one is never replaced by a weaker one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from blastwall.sandbox import bubblewrap
from blastwall.sandbox.child import started
from blastwall.sandbox.lease import lease
from blastwall.sandbox.mounts import mounts
from blastwall.sandbox.running import Running
from blastwall.values import Profile, Strength

if TYPE_CHECKING:
    from blastwall.egress import Gate


@contextmanager
def launch(
    argv: Sequence[str],
    profile: Profile,
    *,
    stdin: bytes | None = None,
    read: Iterable[Path] = (),
    gate: "Gate | None" = None,
) -> Iterator[Running]:
    """Start a command; at the end of the block it is dead, and the sandbox is gone with all that was in it.

    Args:
        argv: The command and its arguments, as seen inside.
        profile: What it may touch.
        stdin: Its whole input, or None for a pipe.
        read: More readable host paths.
        gate: The only way to a network.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the profile does not fit the machine. Nothing ran.

    """
    match profile.strength:
        case Strength.OS:
            with confined(argv, profile, stdin=stdin, read=read, gate=gate) as running:
                yield running
        case Strength.CONTAINER:
            from blastwall.sandbox import gvisor  # noqa: PLC0415

            with gvisor.launch(argv, profile, stdin=stdin, read=read, gate=gate) as running:
                yield running
        case Strength.VM:
            from blastwall.sandbox import vm  # noqa: PLC0415

            with vm.launch(argv, profile, stdin=stdin, read=read, gate=gate) as running:
                yield running
        case _:
            assert_never(profile.strength)


@contextmanager
def confined(
    argv: Sequence[str],
    profile: Profile,
    *,
    stdin: bytes | None = None,
    read: Iterable[Path] = (),
    gate: "Gate | None" = None,
    keep: Iterable[int] = (),
    devices: Iterable[str] = (),
) -> Iterator[Running]:
    """Start a command in an `os` sandbox, with what only a stronger one's own programs are given.

    Args:
        argv: As for `launch`; the others too.
        profile: See there.
        stdin: See there.
        read: See there.
        gate: See there.
        keep: Descriptors that the command gets, under the same numbers.
        devices: Device files that the command gets.

    """
    shown = mounts(profile, read)  # first: a folder that may not be a workspace is not touched
    with lease(profile) as held:
        preparing = bubblewrap.prepare(
            argv, profile, shown=shown, guarded=held.guarded, gate=gate, keep=keep, devices=devices
        )
        with started(preparing, held, stdin) as running:
            yield running
