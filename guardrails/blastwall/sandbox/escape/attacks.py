"""The attacks as data: read from their files, checked, frozen."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from blastwall.values import Strength

_SHIPPED = Path(__file__).with_name("attacks")
FOLDER = _SHIPPED if _SHIPPED.is_dir() else Path(__file__).parents[4] / "tests" / "attacks" / "escape"
"""Where they lie: beside this module where it is installed, among the tests in a checkout."""

PHISHING = "phishing"
"""The one file of that folder that is no list of attacks."""

GATED = "egress"
"""The group that attacks a gate: it needs a host to be allowed, and so stays in the tests."""

CONTROLS = ("user", "root", "roomy", "unfiltered", "naive")
EXPECTATIONS = ("stopped", "own", "open", "works", "none")
BACKENDS = tuple(strength.value for strength in Strength)


@dataclass(frozen=True, slots=True)
class Attack:
    """One way out.

    Attributes:
        item: Its number: up to 146 in the list that the suite was asked for, from 200 on added here.
        name: What it does.
        group: The file that it is in.
        python: The program, run by `_inside.py`.
        held: Which errors mean that the wall held; any other error is a broken attack.
        control: Who gets out without the wall: any user, root only, the same sandbox with a `roomy` limit or
            an `unfiltered` kernel, or whoever has a `naive` proxy for a gate.
        outside: What the control does first, to have something to attack.
        expect: For each backend: stopped; own (what it reaches is the sandbox's own kernel or files); open,
            with a reason; works; none (not applicable).
        source: Where it comes from: a CVE, or a peer's tests.
        alone: Whether it must not share a sandbox with others.
        killed: Whether being killed is being held.
        profile: What of the profile differs; paths may name aims in braces.
        roomy: What differs further for the control of that name.
        machine: The only machine that it is written for, or empty.
        timeout: Seconds.
        quick: Whether it gets a machine of its own in the quick run, too; what shares one needs no mark.

    """

    item: int
    name: str
    group: str
    python: str
    held: tuple[str, ...] = ()
    control: str = "user"
    outside: str = ""
    expect: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    alone: bool = False
    killed: bool = False
    profile: Mapping[str, Any] = field(default_factory=dict)
    roomy: Mapping[str, Any] = field(default_factory=dict)
    machine: str = ""
    timeout: float = 20.0
    quick: bool = False

    @property
    def key(self) -> str:
        """Its number and name, for people and for pytest."""
        return f"{self.item}-{self.name.replace(' ', '-')}"

    @property
    def gated(self) -> bool:
        """Whether it has a gate to misuse."""
        return self.group == GATED

    @property
    def single(self) -> bool:
        """Whether it needs a sandbox of its own on every backend."""
        return self.alone or self.killed or bool(self.profile) or "open" in map(_kind, self.expect.values())

    def expected(self, backend: str) -> tuple[str, str]:
        """Give what is to come of it, and why where that is not `stopped`."""
        kind, _, why = self.expect.get(backend, self.expect.get("all", "stopped")).partition(": ")
        return kind, why


def _kind(expectation: str) -> str:
    return expectation.partition(":")[0]


@functools.cache
def attacks() -> tuple[Attack, ...]:
    """Read them all, by number.

    Raises:
        FileNotFoundError: when there are none.
        ValueError: when an entry is no attack.

    """
    files = sorted(FOLDER.glob("*.yaml"))
    if not files:
        raise FileNotFoundError(f"no attacks in {FOLDER}: install blastwall anew")
    found = [
        _attack(file.stem, entry)
        for file in files
        if file.stem != PHISHING
        for entry in yaml.safe_load(file.read_text("utf-8"))
    ]
    return tuple(sorted(found, key=lambda attack: (attack.item, attack.name)))


def _attack(group: str, entry: dict[str, Any]) -> Attack:
    unknown = entry.keys() - {each.name for each in fields(Attack)}
    if unknown:
        raise ValueError(f"{group}: {entry.get('name')}: unknown keys {sorted(unknown)}")
    entry = entry | {"group": group, "held": tuple(entry.get("held", ()))}
    attack = Attack(**entry)
    if attack.control not in CONTROLS or not {_kind(each) for each in attack.expect.values()} <= set(
        EXPECTATIONS
    ):
        raise ValueError(f"{group}: {attack.name}: no such control or expectation")
    if attack.expect.keys() - {"all", *BACKENDS}:
        raise ValueError(f"{group}: {attack.name}: no such backend")
    return attack
