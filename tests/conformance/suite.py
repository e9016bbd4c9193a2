"""One run of the conformance suite against an address, and what it found."""

import json
import re
import shlex
import subprocess
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.node import Node

REQUIREMENTS = ("2026-07-28", "2025-11-25")
"""The sets that the suite froze when these versions of the protocol were published."""
PATIENCE_S = 120
UNKEPT = {"server-sse-polling"}
"""Not scored: the proxy keeps no answers for a client that loses its connection and comes back for them."""
UNSAID = {
    "input-required-result-basic-elicitation",
    "input-required-result-ignore-extra-params",
    "input-required-result-multiple-input-requests",
}
"""A server of the handshake era asks one thing after the other, and has no names for what it asks."""
GOOD = {"SUCCESS", "INFO", "SKIPPED"}


@dataclass(frozen=True)
class Check:
    """One check of a scenario. The same id may come several times; `name` and its place tell them apart."""

    scenario: str
    name: str
    nth: int


@dataclass(frozen=True)
class Found:
    """What one run found: the worst status of each check, why, and whether the suite was content."""

    status: Mapping[Check, str]
    why: Mapping[Check, str]
    unscored: frozenset[str]
    content: bool

    def good(self) -> int:
        return sum(status == "SUCCESS" for status in self.status.values())

    def bad(self) -> int:
        return sum(status not in GOOD for status in self.status.values())


def run(node: Node, url: str, requirements: str, folder: Path) -> Found:
    """Run one set of requirements against a server."""
    words = ["server", "--url", url, "--requirements", requirements]
    return _run(node, words, folder)


def warm(node: Node, url: str, folder: Path) -> None:
    """Have the proxy start a server for each set of capabilities with which one scenario calls.

    The suite gives each call there 0.6 seconds, in which the server that is met directly need not start first.
    """
    _run(
        node,
        ["server", "--url", url, "--scenario", "server-stateless", "--spec-version", REQUIREMENTS[0]],
        folder,
    )


def run_client(node: Node, command: list[str], version: str, scenario: str, folder: Path) -> Found:
    """Run one scenario against a client that is started with an address to visit."""
    words = ["client", "--command", shlex.join(command), "--spec-version", version, "--scenario", scenario]
    return _run(node, words, folder)


def _run(node: Node, words: list[str], folder: Path) -> Found:
    command = node.script("@modelcontextprotocol/conformance", "dist/index.js")
    command += [*words, "--output-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=folder.parent)
    status: dict[Check, str] = {}
    why: dict[Check, str] = {}
    for report in sorted(folder.glob("*/checks.json")):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\dZ-]+$", "", report.parent.name)
        seen: dict[str, int] = {}
        for check in json.loads(report.read_text()):
            name = f"{check['id']}: {check['name']}"
            seen[name] = seen.get(name, 0) + 1
            key = Check(scenario, name, seen[name])
            status[key] = check["status"]
            why[key] = check.get("errorMessage", "")
    if not status:
        raise AssertionError(f"the suite checked nothing: {done.stdout}{done.stderr}")
    unscored = frozenset(re.findall(r"^  [✓✗] (\S+) \(", done.stdout, re.MULTILINE))
    return Found(status, why, unscored, done.returncode == 0)


def lost(before: Found, after: Found, accepted: Set[str] = frozenset()) -> list[str]:
    """Name every check that was fine and is not any more, or is not made any more, but for some scenarios'."""
    return [
        f"{check.scenario}: {check.name} #{check.nth}: {status} became {after.status.get(check, 'missing')}:"
        f" {after.why.get(check, '')}"
        for check, status in before.status.items()
        if check.scenario not in accepted
        and status in GOOD
        and after.status.get(check, "missing") not in GOOD
    ]


def table(before: Found, after: Found, heading: str) -> str:
    """Show, scenario by scenario, how many checks passed without and with the proxy."""
    rows = [f"{heading:52} direct  proxied"]
    for scenario in sorted({check.scenario for check in (*before.status, *after.status)}):
        counts = [_count(found, scenario) for found in (before, after)]
        mark = " (not scored)" if scenario in before.unscored else ""
        differ = "" if counts[0] == counts[1] else "   <--"
        rows.append(f"{scenario + mark:52} {counts[0]:>6}  {counts[1]:>7}{differ}")
    rows.append(f"{'all':52} {before.good()}/{before.bad():<4} {after.good()}/{after.bad()}")
    return "\n".join(rows)


def _count(found: Found, scenario: str) -> str:
    statuses = [status for check, status in found.status.items() if check.scenario == scenario]
    return f"{sum(s == 'SUCCESS' for s in statuses)}/{sum(s not in GOOD for s in statuses)}"
