"""`blastwall explain`: which rule decides a call, and why the others don't."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from blastwall.cli.output import AsJson, Exit, PolicyFile, emit, out
from blastwall.cli.policies import policy_or_stop
from blastwall.frozen import NotJson
from blastwall.paths import resolve
from blastwall.policy import Explanation
from blastwall.policy import explain as explanation
from blastwall.values import Allow, Ask, Classify, Deny, Sandbox, ToolCall, Verdict

Call = Annotated[str, typer.Argument(metavar="CONNECTOR.TOOL", help="The call to explain.")]
Arguments = Annotated[str, typer.Argument(metavar="ARGUMENTS", help="Its arguments, one JSON object.")]


def explain(
    call: Call, arguments: Arguments = "{}", policy: PolicyFile = "blastwall.yaml", as_json: AsJson = False
) -> None:
    """Explain what the policy says of one call. Exit 0 when it would run unasked, 1 when not."""
    loaded = policy_or_stop(policy, as_json=as_json)
    asked = _call(call, arguments)
    base = loaded.directory(asked.connector)
    resolved = {path: resolve(path, base) for path in loaded.paths(asked)}
    explained = explanation(loaded, asked, resolved)
    if as_json:
        emit(call=asked.name, digest=asked.digest, **_summary(explained.verdict), rules=_lines(explained))
    else:
        _show(asked, explained)
    runs = isinstance(explained.verdict, Allow | Sandbox)
    raise typer.Exit(Exit.OK if runs else Exit.FOUND)


def _call(name: str, arguments: str) -> ToolCall:
    connector, dot, tool = name.partition(".")
    if not (connector and dot and tool):
        raise typer.BadParameter(f"{name!r} is not CONNECTOR.TOOL")
    try:
        parsed = json.loads(arguments)
        if not isinstance(parsed, dict):
            raise typer.BadParameter('the arguments must be one JSON object, such as {"path": "a.txt"}')
        return ToolCall.of(connector, tool, parsed)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"the arguments are not JSON: {error}") from None
    except NotJson as error:
        raise typer.BadParameter(str(error)) from None


def _summary(verdict: Verdict) -> dict[str, Any]:
    match verdict:
        case Allow(rule):
            return {"verdict": "allow", "rule": rule, "message": "it runs"}
        case Sandbox(rule, profile):
            return {"verdict": "sandbox", "rule": rule, "message": f"it runs in sandbox {profile.name}"}
        case Ask(rule, question):
            return {"verdict": "ask", "rule": rule, "message": question}
        case Classify(rule, question):
            return {"verdict": "classify", "rule": rule, "message": question}
        case Deny(denied):
            return {"verdict": "deny", "rule": denied.rule, "message": str(denied)}


def _lines(explained: Explanation) -> list[dict[str, str]]:
    return [
        {"rule": line.rule, "effect": line.effect, "standing": line.standing, "why": line.why}
        for line in explained.lines
    ]


_COLOURS = {"allow": "green", "sandbox": "green", "ask": "yellow", "classify": "yellow", "deny": "red"}


def _show(call: ToolCall, explained: Explanation) -> None:
    summary = _summary(explained.verdict)
    colour = _COLOURS[summary["verdict"]]
    out.print(f"[bold {colour}]{summary['verdict']}[/]  [bold]{call.name}[/]")
    out.print(summary["message"], markup=False)
    if not explained.lines:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("rule", "effect", "here", "why"):
        table.add_column(heading)
    for line in explained.lines:
        decided = line.rule == summary["rule"]
        style = "bold" if decided else "dim" if line.standing == "abstain" else ""
        table.add_row(line.rule, line.effect, line.standing, line.why, style=style)
    out.print()
    out.print(table)
