"""How many decisions a second, beside Cedar, CEL and a plain loop: one run, one machine, the same requests.

Run it with `make bench`, or `.venv/bin/python benchmarks/policy.py`. Every rule has the glob of its own tools
and one demand (a host suffix, a path prefix, a largest amount), and one of three effects. Every engine must
give the one right answer to each request that it is timed on. To be read with the figures:

* The requests are ready made for every engine: frozen calls for ours, dictionaries for the others. The row
  "and its call" adds what making a call costs: freezing, canonical JSON, SHA-256.
* Ours parses each URL and looks at where each path leads; the others are handed the host and the clean path.
* CEL is the one in Rust (`common-expression-language`); Cedar is `cedarpy`, all of it parsed once.
* Cedar knows no third outcome, so its "ask" is a permit, and it is checked on deny or not.
* The rows are of "matched" requests, those that some rule speaks for, but for one. What no rule speaks for is
  refused with the list of what it lacks, and that text is most of what it costs.
* Ours keeps a plan for each of the first 4,096 tools that it meets; more tools are decided the long way.
"""

import argparse
import fnmatch
import importlib
import json
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from blastwall.policy import Policy
from blastwall.policy.assemble import assemble
from blastwall.policy.model import Document
from blastwall.values import Allow, Ask, Deny, ToolCall, Verdict

OURS = "blastwall"
REQUESTS = 2000
ROUNDS = 5
ROUND_S = 0.1
"""How long each engine is timed in each round, at least."""
BUDGET_S = 0.5
"""How long each engine may take for all the requests: a slow one is timed on fewer."""

KINDS = ("host", "path", "amount")
EFFECTS = ("allow", "ask", "allow", "deny")


@dataclass(frozen=True, slots=True)
class Scope:
    """One rule: its tools all start alike, and it demands one thing."""

    number: int
    effect: str
    kind: str
    limit: Any

    @property
    def glob(self) -> str:
        """The glob of its tools."""
        return f"t{self.number}_*"


@dataclass(frozen=True, slots=True)
class Request:
    """One call, in the form that an engine without a parser needs."""

    tool: str
    given: dict[str, Any]


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: what it decides with, what it is given for each request, and what its answer means."""

    name: str
    decide: Callable[..., Any]
    given: list[tuple[Any, ...]]
    means: Callable[[Any], str] = str


def scopes(count: int) -> list[Scope]:
    """Make so many rules."""
    made = []
    for i in range(count):
        kind, n = KINDS[i % 3], i % 9
        limits = {"host": f"d{n}.example.com", "path": f"/srv/p{n}", "amount": 10 * n + 10}
        made.append(Scope(i, EFFECTS[i % 4], kind, limits[kind]))
    return made


def requests(rules: list[Scope], seed: int = 7) -> list[Request]:
    """Make calls: of ten, seven are as a rule demands, and three are near misses."""
    rng = random.Random(seed)
    made = []
    for _ in range(REQUESTS):
        rule, good = rng.choice(rules), rng.random() < 0.7
        word = "".join(rng.choices("abcdefgh", k=8))
        tool = f"t{rule.number}_{rng.choice(('get', 'list', 'find', 'send'))}"
        value = _good(rule, word, rng) if good else _near(rule, word)
        made.append(Request(tool, {rule.kind: value}))
    return made


def _good(rule: Scope, word: str, rng: random.Random) -> Any:
    if rule.kind == "amount":
        return rng.randint(1, rule.limit)
    return f"{word}.{rule.limit}" if rule.kind == "host" else f"{rule.limit}/{word}"


def _near(rule: Scope, word: str) -> Any:
    if rule.kind == "amount":
        return rule.limit + 1
    return f"{word}.{rule.limit}.test" if rule.kind == "host" else f"{rule.limit}x/{word}"


def holds(rule: Scope, given: dict[str, Any]) -> bool:
    """Say whether a demand holds, in plain Python."""
    value = given.get(rule.kind)
    if value is None:
        return False
    if rule.kind == "host":
        return bool(value.endswith("." + rule.limit))
    return bool(value.startswith(rule.limit + "/") if rule.kind == "path" else value <= rule.limit)


def naive(rules: list[Scope], asked: list[Request]) -> Engine:
    """Look at every rule, one after the other."""

    def decide(request: Request) -> str:
        said = {
            rule.effect
            for rule in rules
            if fnmatch.fnmatchcase(request.tool, rule.glob) and holds(rule, request.given)
        }
        return strictest(said)

    return Engine("plain loop", decide, [(request,) for request in asked])


def strictest(said: set[str]) -> str:
    """Combine what several rules say."""
    return "deny" if "deny" in said or not said else "ask" if "ask" in said else "allow"


# --- ours ---------------------------------------------------------------------------------------------


def policy(rules: list[Scope]) -> Policy:
    """Compile the rules."""
    demands: dict[str, Callable[[Any], dict[str, Any]]] = {
        "host": lambda limit: {"url": {"hosts": [f"*.{limit}"]}},
        "path": lambda limit: {"path": {"under": [limit]}},
        "amount": lambda limit: {"amount": {"maximum": limit}},
    }
    blocks = [
        {"id": f"r{r.number}", "effect": r.effect, "tools": [r.glob], "args": demands[r.kind](r.limit)}
        for r in rules
    ]
    content = {"version": 1, "connectors": {"bench": {"rules": blocks}}}
    return assemble(
        Document.model_validate(content),
        "",
        file="bench.yaml",
        directory=Path("/"),
        state=Path("/state"),
        resolve=lambda path, base: path,
    )


def arguments(request: Request) -> dict[str, Any]:
    """Give a call's arguments; a host stands in a URL."""
    host = request.given.get("host")
    return {"url": f"https://{host}/v1/items?page=2"} if host else request.given


def ours(rules: list[Scope], asked: list[Request]) -> Iterator[Engine]:
    """Decide with the compiled policy: given the call, and given what a call is made of."""
    decide = policy(rules).decide
    resolved = [{v: v for v in [request.given.get("path")] if v} for request in asked]
    named = [(request.tool, arguments(request)) for request in asked]
    calls = [ToolCall.of("bench", *each) for each in named]
    said = {Allow: "allow", Ask: "ask", Deny: "deny"}

    def means(verdict: Allow | Ask | Deny) -> str:
        return said[type(verdict)]

    def making(tool: str, given: dict[str, Any], leads: dict[str, str | None]) -> Verdict:
        return decide(ToolCall.of("bench", tool, given), leads)

    yield Engine(OURS, decide, list(zip(calls, resolved, strict=True)), means)
    given = [(*each, leads) for each, leads in zip(named, resolved, strict=True)]
    yield Engine("blastwall, and its call", making, given, means)


# --- the others -----------------------------------------------------------------------------------------


def cedar(rules: list[Scope], asked: list[Request]) -> Engine:
    """Decide with Cedar, its policies and entities parsed once."""
    cedarpy = importlib.import_module("cedarpy")
    demands = {
        "host": 'context has host && context.host like "*.{}"',
        "path": 'context has path && context.path like "{}/*"',
        "amount": "context has amount && context.amount <= {}",
    }
    text = "\n".join(
        f"{'forbid' if r.effect == 'deny' else 'permit'}(principal, action, resource) when "
        f'{{ context.tool like "{r.glob}" && {demands[r.kind].format(r.limit)} }};'
        for r in rules
    )
    handle, entities = cedarpy.PolicySet.from_str(text), cedarpy.Entities.from_json_str("[]")
    who = {"principal": 'Agent::"a"', "action": 'Action::"call"', "resource": 'Tool::"t"'}
    return Engine(
        "Cedar, a set handle",
        cedarpy.is_authorized,
        [(who | {"context": r.given | {"tool": r.tool}}, handle, entities) for r in asked],
        lambda result: "permit" if result.decision == cedarpy.Decision.Allow else "deny",
    )


def cel(rules: list[Scope], asked: list[Request]) -> Iterator[Engine]:
    """Decide with CEL in Rust: with the expressions of the tool's own bucket, and with every one."""
    engine = importlib.import_module("cel")
    demands = {
        "host": "has(r.host) && r.host.endsWith('.{}')",
        "path": "has(r.path) && r.path.startsWith('{}/')",
        "amount": "has(r.amount) && r.amount <= {}",
    }
    programs = [
        (r.effect, engine.compile(f"tool.startsWith('t{r.number}_') && {demands[r.kind].format(r.limit)}"))
        for r in rules
    ]

    def decide(request: dict[str, Any], chosen: list[tuple[str, Any]]) -> str:
        return strictest({effect for effect, program in chosen if program.execute(request)})

    given = [{"r": request.given, "tool": request.tool} for request in asked]
    own = [[programs[family(request)]] for request in asked]
    yield Engine("CEL, bucketed by tool", decide, list(zip(given, own, strict=True)))
    yield Engine("CEL, every rule", decide, [(each, programs) for each in given])


def family(request: Request) -> int:
    """Give the number of the rule that the tool of a request belongs to."""
    return int(request.tool[1:].partition("_")[0])


# --- timing ---------------------------------------------------------------------------------------------


def engines(rules: list[Scope], asked: list[Request]) -> Iterator[Engine]:
    """Give every engine that is installed, ours first."""
    yield from ours(rules, asked)
    yield naive(rules, asked)
    if _installed("cel"):
        yield from cel(rules, asked)
    if _installed("cedarpy"):
        yield cedar(rules, asked)


def _installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        Console(stderr=True).print(f"{name} is not installed: left out")
        return False
    return True


def timed(decide: Callable[..., Any], given: list[tuple[Any, ...]]) -> float:
    """Give the seconds of CPU that one decision takes, over as many passes as a fair look needs."""
    began, done = time.process_time(), 0
    while (took := time.process_time() - began) < ROUND_S:
        deque(starmap(decide, given), maxlen=0)  # no loop of our own: it would be a tenth of a decision
        done += len(given)
    return took / done


def agreeing(engine: Engine, expected: list[str]) -> int:
    """Hold an engine against the right answers, and say on how many requests it can be timed."""
    began = time.process_time()
    for i, (given, wanted) in enumerate(zip(engine.given, expected, strict=True)):
        said = engine.means(engine.decide(*given))
        if said != wanted and (said, wanted) not in (("permit", "allow"), ("permit", "ask")):
            raise SystemExit(f"{engine.name} says {said} of request {i}, and right is {wanted}")
        if time.process_time() - began > BUDGET_S:
            return i + 1
    return len(expected)


def measure(count: int) -> list[Row]:
    """Time every engine on so many rules, round by round in turn."""
    rules = scopes(count)
    asked = requests(rules)
    own = [rules[family(request)] for request in asked]
    expected = [rule.effect if holds(rule, r.given) else "deny" for rule, r in zip(own, asked, strict=True)]
    matched = [
        i for i, (rule, request) in enumerate(zip(own, asked, strict=True)) if holds(rule, request.given)
    ]
    jobs: list[tuple[str, Callable[..., Any], list[tuple[Any, ...]]]] = []
    for engine in engines(rules, asked):
        most = agreeing(engine, expected)
        jobs.append((engine.name, engine.decide, [engine.given[i] for i in matched if i < most]))
        if engine.name == OURS:
            jobs.append(("blastwall, unmatched too", engine.decide, engine.given))
    times: dict[str, list[float]] = {name: [] for name, _, _ in jobs}
    for _ in range(ROUNDS):
        for name, decide, given in jobs:
            times[name].append(timed(decide, given))
    medians = {name: statistics.median(each) for name, each in times.items()}
    return [
        {
            "rules": count,
            "engine": name,
            "per second": round(1 / medians[name]),
            "µs": round(medians[name] * 1e6, 2),
            "to ours": round(medians[name] / medians[OURS], 1),
            "requests": len(given),
        }
        for name, _, given in jobs
    ]


def show(rows: list[Row]) -> None:
    """Print the table."""
    table = Table(title="Decisions on matched requests, CPU time (aim: 1,000,000 a second at 50 rules)")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else value for value in row.values()))
    Console().print(table)


def main() -> None:
    """Measure with each number of rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rules", type=int, nargs="+", default=[50, 500, 5000])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = [row for count in chosen.rules for row in measure(count)]
    print(json.dumps(rows)) if chosen.json else show(rows)


if __name__ == "__main__":
    main()
