"""Writes the table of `docs/escape.md` from what the suite found: `.venv/bin/python tests/core/escape/table.py`."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "escape.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
BACKENDS = ("os", "container", "vm")
GROUPS = {
    "files": "Files",
    "links": "Links and races",
    "persistence": "What is left in the workspace",
    "proc": "/proc and /sys",
    "ptrace": "Other processes, traced",
    "signals": "Signals and ends",
    "terminals": "Terminals",
    "sockets": "Unix and abstract sockets, shared memory",
    "network": "Network, with nothing allowed",
    "egress": "Network, through the gate",
    "leaks": "Environment and descriptors",
    "bombs": "Bombs",
    "namespaces": "Setuid, namespaces, mounts",
    "kernel": "Keyrings, io_uring, bpf, other calls",
    "devices": "Devices",
    "timing": "Time",
    "machine": "Containers and machines",
    "phishing": "The phishing mail",
    "harness": "The harness",
}
WORDS = {"stopped": "stopped", "own": "its own", "open": "not stopped", "works": "works", "none": "–"}


@dataclass(frozen=True, slots=True)
class Row:
    """One attack and what came of it on each backend, with a reason where it was not stopped."""

    item: int
    name: str
    group: str
    cells: tuple[str, ...]
    why: str


def rows(results: Iterable[list[str]], groups: dict[tuple[int, str], str]) -> list[Row]:
    """Put results together, by number and name.

    Raises:
        ValueError: when an attack failed, or has no result.

    """
    found: dict[tuple[int, str], dict[str, tuple[str, str]]] = {key: {} for key in groups}
    for item, name, backend, kind, why in results:  # the later of two is the newer
        if (int(item), name) in found:
            found[int(item), name][backend] = (kind, why)
    bad = [
        key
        for key, cells in found.items()
        if not cells or not {kind for kind, _ in cells.values()} <= set(WORDS)
    ]
    if bad:
        raise ValueError(f"failed, or without a result: {bad}")
    return [_row(key, groups[key], cells) for key, cells in sorted(found.items())]


def _row(key: tuple[int, str], group: str, cells: dict[str, tuple[str, str]]) -> Row:
    whys = [why for kind, why in cells.values() if kind == "open"]
    return Row(
        *key,
        group,
        tuple(cells.get(backend, ("none", ""))[0] for backend in BACKENDS),
        whys[0] if whys else "",
    )


def text(found: list[Row]) -> str:
    """Write the tables: groups first, then every attack of each."""
    lines = ["| group | attacks | os | container | vm |", "|---|--:|---|---|---|"]
    for group, title in GROUPS.items():
        mine = [row for row in found if row.group == group]
        if mine:
            sums = " | ".join(_sum(row.cells[index] for row in mine) for index in range(len(BACKENDS)))
            lines.append(f"| {title} | {len(mine)} | {sums} |")
    for group, title in GROUPS.items():
        lines += _table(title, [row for row in found if row.group == group])
    return "\n".join([*lines, ""])


def _sum(kinds: Iterable[str]) -> str:
    counts = Counter(kinds)
    return (
        ", ".join(f"{counts[kind]} {word}" for kind, word in WORDS.items() if counts[kind] and kind != "none")
        or "–"
    )


def _table(title: str, mine: list[Row]) -> Iterator[str]:
    if mine:
        yield from ("", f"### {title}", "", "| | attack | os | container | vm |", "|--:|---|---|---|---|")
        for row in mine:
            cells = " | ".join(WORDS[kind] for kind in row.cells)
            why = f" ({row.why})" if row.why else ""
            yield f"| {row.item} | {row.name}{why} | {cells} |"


def written(page: str, table: str) -> str:
    """Put the table into the page, between its marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n" + table + "\n" + END + rest.partition(END)[2]


def read(page: str) -> dict[tuple[int, str], tuple[str, ...]]:
    """Read the table of a page: what it says of each attack."""
    between = page.partition(BEGIN)[2].partition(END)[0]
    kinds = {word: kind for kind, word in WORDS.items()}
    found = re.findall(r"^\| (\d+) \| (.*?)(?: \(.*\))? \| (.*) \| (.*) \| (.*) \|$", between, re.MULTILINE)
    return {(int(item), name): tuple(kinds[cell] for cell in cells) for item, name, *cells in found}


def main() -> None:
    """Run the suite, or read what a run of it wrote, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, nargs="*", help="files that pytest's --escape-results wrote")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.core.escape.items import groups

    files = options.results or [_run()]
    results = [entry for file in files for entry in json.loads(file.read_text("utf-8"))]
    PAGE.write_text(written(PAGE.read_text("utf-8"), text(rows(results, groups()))), "utf-8")


def _run() -> Path:
    file = Path(tempfile.mkdtemp(prefix="escape-")) / "results.json"
    words = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent), f"--escape-results={file}"]
    subprocess.run([*words, "--all-backends"], check=True, cwd=ROOT)
    return file


if __name__ == "__main__":
    main()
