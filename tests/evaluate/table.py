"""Run the whole evaluation and write what came of it into docs/evaluation.md. Takes the better part of an hour.

`python tests/evaluate/table.py [PROCESSES]`, where the extra `agentdojo` is installed.
"""

import json
import re
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

from blastwall.evaluate import adaptive, agentdojo, cases, report, run
from blastwall.evaluate.agentdojo import attacks
from blastwall.evaluate.guards import Way
from blastwall.evaluate.score import Score

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
KEPT = Path("evaluation.jsonl")
ALL = (*agentdojo.SUITES, "all")
GUARDED = ("scopes", "scopes+user", "blastwall", "blastwall+user")
DEED = re.compile(r"(?s)(?:attacker|user) (\w+)\((.*)\) (ran by (\S+)|not run: .*)")
MOST_SHOWN = 160


def main(processes):
    jobs = [
        *run.plan(agentdojo.SUITES, attacks.NAMES, list(Way)),
        *run.plan_adaptive(agentdojo.SUITES, [Way.SCOPES]),
    ]
    kept = (
        {tuple(line["job"]): line["scores"] for line in map(json.loads, KEPT.open())} if KEPT.exists() else {}
    )
    left = [job for job in jobs if key(job) not in kept]
    began = time.monotonic()
    with KEPT.open("a") as file:
        for job, found in run.perform_all(left, processes):
            kept[key(job)] = [asdict(score) for score in found]
            file.write(json.dumps({"job": key(job), "scores": kept[key(job)]}) + "\n")
            file.flush()
            sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {job.suite} {job.way.value} {job.name}\n")
    scores = [Score(**{**line, "deeds": tuple(line["deeds"])}) for job in jobs for line in kept[key(job)]]
    write("\n".join([*of_agentdojo(scores), *of_tactics(scores), *of_cases()]))


def key(job):
    return job.suite, job.way.value, job.name


def write(text):
    page = PAGE.read_text("utf-8")
    new = re.sub(
        r"(?s)<!-- results -->.*<!-- end of results -->",
        lambda _: f"<!-- results -->\n\n{text}\n\n<!-- end of results -->",
        page,
    )
    PAGE.write_text(new, "utf-8")


def row(*cells):
    return f"| {' | '.join(map(str, cells))} |"


def of_agentdojo(scores):
    found = report.sums([s for s in scores if " " not in s.attack])
    yield "### The user's tasks, nobody attacks\n"
    yield row("guard", *ALL, "tasks with an ask", "prompts")
    yield "|---|" + "--:|" * (len(ALL) + 2)
    for way in Way:
        sums = [found[way.value, "", suite] for suite in ALL]
        yield row(f"`{way.value}`", *map(done, sums), sums[-1].tasks_asked, sums[-1].asks)
    yield "\nIn brackets: in how many of them all of the user's calls ran, where that is less.\n"
    yield "Whom a person is asked about (`scopes`; the first call and the first reason of each task):\n"
    yield from asked([s for s in scores if s.guard == "scopes" and not s.attack])
    yield "\n### Under attack\n"
    yield "Of the pairs of a suite: attacker's actions / pairs with side effects / by text alone; and what was done.\n"
    for way in Way:
        yield f"**`{way.value}`**: {way.meaning}\n"
        yield row("text", *ALL, "done", "prompts: user's, attacker's")
        yield "|---|" + "--:|" * (len(ALL) + 2)
        for name in attacks.NAMES:
            sums = [found[way.value, name, suite] for suite in ALL]
            cells = (f"{s.action} / {s.effects} / {s.text} of {s.runs}" for s in sums)
            last = sums[-1]
            yield row(
                f"`{name}`", *cells, f"{last.utility}/{last.runs}", f"{last.asks}, {last.asks_attacker}"
            )
        yield ""
    yield "Every call of an attacker that ran under a policy, on any text:\n"
    yield from through([s for s in scores if s.guard in GUARDED and s.attack and " " not in s.attack])


def done(found):
    fewer = f" ({found.complete})" if found.complete < found.utility else ""
    return f"{found.utility}/{found.runs}{fewer}"


def asked(scores):
    for score in scores:
        for deed in score.deeds[:1]:
            tool, _, how, _ = DEED.fullmatch(deed).groups()
            why = how.removeprefix("not run: ").partition(" asks: ")[2] or how.removeprefix("not run: ")
            yield f"- {score.suite} {score.task.removeprefix('user_task_')}, `{tool}`: {why.split('; ')[0]}"


def through(scores):
    lines = defaultdict(Counter)
    for score in scores:
        for deed in score.deeds:
            if deed.startswith("attacker"):
                tool, arguments, _, rule = DEED.fullmatch(deed).groups()
                call = f"`{tool}({arguments[:MOST_SHOWN].replace('`', '')})` by `{rule}`"
                lines[score.suite, score.task.removeprefix("user_task_"), call][score.attack] += 1
    for (suite, task, call), texts in lines.items():
        yield f"- {suite} {task}: {call}, in {sum(texts.values())} runs"
    if not lines:
        yield "None."


def of_tactics(scores):
    mine = [s for s in scores if " " in s.attack]
    found = report.sums(mine)
    yield "\n### The adaptive attacker\n"
    yield "Against `scopes`, in the words of `x_plain`. Of the runs in which it found a call to try: those with side effects.\n"
    yield row("tactic", "what it does", *ALL)
    yield "|---|---|" + "--:|" * len(ALL)
    for name, tactic in adaptive.TACTICS.items():
        sums = [found.get(("scopes", f"x_plain {name}", suite)) for suite in ALL]
        yield row(f"`{name}`", tactic.meaning, *(f"{s.effects} of {s.tried}" if s else "–" for s in sums))
    yield "\nEach success, once for each task and rule:\n"
    seen = {}
    for score in mine:
        for deed in score.deeds:
            if deed.startswith("attacker"):
                tool, arguments, _, rule = DEED.fullmatch(deed).groups()
                at = score.attack.partition(" ")[2], score.suite, tool, rule
                seen.setdefault(at, {})[score.task.removeprefix("user_task_")] = arguments[
                    :MOST_SHOWN
                ].replace("`", "")
    for (tactic, suite, tool, rule), tasks in seen.items():
        example = next(iter(tasks.values()))
        yield f"- `{tactic}`, {suite} {', '.join(tasks)}: `{tool}` by `{rule}`, such as `{example}`"


def of_cases():
    yield "\n### Our own cases\n"
    yield row(
        "file",
        "orders",
        "direct harm",
        "data stealing",
        "order seen",
        "through",
        "benign",
        "asked or refused",
    )
    yield "|---|" + "--:|" * 7
    refused = []
    for book in cases.books():
        data = report.of_book(book, cases.play(book))
        keys = ("attacks", "harm", "steal", "seen", "through", "benign")
        yield row(f"`{book.name}`", *(data[key] for key in keys), len(data["refused"]))
        refused += [f"{book.name} {name}" for name in data["refused"]]
    yield f"\nBenign and asked about or refused: {', '.join(refused) or 'none'}."


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
