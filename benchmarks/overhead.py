"""What blastwall costs beside the bare thing: one run, one machine, interleaved, as ratios.

Run it with `make bench`. Every pair does the same work with and without blastwall, with policy, screening and
audit on, and takes turns round by round, so that a machine that slows down slows both.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from langchain_core.tools import tool
from mcp import Client, StdioServerParameters
from rich.console import Console
from rich.table import Table

from blastwall import Guard, Profile, sandbox
from blastwall_langchain import wrap_tool

HERE = Path(__file__).parent
ROUNDS = 9
POLICY = """
version: 1
defaults: {state: {directory: state, durability: DURABILITY}}
connectors:
  bench:
    rules: [{id: all, effect: allow, tools: ["*"]}]
  budget:
    rules: [{id: all, effect: allow, tools: ["*"], budget: {session: 1000000}}]
  rate:
    rules: [{id: all, effect: allow, tools: ["*"], rate: {max: 1000000, per_s: 3600}}]
  echo:
    server: {command: PYTHON, args: [SERVER], sandbox: none}
    rules: [{id: all, effect: allow, tools: ["*"]}]
"""
Row = dict[str, Any]


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def aadd(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def policy(folder: Path, durability: str = "process-crash") -> Path:
    """Write the policy of the benchmark."""
    folder.mkdir(exist_ok=True)
    text = POLICY.replace("DURABILITY", durability).replace("PYTHON", sys.executable)
    file = folder / "blastwall.yaml"
    file.write_text(text.replace("SERVER", str(HERE / "echo_server.py")))
    return file


def timed(call: Callable[[], object], times: int) -> float:
    """Give the microseconds of CPU that one call takes, over `times` of them."""
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times * 1e6


async def atimed(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Do the same for an awaitable."""
    began = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - began) / times * 1e6


def row(what: str, unit: str, bare: list[float], ours: list[float], aim: float | None) -> Row:
    """Sum up one pair: medians, and the median of the ratios round by round."""
    ratio = statistics.median(o / b for o, b in zip(ours, bare, strict=True))
    return {
        "what": what,
        "unit": unit,
        "bare": round(statistics.median(bare), 2),
        "blastwall": round(statistics.median(ours), 2),
        "ratio": round(ratio, 2),
        "aim": aim,
    }


def langchain_rows(folder: Path) -> list[Row]:
    """Compare `invoke` and `ainvoke` of a bare and of a wrapped LangChain tool."""
    guard = Guard.from_file(policy(folder / "langchain"))
    numbers = {"a": 1, "b": 2}
    wrapped = wrap_tool(add, guard, connector="bench")
    awrapped = wrap_tool(aadd, guard, connector="bench")
    bare, ours, abare, aours = [], [], [], []
    for _ in range(ROUNDS):
        bare.append(timed(lambda: add.invoke(numbers), 300))
        ours.append(timed(lambda: wrapped.invoke(numbers), 300))
        abare.append(asyncio.run(atimed(lambda: aadd.ainvoke(numbers), 300)))
        aours.append(asyncio.run(atimed(lambda: awrapped.ainvoke(numbers), 300)))
    return [
        row("LangChain tool.invoke", "µs CPU", bare, ours, 1.10),
        row("LangChain tool.ainvoke", "µs CPU", abare, aours, 1.10),
    ]


def counting_rows(folder: Path) -> list[Row]:
    """Compare a guarded call that uses something up with one that does not."""
    guard = Guard.from_file(policy(folder / "counting"))
    calls = {name: guard.tool(lambda: 1, connector=name, name="f") for name in ("bench", "budget", "rate")}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(timed(call, 300))
    return [
        row(
            "guarded call with a session's budget, against none",
            "µs CPU",
            times["bench"],
            times["budget"],
            None,
        ),
        row(
            "guarded call with a rate over all sessions, against none",
            "µs CPU",
            times["bench"],
            times["rate"],
            None,
        ),
    ]


async def mcp_rows(folder: Path, rounds: int = 5, calls: int = 200) -> list[Row]:
    """Compare a direct MCP call with one through a bare SDK proxy and one through ours, all on stdio."""
    server = [sys.executable, str(HERE / "echo_server.py")]
    ours = [
        str(Path(sys.executable).with_name("blastwall")),
        "proxy",
        "--policy",
        str(policy(folder / "mcp")),
    ]
    bare = [sys.executable, str(HERE / "bare_proxy.py"), *server]
    times: dict[str, list[float]] = {"direct": [], "bare": [], "ours": []}
    async with (
        Client(StdioServerParameters(command=server[0], args=server[1:])) as direct,
        Client(StdioServerParameters(command=bare[0], args=bare[1:])) as through_bare,
        Client(StdioServerParameters(command=ours[0], args=ours[1:])) as through_ours,
    ):
        clients = {
            "direct": (direct, "echo"),
            "bare": (through_bare, "echo"),
            "ours": (through_ours, "echo__echo"),
        }
        for client, _ in clients.values():
            await client.list_tools()
        for _ in range(rounds):
            for name, (client, called) in clients.items():
                times[name].append(await _median_call(client, called, calls))
    return [
        row("MCP call on stdio, against direct", "ms", times["direct"], times["ours"], 1.5),
        row("MCP call on stdio, against a bare SDK proxy", "ms", times["bare"], times["ours"], None),
    ]


async def memory_rows(folder: Path, calls: int = 10_000) -> list[Row]:
    """Compare the memory of our proxy with a bare SDK proxy's, and look whether it grows over many calls."""
    server = [sys.executable, str(HERE / "echo_server.py")]
    bare = [sys.executable, str(HERE / "bare_proxy.py"), *server]
    ours = [
        str(Path(sys.executable).with_name("blastwall")),
        "proxy",
        "--policy",
        str(policy(folder / "memory")),
    ]
    early: dict[str, float] = {}
    late: dict[str, float] = {}
    for name, command, tool_name in (("bare", bare, "echo"), ("ours", ours, "echo__echo")):
        async with Client(StdioServerParameters(command=command[0], args=command[1:])) as client:
            process = next(child for child in psutil.Process().children() if "proxy" in str(child.cmdline()))
            await client.list_tools()
            await _median_call(client, tool_name, calls // 10)
            early[name] = process.memory_info().rss / 2**20
            await _median_call(client, tool_name, calls - calls // 10)
            late[name] = process.memory_info().rss / 2**20
    after = f"after {calls:,} calls"
    return [
        row(f"proxy's memory {after}, against a bare SDK proxy", "MiB", [late["bare"]], [late["ours"]], 1.3),
        row(
            f"proxy's memory {after}, against after {calls // 10:,}",
            "MiB",
            [early["ours"]],
            [late["ours"]],
            1.0,
        ),
    ]


async def _median_call(client: Client, name: str, calls: int) -> float:
    each = []
    for i in range(calls):
        began = time.perf_counter()
        result = await client.call_tool(name, {"text": f"hello {i}"})
        each.append((time.perf_counter() - began) * 1e3)
        if result.is_error:
            raise SystemExit(f"the echo server refused: {result}")
    return statistics.median(each)


def sandbox_rows(folder: Path) -> list[Row]:
    """Compare `true` in our sandbox with bubblewrap run by hand with the same arguments."""
    profile = Profile("bench")
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(ROUNDS):
        for times, call in ((bare, lambda: _raw(profile)), (ours, lambda: sandbox.run(["true"], profile))):
            each = []
            for _ in range(5):
                began = time.perf_counter()
                call()
                each.append((time.perf_counter() - began) * 1e3)
            times.append(statistics.median(each))
    return [row("sandbox, `true`, against raw bwrap", "ms", bare, ours, 1.5)]


def _raw(profile: Profile) -> None:
    with sandbox.prepare(["true"], profile) as prepared:
        subprocess.run(prepared.argv, env=prepared.env, pass_fds=prepared.pass_fds, check=True)


def start_rows() -> list[Row]:
    """Time a fresh interpreter's import, and the first call of a decorated function."""
    python = [sys.executable, "-c"]
    timer = "import time; t = time.perf_counter(); {}; print((time.perf_counter() - t) * 1e3)"
    first = (
        "from blastwall import Guard; import tempfile, time, pathlib; d = pathlib.Path(tempfile.mkdtemp());"
        "f = d / 'p.yaml'; f.write_text('version: 1\\ndefaults: {state: {directory: s}}\\nconnectors:"
        " {c: {rules: [{id: r, effect: allow, tools: [f]}]}}'); g = Guard.from_file(f);"
        "w = g.tool(lambda: 1, connector='c', name='f');"
        "t = time.perf_counter(); w(); print((time.perf_counter() - t) * 1e3)"
    )
    rows = []
    for what, code, aim in (
        ("import blastwall", timer.format("import blastwall"), 150),
        ("a decorated function's first call", first, 250),
    ):
        times = [float(subprocess.check_output([*python, code])) for _ in range(ROUNDS)]
        rows.append({"what": what, "unit": "ms", "blastwall": round(statistics.median(times), 1), "aim": aim})
    return rows


def show(rows: list[Row]) -> None:
    """Print the table."""
    table = Table(title="What blastwall costs")
    for heading in ("what", "unit", "bare", "blastwall", "ratio", "aim"):
        table.add_column(heading, justify="left" if heading in ("what", "unit") else "right")
    for item in rows:
        table.add_row(
            *(str(item.get(key, "") or "") for key in ("what", "unit", "bare", "blastwall", "ratio", "aim"))
        )
    Console().print(table)


def main() -> None:
    """Measure everything, or the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=["start", "langchain", "counting", "mcp", "memory", "sandbox"]
    )
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        where = Path(folder)
        for part in chosen.parts:
            match part:
                case "start":
                    rows += start_rows()
                case "langchain":
                    rows += langchain_rows(where)
                case "counting":
                    rows += counting_rows(where)
                case "mcp":
                    rows += asyncio.run(mcp_rows(where))
                case "memory":
                    rows += asyncio.run(memory_rows(where))
                case "sandbox":
                    rows += sandbox_rows(where)
                case _:
                    parser.error(f"no such part: {part}")
    print(json.dumps(rows)) if chosen.json else show(rows)


if __name__ == "__main__":
    main()
