"""What a sandbox costs beside the bare thing and a peer: one run, one machine, all taking turns.

Each part lets its contenders run `true` one after the other, round by round, so that a machine that slows
down slows all of them. A row's ratio is that of the medians; beside it stands the median of the ratios
round by round. What a contender needs once (an image, a daemon, an import) is made before, and not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from others import PEER, TRUE, Contender, bare, bare_container, booted, clocked, peers, plainly
from rich.console import Console
from rich.table import Table

from blastwall import Profile, sandbox
from blastwall.errors import BackendError
from blastwall.sandbox import vm
from blastwall.sandbox.boxes import Boxes
from blastwall.sandbox.bubblewrap import NOBODY
from blastwall.sandbox.pool import Pool
from blastwall.values import Destination, Lifetime, Strength

PAUSE_S = 0.03
"""Between two measurements: what the kernel still clears away of one shall not slow the next."""

THINKING_S = 0.3
"""Between two commands in one machine, which prepares for the next meanwhile. An agent takes longer."""
Row = dict[str, Any]


def in_turn(
    contenders: Mapping[str, Contender], rounds: int, pause_s: float = PAUSE_S
) -> dict[str, list[float]]:
    """Let all run in turn, round by round, after a turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, contender in contenders.items():
            time.sleep(pause_s)
            took = contender()
            if turn:
                times[name].append(took)
    return times


def summed(times: Mapping[str, list[float]], against: Mapping[str, tuple[str, str]]) -> list[Row]:
    """Sum up a part. `against` gives whom a contender is held against, and the aim."""
    return [_row(name, each, times, *against.get(name, ("", ""))) for name, each in times.items()]


def _row(name: str, each: list[float], times: Mapping[str, list[float]], other: str, aim: str) -> Row:
    found: Row = {"what": name, "n": len(each), "min": min(each), "median": statistics.median(each)}
    found |= {"p95": sorted(each)[int(0.95 * len(each))], "max": max(each)}
    if other in times:
        found["against"] = other
        found["ratio"] = found["median"] / statistics.median(times[other])
        found["by round"] = statistics.median(a / b for a, b in zip(each, times[other], strict=True))
    return found | {"aim": aim}


def missing(what: str, why: object) -> Row:
    """Say in a row of its own why something was not measured."""
    return {"what": what, "aim": f"not measured: {why}"}


# --- os -----------------------------------------------------------------------------------------------


def os_rows(folder: Path, rounds: int, peer: Path | None) -> list[Row]:
    """Compare a plain process, bubblewrap by hand, the peer, and ours."""
    plain, working = Profile("bench"), Profile("bench", workspace=workspace(folder))
    online = replace(working, network=(Destination("example.com"),))
    rows = []
    with ExitStack() as stack:
        boxes = stack.enter_context(Boxes())
        contenders: dict[str, Contender] = {
            "plain process": partial(clocked, lambda: plainly(TRUE)),
            "raw bwrap": partial(bare, plain),
            "ours, cold": partial(clocked, lambda: _ran(sandbox.run(TRUE, plain))),
            "raw bwrap, workspace": partial(bare, working),
            "ours, cold, workspace": partial(clocked, lambda: _ran(sandbox.run(TRUE, working))),
            "ours, cold, workspace, network": partial(clocked, lambda: _ran(boxes.run(TRUE, online))),
        }
        try:
            contenders |= peers(peer, stack)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            rows.append(missing("srt", error))
        times = in_turn(contenders, rounds)
    against = {
        "raw bwrap": ("plain process", ""),
        "ours, cold": ("raw bwrap", "1.5"),
        "ours, cold, workspace": ("raw bwrap, workspace", "1.5"),
        "ours, cold, workspace, network": ("srt, library", "0.33"),
        "srt, command line": ("srt, library", ""),
    }
    return [*summed(times, against), *rows]


def workspace(folder: Path) -> Path:
    """Make an empty workspace. Nothing in a sandbox runs as root, so for root it is somebody else's."""
    place = folder / "workspace"
    place.mkdir(exist_ok=True)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    return place


def _ran(done: sandbox.Completed) -> None:
    if done.returncode != 0:
        raise SystemExit(f"`true` failed in the sandbox: {done}")


# --- Python tools -------------------------------------------------------------------------------------


def double(number: int) -> int:
    """Be the tool."""
    return number * 2


def python_rows(rounds: int) -> list[Row]:
    """Compare an interpreter's start with calls in sandboxes of their own: cold, ready, in a row."""
    profile = Profile("bench", warm=2)
    with Pool(profile) as ready, Pool(profile) as busy:
        times = in_turn(
            {
                "plain python -c pass": partial(
                    clocked, lambda: plainly([sys.executable, "-I", "-c", "pass"])
                ),
                "Python tool, cold": partial(clocked, lambda: sandbox.call(double, {"number": 2}, profile)),
                "Python tool, warm": partial(_warm_call, ready),
            },
            rounds,
        )
        times["Python tool, warm, without pauses"] = [
            clocked(lambda: busy.call(double, {"number": 2})) for _ in range(rounds)
        ]
    return summed(
        times,
        {
            "Python tool, cold": ("plain python -c pass", ""),
            "Python tool, warm": ("Python tool, cold", "median 10 ms"),
        },
    )


def _warm_call(pool: Pool) -> float:
    while pool.ready() < pool.profile.warm:
        time.sleep(0.01)
    return clocked(lambda: pool.call(double, {"number": 2}))


# --- container ----------------------------------------------------------------------------------------


def container_rows(folder: Path, rounds: int) -> list[Row]:
    """Compare `runsc run` with ours: a container for one command, and a command in a session's."""
    profile = Profile("bench", strength=Strength.CONTAINER)
    session = Profile("bench", strength=Strength.CONTAINER, lifetime=Lifetime.SESSION)
    run = bare_container(folder, profile)
    with Boxes() as boxes:
        times = in_turn(
            {
                "runsc run": partial(clocked, run),
                "container, cold": partial(clocked, lambda: _ran(sandbox.run(TRUE, profile))),
                "container, warm": partial(clocked, lambda: _ran(boxes.run(TRUE, session))),
            },
            rounds,
        )
    return summed(
        times, {"container, cold": ("runsc run", "1.2"), "container, warm": ("container, cold", "")}
    )


# --- vm -----------------------------------------------------------------------------------------------


def vm_rows(rounds: int) -> list[Row]:
    """Compare QEMU by hand with ours: a machine for one command, one that waits, and a session's."""
    profile = Profile("bench", strength=Strength.VM, warm=1)
    made: list[vm.Machine] = []

    def make(*arguments: Any) -> vm.Machine:
        made.append(vm.Machine(*arguments))
        return made[-1]

    cold = partial(sandbox.run, TRUE, profile)
    with vm.Machine(profile) as session, vm.Pool(profile, make=make) as pool:
        times = in_turn(
            {
                "raw QEMU": partial(booted, profile),
                "machine, cold": partial(clocked, lambda: _ran(cold())),
                "machine, claimed": lambda: _claimed(pool, made),
            },
            rounds,
        )
        warm = partial(clocked, partial(_in_machine, session))
        often = max(30, 5 * rounds)
        times |= in_turn({"machine, warm": warm}, often, THINKING_S)
        times |= in_turn({"machine, warm, without pauses": warm}, often, 0)
    return summed(times, {"machine, cold": ("raw QEMU", ""), "machine, warm": ("", "median 20 ms")})


def _claimed(pool: vm.Pool, made: list[vm.Machine]) -> float:
    """Take a machine that waits, and run one command; that it is destroyed after that is not counted."""
    made[-1].ready()
    began = time.perf_counter()
    with pool.machine() as machine:
        _in_machine(machine)
        took = (time.perf_counter() - began) * 1e3
    made[-1].ready()  # its successor, which would slow whoever is next
    return took


def _in_machine(machine: vm.Machine) -> None:
    with machine.start(TRUE, stdin=b"") as command:
        if command.wait() != 0:
            raise SystemExit("`true` failed in the machine")


# --- all ----------------------------------------------------------------------------------------------


def measured(parts: list[str], folder: Path, rounds: int, peer: Path | None) -> list[Row]:
    """Measure the parts that are named; one that can't be had here says so."""
    work: dict[str, Callable[[], list[Row]]] = {
        "os": lambda: os_rows(folder, rounds, peer),
        "python": lambda: python_rows(rounds),
        "container": lambda: container_rows(folder, max(10, rounds // 2)),
        "vm": lambda: vm_rows(max(5, rounds // 6)),
    }
    rows: list[Row] = []
    for part in parts:
        try:
            rows += work[part]()
        except BackendError as error:
            rows.append(missing(part, error))
    return rows


def show(rows: list[Row], load: str) -> None:
    """Print the table."""
    table = Table(title=f"What a sandbox costs, in ms ({os.cpu_count()} processors, load {load})")
    columns = ("what", "n", "min", "median", "p95", "max", "against", "ratio", "by round", "aim")
    for heading in columns:
        table.add_column(heading, justify="left" if heading in ("what", "against", "aim") else "right")
    for item in rows:
        table.add_row(*(_spelled(item.get(key, "")) for key in columns))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _spelled(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure everything, or the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ["os", "python", "container", "vm"]
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(names)}")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=40, help="turns of the fast ones; slow ones take fewer")
    parser.add_argument("--folder", type=Path, help="where the workspace lies: file systems differ")
    parser.add_argument("--srt", type=Path, help=f"a folder into which npm has installed {PEER}")
    chosen = parser.parse_args()
    for part in chosen.parts:
        if part not in names:
            parser.error(f"no such part: {part}")
    before = os.getloadavg()[0]
    with TemporaryDirectory(dir=chosen.folder) as place:
        where = Path(os.path.realpath(place))
        rows = measured(chosen.parts or names, where, chosen.rounds, chosen.srt)
    load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(json.dumps({"load": load, "rows": rows})) if chosen.json else show(rows, load)


if __name__ == "__main__":
    main()
