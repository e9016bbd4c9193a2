"""Runs attacks in a sandbox of any strength, and outside of one as their control."""

import contextlib
import json
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.core.escape.attacks import Attack
from tests.core.escape.naive import Naive
from tests.core.escape.world import GROUP, PYTHON, USER, World

from blastwall import sandbox
from blastwall.egress import PORT, Gate
from blastwall.sandbox import Completed, seccomp
from blastwall.values import Profile, Strength

INSIDE = Path(__file__).with_name("inside.py").read_text("utf-8")
COMMAND = (PYTHON, "-I", "-c", INSIDE)
ALLOW_ALL = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
SAID = ("ESCAPED", "HELD", "DONE", "WORKS", "BROKEN")
KILLED = -9


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attack: a word, and details for people."""

    kind: str
    why: str = ""
    changed: tuple[str, ...] = ()


def profile_of(backend: str, world: World, changes: Mapping[str, Any]) -> Profile:
    """Give the profile of one attack's sandbox."""
    slow = 10 if backend == "vm" else 1
    plain = Profile(
        "escape", strength=Strength(backend), workspace=world.workspace,
        read=() if backend == "vm" else (world.readable,),  # a machine is shown its workspace only
        mask=(world.workspace / "vault" / "secret",), timeout_s=20 * slow, memory_mb=512, scratch_mb=32,
        processes=64,
    )  # fmt: skip
    return replace(plain, **{name: _value(name, value, world) for name, value in changes.items()})


def _value(name: str, value: Any, world: World) -> Any:
    if name in ("read", "mask"):
        return tuple(Path(path.format(**world.aims)) for path in value)
    if name == "env":
        return tuple((key, text.format(**world.aims)) for key, text in value.items())
    return tuple(value) if isinstance(value, list) else value


def asked(attacks: Sequence[Attack], aims: Mapping[str, Any], *, control: bool) -> bytes:
    """Give what `inside.py` reads."""
    entries = [
        {"key": a.key, "python": a.python, "outside": a.outside, "held": a.held, "timeout": a.timeout}
        for a in attacks
    ]
    return json.dumps({"aims": aims, "attacks": entries, "control": control}).encode()


def run_inside(
    profile: Profile, attacks: Sequence[Attack], world: World, gate: Gate | None = None
) -> dict[str, Answer]:
    """Run attacks in one sandbox, and give what came of each."""
    world.proxy = None if gate is None else ("127.0.0.1", PORT)
    options: dict[str, Any] = {} if gate is None else {"gate": gate}
    done = sandbox.run(COMMAND, profile, stdin=asked(attacks, world.aims, control=False), **options)
    return answers(attacks, done, world)


def answers(attacks: Sequence[Attack], done: Completed, world: World) -> dict[str, Answer]:
    """Read what was said, and ask the world where an attack leaves it to the world."""
    changed = world.changed()
    if len(attacks) == 1:
        found = {attacks[0].key: _alone(attacks[0], done)}
    else:
        lines = (line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith('["'))
        found = {key: said(text) for key, text in map(json.loads, lines)}
        lost = Answer(
            "BROKEN", f"it never ran; the sandbox ended with {done.returncode}: {_tail(done.stderr)}"
        )
        found = {attack.key: found.get(attack.key, lost) for attack in attacks}
    return {key: settle(answer, changed) for key, answer in found.items()}


def settle(answer: Answer, changed: list[str]) -> Answer:
    """Take the world's word for it: what changed outside got out, and what changed nothing stayed inside."""
    if answer.kind == "DONE" and not changed:
        return Answer("HELD", "nothing changed outside")
    if answer.kind in ("DONE", "HELD") and changed:
        return Answer("ESCAPED", f"{answer.kind}, but changed: {changed}", tuple(changed))
    return replace(answer, changed=tuple(changed))


def _alone(attack: Attack, done: Completed) -> Answer:
    answer = said(done.stdout.decode(errors="replace") + "\n")
    if answer.kind == "BROKEN" and attack.killed and (done.timed_out or done.returncode not in (0, 1)):
        return Answer("HELD", f"killed ({done.returncode}{', its time was up' if done.timed_out else ''})")
    if answer.kind == "BROKEN":
        return Answer("BROKEN", f"{done.returncode}: {answer.why} {_tail(done.stderr)}")
    return answer


def said(text: str) -> Answer:
    """Read the last line that holds an answer; it is broken where there is none."""
    for line in reversed(text.splitlines()):
        kind, _, why = line.partition(" ")
        if kind in SAID and kind != "BROKEN":
            return Answer(kind, why)
        if kind == "BROKEN":
            break
    return Answer("BROKEN", text[-1500:])


def _tail(data: bytes) -> str:
    return data[-1500:].decode(errors="replace")


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
    return answers([attack], completed, world)[attack.key]


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
