"""What an MCP call costs through a proxy: direct, ours, FastMCP's and mcp-proxy, in one run, as ratios.

Ours has policy, screening and audit on. All are connected at once and take turns, round by round, so that a
machine that slows down slows all. Each peer is what its users get: its default proxy, in the version of the
protocol that it speaks. Not called `mcp.py`, which Python would take for the SDK.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from gateways import (
    ECHO,
    Cell,
    Connected,
    Unavailable,
    address,
    connected,
    fastmcp,
    free_port,
    listening,
    mcp_proxy,
    ours,
)
from rich.console import Console
from rich.table import Table

CELLS = tuple(Cell(front, back) for front in ("stdio", "http") for back in ("stdio", "http"))
AIMS = {"stdio": 1.5, "http": 1.6}
AT_ONCE = 32
CAP_S = 3.0
"""No phase of one contender takes longer: a slow one makes fewer calls."""
GATEWAYS = {"blastwall": ours, "fastmcp": fastmcp, "mcp-proxy": mcp_proxy}
Row = dict[str, Any]


async def one_by_one(contender: Connected, calls: int) -> list[float]:
    """Give the milliseconds of each call, one after the other."""
    took: list[float] = []
    began = time.perf_counter()
    for i in range(calls):
        start = time.perf_counter()
        await contender.call(f"hello {i}")
        took.append((time.perf_counter() - start) * 1e3)
        if time.perf_counter() - began > CAP_S:
            break
    return took


async def at_once(contender: Connected, calls: int) -> tuple[list[float], float]:
    """Give the milliseconds of each call with 32 in flight, and the calls per second."""
    took: list[float] = []
    began = time.perf_counter()
    left = iter(range(calls))

    async def worker() -> None:
        for i in left:
            start = time.perf_counter()
            await contender.call(f"hello {i}")
            took.append((time.perf_counter() - start) * 1e3)
            if time.perf_counter() - began > CAP_S:
                return

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return took, len(took) / (time.perf_counter() - began)


@asynccontextmanager
async def contenders(cell: Cell, folder: Path, told: list[str]) -> AsyncGenerator[list[Connected]]:
    """Connect to everything that can serve a cell; say what can't."""
    async with AsyncExitStack() as stack:
        back, direct, port = ECHO, ECHO, 0
        if "http" in (cell.front, cell.back):
            port = free_port()
            stack.enter_context(listening([*ECHO, str(port)], port))
        if cell.back == "http":
            back = [address(port)]
        found = []
        for mode, name in (("auto", "direct"), ("legacy", "direct, legacy")):
            own = free_port()
            direct = [*ECHO, str(own)] if cell.front == "http" else ECHO
            found.append(
                await stack.enter_async_context(connected(name, cell.front, direct, own, "echo", mode))
            )
        for name, gateway in GATEWAYS.items():
            for mode in ("auto", "legacy") if name == "blastwall" else ("auto",):
                label = name if mode == "auto" else f"{name}, legacy"
                own = free_port()
                try:
                    command = gateway(cell, back, own, folder / f"{cell.front}-{cell.back}-{mode}")
                    tool = "echo__echo" if name == "blastwall" else "echo"
                    found.append(
                        await stack.enter_async_context(
                            connected(label, cell.front, command, own, tool, mode)
                        )
                    )
                except Unavailable as why:
                    if name == "blastwall":
                        raise
                    told.append(f"{cell}, {label}: {why}")
        yield found


async def cell_rows(cell: Cell, folder: Path, rounds: int, calls: int, told: list[str]) -> list[Row]:
    """Measure one cell."""
    rows: dict[str, dict[str, list[float]]] = {}
    versions: dict[str, str] = {}
    async with contenders(cell, folder, told) as all_of_them:
        for contender in all_of_them:
            versions[contender.name] = contender.client.protocol_version
            await one_by_one(contender, calls // 4)  # warm
        for _ in range(rounds):
            for contender in all_of_them:
                found = rows.setdefault(contender.name, {})
                before = contender.processor_s()
                took = await one_by_one(contender, calls)
                used = (contender.processor_s() - before) / len(took) * 1e3
                many, rate = await at_once(contender, calls * 2)
                measured = {
                    "p50": statistics.median(took),
                    "p99": statistics.quantiles(took, n=100)[98],
                    "cpu": used,
                    "32 p50": statistics.median(many),
                    "32 calls/s": rate,
                }
                for key, value in measured.items():
                    found.setdefault(key, []).append(value)
    base = rows["direct"]
    return [
        {
            "cell": str(cell),
            "who": name,
            "protocol": versions[name],
            **{key: round(statistics.median(values), 2) for key, values in found.items()},
            "ratio": _ratio(found["p50"], base["p50"]),
            "32 ratio": _ratio(found["32 p50"], base["32 p50"]),
            "aim": AIMS[cell.front] if name == "blastwall" else None,
        }
        for name, found in rows.items()
    ]


def _ratio(found: list[float], base: list[float]) -> float:
    return round(statistics.median(f / b for f, b in zip(found, base, strict=True)), 2)


async def soak(cell: Cell, folder: Path, calls: int) -> Row:
    """See whether our proxy's memory or descriptors grow over many calls, half of them 32 at once."""
    async with AsyncExitStack() as stack:
        back = ECHO
        if cell.back == "http":
            port = free_port()
            stack.enter_context(listening([*ECHO, str(port)], port))
            back = [address(port)]
        own = free_port()
        command = ours(cell, back, own, folder / f"soak-{cell.front}-{cell.back}")
        through = await stack.enter_async_context(connected("ours", cell.front, command, own, "echo__echo"))
        assert through.process is not None
        await _soaked(through, calls // 10)
        early = _state(through.process)
        await _soaked(through, calls - calls // 10)
        late = _state(through.process)
        return {"cell": str(cell), "calls": calls, "early": early, "late": late}


async def _soaked(contender: Connected, calls: int) -> None:
    for _ in range(0, calls, 200):
        for i in range(100):
            await contender.call(f"soak {i}")
        await asyncio.gather(*(contender.call(f"soak {i}") for i in range(100)))


def _state(process: psutil.Process) -> dict[str, float]:
    time.sleep(0.5)
    return {
        "MiB": round(process.memory_info().rss / 2**20, 1),
        "descriptors": process.num_fds(),
        "children": len(process.children(recursive=True)),
        "threads": process.num_threads(),
    }


def show(rows: list[Row], soaked: list[Row], told: list[str]) -> None:
    """Print the tables."""
    console = Console(width=140)
    table = Table(
        title="A call through an MCP proxy, ms; `cpu` is the processor time of the proxy for one call"
    )
    keys = (
        "cell",
        "who",
        "protocol",
        "p50",
        "p99",
        "cpu",
        "ratio",
        "aim",
        "32 p50",
        "32 ratio",
        "32 calls/s",
    )
    for key in keys:
        table.add_column(key, justify="left" if key in ("cell", "who", "protocol") else "right")
    for row in rows:
        table.add_row(*("" if row[key] is None else str(row[key]) for key in keys))
    console.print(table)
    for row in soaked:
        calls = row["calls"]
        console.print(
            f"{row['cell']}: after {calls // 10:,} calls {row['early']}, after {calls:,} {row['late']}"
        )
    for line in told:
        console.print(f"not measured: {line}")


def main() -> None:
    """Measure all cells, or the ones that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="*", help="stdio-stdio, http-stdio, ...; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--soak", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    names = chosen.cells or [f"{cell.front}-{cell.back}" for cell in CELLS]
    wanted = [cell for cell in CELLS if f"{cell.front}-{cell.back}" in names]
    rows: list[Row] = []
    told: list[str] = []
    with TemporaryDirectory() as folder:
        for cell in wanted:
            rows += asyncio.run(cell_rows(cell, Path(folder), chosen.rounds, chosen.calls, told))
        same = [cell for cell in wanted if cell.front == cell.back and chosen.soak]
        soaked = [asyncio.run(soak(cell, Path(folder), chosen.soak)) for cell in same]
    if chosen.json:
        print(json.dumps({"rows": rows, "soak": soaked, "not measured": told}))
    else:
        show(rows, soaked, told)


if __name__ == "__main__":
    main()
