"""`blastwall learn`: rules proposed from what an observed agent did. Nothing is put in force."""

import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from blastwall.advice.learn import Proposal, with_records
from blastwall.advice.learn import learn as learnt
from blastwall.cli.history import Log, history
from blastwall.cli.output import AsJson, Exit, emit
from blastwall.cli.policies import policy_or_stop
from blastwall.cli.proposed import document, left_out
from blastwall.paths import resolve, state_directory
from blastwall.policy.records import Records
from blastwall.policy.source import read

Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", "-p", metavar="FILE", help="What the rules are for; layers over it."),
]


def learn(log: Log = None, policy: Policies = None, as_json: AsJson = False) -> None:
    """Propose the narrowest rules for what a permissive policy let run; printed as a policy, never written.

    A tool that may destroy something or reach somebody is proposed as `ask`. What a rule denies is never
    proposed. Exit 1 when there is nothing to propose.
    """
    loaded = policy_or_stop(*policy, as_json=as_json, acts=False) if policy else None
    path = log or (loaded.state.audit_path if loaded else state_directory() / "audit.jsonl")
    listed = _records(policy[0]) if policy else {}
    records = [Records.of(name, entries) for name, entries in listed.items()]
    found = learnt(history(path), resolve, policy=loaded, records=records, forbidden=frozenset(_homes()))
    if as_json:
        emit(
            proposals=[_as_dict(each) for each in found.proposals],
            permitted=found.permitted,
            left_out=left_out(found),
        )
    else:
        named = {name: listed[name] for name in with_records(found.proposals, records)}
        folders = (
            {each.connector: loaded.directory(each.connector) for each in found.proposals} if loaded else {}
        )
        for line in document(path, found, named, folders):
            typer.echo(line)
    raise typer.Exit(Exit.OK if found.proposals else Exit.FOUND)


def _homes() -> Iterator[str]:
    """Name the folders that are somebody's own, or hold such a one."""
    for home in {str(Path.home()), *(entry.pw_dir for entry in pwd.getpwall())}:
        if home.startswith("/") and (found := resolve(home, None)):
            yield found


def _records(policy: str) -> Mapping[str, list[str]]:
    data = read(Path(policy).read_text(encoding="utf-8-sig")).data
    records: Mapping[str, list[str]] = data.get("trusted_records", {})
    return records


def _as_dict(each: Proposal) -> dict[str, Any]:
    return {
        "connector": each.connector,
        "tool": each.tool,
        "rule": each.rule,
        "calls": each.calls,
        "why": each.why,
        "doubts": each.doubts,
    }
