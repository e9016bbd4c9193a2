"""How machines come and go: what QEMU itself may do, who shares what, and that nothing of them is left."""

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.core.sandbox.vm.conftest import changed, folder_for_the_guest, run

from blastwall import sandbox
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import vm
from blastwall.sandbox.vm import image, pump
from blastwall.sandbox.vm import machine as machines
from blastwall.sandbox.vm.channel import spell
from blastwall.sandbox.vm.wire import CONFIGURE
from blastwall.values import Lifetime


def status(pid):
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))


def test_qemu_is_an_ordinary_program_in_a_sandbox_of_its_own(machine, place, qemus):
    (pid,) = qemus(str(place))
    known = status(pid)
    assert "0" not in known["Uid"].split()
    assert "0" not in known["Gid"].split()
    assert known["Groups"].strip() in ("", known["Gid"].split()[0]) or os.geteuid() != 0
    assert {known[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}
    assert (known["NoNewPrivs"], known["Seccomp"]) == ("1", "2")
    assert int(known["Seccomp_filters"]) >= 2  # ours, and its own
    for kind in ("net", "mnt", "pid", "user", "ipc"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


def test_what_qemu_sees_of_the_host(machine, place, qemus):
    (pid,) = qemus(str(place))
    inside = Path(f"/proc/{pid}/root")
    assert not (inside / "etc" / "shadow").exists()
    assert not (inside / str(place.parent / "canary").lstrip("/")).exists()
    assert (inside / str(place).lstrip("/")).is_dir()
    lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]


def test_qemu_holds_one_socket_and_no_other_way_in(machine, place, qemus):
    """The port for commands. A monitor, or a control socket, would be another."""
    (pid,) = qemus(str(place))
    ends = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    assert sum(end.startswith("socket:") for end in ends) == 1
    assert os.readlink(f"/proc/{pid}/fd/0").startswith("/memfd:stdin")
    listening = [
        line
        for name in ("tcp", "tcp6", "unix")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    assert listening == []


def test_two_machines_know_nothing_of_each_other(machine, roomy, tmp_path):
    other = folder_for_the_guest(tmp_path / "other")
    run(machine, "sh", "-c", "echo first > /tmp/mark; echo first > mark")
    with vm.Machine(replace(roomy, workspace=other)) as second:
        assert run(second, "sh", "-c", "cat /tmp/mark mark").out == b""
        assert run(second, "sh", "-c", "echo second > mark").code == 0
        assert run(machine, "cat", "/tmp/mark", "mark").out == b"first\nfirst\n"
    assert (other / "mark").read_text() == "second\n"
    assert run(machine, "echo", "alive").out == b"alive\n"


def test_one_machine_for_a_session_keeps_its_state(machine):
    assert run(machine, "sh", "-c", "echo kept > /tmp/state").code == 0
    assert run(machine, "cat", "/tmp/state").out == b"kept\n"


def test_a_pool_gives_every_call_a_machine_of_its_own(bare):
    """Attack 140."""
    with vm.Pool(replace(bare, warm=1, lifetime=Lifetime.CALL)) as pool:
        with pool.machine() as first:
            assert (
                run(first, "sh", "-c", "echo x > /tmp/mark; echo x > /dev/shm/mark; ls /tmp").out == b"mark\n"
            )
        began = time.monotonic()
        with pool.machine() as second:
            assert second is not first
            assert (
                run(second, "sh", "-c", "ls -A /tmp /dev/shm /run/home /run/workspace | grep mark").out == b""
            )
        assert time.monotonic() - began < machines.BOOT_S
        with pytest.raises(BackendError, match="gone"):
            first.start(["true"])
    with pytest.raises(BackendError, match="closed"), pool.machine():
        pass
    assert threading.active_count() < 10


def test_no_descriptor_is_left_open(bare):
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with vm.launch(["true"], bare, stdin=b"") as command:
            command.wait()
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 2  # what this process holds as an owner


def test_a_trial_with_kvm_ends_either_way():
    why = machines._trial(image.image())
    assert why == "" or why.startswith("a trial boot with KVM failed: no sandbox: ")


def test_a_machine_that_waited_is_fast(bare):
    """The aim is 20 ms; what a test on a busy host can hold is that nothing boots."""
    with vm.Machine(bare) as ready:
        times = []
        for _ in range(10):
            time.sleep(0.2)
            began = time.monotonic()
            run(ready, "true")
            times.append(time.monotonic() - began)
    assert sorted(times)[5] < 0.5


def test_a_sudden_end_of_the_host_leaves_no_machine(tmp_path, qemus):
    folder = folder_for_the_guest(tmp_path / "work")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from blastwall.sandbox import vm; from blastwall.values import Profile, Strength\n"
        "profile = Profile('x', strength=Strength.VM, workspace=Path(sys.argv[1]), memory_mb=128)\n"
        "with vm.Machine(profile):\n"
        "    print('booted', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE) as host:
        assert host.stdout.readline() == b"booted\n"
        assert len(qemus(str(folder))) == 1
        host.kill()
    for _ in range(200):
        if not qemus(str(folder)) and not list(folder.iterdir()):
            break
        time.sleep(0.05)
    assert qemus(str(folder)) == []
    assert list(folder.iterdir()) == []  # nor what stood in for protected files


def test_time_is_up(roomy, tmp_path, qemus):
    folder = folder_for_the_guest(tmp_path / "slow")
    profile = replace(roomy, workspace=folder)
    with vm.Machine(profile) as ready:
        done = sandbox.run(
            ["sh", "-c", "echo begun; sleep 300"],
            replace(profile, timeout_s=2),
            launch=lambda argv, *_, stdin, **__: ready.start(argv, stdin=stdin),
        )
        assert (done.stdout, done.timed_out, done.returncode) == (b"begun\n", True, -9)
        assert b"sleep" not in run(ready, "ps", "-o", "args").out.replace(b"ps -o", b"")
    assert qemus(str(folder)) == []


def test_an_interrupted_boot_leaves_nothing(bare, monkeypatch, qemus):
    before = set(qemus("commands"))
    booting = vm.Machine(bare)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(booting, "ready", interrupted)
    with pytest.raises(KeyboardInterrupt), booting:
        pass
    assert set(qemus("commands")) == before


def test_one_that_does_not_boot_in_time(bare, qemus):
    before = set(qemus("commands"))
    slow = vm.Machine(bare)
    slow.boot()
    with pytest.raises(SandboxUnavailable, match=r"did not boot within 0\.01 s; it said"):
        slow.ready(0.01)
    slow.close()
    assert set(qemus("commands")) == before


def test_a_guest_that_crashes_at_its_start_tells_why(bare):
    broken = changed("        furnish(config)\n", "        raise SystemExit('no furniture')\n")
    with pytest.raises(SandboxUnavailable, match="did not start; it said last: .*"):
        vm.Machine(bare, built=broken).__enter__()


@pytest.mark.parametrize("message", [spell(9, 0), spell(CONFIGURE, 0, b"{}")], ids=["unknown", "once more"])
def test_the_guest_takes_no_other_word_from_us_either(bare, message):
    """No message widens a running machine, not even one from this side: it panics rather than to guess."""
    with vm.Machine(bare) as ready:
        ready._pump.ask(lambda: ready._pump._send(message))
        with ready.start(["sleep", "60"], stdin=b"") as command, pytest.raises(BackendError):
            command.wait()


def test_a_guest_that_does_not_kill_loses_the_machine(bare, monkeypatch):
    """Attack 139: one that hangs."""
    monkeypatch.setattr(pump, "DYING_S", 0.5)
    deaf = changed("            command.killed = True\n            _kill(command)\n", "            pass\n")
    with vm.Machine(bare, built=deaf) as ready, ready.start(["sleep", "60"], stdin=b"") as command:
        command.kill()
        with pytest.raises(BackendError, match="can't be killed"):
            command.wait()


def test_ready_to_be_launched_by_the_profile_alone(bare):
    done = sandbox.run(["sh", "-c", "cat; uname -n"], bare, stdin=b"hello\n")
    assert (done.stdout, done.returncode) == (b"hello\nsandbox\n", 0)


def test_a_python_tool(bare):
    def tool(words):
        return [os.uname().nodename, *sorted(words)]

    assert sandbox.call(tool, {"words": ["b", "a"]}, bare) == ("sandbox", "a", "b")


def test_images_are_not_kept_in_a_workspace(roomy, tmp_path, monkeypatch):
    built = image.image()
    with pytest.raises(BackendError, match="holds the images"):
        vm.Machine(replace(roomy, workspace=built.folder.parent), built=built)


def test_the_doctor():
    found = vm.probe()
    assert found.ok, found
    assert re.match(r"QEMU with (TCG|KVM), kernel \d+\.\d+\S*, no network card", found.detail)
    assert ("emulated" in found.detail) == ("TCG" in found.detail)


def test_the_doctor_without_qemu(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    found = vm.probe()
    assert (found.ok, found.detail) == (False, "")
    assert "apt-get install" in found.fix
