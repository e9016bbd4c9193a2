"""What can be contained on this machine: found out by trying, and by trying to get out."""

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import cgroups, enter
from blastwall.sandbox.bubblewrap import NOBODY, tools
from blastwall.sandbox.escape.verdicts import Answer, Verdict, admits, judged
from blastwall.sandbox.process import run
from blastwall.values import Profile, Strength

if TYPE_CHECKING:
    from blastwall.sandbox.escape.attacks import Attack
    from blastwall.sandbox.escape.receiver import Receiver


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether one strength of sandbox works here; if not, why not and what to do."""

    strength: Strength
    available: bool
    detail: str = ""
    problem: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One attempt to get out, and what came of it.

    Attributes:
        strength: Of which sandbox.
        item: Its number in `docs/escape.md`; 0 for what none of several attempts admits to.
        name: What it does.
        group: What it is about.
        verdict: What came of it.
        detail: The reason where it was not stopped, else how it was.

    """

    strength: Strength
    item: int
    name: str
    group: str
    verdict: Verdict
    detail: str = ""

    @property
    def held(self) -> bool:
        """Whether the wall held; where it is known not to, that is no surprise, and still not held."""
        return self.verdict in (Verdict.STOPPED, Verdict.OWN, Verdict.WORKS)


def probe(strength: Strength) -> Probe:
    """Start a sandbox of this strength and see whether it runs."""
    if strength is Strength.VM:
        from blastwall.sandbox import vm  # noqa: PLC0415  # for who has it

        found = vm.probe()
        return Probe(strength, found.ok, found.detail, found.problem, found.fix)
    try:
        done = run(["true"], Profile("doctor", strength=strength, timeout_s=_PATIENCE_S))
        if done.returncode == 0:
            return Probe(strength, available=True, detail=_DETAILS[strength]())
        problem = f"`true` failed inside ({done.returncode}): {done.stderr[-200:].decode(errors='replace')}"
        return Probe(strength, available=False, problem=problem, fix="run it with `blastwall run -- true`")
    except BackendError as error:
        problem, _, fix = str(error).removeprefix("no sandbox: ").partition("; ")
        return Probe(strength, available=False, problem=problem, fix=fix)


def _os() -> str:
    user = f"as user {NOBODY} or the workspace's owner" if os.geteuid() == 0 else "as you"
    return f"{tools().bwrap}, seccomp, {enter.walls()}, {cgroups.summary()}, no network, {user}"


def _container() -> str:
    from blastwall.sandbox.gvisor import outer, platforms  # noqa: PLC0415  # for who has it

    return f"{outer.runsc()}, platform {platforms.chosen()}, no network"


_DETAILS = {Strength.OS: _os, Strength.CONTAINER: _container}

_PATIENCE_S = 60.0
"""Longest that a trial may take."""


_TOGETHER_S = 300.0
"""Longest that all attempts that share one sandbox may take; what did not run by then is broken."""


def escapes(strength: Strength = Strength.OS, *, everything: bool = False) -> Iterator[Check]:
    """Run the escape suite: every attack on this strength of sandbox that needs no host to be allowed.

    Those that can't disturb each other share one sandbox; each of the rest has its own, made for it. All aim
    at canaries of our own making. For that time the environment of this process is another.

    Args:
        strength: Of which sandbox.
        everything: Whether to try on a machine, too, what needs one of its own: each takes a boot.

    Raises:
        SandboxUnavailable: when there is no sandbox to get out of.
        BackendError: when none could be tried.

    """
    from blastwall.sandbox.escape.receiver import Receiver  # noqa: PLC0415  # these are for the doctor alone

    with closing(Receiver()) as receiver:
        for attacks in _batches(strength, everything=everything):
            yield from _tried(strength, attacks, receiver)


def count(strength: Strength, *, everything: bool = False) -> int:
    """Say how many attacks `escapes` makes."""
    return sum(map(len, _batches(strength, everything=everything)))


def _batches(strength: Strength, *, everything: bool) -> list[list["Attack"]]:
    """Give the attacks that share a sandbox, then those that have their own."""
    from blastwall.sandbox.escape.attacks import attacks  # noqa: PLC0415

    fitting = [
        attack
        for attack in attacks()
        if attack.expected(strength.value)[0] != "none"
        and not attack.gated
        and attack.machine in ("", platform.machine())
    ]
    rest = everything or strength is not Strength.VM
    alone = [[attack] for attack in fitting if attack.single and (rest or attack.quick)]
    return [[attack for attack in fitting if not attack.single], *alone]


def _tried(strength: Strength, attacks: list["Attack"], receiver: "Receiver") -> Iterator[Check]:
    from blastwall.sandbox.escape.attempt import profile_of, run_inside  # noqa: PLC0415
    from blastwall.sandbox.escape.world import World  # noqa: PLC0415

    shared = len(attacks) > 1
    with World(receiver) as world:
        changes = {"timeout_s": _TOGETHER_S} if shared else attacks[0].profile
        try:
            found = run_inside(profile_of(strength.value, world, changes), attacks, world)
        except SandboxUnavailable:
            raise
        except BackendError as error:
            if shared:
                raise
            found = {attacks[0].key: Answer("BROKEN", str(error))}
    if shared and all(answer.kind == "BROKEN" for answer in found.values()):
        raise BackendError(f"the attacks could not start inside: {found[attacks[0].key].why}")
    for attack in attacks:
        answer = found[attack.key]
        blamed = not shared or admits(answer)
        yield _check(strength, attack, answer if blamed else replace(answer, changed=()))
    if shared:
        yield from _unowned(strength, found.values())


def _check(strength: Strength, attack: "Attack", answer: Answer) -> Check:
    from blastwall.sandbox.escape.attempt import expected  # noqa: PLC0415

    kind, known = expected(attack, strength.value)
    verdict = judged(answer, kind)
    why = known if verdict is Verdict.OPEN else answer.why
    return Check(strength, attack.item, attack.name, attack.group, verdict, why)


def _unowned(strength: Strength, found: Iterable[Answer]) -> Iterator[Check]:
    """Tell of changes outside that came about although every attempt says that it was refused."""
    found = list(found)
    changed = sorted({change for answer in found for change in answer.changed})
    if changed and not any(map(admits, found)):
        name = "change something outside by one of several attempts"
        yield Check(strength, 0, name, "files", Verdict.ESCAPED, ", ".join(changed))
