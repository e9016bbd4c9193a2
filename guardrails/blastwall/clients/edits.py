"""A file's text with one server in the place of several, and back: pure, and the second undoes the first.

What is taken out are runs of neighbours. The first run gives its place to the new server; each further one
is remembered as standing behind the server that stays in front of it. So the way back needs the names that
are there, not their positions, and whatever else somebody wrote meanwhile stays as it is.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from blastwall.clients.documents import parsed
from blastwall.clients.find import at
from blastwall.clients.reading import Unreadable
from blastwall.clients.spans import Block, Member, block
from blastwall.clients.table import Form

NAME = "blastwall"
"""What the proxy is called among a client's servers."""


@dataclass(frozen=True, slots=True)
class Run:
    """Servers that stood next to each other, as they were written.

    Attributes:
        text: Their text, with what stood between them.
        members: Each one's name, and its text.
        after: The server that stayed in front of them; "" where the proxy has their place.

    """

    text: str
    members: tuple[tuple[str, str], ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """A new text, and what was taken out of it or could not be put back."""

    text: str
    runs: tuple[Run, ...] = ()
    kept: tuple[str, ...] = ()


_Change = tuple[int, int, str]


def replaced(
    text: str, form: Form, keys: Sequence[str], taken: Collection[str], entry: Mapping[str, Any]
) -> Edited:
    """Take servers out, and put the proxy in their place.

    Raises:
        Unreadable: when that can't be done such that nothing else changes.

    """
    found = _found(text, form, keys)
    changes: list[_Change] = []
    runs: list[Run] = []
    for start, end in _neighbours(found.members, taken):
        inside = found.members[start:end]
        texts = tuple((member.name, text[member.start : member.end]) for member in inside)
        if not runs:
            first, after, new = inside[0].start, "", _written(text, form, keys, found, inside[0], entry)
        else:
            before = found.members[start - 1]
            first, after, new = before.end, before.name, ""
        runs.append(Run(text[first : inside[-1].end], texts, after))
        changes.append((first, inside[-1].end, new))
    edited = Edited(_applied(text, changes), tuple(runs))
    _check(text, edited, form, keys, entry)
    return edited


def restored(text: str, form: Form, keys: Sequence[str], runs: Sequence[Run]) -> Edited:
    """Put servers back where they were, and take the proxy away.

    A server that somebody wrote meanwhile under the name of one of them stays: its name is in `kept`.

    Raises:
        Unreadable: when there is no place for them any more.

    """
    found = _found(text, form, keys)
    there = {member.name: member for member in found.members}
    kept = [name for run in runs for name, _ in run.members if name in there]
    behind = [run for run in runs[1:] if run.after not in there]
    pieces = [piece for run in (runs[0], *behind) if (piece := _remaining(run, there, form))]
    first = _glue(form).join(piece.strip(" \t\r\n,") if i else piece for i, piece in enumerate(pieces))
    changes = [_in_front(text, form, found, first)]
    for run in (run for run in runs[1:] if run.after in there):
        piece = _remaining(run, there, form)
        end = there[run.after].end
        changes.append((end, end, piece))
    return Edited(_applied(text, changes), kept=tuple(kept))


def _found(text: str, form: Form, keys: Sequence[str]) -> Block:
    found = block(text, form, keys)
    if found is None:
        raise Unreadable(f"there is no place for servers: no `{'.'.join(keys)}`")
    return found


def _neighbours(members: Sequence[Member], taken: Collection[str]) -> list[tuple[int, int]]:
    runs = []
    for inside, group in groupby(range(len(members)), lambda i: members[i].name in taken):
        numbers = list(group)
        if inside:
            runs.append((numbers[0], numbers[-1] + 1))
    return runs


def _remaining(run: Run, there: Collection[str], form: Form) -> str:
    """Give what of a run is to be put back: all of it as it was, or those whose names are free."""
    free = [text for name, text in run.members if name not in there]
    if len(free) == len(run.members):
        return run.text
    joined = _glue(form).join(free)
    return _glue(form) + joined if run.after and joined else joined


def _glue(form: Form) -> str:
    return "\n\n" if form is Form.TOML else ", "


def _in_front(text: str, form: Form, found: Block, first: str) -> _Change:
    """Put the first run into the proxy's place, or where a first server would stand."""
    number = next((i for i, member in enumerate(found.members) if member.name == NAME), None)
    if number is None:
        glue = _glue(form)
        if form is Form.TOML:
            return found.start, found.start, f"{glue}{first}\n" if first else ""
        return found.start, found.start, first + (glue if first and found.members else "")
    own = found.members[number]
    if first:
        return own.start, own.end, first
    if number + 1 < len(found.members):
        return own.start, found.members[number + 1].start, ""
    return (found.members[number - 1].end if number else own.start), own.end, ""


def _applied(text: str, changes: Sequence[_Change]) -> str:
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _written(
    text: str, form: Form, keys: Sequence[str], found: Block, instead: Member, entry: Mapping[str, Any]
) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if form is Form.TOML:
        lines = [f"[{'.'.join((*keys, NAME))}]", *(f"{key} = {_literal(entry[key])}" for key in entry)]
        return newline.join(lines)
    indent = _indent(text, instead.start)
    if indent is None:
        return f"{json.dumps(NAME)}: {_literal(entry)}"
    outer = _indent(text, len(text[: found.start].rstrip(" \t{[:")), of_line=True) or ""
    unit = indent.removeprefix(outer) or "  "
    body = json.dumps(entry, indent=unit, ensure_ascii=False).replace("\n", newline + indent)
    return f"{json.dumps(NAME)}: {body}"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _indent(text: str, position: int, *, of_line: bool = False) -> str | None:
    """Give the white space in front of a position, or None where the line has more in front of it."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    lead = line[: len(line) - len(line.lstrip(" \t"))]
    return lead if of_line or lead == line else None


def _check(before: str, edited: Edited, form: Form, keys: Sequence[str], entry: Mapping[str, Any]) -> None:
    """Read what was made, and go back: a file that can't be restored is never written."""
    taken = {name for run in edited.runs for name, _ in run.members}
    wanted = deepcopy(parsed(before, form))
    servers = at(wanted, keys)
    for name in taken:
        del servers[name]
    servers[NAME] = dict(entry)
    same = parsed(edited.text, form) == wanted
    if not same or restored(edited.text, form, keys, edited.runs).text != before:
        raise Unreadable("it is written in a way that can't be edited safely: nothing was changed")
