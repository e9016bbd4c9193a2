"""Runs attacks in a sandbox of any strength."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from blastwall.sandbox import cgroups
from blastwall.sandbox.escape.attacks import Attack
from blastwall.sandbox.escape.verdicts import Answer, answers
from blastwall.sandbox.escape.world import World
from blastwall.sandbox.process import run
from blastwall.sandbox.python import shown
from blastwall.values import Profile, Strength

COUNTED = (
    "fill the memory from many processes",
    "fill the memory by a file in memory",
    "make files until the file system can hold no more",
)
"""What only a limit on all processes together stops."""

INSIDE = Path(__file__).with_name("_inside.py").read_text("utf-8")
"""The program that runs them."""

_SLOWER = 10
"""How many times as long everything may take in a machine whose processor is emulated."""


def profile_of(strength: str, world: World, changes: Mapping[str, Any]) -> Profile:
    """Give the profile of one attack's sandbox."""
    machine = strength == Strength.VM.value
    plain = Profile(
        "escape", strength=Strength(strength), workspace=world.workspace,
        read=() if machine else (world.readable,),  # a machine is shown its workspace only
        mask=(world.workspace / "vault" / "secret",), timeout_s=20 * (_SLOWER if machine else 1),
        memory_mb=512, scratch_mb=32, processes=64,
    )  # fmt: skip
    return replace(plain, **{name: _value(name, value, world) for name, value in changes.items()})


def _value(name: str, value: Any, world: World) -> Any:
    if name in ("read", "mask"):
        return tuple(Path(path.format(**world.aims)) for path in value)
    if name == "env":
        return tuple((key, text.format(**world.aims)) for key, text in value.items())
    return tuple(value) if isinstance(value, list) else value


def expected(attack: Attack, strength: str) -> tuple[str, str]:
    """Give what is to come of an attack on this very machine, and why where that is not `stopped`."""
    shares_memory = strength != Strength.VM.value
    if attack.name in COUNTED and shares_memory and not cgroups.hierarchy().version:
        return "open", "there are no control groups, so memory is limited for each process only"
    return attack.expected(strength)


def asked(attacks: Sequence[Attack], aims: Mapping[str, Any], *, control: bool) -> bytes:
    """Give what `_inside.py` reads."""
    entries = [
        {"key": a.key, "python": a.python, "outside": a.outside, "held": a.held, "timeout": a.timeout}
        for a in attacks
    ]
    return json.dumps({"aims": aims, "attacks": entries, "control": control}).encode()


def run_inside(
    profile: Profile, attacks: Sequence[Attack], world: World, **options: Any
) -> dict[str, Answer]:
    """Run attacks in one sandbox, with this very Python or the machine's, and give what came of each.

    Raises:
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when it failed.

    """
    python = "python3" if profile.strength is Strength.VM else sys.executable
    words = [python, "-I", "-S", "-c", INSIDE]  # -S: its standard library is all that it needs
    stdin = asked(attacks, world.aims, control=False)
    done = run(words, profile, stdin=stdin, read=shown(profile), **options)
    return answers(attacks, done, world.changed())
