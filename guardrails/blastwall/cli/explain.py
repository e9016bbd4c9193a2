"""`blastwall explain`: which rule decides a call, why the others don't, and where its values came from."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from blastwall.advice.compare import AnyPolicy, again
from blastwall.cli.calls import call as written
from blastwall.cli.explained import as_fields, show
from blastwall.cli.history import Log, found, history
from blastwall.cli.output import AsJson, Exit, PolicyFiles, emit, err, stop
from blastwall.cli.policies import as_dict, policy_or_stop
from blastwall.errors import PolicyError
from blastwall.paths import resolve
from blastwall.policy import Explanation
from blastwall.policy import explain as explanation
from blastwall.provenance import NOTHING
from blastwall.recording import load
from blastwall.replay import World
from blastwall.values import Allow, Sandbox, ToolCall

Call = Annotated[str | None, typer.Argument(metavar="CONNECTOR.TOOL", help="The call to explain.")]
Arguments = Annotated[str, typer.Argument(metavar="ARGUMENTS", help="Its arguments, one JSON object.")]
After = Annotated[
    Path | None, typer.Option("--after", metavar="FILE", help="A recording of what came before.")
]
Said = Annotated[str, typer.Option("--prompt", metavar="TEXT", help="What the user said last.")]
Recorded = Annotated[
    str,
    typer.Option("--record", metavar="N|DIGEST", help="A call of the audit log, instead of a written one."),
]


def explain(
    call: Call = None,
    arguments: Arguments = "{}",
    policy: PolicyFiles = [],  # noqa: B006  # typer copies it
    after: After = None,
    prompt: Said = "",
    record: Recorded = "",
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Explain what the policy says of one call. Exit 0 when it would run unasked, 1 when not."""
    if bool(call) is bool(record):
        raise typer.BadParameter("name one call: CONNECTOR.TOOL with its arguments, or --record")
    loaded = policy_or_stop(*policy, as_json=as_json, acts=False)
    if record:
        asked, explained = _of_log(loaded, log or loaded.state.audit_path, record)
    else:
        asked = written(loaded, call or "", arguments)
        explained = _of_story(loaded, asked, after, prompt, as_json=as_json)
    if as_json:
        emit(call=asked.name, digest=asked.digest, **as_fields(explained))
    else:
        show(asked, explained)
    runs = isinstance(explained.verdict, Allow | Sandbox)
    raise typer.Exit(Exit.OK if runs else Exit.FOUND)


def _of_story(
    policy: AnyPolicy, call: ToolCall, after: Path | None, prompt: str, *, as_json: bool
) -> Explanation:
    """Explain a call behind a recording and a prompt, as far as what they used up leaves something."""
    world = World(policy)
    try:
        steps = load(after) if after else ()
    except PolicyError as error:
        if as_json:
            emit(ok=False, problems=[as_dict(problem) for problem in error.problems])
        stop(Exit.POLICY, "" if as_json else str(error))
    for _ in world.replay(steps):
        pass
    if prompt:
        world.memory.begin(prompt)
    explained = explanation(policy, call, *world.look(call))
    return replace(explained, verdict=world.weigh(call, explained.verdict))


def _of_log(policy: AnyPolicy, log: Path, record: str) -> tuple[ToolCall, Explanation]:
    """Explain a call of the log, with what its decision leant on; its paths lead where they lead now."""
    seen = found(history(log), record)
    if seen.call is None:
        stop(Exit.FAILED, f"record {seen.number} holds the digest of {seen.name} only")
    if seen.context is None and policy.recalls(seen.call):
        err.print("where its values came from was not recorded: they count as seen nowhere", style="yellow")
    call, base = again(policy, seen), policy.directory(seen.connector)
    resolved = {path: resolve(path, base) for path in policy.paths(call)}
    return call, explanation(policy, call, resolved, seen.context or NOTHING)
