"""Somebody is killed at a random moment, again and again: nothing runs on, and nothing is left behind.

A victim is a line in `VICTIMS`: whom to aim at, in a sandbox of which strength. A new kind of sandbox is added there.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from blastwall.sandbox import _reaper, cgroups, lease

NURSERY = """
import os, random, signal, sys
from pathlib import Path
from blastwall import sandbox
from blastwall.errors import BackendError
from blastwall.values import Profile, Strength

def host(workspace, strength, command, progress):
    profile = Profile("chaos", workspace=Path(workspace), strength=Strength(strength), timeout_s=3)
    while True:
        try:
            sandbox.run(["sh", "-c", command], profile)
        except BackendError:
            pass
        with open(progress, "ab") as file:
            file.write(b".")

for line in sys.stdin:
    workspace, strength, command, progress = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        try:
            host(workspace, strength, command, progress)
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


@dataclass(slots=True)
class Host:
    """A program that runs one sandbox after the other."""

    pid: int
    mark: str

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
        strength: The kind of sandbox.

    """

    name: str
    rounds: int
    aim: Callable[[Host], list[int]]
    together: bool = False
    fatal: bool = False
    swept: bool = False
    strength: str = "os"


VICTIMS = [
    Victim("the host", 60, lambda host: [host.pid], fatal=True),
    Victim("bubblewrap", 45, Host.outer),
    Victim("something inside", 45, Host.inside),
    Victim(
        "host and reaper", 50, lambda host: [host.pid, *host.reaper()], together=True, fatal=True, swept=True
    ),
]


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
            "\t".join((str(self.workspace), victim.strength, command, str(self.progress))) + "\n"
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
        before, end = self.progress.stat().st_size, time.monotonic() + 20
        while self.progress.stat().st_size < before + 2:
            assert os.path.exists(f"/proc/{host.pid}"), "the host died"
            assert time.monotonic() < end, f"the host hangs; inside runs {host.inside()}"
            time.sleep(0.005)

    def left(self, host):
        """Say what is left of a dead host."""
        return {
            "processes": host.inside(),
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
                os.kill(pid, signal.SIGKILL)
            nursery.stdin.close()
            assert nursery.wait(20) == 0


def strike(victim, host, chance):
    """Kill, once there is somebody to kill."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        aims = victim.aim(host)
        if aims:
            for pid in chance.sample(aims, len(aims) if victim.together else 1):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return
    pytest.fail("nobody to kill")


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.name.replace(" ", "-"))
def test_whoever_is_killed_nothing_is_left(victim, arena):
    seed = random.randrange(1 << 32)
    print(f"{victim.name}: seed {seed}")  # noqa: T201  # shown when it fails
    chance = random.Random(seed)
    host = None
    for number in range(victim.rounds):
        if host is None:
            host = arena.start(victim, number)
        time.sleep(chance.uniform(0, 0.15) if victim.fatal else chance.uniform(0, 0.05))
        strike(victim, host, chance)
        if victim.fatal:
            arena.ended(host)
            arena.is_clean(host, sweep=victim.swept)
            host = None
        else:
            arena.goes_on(host)
    if host is not None:
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
