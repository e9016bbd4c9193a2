"""Somebody is killed at a random moment, again and again: nothing runs on, and nothing is left behind.

A victim is a line in `VICTIMS`: whom to aim at, and what its host does. A new kind of sandbox is added there.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.core.egress.sites import needed

from blastwall.sandbox import _reaper, cgroups, lease

NURSERY = """
import os, random, signal, sys, traceback
from dataclasses import replace
from pathlib import Path
from blastwall import sandbox
from blastwall.errors import BackendError, BlastwallError
from blastwall.sandbox import gvisor, process, python, vm
from blastwall.sandbox.boxes import Boxes
from blastwall.values import Destination, Lifetime, Profile, Strength

CONTAINER, VM = {"strength": Strength.CONTAINER}, {"strength": Strength.VM, "timeout_s": 60}
SESSION = {"lifetime": Lifetime.SESSION, "memory_mb": 128, "scratch_mb": 16}
KINDS = {
    "os": {},
    "container": CONTAINER,
    "container of a session": CONTAINER | SESSION,
    "vm": VM | SESSION,
    "workers": {"warm": 2},
    "gate": {"network": (Destination("a.test"),)},
}

def work(command):
    import os
    os.system(command)

def host(workspace, kind, command, progress):
    profile = replace(Profile("chaos", workspace=Path(workspace), timeout_s=3), **KINDS[kind])
    while True:
        with Boxes() as boxes:
            for _ in range(1000 if kind == "workers" else 2):
                try:
                    if kind == "workers":
                        boxes.call(work, {"command": command}, profile)
                    else:
                        boxes.run(["sh", "-c", command], profile)
                except BlastwallError:
                    break
                finally:
                    with open(progress, "ab") as file:
                        file.write(b".")

for line in sys.stdin:
    workspace, kind, command, progress = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        try:
            host(workspace, kind, command, progress)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""
"""Starts hosts quickly, one after the other: each is a fork of a program that has everything imported."""


def processes(mark):
    """Give the processes whose command line or environment holds a mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def started(pid):
    """Give when a process started, or None when it is dead."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if found[0] in "ZX" else found[19]


@dataclass(slots=True)
class Host:
    """A program that runs one sandbox after the other.

    Attributes:
        pid: Its number.
        mark: What the commands inside carry.
        seen: What was below it whenever somebody was killed.

    """

    pid: int
    mark: str
    seen: dict[int, str | None] = field(default_factory=dict)

    def below(self):
        """Give everything that it started, at any depth."""
        children = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            children.setdefault(int(parent), []).append(int(entry.name))
        found, ahead = [], [self.pid]
        while ahead:
            found += children.get(ahead[-1], [])
            ahead += children.get(ahead.pop(), [])
        return found

    def running(self, word):
        """Give what of that has a word in its command line."""
        return [pid for pid in self.below() if pid in processes(word)]

    def look(self):
        self.seen |= {pid: when for pid in self.below() if (when := started(pid))}

    def still(self):
        return [pid for pid, when in self.seen.items() if when and started(pid) == when]

    def outer(self):
        """Give the process that holds everything inside, by the entry that says so."""
        entries = [_reaper.read(str(path)) for path in self.owners() for path in path.glob("*.json")]
        return [entry["pid"] for entry in entries if entry and entry.get("pid")]

    def inside(self):
        """Give what runs inside, and what builds the wall around it."""
        return processes(self.mark.encode())

    def reaper(self):
        return processes(f"_reaper.py\0{lease.folder()}\0{self.pid}\0".encode())

    def owners(self):
        return list((lease.folder() / "owners").glob(f"{self.pid}-*"))

    def groups(self):
        return [
            path for top in cgroups.hierarchy().folders for path in Path(top).glob(f"blastwall-{self.pid}-*")
        ]


@dataclass(frozen=True, slots=True)
class Victim:
    """Whom to kill.

    Attributes:
        name: For the report.
        rounds: How often.
        aim: Gives the processes; one of them, or all where `together`, are killed in random order.
        together: See there.
        fatal: Whether the host dies of it; otherwise it has to go on.
        swept: Whether somebody has to clean up by hand afterwards.
        kind: What the host does; see `NURSERY`.
        within_s: The latest moment.

    """

    name: str
    rounds: int
    aim: Callable[[Host], list[int]]
    together: bool = False
    fatal: bool = False
    swept: bool = False
    kind: str = "os"
    within_s: float = 0.05


def itself(host):
    return [host.pid]


def with_reaper(host):
    return [host.pid, *host.reaper()]


def gates(host):
    return host.running(b"blastwall.egress.process")


VICTIMS = [
    Victim("the host", 40, itself, fatal=True, within_s=0.15),
    Victim("bubblewrap", 25, Host.outer),
    Victim("something inside", 25, Host.inside),
    Victim("host and reaper", 30, with_reaper, together=True, fatal=True, swept=True, within_s=0.15),
    Victim("host of containers", 12, itself, fatal=True, kind="container", within_s=0.4),
    Victim("any part of a container", 16, lambda host: host.running(b"runsc"), kind="container"),
    Victim("host of a session", 8, itself, fatal=True, kind="container of a session", within_s=0.6),
    Victim(
        "a session's container",
        8,
        lambda host: host.running(b"runsc"),
        kind="container of a session",
        within_s=0.5,
    ),
    Victim("host of workers", 10, itself, fatal=True, kind="workers", within_s=0.4),
    Victim("a worker", 15, Host.outer, kind="workers"),
    Victim("the gate", 10, gates, kind="gate", within_s=0.3),
    Victim("host of a gate", 6, itself, fatal=True, kind="gate", within_s=0.6),
    Victim("host and gate", 4, lambda host: [host.pid, *gates(host)], True, True, kind="gate", within_s=0.6),
    Victim("host of a machine", 3, itself, fatal=True, kind="vm", within_s=5),
    Victim("QEMU", 2, lambda host: host.running(b"qemu-system-"), kind="vm", within_s=5),
]
PROGRAMS = {"container": "runsc", "container of a session": "runsc", "vm": "qemu-system-x86_64"}


class Arena:
    """One workspace, one nursery, and what has to hold after every round."""

    def __init__(self, workspace, canary, nursery):
        self.workspace, self.canary, self._nursery = workspace, canary, nursery
        self.progress, self.hosts = canary.parent / "progress", set()

    def start(self, victim, number):
        mark = str(50_000_000 + os.getpid() * 1000 + number)
        command = (
            f"echo out > {self.canary}; echo evil > .mcp.json; mkdir .git/evil; echo evil > HEAD;"
            f" (sleep {mark} & sleep {mark}) & sleep 0.0$(( $$ % 4 ))"
        )
        self.progress.touch()
        self._nursery.stdin.write(
            "\t".join((str(self.workspace), victim.kind, command, str(self.progress))) + "\n"
        )
        self._nursery.stdin.flush()
        host = Host(int(self._nursery.stdout.readline()), mark)
        self.hosts.add(host.pid)
        return host

    def ended(self, host):
        assert self._nursery.stdout.readline() == "ended\n"
        self.hosts.remove(host.pid)

    def goes_on(self, host):
        """It notices, and runs the next one."""
        before, end = self.progress.stat().st_size, time.monotonic() + 60
        while self.progress.stat().st_size < before + 2:
            assert os.path.exists(f"/proc/{host.pid}"), "the host died"
            assert time.monotonic() < end, f"the host hangs; below it runs {host.below()}"
            time.sleep(0.005)

    def left(self, host):
        """Say what is left of a dead host."""
        return {
            "processes": host.inside() + host.still(),
            "groups": host.groups(),
            "entries": host.owners(),
            "stand-ins": sorted(path.name for path in self.workspace.iterdir()),
            "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.workspace) in line],
        }  # fmt: skip

    def is_clean(self, host, *, sweep):
        end = time.monotonic() + 20
        while any(left := self.left(host).values()) and time.monotonic() < end:
            if sweep:
                _reaper.reap(str(lease.folder()))
            time.sleep(0.01)
        assert not any(left), self.left(host)
        assert not self.canary.exists(), "something ran outside of the sandbox"


@pytest.fixture
def arena(workspace, tmp_path):
    for folder in tmp_path, *tmp_path.parents[:2]:
        folder.chmod(0o755)
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:
        made = Arena(workspace, outside / "canary", nursery)
        try:
            yield made
        finally:
            for pid in made.hosts:  # those that a failed test left
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            nursery.stdin.close()
            assert nursery.wait(20) == 0


def strike(victim, host, chance):
    """Kill, once there is somebody to kill."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        aims = victim.aim(host)
        if aims:
            host.look()
            for pid in chance.sample(aims, len(aims) if victim.together else 1):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return
    pytest.fail("nobody to kill")


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.name.replace(" ", "-"))
def test_whoever_is_killed_nothing_is_left(victim, arena):
    needed(PROGRAMS.get(victim.kind, "bwrap"))
    seed = random.randrange(1 << 32)
    print(f"{victim.name}: seed {seed}")  # noqa: T201  # shown when it fails
    chance = random.Random(seed)
    host = None
    for number in range(victim.rounds):
        if host is None:
            host = arena.start(victim, number)
        time.sleep(chance.uniform(0, victim.within_s))
        strike(victim, host, chance)
        if victim.fatal:
            arena.ended(host)
            arena.is_clean(host, sweep=victim.swept)
            host = None
        else:
            arena.goes_on(host)
    if host is not None:
        host.look()
        os.kill(host.pid, signal.SIGKILL)
        arena.ended(host)
        arena.is_clean(host, sweep=False)


def test_the_canary_sings_when_there_is_no_sandbox(arena):
    """What the command inside does where nothing contains it."""
    subprocess.run(
        ["sh", "-c", f"echo out > {arena.canary}; echo evil > .mcp.json"], cwd=arena.workspace, check=True
    )
    assert arena.canary.exists()
    assert (arena.workspace / ".mcp.json").exists()
