"""`blastwall doctor`: what can be contained on this machine, proved by trying."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from blastwall import sandbox
from blastwall.cli.output import AsJson, Exit, emit, err, out
from blastwall.errors import BackendError
from blastwall.sandbox import Check, Probe
from blastwall.sandbox.doctor import count
from blastwall.sandbox.escape.verdicts import Verdict
from blastwall.values import Strength

Escape = Annotated[bool, typer.Option("--escape", help="Also try to escape each of them, harmlessly.")]
Only = Annotated[Strength | None, typer.Option("--strength", "-s", help="Only this one.")]
Everything = Annotated[
    bool, typer.Option("--all", help="With --escape: on a vm, too, what needs one of its own. Takes minutes.")
]

_MARKS = {
    Verdict.OPEN: "[yellow]open[/]    ",
    Verdict.ESCAPED: "[bold red]ESCAPED[/] ",
    Verdict.BROKEN: "[bold yellow]broken[/]  ",
}
_MOST_TOLD = 300
"""How much of a reason is shown; `--json` has all of it."""

_ISSUES = "please report it, with the output of `blastwall doctor --escape --json`"


def doctor(
    escape: Escape = False, strength: Only = None, everything: Everything = False, as_json: AsJson = False
) -> None:
    """Say which sandboxes work here and how to get those that don't; try to get out of them.

    Exit 1 when `os`, or the one that was asked for, does not work, or an attack got out or broke.
    """
    probes = [sandbox.probe(each) for each in ([strength] if strength else Strength)]
    works = any(probe.available for probe in probes if probe.strength is (strength or Strength.OS))
    if not as_json:
        for probe in probes:
            _tell(probe)
    checks: list[Check] = []
    for probe in probes if escape else ():
        if probe.available:
            found = _escapes(probe.strength, everything=everything)
            checks += found
            if not as_json:
                _tell_of(probe.strength, found)
    holds = works and all(check.verdict.expected for check in checks)
    if as_json:
        emit(ok=holds, sandboxes=list(map(_sandbox, probes)), escapes=list(map(_escape, checks)))
    else:
        _tell_the_end(checks)
    raise typer.Exit(Exit.OK if holds else Exit.FOUND)


def _escapes(strength: Strength, *, everything: bool) -> list[Check]:
    """Try, and show how far it is where somebody watches."""
    found: list[Check] = []
    try:
        number = count(strength, everything=everything)
        with _unwinding(), _progress(err) as show:
            show(f"trying to get out of {strength.value}: {number} ways")
            for check in sandbox.escapes(strength, everything=everything):
                found.append(check)
                show(f"trying to get out of {strength.value}: {len(found)} of {number}")
    except BackendError as error:
        found.append(Check(strength, 0, "try anything", "files", Verdict.BROKEN, str(error)))
    return found


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """Give a way to show one line that is gone at the end; on anything but a terminal it shows nothing."""
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(text)


@contextmanager
def _unwinding() -> Iterator[None]:
    """Let a plea to end unwind: nothing of the attempts may be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pleas = (signal.SIGTERM, signal.SIGHUP)
    ours = [number for number in pleas if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: FrameType | None) -> None:
    raise typer.Exit(128 + number)


def _tell(probe: Probe) -> None:
    mark = "[green]works[/]  " if probe.available else "[red]missing[/]"
    out.print(f"{mark}  [bold]{probe.strength.value:<9}[/]  ", end="")
    out.print(probe.detail if probe.available else f"{probe.problem}", markup=False)
    if probe.fix and not probe.available:
        out.print(f"                    fix: {probe.fix}", markup=False)


def _tell_of(strength: Strength, checks: Sequence[Check]) -> None:
    """Print one line for each group, and one for each attack that was not stopped."""
    tried = Counter(check.group for check in checks)
    through = [check for check in checks if not check.held]
    not_held = Counter(check.group for check in through)
    for group, number in tried.items():
        held = number - not_held[group]
        if held:
            out.print(f"[green]held[/]     [bold]{strength.value:<9}[/]  {group:<12} {held} of {number}")
        for check in (each for each in through if each.group == group):
            out.print(f"{_MARKS[check.verdict]} [bold]{strength.value:<9}[/]  {group:<12} ", end="")
            out.print(_words(check), markup=False)


def _words(check: Check) -> str:
    number = f"{check.item} " if check.item else ""
    why = " ".join(check.detail.split())
    why = why if len(why) <= _MOST_TOLD else f"{why[:_MOST_TOLD]}..."
    return f"{number}{check.name}" + (f": {why}" if why else "")


def _tell_the_end(checks: Iterable[Check]) -> None:
    """Say what to do where something is not as it should be."""
    found = Counter(check.verdict for check in checks)
    if found[Verdict.ESCAPED]:
        text = f"{found[Verdict.ESCAPED]} got out: trust that sandbox with nothing, and {_ISSUES}"
        out.print(text, style="bold red", markup=False)
    if found[Verdict.BROKEN]:
        text = f"{found[Verdict.BROKEN]} broke, which says nothing about the wall: {_ISSUES}"
        out.print(text, style="bold yellow", markup=False)


def _sandbox(probe: Probe) -> dict[str, object]:
    return {
        "strength": probe.strength.value,
        "available": probe.available,
        "detail": probe.detail,
        "problem": probe.problem,
        "fix": probe.fix,
    }


def _escape(check: Check) -> dict[str, object]:
    return {
        "strength": check.strength.value,
        "group": check.group,
        "item": check.item,
        "name": check.name,
        "held": check.held,
        "verdict": check.verdict.value,
        "detail": check.detail,
    }
