"""What came of an attack: what it said, what the host saw, and what that means."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blastwall.sandbox.escape.attacks import Attack
    from blastwall.sandbox.process import Completed

_SAID = ("ESCAPED", "HELD", "DONE", "WORKS", "BROKEN")
_MOST_TOLD = 1500
"""How much of an output is kept for people."""


class Verdict(StrEnum):
    """What an attack came to."""

    STOPPED = "stopped"
    """Refused, invisible or killed, and nothing outside had changed."""
    OWN = "own"
    """It got what it asked for, of the sandbox's own kernel or files."""
    WORKS = "works"
    """What must not be broken works."""
    OPEN = "open"
    """It gets through, as it is known to."""
    ESCAPED = "escaped"
    """It got out."""
    BROKEN = "broken"
    """It said nothing that could be judged: neither held nor escaped."""

    @property
    def expected(self) -> bool:
        """Whether that is what is promised."""
        return self not in (Verdict.ESCAPED, Verdict.BROKEN)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attack: a word, and details for people."""

    kind: str
    why: str = ""
    changed: tuple[str, ...] = ()


def answers(attacks: Sequence["Attack"], done: "Completed", changed: Iterable[str]) -> dict[str, Answer]:
    """Read what was said of each, and take the host's word where an attack leaves it to the host."""
    changed = tuple(changed)
    if len(attacks) == 1:
        return {attacks[0].key: settled(_alone(attacks[0], done), changed, shared=False)}
    lines = (line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith('["'))
    found = dict(filter(None, map(_line, lines)))
    lost = Answer("BROKEN", f"it never ran; the sandbox ended with {done.returncode}: {_tail(done.stderr)}")
    return {a.key: settled(found.get(a.key, lost), changed, shared=True) for a in attacks}


def _line(line: str) -> tuple[str, Answer] | None:
    try:
        key, text = json.loads(line)
    except ValueError:
        return None  # cut short by the limit of the output, or no answer at all
    return str(key), said(str(text))


def settled(answer: Answer, changed: tuple[str, ...], *, shared: bool) -> Answer:
    """Take the host's word for it: what changed outside got out, and what changed nothing stayed inside.

    Of several in one sandbox, those that were refused did not do it.
    """
    if answer.kind == "DONE" and not changed:
        return Answer("HELD", "nothing changed outside")
    if answer.kind == "DONE" or (answer.kind == "HELD" and changed and not shared):
        return Answer("ESCAPED", f"{answer.kind}, but changed: {', '.join(changed)}", changed)
    return replace(answer, changed=changed)


def admits(answer: Answer) -> bool:
    """Say whether it did what it wanted, and something outside changed."""
    return answer.kind == "ESCAPED" and answer.why.startswith("DONE, but changed")


def _alone(attack: "Attack", done: "Completed") -> Answer:
    answer = said(done.stdout.decode(errors="replace") + "\n")
    if answer.kind == "BROKEN" and attack.killed and (done.timed_out or done.returncode not in (0, 1)):
        return Answer("HELD", f"killed ({done.returncode}{', its time was up' if done.timed_out else ''})")
    if answer.kind == "BROKEN":
        return Answer("BROKEN", f"{done.returncode}: {answer.why} {_tail(done.stderr)}".strip())
    return answer


def said(text: str) -> Answer:
    """Read the last line that holds an answer; it is broken where there is none."""
    for line in reversed(text.splitlines()):
        kind, _, why = line.partition(" ")
        if kind in _SAID and kind != "BROKEN":
            return Answer(kind, why)
        if kind == "BROKEN":
            break
    return Answer("BROKEN", text[-_MOST_TOLD:])


def _tail(data: bytes) -> str:
    return data[-_MOST_TOLD:].decode(errors="replace")


def judged(answer: Answer, expected: str) -> Verdict:
    """Say what an answer means, beside what was expected: stopped, own, open or works."""
    if answer.kind == "BROKEN" or (answer.kind == "WORKS") != (expected == Verdict.WORKS):
        return Verdict.BROKEN
    if answer.kind == "WORKS":
        return Verdict.WORKS
    if answer.kind == "HELD":
        return Verdict.STOPPED
    if expected == Verdict.OWN and not answer.changed:
        return Verdict.OWN
    return Verdict.OPEN if expected == Verdict.OPEN else Verdict.ESCAPED
