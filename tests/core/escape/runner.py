"""Runs attacks in a sandbox, through a gate if they have one, and outside of one as their control."""

import contextlib
import os
import struct
import subprocess
from typing import Any

import pytest
from tests.core.escape.naive import Naive
from tests.core.escape.world import GROUP, PYTHON, USER, World

from blastwall.egress import PORT
from blastwall.sandbox import Completed, seccomp
from blastwall.sandbox.escape import attempt
from blastwall.sandbox.escape.attacks import Attack
from blastwall.sandbox.escape.attempt import INSIDE, asked, profile_of
from blastwall.sandbox.escape.verdicts import Answer, answers

__all__ = ["control", "profile_of", "run_inside", "run_outside", "unfiltered"]

COMMAND = (PYTHON, "-I", "-c", INSIDE)
ALLOW_ALL = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)


def run_inside(profile, attacks, world: World, gate=None) -> dict[str, Answer]:
    """Run attacks in one sandbox, and give what came of each."""
    world.proxy = None if gate is None else ("127.0.0.1", PORT)
    options = {} if gate is None else {"gate": gate}
    return attempt.run_inside(profile, attacks, world, **options)


def run_outside(attack: Attack, world: World, *, root: bool) -> Answer:
    """Run one attack as an ordinary process, against the same canaries."""
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0 and not root:
        as_user = {"user": USER, "group": GROUP, "extra_groups": []}
    done = subprocess.run(
        COMMAND, input=asked([attack], world.aims, control=True), cwd=world.workspace, capture_output=True,
        timeout=attack.timeout + 10, close_fds=False, **as_user,
    )  # fmt: skip
    completed = Completed(done.returncode, done.stdout, done.stderr, False, False, 0.0)
    return answers([attack], completed, world.changed())[attack.key]


def control(attack: Attack, world: World) -> Answer | None:
    """Show that an attack works where the wall is not. None where only root could show it, and we are not."""
    if attack.control == "roomy":
        wide = profile_of("os", world, dict(attack.profile) | dict(attack.roomy))
        return run_inside(wide, [attack], world)[attack.key]
    if attack.control == "unfiltered":
        with unfiltered():
            return run_inside(profile_of("os", world, attack.profile), [attack], world)[attack.key]
    if attack.control == "naive":
        with Naive() as proxy:
            world.proxy = ("127.0.0.1", proxy.port)
            return run_outside(attack, world, root=False)
    if attack.control == "root" and os.geteuid() != 0:
        return None
    return run_outside(attack, world, root=attack.control == "root")


@contextlib.contextmanager
def unfiltered():
    """Let every system call through to the kernel, for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seccomp, "program", lambda: ALLOW_ALL)
        yield
