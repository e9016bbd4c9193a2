"""Holds the compiled decider against the plain one: `python tests/core/policy/differential.py --pairs 10000000`.

In the manner of Cedar ("How We Built Cedar", 2024): policies and calls are made at random, and the two must agree
on every one: whether it runs, where, who is asked, what it pays, and which rules and reasons may be named for it.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.core.policies import assembled
from tests.core.policy.generated import cases
from tests.core.policy.reference import WORST, Asked, Charged, Data, Said, judge

from blastwall.policy import Layered, Policy
from blastwall.provenance import Context, Intent, Link, Origin, Traced, objects_of, verbs_of
from blastwall.values import (
    Allow,
    Annotations,
    Ask,
    Charge,
    Classify,
    Confidentiality,
    Deny,
    Integrity,
    Label,
    Sandbox,
    ToolCall,
    Verdict,
)

Judge = Policy | Layered
MEMBERS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")

KINDS = ("calls", "writes", "destructive", "rate", "budget", "sum", "asked for", "of layer1")


@dataclass(frozen=True, slots=True)
class Wishes(Intent):
    """A user who says plainly what is wanted, how often, and of what."""

    wishes: tuple[tuple[str, str, int | None], ...] = ()

    def asked(self, verbs: tuple[str, ...], objects: tuple[str, ...] = ()) -> int | None:
        """Add up the wishes for one of the verbs, and for one of the objects where some are named."""
        times = [n for verb, thing, n in self.wishes if verb in verbs and (not objects or thing in objects)]
        return None if None in times else sum(n or 0 for n in times)


@dataclass(slots=True)
class Tally:
    """What was compared: pairs, kinds of verdict and reasons, and the cases on which the two disagree."""

    pairs: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    disagreements: list[str] = field(default_factory=list)


def compiled(layers: list[Data]) -> Judge:
    """Compile the layers, the first as the one that grants."""
    first, *rest = (replace(assembled(layer), file=f"layer{i}.yaml") for i, layer in enumerate(layers))
    return Layered(first, tuple(rest)) if rest else first


def call_of(asked: Asked) -> ToolCall:
    """Make the call itself."""
    hints = WORST | asked.hints
    read_only, destructive, idempotent, open_world = (hints[name] for name in MEMBERS)
    stated = frozenset(asked.hints)
    annotations = Annotations(read_only, destructive, idempotent, open_world, stated)
    return ToolCall.of(asked.connector, asked.tool, asked.arguments, annotations, asked.fingerprint)


def verdict_of(loaded: Judge, asked: Asked, *, twice: bool = True) -> Verdict:
    """Ask the compiled policy, with no more of the world than it says it needs; and again, for it remembers."""
    call = call_of(asked)
    resolved = {path: asked.leads.get(path) for path in loaded.paths(call)}
    context = context_of(asked.seen) if loaded.recalls(call) else None
    verdict = loaded.decide(call, resolved, context)
    if twice and (again := loaded.decide(call, resolved, context)) != verdict:
        raise AssertionError(f"first {verdict}, then {again}")
    return verdict


def context_of(seen: Data) -> Context:
    """Give what a session has seen as the values of the policy."""
    return Context(
        tuple(
            Traced(
                leaf["path"],
                leaf["value"],
                _origins(leaf["whole"]),
                _origins(leaf["parts"]),
                tuple(Link(link["text"], _origins(link["origins"])) for link in leaf["links"]),
            )
            for leaf in seen["traced"]
        ),
        Wishes((), tuple((wish["verb"], wish["object"], wish["times"]) for wish in seen["wishes"])),
        Integrity[seen["integrity"].upper()],
        Confidentiality[seen["confidentiality"].upper()],
        seen["forgotten"],
    )


_LABELS = {(i.name.lower(), c.name.lower()): Label(i, c) for i in Integrity for c in Confidentiality}


def _origins(found: list[Data]) -> tuple[Origin, ...]:
    return tuple(
        Origin(
            "" if o["integrity"] == "prompt" else "mail.get_mail",
            1,
            "$",
            _LABELS[o["integrity"], o["confidentiality"]],
            prose=o["prose"],
            bound=o["bound"],
        )
        for o in found
    )


def expected(layers: list[Data], asked: Asked) -> Said:
    """Ask the plain decider. What a tool's name says is English, not policy: it is told."""
    asked.seen["verbs"], asked.seen["objects"] = verbs_of(asked.tool), objects_of(asked.tool)
    return judge(layers, asked)


def disagreement(said: Said, verdict: Verdict) -> str:
    """Say in what a verdict is not what it should be; nothing if in nothing."""
    if isinstance(verdict, Deny):
        why = (verdict.denied.rule, verdict.denied.reason.value)
        return "" if said.kind == "deny" and why in said.why else f"denied for {why}"
    asking = verdict if isinstance(verdict, Ask | Classify) else None
    run: Allow | Sandbox = verdict.then if isinstance(verdict, Ask | Classify) else verdict
    instead = run.instead_of
    differs = {
        "kind": (said.kind, type(verdict).__name__.lower() if asking else "allow"),
        "box": (said.box[0] if said.box else None, run.profile.name if isinstance(run, Sandbox) else None),
        "pays": (Counter(said.pays), _paid(run.charges)),
        "asking": (Counter(said.asking), _paid(asking.charges if asking else ())),
        "wait": (said.wait, asking.timeout_s if asking else 0.0),
        "rule": (True, (verdict.rule, "") in said.why),
        "overlooked": (bool(said.overlooked), instead is not None),
        "instead": (True, instead is None or (instead.rule, instead.reason.value) in said.overlooked),
    }
    return ", ".join(f"{what}: {a} or {b}" for what, (a, b) in differs.items() if a != b)


def _paid(charges: tuple[Charge, ...]) -> Counter[Charged]:
    return Counter((c.key, c.limit, c.amount, c.per_s, c.ask) for c in charges)


def compare(seed: object, pairs: int, most: int = 20) -> Tally:
    """Compare on so many pairs of a policy and a call, or until the two have disagreed too often."""
    tally = Tally()
    for layers, calls in cases(seed):
        loaded = compiled(layers)
        for asked in calls:
            said, verdict = expected(layers, asked), verdict_of(loaded, asked, twice=tally.pairs % 4 == 0)
            tally.pairs += 1
            tally.seen.update(features(said, verdict))
            if differs := disagreement(said, verdict):
                case = {
                    "layers": layers,
                    "call": asdict(asked),
                    "plain": repr(said),
                    "compiled": repr(verdict),
                }
                tally.disagreements.append(f"{differs}\n{json.dumps(case)}")
        if tally.pairs >= pairs or len(tally.disagreements) >= most:
            break
    return tally


def features(said: Said, verdict: Verdict) -> Iterator[str]:
    """Name what a pair reaches: a control for the generator."""
    yield said.kind
    if isinstance(verdict, Deny):
        yield f"deny: {verdict.denied.reason.value}"
    if said.box:
        yield f"{said.kind} in a sandbox"
    if said.overlooked:
        yield "overlooked"
    yield from {f"pays {kind}" for kind in KINDS if any(kind in key for key, *_ in said.pays)}


def _chunk(job: tuple[str, int]) -> tuple[int, Counter[str], list[str]]:
    tally = compare(*job)
    return tally.pairs, tally.seen, tally.disagreements


def main(arguments: list[str] | None = None) -> int:
    """Compare, print what was reached, and give 1 if the two ever disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--seed", default="blastwall")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(arguments)
    chunk = min(chosen.pairs, 20_000)
    jobs = [(f"{chosen.seed}:{i}", chunk) for i in range(-(-chosen.pairs // chunk))]
    total, began = Tally(), time.monotonic()
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        for pairs, seen, disagreements in pool.imap_unordered(_chunk, jobs):
            total.pairs += pairs
            total.seen.update(seen)
            total.disagreements += disagreements
            if len(total.disagreements) >= 20:
                break
    took = time.monotonic() - began
    lines = [f"{times:>12,}  {what}" for what, times in sorted(total.seen.items())]
    lines += total.disagreements[:5]
    lines.append(f"{total.pairs:,} pairs in {took:.0f} s, {len(total.disagreements)} disagreements")
    print("\n".join(lines))  # noqa: T201  # it is a command
    return 1 if total.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
