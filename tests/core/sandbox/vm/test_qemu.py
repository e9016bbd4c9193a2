"""How QEMU is started: what is in its words, and what must never be."""

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.vm import accelerator, qemu
from blastwall.sandbox.vm.guest import configuration
from blastwall.sandbox.vm.image import Image
from blastwall.sandbox.vm.machine import Machine
from blastwall.values import Destination, Profile, Strength

PROFILE = Profile("vm", strength=Strength.VM, memory_mb=200)


@pytest.fixture
def built(tmp_path):
    (tmp_path / "image").mkdir()
    return Image(tmp_path / "image", "6.1")


def words(built, profile=PROFILE, tunnel=None, processor=qemu.TCG):
    return qemu.command(built, profile, qemu.Ports(7, tunnel), processor)


def options(found, name):
    return [value for option, value in itertools.pairwise(found) if option == name]


def test_no_network_card_and_nobody_to_talk_to(built):
    found = words(built)
    assert options(found, "-nic") == ["none"]
    assert options(found, "-monitor") == ["none"]
    assert not {"-netdev", "-net", "-qmp", "-mon", "-gdb", "-s", "-incoming", "-usb", "-vnc", "-spice"} & set(
        found
    )
    assert "-nodefaults" in found
    assert "-no-user-config" in found
    assert options(found, "-sandbox") == [
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    ]


def test_every_device(built, tmp_path):
    profile = replace(PROFILE, workspace=tmp_path)
    kinds = [device.split(",")[0] for device in options(words(built, profile, 9), "-device")]
    assert kinds == [
        "virtio-blk-pci",
        "virtio-serial-pci",
        "virtserialport",
        "virtserialport",
        "virtio-9p-pci",
    ]
    kinds = [device.split(",")[0] for device in options(words(built), "-device")]
    assert kinds == ["virtio-blk-pci", "virtio-serial-pci", "virtserialport"]


def test_only_inherited_sockets(built):
    assert options(words(built, tunnel=9), "-chardev") == ["socket,id=commands,fd=7", "socket,id=egress,fd=9"]
    assert qemu.Ports(7, 9).descriptors == (7, 9)
    assert qemu.Ports(7).descriptors == (7,)


def test_the_disk_is_read_only(built):
    (drive,) = options(words(built), "-drive")
    assert "readonly=on" in drive.split(",")


def test_a_workspace_with_a_comma_shares_no_other_folder(built):
    (share,) = options(words(built, replace(PROFILE, workspace=Path("/w,path=/etc"))), "-fsdev")
    assert "path=/w,,path=/etc," in share
    (share,) = options(words(built, replace(PROFILE, workspace=Path("/w"), shown_as=Path("/seen"))), "-fsdev")
    assert "path=/seen," in share


@pytest.mark.parametrize("processor", [qemu.KVM, qemu.TCG])
def test_processors(built, processor):
    found = words(built, processor=processor)
    assert options(found, "-accel")[0].split(",")[0] == processor
    assert options(found, "-cpu") == ["host" if processor == qemu.KVM else "max"]
    assert "mitigations" not in options(found, "-append")[0]


def test_the_outer_sandbox_shows_the_workspace_and_no_more(tmp_path):
    wide = replace(
        PROFILE, workspace=tmp_path, network=(Destination("a.test"),), credentials=("c",), env=(("A", "b"),)
    )
    outer = qemu.outer(wide)
    assert (outer.network, outer.credentials, outer.env, outer.read) == ((), (), (), ())
    assert (outer.workspace, outer.protect, outer.mask) == (tmp_path, wide.protect, wide.mask)
    assert outer.memory_mb > qemu.guest_mb(wide) > wide.memory_mb
    with pytest.raises(BackendError, match="workspace only"):
        qemu.outer(replace(wide, read=(Path("/srv"),)))


def test_without_qemu(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable, match="apt-get install qemu-system-x86"):
        qemu.program()


def test_what_a_machine_can_be_asked_by_anybody_who_holds_one():
    """Nothing takes a profile, a path, a device or an address once it is made."""
    public = {name for name in vars(Machine) if not name.startswith("_")}
    assert public == {"boot", "ready", "start", "close"}


class Gate:
    def __init__(self, files):
        self.files, self.env = files, {}


def test_a_guest_is_given_files_below_run_only():
    assert b"/run/blastwall/ca.pem" in configuration(PROFILE, Gate({"/run/blastwall/ca.pem": b"x"}))
    with pytest.raises(BackendError, match="/usr/bin/sh"):
        configuration(PROFILE, Gate({"/usr/bin/sh": b"x"}))


# --- Whether KVM works -----------------------------------------------------------------------------------


@pytest.fixture
def device(tmp_path, monkeypatch):
    found = tmp_path / "kvm"
    found.write_text("")
    found.chmod(0o666)
    monkeypatch.setattr(accelerator, "DEVICE", found)
    return found


def test_no_device_no_trial(built, device):
    device.unlink()
    assert accelerator.chosen(built, None) == (qemu.TCG, f"there is no {device}")


def test_a_device_that_qemu_may_not_open(built, device):
    device.chmod(0o600 if os.geteuid() == 0 else 0)
    processor, why = accelerator.chosen(built, None)
    assert processor == qemu.TCG
    assert "chmod 666" in why


@pytest.mark.parametrize(("problem", "processor"), [("", qemu.KVM), ("it hung", qemu.TCG)])
def test_a_trial_decides_until_the_next_start_of_the_host(
    built, device, monkeypatch, tmp_path, problem, processor
):
    trials = []

    def trial():
        trials.append(1)
        return problem

    for _ in range(2):
        assert accelerator.chosen(built, trial)[0] == processor
    assert len(trials) == 1
    boot = tmp_path / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr(accelerator, "_BOOT_ID", boot)
    assert accelerator.chosen(built, trial)[0] == processor
    assert len(trials) == 2
