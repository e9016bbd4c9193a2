"""Containers of gVisor's, a stand-in for the gate, and a way to see what is left of them."""

import contextlib
import os
import shutil
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from blastwall.values import Profile, Strength

OUTER = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.fixture(autouse=True)
def _gvisor(request):
    if request.path.name != "test_bundle.py" and not os.environ.get("CI"):
        if shutil.which("runsc", path=OUTER) is None:
            pytest.skip("gVisor is not installed")


@pytest.fixture
def profile(workspace):
    return Profile("box", strength=Strength.CONTAINER, workspace=workspace, timeout_s=30, memory_mb=512)


class Gate:
    """Says its name to whoever connects to the listener that was made inside."""

    def __init__(self, name):
        self.name = name
        self.env = {"TOKEN": f"PLACEHOLDER-OF-{name}"}
        self.files = {"/run/blastwall/ca.pem": name.encode()}
        self._ends = []

    def listener(self):
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        self._ends.append(ours)
        threading.Thread(target=self._serve, args=(ours,), daemon=True).start()
        return theirs.detach()

    def _serve(self, ours):
        with contextlib.suppress(OSError), ours:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            for descriptor in descriptors:
                with socket.socket(fileno=descriptor) as listener:
                    self._ends.append(listener)
                    while True:
                        connection, _ = listener.accept()
                        with connection:
                            connection.sendall(self.name.encode())

    def close(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gates():
    """Makes gates."""
    made = []

    def make(name):
        made.append(Gate(name))
        return made[-1]

    yield make
    for gate in made:
        gate.close()


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    started: str
    name: str

    def alive(self):
        found = stat(self.pid)
        return found is not None and found[19] == self.started and found[0] not in ("Z", "X")


def stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def below(top):
    """Give every process that this one started, at any depth."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := stat(entry.name)):
            children.setdefault(int(found[1]), []).append((int(entry.name), found[19]))
    ahead, seen = [top], []
    while ahead:
        for pid, started in children.get(ahead.pop(), []):
            ahead.append(pid)
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
                seen.append(Process(pid, started, name))
    return seen


def gone(processes, within_s=5):
    """Wait until these are no more, and give those that stayed."""
    deadline = time.monotonic() + within_s
    while (left := [process for process in processes if process.alive()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@pytest.fixture
def processes():
    """Gives `below` and `gone`."""
    return below, gone
