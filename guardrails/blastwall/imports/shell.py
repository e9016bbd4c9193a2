"""Shell commands in foreign rules: which may be allowed as they stand, and what a pattern may reach.

No prefix is ever allowed: `npm run x; rm -r y` starts with `npm run`, too. What the source denies or asks is
carried as the words of its pattern, in their order, anywhere in a command: that is more than the source
stopped, and never less, whatever it takes off (`timeout 5`, `FOO=1`, `cd x &&`).
"""

import re
from collections.abc import Iterable

import re2

from blastwall.imports.patterns import quoted

_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+(?: [A-Za-z0-9_./:=@,+-]+)*")

_NEVER = frozenset(
    "rm rmdir dd mkfs shred kill pkill killall chmod chown curl wget ssh scp rsync sudo su doas eval exec"
    " source watch setsid ionice flock find xargs env timeout time nice nohup stdbuf command builtin noglob"
    " bash sh zsh dash fish python python3 perl ruby node npx uvx docker podman kubectl ps top jq".split()
)
"""Commands that clients ask for even where a rule names them, or that run what stands behind them."""

_FILES = frozenset(
    "cat head tail sed awk less more grep egrep fgrep rg ls cp mv tee xxd od strings sort uniq wc cut diff"
    " cmp file stat touch ln mkdir tar zip unzip gzip nl tac base64 vim vi nano ed open install truncate"
    " tree cd git".split()
)
"""Commands whose words a client may take for paths of its file rules."""


def plain(command: str) -> bool:
    """Say whether a command is words only, and its first word neither a variable nor one that runs others."""
    first = command.split(" ")[0].rpartition("/")[2]
    return _PLAIN.fullmatch(command) is not None and first not in _NEVER


def names_files(command: str) -> bool:
    """Say whether a client's rules on files may speak of this command."""
    return command.split(" ")[0].rpartition("/")[2] in _FILES


def reach(pattern: str) -> str | None:
    """Give an RE2 pattern of every command that a glob (`*` is any text) may mean; None when it is any."""
    pieces = [piece for piece in re.split(r"[*\s]+", pattern) if piece]
    if not pieces:
        return None
    start = "" if pattern.startswith("*") else r"(?:.*\W)?" if pieces[0][0].isalnum() else ".*"
    ending = pattern.endswith("*") and not pattern.endswith(" *")
    end = ".*" if ending or not pieces[-1][-1].isalnum() else r"(?:\W.*)?"
    return f"(?s){start or '.*'}{'.*'.join(map(quoted, pieces))}{end}"


def reaches(patterns: Iterable[str | None], command: str) -> bool:
    """Say whether one of the patterns may mean a command."""
    return any(pattern is None or re2.fullmatch(pattern, command) for pattern in patterns)
