"""`blastwall diff`, `apply`, `discard`: look at what was done in a copy, and take it over or not."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from blastwall.cli.compare import compared as policies
from blastwall.cli.output import AsJson, Exit, emit, err, out, stop
from blastwall.errors import BackendError
from blastwall.sandbox.changes import Change, shown, text
from blastwall.sandbox.changes import diff as compared
from blastwall.sandbox.copies import Copy, of_user
from blastwall.sandbox.merge import apply as merged
from blastwall.sandbox.trees import Kind

_MOST_TEXTS = 200
"""Files whose text is shown; the others are only listed."""

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}

Id = Annotated[str, typer.Argument(metavar="ID", help="As `blastwall run --copy` told it.")]
OptionalId = Annotated[
    str | None,
    typer.Argument(metavar="ID | OLD", help="A copy's id, or a policy; without one, all copies are listed."),
]
Newer = Annotated[str | None, typer.Argument(metavar="NEW", help="Another policy, to compare OLD with.")]
Log = Annotated[Path | None, typer.Option("--log", metavar="FILE", help="The audit log of the comparison.")]
Paths = Annotated[list[str] | None, typer.Argument(metavar="PATH", help="Only these; all by default.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the paths even where both sides changed.")]


def tell(copy: Copy) -> None:
    """Say on stderr what came of a run in a copy, and what to do now."""
    changes = compared(copy)
    _say(err, f"\ncopy {copy.id} of {copy.workspace}", "bold")
    _list(copy, changes, err)
    _next(copy, changes)


def fields(copy: Copy) -> dict[str, Any]:
    """Give the same for a machine."""
    return {
        "id": copy.id,
        "workspace": str(copy.workspace),
        "folder": str(copy.folder),
        "made": copy.made,
        "changes": [_as_dict(change) for change in compared(copy)],
        "left_out": [{"path": shown(path), "why": why} for path, why in copy.left_out],
    }


def diff(name: OptionalId = None, new: Newer = None, log: Log = None, as_json: AsJson = False) -> None:
    """Show what was changed in a copy, as a diff against the workspace; or list the copies.

    With two policies instead: what the second newly allows and denies of the calls in the audit log.
    """
    if name is not None and new is not None:
        policies(name, new, log, as_json)
        return
    if name is None:
        _all(as_json=as_json)
        return
    try:
        copy = of_user().find(name)
        changes = compared(copy)
        texts = {shown(change.path): text(copy, change) for change in changes[:_MOST_TEXTS]}
        if as_json:
            told = fields(copy)
            for change in told["changes"]:
                change["diff"] = texts.get(change["path"], [])
            emit(**told)
            return
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    _say(out, f"copy {copy.id} of {copy.workspace}, made {copy.made}", "bold")
    _list(copy, changes, out)
    for change in changes[:_MOST_TEXTS]:
        _show(change, texts[shown(change.path)])
    _next(copy, changes)


def apply(name: Id, paths: Paths = None, force: Force = False, as_json: AsJson = False) -> None:
    """Take the changes of a copy over into its workspace. Exit 1 when some of them were left.

    Git hooks, editor and agent settings, shell start-up files, `.env` and symlinks that lead out are taken
    over only when they are named, path by path. What has changed on both sides takes --force as well.
    """
    try:
        copy = of_user().find(name)
        known = {shown(change.path): change.path for change in compared(copy)} if paths else {}
        given = [known.get(path.rstrip("/"), path) for path in paths] if paths else None
        done = merged(copy, given, force=force)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    left = [{"path": shown(path), "why": why} for path, why in done.left]
    if as_json:
        emit(ok=not left, id=copy.id, applied=[shown(path) for path in done.done], left=left)
    else:
        for path in done.done:
            _say(out, f"applied  {shown(path)}")
        for item in left:
            _say(err, f"left     {item['path']}: {item['why']}", "yellow")
        if not done.done and not left:
            _say(out, "nothing to apply")
    raise typer.Exit(Exit.FOUND if left else Exit.OK)


def discard(name: Id, as_json: AsJson = False) -> None:
    """Remove a copy and everything in it. The workspace stays as it is."""
    try:
        of_user().discard(name)
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(ok=True, id=name)
    else:
        _say(out, f"discarded {name}")


def _all(*, as_json: bool) -> None:
    try:
        found = [of_user().find(name) for name in of_user().ids()]
    except BackendError as error:
        stop(Exit.FAILED, str(error))
    if as_json:
        emit(copies=[{"id": c.id, "workspace": str(c.workspace), "made": c.made} for c in found])
        return
    for copy in found:
        _say(out, f"{copy.id}  {copy.workspace}")
    if not found:
        _say(out, "there are no copies: `blastwall run --copy -- COMMAND` makes one")


def _as_dict(change: Change) -> dict[str, Any]:
    return {
        "path": shown(change.path),
        "what": change.what,
        "conflict": change.conflict,
        "guarded": change.guarded,
        "refused": change.refused,
        "detail": _detail(change),
    }


def _list(copy: Copy, changes: tuple[Change, ...], to: Console) -> None:
    for change in changes:
        notes = [f"never applied: it is {change.refused}"] if change.refused else []
        notes += [f"only when named: {change.guarded}"] if change.guarded else []
        notes += ["CONFLICT: it has changed in the workspace, too"] if change.conflict else []
        note = "; ".join(notes)
        line = f"{change.what:<9}{shown(change.path)}{_detail(change)}"
        _say(to, f"{line}  ({note})" if note else line, "yellow" if note else "")
    if not changes:
        _say(to, "nothing differs from the workspace")
    for path, why in copy.left_out:
        _say(to, f"not in the copy: {shown(path)}: {why}", "dim")


def _detail(change: Change) -> str:
    """Say what a diff of lines doesn't: where a symlink leads, which mode, how large."""
    before, after = change.before, change.after
    if after is None:
        return ""
    if after.kind is Kind.LINK:
        return f" -> {shown(after.content)}"
    mode = f" {before.mode:o} -> {after.mode:o}" if before and before.mode != after.mode else ""
    if before is None and after.mode & 0o111 and after.kind is Kind.FILE:
        mode = f" {after.mode:o}"
    size = f" {after.size} bytes" if after.kind is Kind.FILE else "/" if after.kind is Kind.FOLDER else ""
    return size + mode


def _show(change: Change, lines: list[str]) -> None:
    if not lines:
        return
    out.print()
    old = "/dev/null" if change.now is None else f"a/{shown(change.path)}"
    new = "/dev/null" if change.after is None else f"b/{shown(change.path)}"
    _say(out, f"--- {old}\n+++ {new}", "bold")
    for line in lines:
        _say(out, line, _COLOURS.get(line[:1], ""))


def _next(copy: Copy, changes: tuple[Change, ...]) -> None:
    err.print()
    if changes:
        _say(err, f"look:      blastwall diff {copy.id}")
        _say(err, f"take over: blastwall apply {copy.id} [PATH]...")
    _say(err, f"throw out: blastwall discard {copy.id}")


def _say(to: Console, line: str, style: str = "") -> None:
    """Print words as they are: no markup, and no `:name:` that turns into a picture."""
    to.print(Text(line, style=style))
