"""Machines to be attacked. Emulated ones take seconds to boot, so the tests of a file share one where they can."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from blastwall.sandbox import vm
from blastwall.sandbox.vm import contents
from blastwall.sandbox.vm import image as images
from blastwall.values import Profile, Strength

NOBODY = 65534
ORDINARY = '        drop(config["uid"], config["gid"])\n        _run(asked)\n'
"""The one place in which a command of a guest becomes an ordinary user."""


@pytest.fixture(scope="session", autouse=True)
def _qemu():
    if not os.environ.get("CI"):
        for program in ("bwrap", "qemu-system-x86_64", "busybox"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")


def changed(old, new):
    """Give an image in which one line of the guest's own programs says something else."""
    sources = contents.sources()
    (name,) = [name for name, source in sources.items() if old.encode() in source]
    assert sources[name].count(old.encode()) == 1
    return images.image({**sources, name: sources[name].replace(old.encode(), new.encode())})


@pytest.fixture(scope="session")
def rooted():
    """The image of a guest whose commands are root. The shipped one has no way to be."""
    return changed(ORDINARY, "        _run(asked)\n")


@dataclass
class Done:
    code: int
    out: bytes
    err: bytes


def run(machine, *argv, stdin=b"", **options):
    with machine.start(argv, stdin=stdin, **options) as command:
        # One after the other is enough: a flood of one does not hold up the other.
        return Done(out=command.stdout.read(), err=command.stderr.read(), code=command.wait())


def python(machine, code, *arguments, stdin=b""):
    return run(machine, "python3", "-I", "-S", "-c", code, *arguments, stdin=stdin)


def folder_for_the_guest(path):
    path.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace, with something outside of it that nobody inside may see or touch."""
    top = tmp_path_factory.mktemp("vm")
    folder = folder_for_the_guest(top / "workspace")
    (top / "canary").write_text("CANARY-OUTSIDE")
    (top / "canary").chmod(0o666)
    return folder


@pytest.fixture(scope="module")
def roomy(place):
    return Profile("vm", strength=Strength.VM, workspace=place, timeout_s=60, memory_mb=192, scratch_mb=16)


@pytest.fixture(scope="module")
def machine(roomy):
    """An ordinary machine, shared by the tests of one file."""
    with vm.Machine(roomy) as found:
        yield found


@pytest.fixture(scope="module")
def bare():
    """A profile without a workspace."""
    return Profile("bare", strength=Strength.VM, timeout_s=60, memory_mb=128, scratch_mb=16)


@pytest.fixture
def qemus():
    """Gives the ids of the QEMU processes whose command line holds a mark."""

    def find(mark):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue
            if words and words[0].endswith(b"/qemu-system-x86_64") and any(mark.encode() in w for w in words):
                found.append(int(entry.name))
        return found

    return find
