"""What was changed in a copy of a workspace, set against the workspace as it was and as it is now."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from blastwall.sandbox.copies import Copy
from blastwall.sandbox.protect import protected
from blastwall.sandbox.trees import NOT_THERE, Entry, Kind, around, file, look, opened, scan

MOST_BYTES = 1 << 20
"""Of a file whose text is compared."""

_MOST_LINES, _MOST_WIDTH = 400, 500
"""Of the comparison of one file, and of each of its lines."""

_MOST_PAIRS = 1_000_000
"""Lines of one side times lines of the other: difflib's worst case grows faster than that."""

_MOST_LINKS = 40
_CONTEXT = 3
_NO_NEWLINE = "\\ No newline at end of file"


@dataclass(frozen=True, slots=True)
class Change:
    """One path that is not as it was copied, and that the workspace doesn't have like that yet.

    Attributes:
        path: Relative to the workspace. Whoever wrote the copy chose it: print `shown(path)`.
        before: What was copied, or None.
        after: What the copy holds, or None.
        now: What the workspace holds, or None.
        guarded: Why it is applied only when it is named; empty when it need not be.

    """

    path: str
    before: Entry | None
    after: Entry | None
    now: Entry | None
    guarded: str = ""

    @property
    def conflict(self) -> bool:
        """Whether the workspace has changed there, too."""
        return self.now != self.before

    @property
    def refused(self) -> str:
        """Why it can never be applied; empty when it can."""
        return self.after.content if self.after and self.after.kind is Kind.OTHER else ""

    @property
    def what(self) -> str:
        """One word for it: added, removed, replaced (by another kind of thing), modified or mode."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        if self.before.kind is not self.after.kind:
            return "replaced"
        same = (self.before.size, self.before.content) == (self.after.size, self.after.content)
        return "mode" if same else "modified"


def diff(copy: Copy) -> tuple[Change, ...]:
    """Compare three ways: what was copied, what the copy holds, and what the workspace holds by now.

    Raises:
        BackendError: when the copy or the workspace can't be looked at.

    """
    with opened(str(copy.folder)) as theirs, opened(str(copy.workspace)) as ours:
        found = scan(theirs, copy.baseline)
        paths = sorted(copy.baseline.keys() | found.keys())
        changed = [path for path in paths if copy.baseline.get(path) != found.get(path)]
        changes = [_compared(path, copy, found, theirs, ours) for path in changed]
    return tuple(change for change in changes if change.now != change.after)


def _compared(path: str, copy: Copy, found: Mapping[str, Entry], theirs: int, ours: int) -> Change:
    before, after = copy.baseline.get(path), found.get(path)
    now = look(ours, path, {side.size for side in (before, after) if side})
    if now and after and now.kind is after.kind is Kind.FILE and now.size == after.size:
        after = look(theirs, path, (after.size,))
    return Change(path, before, after, now, _guarded(path, copy, found))


def _guarded(path: str, copy: Copy, found: Mapping[str, Entry]) -> str:
    if protected(PurePosixPath(path), copy.protect):
        return "it can make your own programs do something"
    here = found.get(path)
    if here and here.kind is Kind.LINK and _leads_out(path, found):
        return "it is a symlink that leads out of the workspace"
    return ""


def _leads_out(path: str, tree: Mapping[str, Entry]) -> bool:
    """Follow a symlink, and those on its way, as if the whole copy had been applied."""
    here: list[str] = []
    ahead, links = path.split("/")[::-1], 0
    while ahead:
        name = ahead.pop()
        if name == ".." and not here:
            return True
        if name == "..":
            here.pop()
        if name in ("", ".", ".."):
            continue
        seen = tree.get("/".join([*here, name]))
        if seen is None or seen.kind is not Kind.LINK:
            here.append(name)
            continue
        links += 1
        if links > _MOST_LINKS or seen.content.startswith("/"):
            return True
        ahead += seen.content.split("/")[::-1]
    return False


def shown(path: str) -> str:
    """Write a path so that it can be printed and typed again: everything invisible as an escape."""
    return "".join(c if c.isprintable() else _escaped(c) for c in path.replace("\\", "\\\\"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _line(text: str) -> str:
    cut = f" ({len(text) - _MOST_WIDTH} more characters)" if len(text) > _MOST_WIDTH else ""
    return "".join(c if c.isprintable() or c == "\t" else _escaped(c) for c in text[:_MOST_WIDTH]) + cut


def text(copy: Copy, change: Change) -> list[str]:
    """Give the lines of a unified diff from the workspace to the copy, fit to be printed.

    Control characters, terminal escapes, invisible and right-to-left characters are written out. What is
    too large or no text is said in a line.
    """
    if Kind.FILE not in {side.kind for side in (change.now, change.after) if side}:
        return []
    with opened(str(copy.folder)) as theirs, opened(str(copy.workspace)) as ours:
        old, new = _read(ours, change.path, change.now), _read(theirs, change.path, change.after)
    if old is None or new is None:
        return ["(too large to show, or closed)"]
    try:
        compared = _unified(_lines(old), _lines(new))
    except UnicodeDecodeError:
        return ["(no text)"]
    more = len(compared) - _MOST_LINES
    found = [_line(line) for line in compared[:_MOST_LINES]]
    return [*found, f"({more} more lines)"] if more > 0 else found


def _read(top: int, path: str, side: Entry | None) -> bytes | None:
    """Read one side: nothing where there is no file; None when it is too much, or gone."""
    if side is None or side.kind is not Kind.FILE:
        return b""
    if side.size > MOST_BYTES:
        return None
    try:
        with around(top, path) as (folder, name), file(folder, name) as descriptor:
            data = os.pread(descriptor, MOST_BYTES + 1, 0)
    except PermissionError:
        return None
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise
    return data if len(data) <= MOST_BYTES else None


def _lines(data: bytes) -> list[str]:
    if b"\0" in data:
        raise UnicodeDecodeError("utf-8", data, 0, 1, "no text")
    lines = data.decode().split("\n")
    if lines[-1]:
        return [*lines, _NO_NEWLINE]
    return lines[:-1]


def _unified(old: list[str], new: list[str]) -> list[str]:
    if len(old) * len(new) <= _MOST_PAIRS:
        return list(difflib.unified_diff(old, new, n=_CONTEXT, lineterm=""))[2:]
    return _one_hunk(old, new)


def _one_hunk(old: list[str], new: list[str]) -> list[str]:
    """Show everything between the first and the last line that differ: it costs one pass."""
    least = min(len(old), len(new))
    head = next((n for n in range(least) if old[n] != new[n]), least)
    tail = next((n for n in range(least - head) if old[-1 - n] != new[-1 - n]), least - head)
    if head == len(old) == len(new):
        return []
    start = max(head - _CONTEXT, 0)
    after = old[len(old) - tail :][:_CONTEXT]
    removed, added = old[head : len(old) - tail], new[head : len(new) - tail]
    around_ = head - start + len(after)
    header = f"@@ -{start + 1},{len(removed) + around_} +{start + 1},{len(added) + around_} @@"
    context = [f" {line}" for line in old[start:head]], [f" {line}" for line in after]
    return [header, *context[0], *(f"-{x}" for x in removed), *(f"+{x}" for x in added), *context[1]]
