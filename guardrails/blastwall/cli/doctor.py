"""`blastwall doctor`: what can be contained on this machine, proved by trying."""

from typing import Annotated

import typer

from blastwall import sandbox
from blastwall.cli.output import AsJson, Exit, emit, out
from blastwall.errors import SandboxUnavailable
from blastwall.values import Strength

Escape = Annotated[bool, typer.Option("--escape", help="Also try to escape the os sandbox, harmlessly.")]


def doctor(escape: Escape = False, as_json: AsJson = False) -> None:
    """Say which sandboxes work here and how to get those that don't. Exit 1 when `os` doesn't hold."""
    probes = [sandbox.probe(strength) for strength in Strength]
    works = any(probe.available for probe in probes if probe.strength is Strength.OS)
    checks = _escapes() if escape and works else ()
    holds = works and all(check.held for check in checks)
    if as_json:
        emit(
            ok=holds,
            sandboxes=[
                {
                    "strength": probe.strength.value,
                    "available": probe.available,
                    "detail": probe.detail,
                    "problem": probe.problem,
                    "fix": probe.fix,
                }
                for probe in probes
            ],
            escapes=[{"name": c.name, "held": c.held, "detail": c.detail} for c in checks],
        )
    else:
        for probe in probes:
            mark = "[green]works[/]  " if probe.available else "[red]missing[/]"
            out.print(f"{mark}  [bold]{probe.strength.value:<9}[/]  ", end="")
            out.print(probe.detail if probe.available else f"{probe.problem}", markup=False)
            if probe.fix and not probe.available:
                out.print(f"                    fix: {probe.fix}", markup=False)
        for check in checks:
            mark = "[green]held[/]   " if check.held else "[bold red]ESCAPED[/]"
            out.print(f"{mark}  [bold]{check.name}[/]  ", end="")
            out.print(check.detail, markup=False)
    raise typer.Exit(Exit.OK if holds else Exit.FOUND)


def _escapes() -> tuple[sandbox.Check, ...]:
    try:
        return sandbox.escapes()
    except SandboxUnavailable as error:
        return (sandbox.Check("start", held=False, detail=str(error)),)
