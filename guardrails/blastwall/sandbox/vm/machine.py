"""One virtual machine: booted once, serving commands, and gone with everything in it."""

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import bubblewrap
from blastwall.sandbox.launch import confined
from blastwall.sandbox.mounts import within
from blastwall.sandbox.running import Running
from blastwall.sandbox.vm import accelerator, qemu
from blastwall.sandbox.vm.channel import Malformed, spell
from blastwall.sandbox.vm.command import Command
from blastwall.sandbox.vm.guest import configuration
from blastwall.sandbox.vm.image import Image, image
from blastwall.sandbox.vm.pump import Gone, Pump
from blastwall.sandbox.vm.wire import CONFIGURE
from blastwall.values import Profile

if TYPE_CHECKING:
    from blastwall.egress import Gate

BOOT_S = 90.0
"""Longest wait for a machine that boots: an emulated one takes 3 s alone, and 10 s on a busy host."""
TRIAL_S = 15.0
"""Longest wait for one that boots with KVM, where it takes less than 1 s."""


class Machine:
    """A virtual machine for one profile. Nothing that can be said to it changes what it is made of.

    It boots at the start of the block, and is destroyed at its end.
    """

    def __init__(
        self,
        profile: Profile,
        gate: "Gate | None" = None,
        *,
        built: Image | None = None,
        processor: str | None = None,
    ) -> None:
        """Make everything ready for a boot.

        Args:
            profile: What it may touch.
            gate: The only way to a network.
            built: Another image than the usual one.
            processor: `kvm` or `tcg`, instead of what a trial boot showed to work here.

        Raises:
            SandboxUnavailable: when something that a machine is made of is missing.
            BackendError: when the profile does not fit one.

        """
        self.profile = profile
        self._gate = gate
        self._outer = qemu.outer(profile)
        self._image = built or image()
        _check_apart(self._image, profile)
        self._processor = processor or chosen(self._image)[0]
        self._environment = bubblewrap.environment(profile, gate)
        self._folder = bubblewrap.start_folder(profile)
        self._first = spell(CONFIGURE, 0, configuration(profile, gate))
        self._settled = threading.Event()
        self._failure: BackendError | None = None
        self._ready = self._over = False
        self._numbers = 0
        self._lock = threading.Lock()
        host, self._guest = socket.socketpair()
        self._pump = Pump(host, self._become_ready)
        # QEMU dies with the thread that started it: that one serves the machine, and lives as long.
        self._thread = threading.Thread(target=self._live, name="blastwall-vm", daemon=True)

    def __enter__(self) -> "Machine":
        self.boot()
        try:
            self.ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def boot(self) -> None:
        """Begin to boot, without waiting."""
        self._thread.start()

    def ready(self, patience_s: float = BOOT_S) -> None:
        """Wait until it takes commands.

        Raises:
            SandboxUnavailable: when it does not.

        """
        if not self._settled.wait(patience_s):
            raise SandboxUnavailable(
                f"no sandbox: the virtual machine did not boot within {patience_s:g} s; {self._last_words()}"
            )
        self._check()

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Command:
        """Start a command, as an ordinary user of the guest.

        Args:
            argv: The program, found by the guest's PATH, and its arguments.
            stdin: Its whole input, or None for a pipe.
            env: More environment variables.
            cwd: Where it starts, instead of where the profile says.

        Raises:
            BackendError: when the machine is gone, or these are no words.

        """
        environment = {**self._environment, **(env or {})}
        if not argv or any("\0" in word for word in (*argv, *environment, *environment.values())):
            raise BackendError("a command is one or more words without NUL characters")
        asked = {"argv": list(argv), "env": environment, "cwd": cwd or self._folder}
        request = json.dumps(asked).encode("ascii")
        with self._lock:
            self._check()
            self._numbers += 1
            command = Command(self._numbers, stdin, self._kill)
            self._pump.ask(lambda: self._pump.begin(command, request))
        return command

    def close(self) -> None:
        """Destroy it, with all that runs in it. Harmless when it is gone."""
        with self._lock:
            if not self._over:
                self._pump.ask(self._pump.stop)
        if self._thread.ident is None:
            self._end(None)
        else:
            self._thread.join()

    def _kill(self, command: Command) -> None:
        with self._lock:
            if not self._over:
                self._pump.ask(lambda: self._pump.kill(command))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._over:
            raise BackendError("the virtual machine is gone")

    # --- The machine's own thread ---------------------------------------------------------------------

    def _live(self) -> None:
        failure: BackendError | None = None
        try:
            with self._started() as running:
                try:
                    self._pump.serve(running, self._first)
                except Gone:
                    running.wait()
                    running.check(self._pump.console)
                    raise
        except Exception as error:  # noqa: BLE001  # whoever waits for the machine gets it
            failure = self._explained(error)
        self._end(failure)

    @contextmanager
    def _started(self) -> Iterator[Running]:
        """Start QEMU inside an `os` sandbox of its own, as an ordinary user without a network."""
        tunnel = None if self._gate is None else socket.socket(fileno=self._gate.tunnel())
        ports = qemu.Ports(self._guest.fileno(), None if tunnel is None else tunnel.fileno())
        words = qemu.command(self._image, self.profile, ports, self._processor)
        devices = [str(accelerator.DEVICE)] if self._processor == qemu.KVM else []
        with confined(
            words,
            self._outer,
            stdin=b"",
            read=[self._image.folder],
            keep=ports.descriptors,
            devices=devices,
        ) as running:
            self._guest.close()
            if tunnel is not None:
                tunnel.close()
            yield running

    def _become_ready(self) -> None:
        self._ready = True
        self._settled.set()

    def _explained(self, error: Exception) -> BackendError:
        """Say what happened to a machine. The guest's own words are shown only if it never ran anything."""
        match error:
            case BackendError():
                return error
            case Malformed():
                return BackendError(
                    f"the virtual machine was destroyed: its guest broke the protocol ({error})"
                )
            case Gone() if not self._ready:
                return SandboxUnavailable(
                    f"no sandbox: the virtual machine did not start; {self._last_words()}"
                )
            case Gone():
                return BackendError("the virtual machine ended by itself: its guest crashed or shut it down")
            case _:
                return BackendError(f"the virtual machine failed: {type(error).__name__}: {error}")

    def _last_words(self) -> str:
        said = self._pump.console.decode(errors="replace").strip().splitlines()[-3:]
        return "it said last: " + ascii(" / ".join(said)) if said else "it said nothing"

    def _end(self, failure: BackendError | None) -> None:
        with self._lock:
            self._failure, self._over = failure, True
        self._guest.close()
        self._pump.end(failure)
        self._settled.set()


def _check_apart(built: Image, profile: Profile) -> None:
    """Refuse a guest that could write what the next one boots from."""
    if profile.workspace is not None and within(
        os.path.realpath(built.folder), [os.path.realpath(profile.workspace)]
    ):
        raise BackendError(
            f"the workspace {profile.workspace} holds the images of virtual machines:"
            " set XDG_CACHE_HOME to another folder"
        )


def chosen(built: Image) -> tuple[str, str]:
    """Give the accelerator that works here, and why; the first time after a reboot, find out by a boot."""
    return accelerator.chosen(built, lambda: _trial(built))


def _trial(built: Image) -> str:
    machine = Machine(Profile("trial", memory_mb=128), built=built, processor=qemu.KVM)
    machine.boot()
    try:
        machine.ready(TRIAL_S)
        with machine.start(["true"], stdin=b"") as command:
            return "" if command.wait() == 0 else "`true` failed in a machine with KVM"
    except BackendError as error:
        return f"a trial boot with KVM failed: {error}"
    finally:
        machine.close()
