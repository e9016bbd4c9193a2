"""Whoever is killed, and whenever: of a container nothing is left, no process, no mount and no file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOST = """
import sys
from blastwall import sandbox
from blastwall.values import Profile, Strength
from pathlib import Path
profile = Profile("killed", strength=Strength.CONTAINER, workspace=Path(sys.argv[1]), timeout_s=60)
if sys.argv[2] == "call":
    with sandbox.launch(["sh", "-c", "sleep 300 & echo up; sleep 300"], profile, stdin=b"") as running:
        print(running.stdout.readline(), flush=True)
        running.wait()
else:
    from blastwall.sandbox.gvisor.session import Container
    with Container(profile) as box, box.start(["sh", "-c", "sleep 300 & echo up; sleep 300"]) as running:
        print(running.stdout.readline(), flush=True)
        running.wait()
"""


@pytest.fixture
def host(workspace):
    """Starts a program that holds a container, and kills it at the end in any case."""
    started = []

    def start(kind):
        program = subprocess.Popen([sys.executable, "-c", HOST, str(workspace), kind], stdout=subprocess.PIPE)
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.communicate()


def confined(program):
    """Give what is in the program's control groups, where there are some."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"/blastwall-{program.pid}-" in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def empty(workspace, program, within_s=10):
    """Wait until neither placeholders nor processes are left."""
    end = time.monotonic() + within_s
    while (left := [*workspace.iterdir(), *confined(program)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("kind", ["call", "session"])
def test_the_program_is_killed(host, workspace, processes, kind):
    below, gone = processes
    mounts = Path("/proc/self/mountinfo").read_text()
    program = host(kind)
    assert program.stdout.readline() == b"b'up\\n'\n"
    inside = [
        found for found in below(program.pid) if "python" not in found.name
    ]  # not the one that cleans up
    assert {"runsc-sandbox", "runsc-gofer"} <= {found.name for found in inside}
    os.kill(program.pid, signal.SIGKILL)
    assert gone(inside) == []
    assert empty(workspace, program) == []
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not list(Path("/run").glob("runsc*"))


@pytest.mark.parametrize("after_s", [0.02, 0.05, 0.08, 0.12, 0.18, 0.25])
def test_the_program_is_killed_while_it_starts_one(host, workspace, processes, after_s):
    below, gone = processes
    program = host("call")
    while not any(found.name.endswith(("bwrap", "sh")) for found in below(program.pid)):
        assert program.poll() is None
    time.sleep(after_s)
    inside = [found for found in below(program.pid) if "python" not in found.name]
    os.kill(program.pid, signal.SIGKILL)
    assert gone(inside) == []
    assert empty(workspace, program) == []


@pytest.mark.parametrize("name", ["runsc-sandbox", "runsc-gofer", "/usr/bin/runsc", "/usr/bin/bwrap"])
def test_a_part_of_it_is_killed(host, workspace, processes, name):
    """Then the rest goes too, and the program hears of it."""
    below, gone = processes
    program = host("call")
    assert program.stdout.readline() == b"b'up\\n'\n"
    inside = [found for found in below(program.pid) if "python" not in found.name]
    part = next(found for found in inside if found.name == name)
    os.kill(part.pid, signal.SIGKILL)
    assert program.wait(15) == 0
    assert gone(inside) == []
    assert empty(workspace, program) == []
