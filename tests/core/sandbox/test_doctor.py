"""The doctor: it tries rather than believes."""

import os
import shutil
import struct

import pytest

from blastwall import sandbox
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import doctor, seccomp
from blastwall.sandbox.gvisor import outer
from blastwall.sandbox.process import Completed
from blastwall.values import Strength


def ended(returncode, stdout=b""):
    return lambda *_, **__: Completed(returncode, stdout, b"", False, False, 0.0)


def test_what_works_here():
    found = sandbox.probe(Strength.OS)
    assert found.available
    assert "bwrap" in found.detail


@pytest.mark.parametrize(
    ("strength", "program", "says"),
    [
        (Strength.CONTAINER, "runsc", "runsc, platform "),
        (Strength.VM, "qemu-system-x86_64", "QEMU with "),
    ],
)
def test_the_stronger_ones(strength, program, says):
    if shutil.which(program) is None and not os.environ.get("CI"):
        pytest.skip(f"{program} is not installed")
    found = sandbox.probe(strength)
    assert found.available, found.problem
    assert says in found.detail


@pytest.mark.parametrize(
    ("strength", "program"), [(Strength.CONTAINER, "runsc"), (Strength.VM, "qemu-system-x86")]
)
def test_what_is_not_there(strength, program, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **kw: None if name.startswith(program) else which(name, **kw)
    )
    outer.runsc.cache_clear()
    found = sandbox.probe(strength)
    outer.runsc.cache_clear()
    assert not found.available
    assert "missing" in found.problem
    assert f"apt-get install {program}" in found.fix


def test_what_is_missing_and_the_line_that_helps(monkeypatch):
    def missing(*_, **__):
        raise SandboxUnavailable("no sandbox: bubblewrap is missing; install it: apt-get install bubblewrap")

    monkeypatch.setattr(doctor, "run", missing)
    found = sandbox.probe(Strength.OS)
    assert (found.problem, found.fix) == (
        "bubblewrap is missing",
        "install it: apt-get install bubblewrap",
    )


def test_a_sandbox_in_which_nothing_works(monkeypatch):
    monkeypatch.setattr(doctor, "run", ended(127))
    assert not sandbox.probe(Strength.OS).available


def test_nothing_gets_out():
    checks = sandbox.escapes()
    assert len(checks) >= 18
    assert [check for check in checks if not check.held] == []


def test_a_wall_with_a_hole_is_found_out(monkeypatch):
    """Without the filter some attempts get through, and the doctor says which."""
    monkeypatch.setattr(seccomp, "program", lambda: struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
    held = {check.name: check.held for check in sandbox.escapes()}
    assert not held["open a Unix socket"]
    assert not held["read the kernel's keyring"]
    assert held["read a file outside"]


def test_attempts_that_could_not_start(monkeypatch):
    monkeypatch.setattr(doctor, "run", ended(1))
    with pytest.raises(BackendError, match="could not start"):
        sandbox.escapes()


def test_there_is_no_such_name():
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = sandbox.missing
