"""`blastwall test`: whether recorded calls come out as their recordings expect."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from blastwall.advice.compare import AnyPolicy
from blastwall.cli.output import AsJson, Exit, PolicyFiles, emit, err, out
from blastwall.cli.policies import AnyFile, as_dict, looked_at, policy_or_stop
from blastwall.errors import PolicyError, Problem
from blastwall.policy.explain import plain
from blastwall.policy.source import read
from blastwall.recording import Step, load
from blastwall.replay import Replayed, replay

Files = Annotated[list[str] | None, typer.Argument(metavar="FILE", help="Recordings.")]


@dataclass(frozen=True, slots=True)
class _Played:
    """One recording, and what came of its calls."""

    file: str
    calls: tuple[Replayed, ...]

    @property
    def expecting(self) -> int:
        return sum(1 for call in self.calls if call.step.expect or call.step.rule)

    @property
    def failures(self) -> tuple[Replayed, ...]:
        return tuple(call for call in self.calls if not call.as_expected)


def check_recordings(
    files: Files = None,
    policy: PolicyFiles = [],  # noqa: B006  # typer copies it
    as_json: AsJson = False,
) -> None:
    """Walk recordings through a policy; nothing is run. Exit 1 when a call does not come out as expected.

    The examples that the policy's rules carry are checked as well: a policy with a wrong one does not load.
    """
    files_of_policy = looked_at(policy)
    loaded = policy_or_stop(*policy, as_json=as_json, acts=False)
    examples = sum(map(_examples, files_of_policy))
    played: list[_Played] = []
    problems: list[Problem] = []
    for file in files or []:
        try:
            played.append(_played(loaded, file, load(file)))
        except PolicyError as error:
            problems.extend(error.problems)
    failed = [(each.file, call) for each in played for call in each.failures]
    if as_json:
        emit(
            ok=not (failed or problems),
            examples=examples,
            recordings=[_summary(each) for each in played],
            failures=[_as_dict(file, call) for file, call in failed],
            problems=[as_dict(problem) for problem in problems],
        )
    else:
        _tell(" and ".join(map(str, files_of_policy)), examples, played, problems)
    raise typer.Exit(Exit.POLICY if problems else Exit.FOUND if failed else Exit.OK)


def _played(policy: AnyPolicy, file: str, steps: tuple[Step, ...]) -> _Played:
    return _Played(file, tuple(replay(policy, steps)))


def _examples(policy: AnyFile) -> int:
    """Count the examples that the rules of a policy file carry; they held when it was loaded."""
    data = read(Path(policy).read_text(encoding="utf-8-sig")).data
    rules = [rule for block in data["connectors"].values() for rule in block.get("rules", [])]
    return sum(len(listed) for rule in rules for listed in rule.get("examples", {}).values())


def _summary(played: _Played) -> dict[str, Any]:
    return {
        "file": played.file,
        "calls": len(played.calls),
        "expecting": played.expecting,
        "failed": len(played.failures),
    }


def _as_dict(file: str, call: Replayed) -> dict[str, Any]:
    return {
        "file": file,
        "line": call.step.line,
        "call": call.call.name,
        "expected": {"verdict": call.step.expect, "rule": call.step.rule},
        "got": {"verdict": call.verdict, "rule": call.rule, "message": call.message},
    }


def _tell(policy: str, examples: int, played: list[_Played], problems: list[Problem]) -> None:
    out.print(Text(f"{policy}: {_count(examples, 'example')} of the rules hold"))
    for each in played:
        said = f"{_count(len(each.calls), 'call')}, {each.expecting} with an expectation"
        ending = f", {len(each.failures)} FAILED" if each.failures else ""
        out.print(Text(f"{each.file}: {said}{ending}", style="bold red" if each.failures else ""))
        for line, style in (line for call in each.failures for line in _difference(each.file, call)):
            out.print(Text(line, style=style))
    for problem in problems:
        err.print(Text(str(problem), style="bold red"))


def _difference(file: str, call: Replayed) -> Iterator[tuple[str, str]]:
    """Show what was expected of a call and what it got, one above the other."""
    expected = _words(call.step.expect or call.verdict, call.step.rule or call.rule)
    yield f"\n{file}:{call.step.line}: {plain(call.call.name)}", "bold"
    yield f"- {expected}", "green"
    yield f"+ {_words(call.verdict, call.rule)}", "red"
    if call.message:
        yield f"  {plain(call.message)}", ""
        return
    for line in call.explanation.lines:
        if line.standing != "abstain" or line.rule == call.step.rule:
            yield f"  {line.rule} says {line.standing}: {plain(line.why)}", "dim"


def _words(verdict: str, rule: str) -> str:
    return f"{verdict:<8} {rule or 'by no rule'}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
