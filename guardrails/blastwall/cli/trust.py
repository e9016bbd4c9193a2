"""`blastwall trust`: look at what a project brings along, and trust this content, here, for you."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from blastwall.cli.output import AsJson, Exit, emit, err, out, stop
from blastwall.errors import BackendError
from blastwall.trust.looks import difference, lines, oddities, visible
from blastwall.trust.meaning import meaning, mistakes
from blastwall.trust.projects import NAME, candidates, project_of, user_policy
from blastwall.trust.reading import NotReadable, Untrusted, read_untrusted
from blastwall.trust.store import Store, Trusted

Place = Annotated[
    Path | None, typer.Argument(metavar="PATH", help="A file, or a folder with a blastwall.yaml.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask; only together with --digest.")]
Digest = Annotated[str, typer.Option("--digest", metavar="SHA256", help="The content that is meant.")]
Listing = Annotated[bool, typer.Option("--list", help="List what is trusted, and what of it changed.")]
Forget = Annotated[Path | None, typer.Option("--forget", metavar="PATH", help="Trust this file no more.")]


def trust(
    path: Place = None,
    yes: Yes = False,
    digest: Digest = "",
    list_: Listing = False,
    forget: Forget = None,
    as_json: AsJson = False,
) -> None:
    """Show a file that a project brings along, ask, and trust it: this content, at this place, for you.

    Any change asks again. Without a path, it is about the policy files of the project around the working
    directory. Nothing of a file is run, connected to or expanded before it is trusted.
    """
    if yes != bool(digest):
        raise typer.BadParameter("--yes and --digest go together: a script must say what it saw")
    try:
        if list_:
            _list(as_json=as_json)
        elif forget is not None:
            _forget(forget, as_json=as_json)
        else:
            _trust([_file(path)] if path else _of_project(), digest, as_json=as_json)
    except BackendError as error:
        stop(Exit.FAILED, str(error))


def _of_project() -> list[str]:
    """Give the project's policy files."""
    there = [file.path for file in candidates(os.getcwd()) if os.path.lexists(file.path)]
    if not there:
        stop(Exit.FAILED, f"there is no {NAME} here: name a file")
    return there


def _file(path: Path) -> str:
    return str(path / NAME if path.is_dir() else path)


def _trust(files: list[str], digest: str, *, as_json: bool) -> None:
    if digest and len(files) > 1:
        raise typer.BadParameter("--digest is about one file: name it")
    for file in files:
        found = _read(file)
        record = _one(found, digest, as_json=as_json)
        if as_json:
            emit(path=record.path, digest=record.digest, since=record.since)


def _read(file: str) -> Untrusted:
    try:
        return read_untrusted(file, project_of(file))
    except NotReadable as error:
        stop(Exit.FAILED, f"{visible(file)} {error}")


def _one(found: Untrusted, digest: str, *, as_json: bool) -> Trusted:
    store = Store()
    before = store.record(found.where.path)
    if before and store.trusted(found):
        if not as_json:
            out.print(Text(f"{visible(found.where.path)} is trusted since {before.since}"))
        return before
    if digest:
        _same(found, digest)
    else:
        _show(found, before)
        _ask(found)
    record = store.add(found)
    if not as_json:
        out.print(Text(f"{visible(record.path)} is trusted"))
    return record


def _same(found: Untrusted, digest: str) -> None:
    if digest.lower() != found.digest:
        stop(
            Exit.FOUND,
            f"{visible(found.where.path)} is not trusted: its content is {found.digest}, not {digest}",
        )


def _show(found: Untrusted, before: Trusted | None) -> None:
    out.print(Text(visible(found.where.path), style="bold"))
    changed = before is not None and before.digest != found.digest
    for line in difference(before.content, found.content) if before and changed else lines(found.content):
        out.print(Text(line, style=_COLOURS.get(line[:1], "") if changed else ""))
    out.print(Text(f"SHA-256 {found.digest}", style="dim"))
    for oddity in oddities(found.content):
        out.print(Text(f"! {oddity}", style="bold yellow"))
    if before and not changed:
        out.print(Text("! this folder is another one than you trusted here", style="bold yellow"))
    if os.path.basename(found.where.path) == NAME:
        _explain(found.content)
    else:
        out.print("- another program's file: `blastwall scan` says what it would start; with your yes,")
        out.print("  `blastwall connect CLIENT --project DIR` takes that over")


_MOST = 10
_COLOURS = {"+": "green", "-": "red"}


def _explain(content: bytes) -> None:
    for mistake in mistakes(content)[:_MOST]:
        out.print(Text(f"! no policy: {visible(mistake)}", style="bold red"))
    for line in meaning(content, alone=not user_policy().is_file()):
        out.print(Text(f"- {line}"))


def _ask(found: Untrusted) -> None:
    if not _attended():
        stop(
            Exit.FAILED,
            "nobody is here to ask: run this in a terminal, or once you have looked at the file,"
            f" with --yes --digest {found.digest}",
        )
    if not typer.confirm("Trust this content, at this place?", err=True):
        stop(Exit.FOUND, "nothing is trusted")


def _attended() -> bool:
    return sys.stdin.isatty()


def _list(*, as_json: bool) -> None:
    found = [(record, _state(record)) for record in Store().records()]
    if as_json:
        emit(
            trusted=[
                {"path": record.path, "digest": record.digest, "since": record.since, "now": state}
                for record, state in found
            ]
        )
        return
    for record, state in found:
        out.print(Text(f"{visible(record.path)}  {record.digest[:12]}  {record.since}  {state}"))
    if not found:
        out.print("nothing is trusted")


def _state(record: Trusted) -> str:
    """Say what became of a trusted file."""
    try:
        found = read_untrusted(record.path, os.path.dirname(record.path))
    except NotReadable:
        return "gone" if not os.path.lexists(record.path) else "not readable"
    return "as trusted" if Store().trusted(found) else "changed"


def _forget(path: Path, *, as_json: bool) -> None:
    file = os.path.abspath(_file(path))
    real = os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file))
    forgotten = Store().forget(real)
    if as_json:
        emit(path=real, forgotten=forgotten)
    elif not forgotten:
        err.print(Text(f"{visible(real)} was not trusted"))
    raise typer.Exit(Exit.OK if forgotten else Exit.FOUND)
