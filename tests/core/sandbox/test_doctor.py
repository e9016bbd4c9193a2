"""The doctor: it tries rather than believes."""

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blastwall import sandbox
from blastwall.cli import app
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import doctor, seccomp
from blastwall.sandbox.escape import attempt
from blastwall.sandbox.escape.attacks import attacks
from blastwall.sandbox.escape.verdicts import Answer, Verdict, settled
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


def chosen(monkeypatch, *names):
    """Have the doctor try these only, in one sandbox if there are several."""
    found = [attack for attack in attacks() if attack.name in names]
    assert len(found) == len(names)
    monkeypatch.setattr(doctor, "_batches", lambda *_, **__: [found])


def test_nothing_gets_out():
    checks = list(sandbox.escapes())
    assert len(checks) == doctor.count(Strength.OS) > 230
    assert [check for check in checks if not check.verdict.expected] == []
    through = [check for check in checks if not check.held]
    assert {check.verdict for check in through} == {Verdict.OPEN}
    assert all(check.detail for check in through)


def test_a_wall_with_a_hole_is_found_out(monkeypatch):
    """Without the filter some attempts get through, and the doctor says which."""
    monkeypatch.setattr(seccomp, "program", lambda: struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
    chosen(monkeypatch, "open a Unix socket at all", "write a file outside", "open a netlink socket")
    found = {check.name: check.verdict for check in sandbox.escapes()}
    assert found == {
        "open a Unix socket at all": Verdict.ESCAPED,
        "open a netlink socket": Verdict.ESCAPED,
        "write a file outside": Verdict.STOPPED,
    }


def test_a_wall_that_lets_writes_out_is_found_out(monkeypatch):
    """Whoever did it says so, and those that were refused are not blamed."""
    inside = attempt.run_inside

    def leaky(profile, tried, world, **options):
        return inside(replace(profile, read=(), mask=(), workspace=world.outside), tried, world, **options)

    monkeypatch.setattr(attempt, "run_inside", leaky)
    chosen(monkeypatch, "write a file outside", "open a netlink socket")
    found = {check.name: check for check in sandbox.escapes()}
    assert found["write a file outside"].verdict is Verdict.ESCAPED
    assert "/outside/canary" in found["write a file outside"].detail
    assert found["open a netlink socket"].verdict is Verdict.STOPPED
    assert len(found) == 2


def test_a_change_that_nobody_admits_to(monkeypatch):
    def silent(profile, tried, world, **options):
        return {each.key: Answer("HELD", "EPERM", ("/tmp/x",)) for each in tried}

    monkeypatch.setattr(attempt, "run_inside", silent)
    chosen(monkeypatch, "write a file outside", "open a netlink socket")
    *others, last = sandbox.escapes()
    assert all(check.held for check in others)
    assert (last.verdict, last.detail) == (Verdict.ESCAPED, "/tmp/x")


def test_who_got_what_is_the_sandboxs_own_is_not_blamed_for_another(monkeypatch):
    def one(profile, tried, world, **options):
        kinds = {"open a netlink socket": ("ESCAPED", ""), "write a file outside": ("DONE", "")}
        return {each.key: settled(Answer(*kinds[each.name]), ("/tmp/x",), shared=True) for each in tried}

    monkeypatch.setattr(attempt, "run_inside", one)
    chosen(monkeypatch, "write a file outside", "open a netlink socket")
    found = {check.name: check.verdict for check in sandbox.escapes(Strength.CONTAINER)}
    assert found == {"write a file outside": Verdict.ESCAPED, "open a netlink socket": Verdict.OWN}


def test_an_attack_that_breaks_the_sandbox_is_broken(monkeypatch):
    def falls(*_, **__):
        raise BackendError("the virtual machine ended by itself")

    monkeypatch.setattr(attempt, "run_inside", falls)
    chosen(monkeypatch, "fill the memory")
    assert [(check.verdict, check.detail) for check in sandbox.escapes()] == [
        (Verdict.BROKEN, "the virtual machine ended by itself")
    ]
    chosen(monkeypatch, "write a file outside", "open a netlink socket")
    with pytest.raises(BackendError, match="ended by itself"):
        list(sandbox.escapes())


def test_attempts_that_could_not_start(monkeypatch):
    monkeypatch.setattr(attempt, "run", ended(1))
    with pytest.raises(BackendError, match="could not start inside: it never ran"):
        list(sandbox.escapes())


def test_no_sandbox_to_get_out_of(monkeypatch):
    def missing(*_, **__):
        raise SandboxUnavailable("no sandbox: bubblewrap is missing")

    monkeypatch.setattr(attempt, "run_inside", missing)
    chosen(monkeypatch, "fill the memory")
    with pytest.raises(SandboxUnavailable):
        list(sandbox.escapes())


def test_what_is_tried_where(monkeypatch):
    assert doctor.count(Strength.OS) == doctor.count(Strength.OS, everything=True)
    assert 200 < doctor.count(Strength.VM) < doctor.count(Strength.VM, everything=True)
    together, *alone = doctor._batches(Strength.VM, everything=False)
    assert all(attack.quick for (attack,) in alone)
    assert not any(attack.gated for attack in together)
    before = doctor.count(Strength.OS)
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    assert doctor.count(Strength.OS) < before


# --- What it says -------------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch):
    """Run the command on a machine where one sandbox works, with these checks to tell of."""
    works = doctor.Probe(Strength.OS, available=True, detail="fine")
    lacks = doctor.Probe(Strength.VM, available=False, problem="QEMU is missing", fix="get it")
    monkeypatch.setattr(sandbox, "probe", lambda strength: lacks if strength is Strength.VM else works)

    def tell(*words, checks=()):
        def escapes(strength, *, everything=False):
            for check in checks:
                if isinstance(check, Exception):
                    raise check
                yield check

        monkeypatch.setattr(sandbox, "escapes", escapes)
        return CliRunner().invoke(app, ["doctor", *words])

    return tell


def check(verdict, detail="", *, name="dig", group="files"):
    return sandbox.Check(Strength.OS, 7, name, group, verdict, detail)


def test_a_line_for_each_group_and_for_each_that_was_not_stopped(told):
    checks = [
        check(Verdict.STOPPED),
        check(Verdict.OWN),
        check(Verdict.OPEN, "so it is"),
        check(Verdict.WORKS),
    ]
    found = told("--escape", "--strength", "os", checks=checks)
    assert found.exit_code == 0
    assert found.stdout.splitlines() == [
        "works    os         fine",
        "held     os         files        3 of 4",
        "open     os         files        7 dig: so it is",
    ]


def test_what_got_out_is_told_and_fails(told):
    found = told("--escape", "-s", "os", checks=[check(Verdict.STOPPED), check(Verdict.ESCAPED, "a\nb")])
    assert found.exit_code == 1
    assert "ESCAPED  os         files        7 dig: a b\n1 got out: " in found.stdout
    assert "report it" in found.stdout


def test_what_is_broken_is_told_and_fails(told):
    found = told("--escape", "-s", "os", checks=[check(Verdict.BROKEN, "x" * 1000)])
    assert found.exit_code == 1
    assert "broken   os         files        7 dig: xxx" in found.stdout
    assert "1 broke, which says nothing about the wall: please report it" in found.stdout
    assert len(found.stdout) < 700


def test_a_suite_that_fails_on_its_way_is_told_and_fails(told):
    found = told("--escape", "-s", "os", checks=[check(Verdict.STOPPED), BackendError("no room in /tmp")])
    assert found.exit_code == 1
    assert "no room in /tmp" in found.stdout
    assert "held     os         files        1 of 2" in found.stdout


def test_all_of_it_as_json(told):
    found = told("--escape", "-s", "os", "--json", checks=[check(Verdict.OPEN, "so it is")])
    body = json.loads(found.stdout)
    assert body["ok"] is True
    assert body["escapes"] == [
        {"strength": "os", "group": "files", "item": 7, "name": "dig", "held": False, "verdict": "open",
         "detail": "so it is"}
    ]  # fmt: skip


def test_one_that_was_asked_for_and_is_missing_fails(told):
    found = told("--escape", "--strength", "vm")
    assert found.exit_code == 1
    assert found.stdout.splitlines()[0].split() == "missing vm QEMU is missing".split()
    assert "os" not in found.stdout.split()


def test_a_plea_to_end_unwinds():
    """SIGTERM: the canaries go, and so does the process that was one of them."""
    words = [sys.executable, "-c", "from blastwall.cli import main; main()", "doctor", "--escape", "-s", "os"]
    before = set(Path("/tmp").glob("bwe-*"))
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        mine = []
        while not mine and time.monotonic() < end:
            time.sleep(0.05)
            mine = [path for path in set(Path("/tmp").glob("bwe-*")) - before if sleeper(running.pid)]
        assert mine
        children = sleeper(running.pid)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 128 + signal.SIGTERM
    finally:
        running.kill()
        running.wait()
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def sleeper(pid):
    """Give the children of a process whose command line has a canary in it."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"canary-" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def test_there_is_no_such_name():
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = sandbox.missing
