"""Where the servers stand in the text of a file, so that the text around them is left as it is."""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blastwall.clients.documents import parsed
from blastwall.clients.find import at
from blastwall.clients.positions import Positions
from blastwall.clients.reading import Unreadable
from blastwall.clients.table import Form


@dataclass(frozen=True, slots=True)
class Member:
    """One server in a text: from the first character of its name or header to the last of its value.

    In TOML, other tables are members too.
    """

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """All servers in one place of a text.

    Attributes:
        members: In the order of the text.
        start: Where a first one would be put if there were none.

    """

    members: tuple[Member, ...]
    start: int


def block(text: str, form: Form, keys: Sequence[str]) -> Block | None:
    """Find the servers under these keys; None where there is no place for any.

    Raises:
        Unreadable: when the text is not what it should be, or is written such that it can't be edited.

    """
    return _toml(text, keys) if form is Form.TOML else _json(text, keys)


def _json(text: str, keys: Sequence[str]) -> Block | None:
    if not isinstance(at(parsed(text, Form.JSON), keys), dict):
        return None
    positions = Positions(text)
    start = positions.opened(keys)
    assert start is not None, "what was read is there"  # noqa: S101  # for the type checker
    found = tuple(Member(one.name, one.start, one.end) for one in positions.members(keys).values())
    return Block(found, start + 1)


def _toml(text: str, keys: Sequence[str]) -> Block:
    known = at(parsed(text, Form.TOML), keys)
    found: list[Member] = []
    for path, start, end in _tables(text):
        own = path[: len(keys)] == tuple(keys) and len(path) > len(keys)
        # Other tables stand between servers, and no server is called so.
        name = path[len(keys)] if own else f"\0{'.'.join(path)}"
        if found and found[-1].name == name:
            start = found.pop().start
        found.append(Member(name, start, end))
    if isinstance(known, dict) and known.keys() - {member.name for member in found}:
        table = ".".join(keys)
        raise Unreadable(f"a server is written inside another table: write each as [{table}.NAME]")
    return Block(tuple(found), len(text))


_TOML_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|\'\'\'(?:[^\']|\'(?!\'\'))*\'{3,5}'
    r"|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*|\n|[\[\]{}]|[ \t\r\ufeff]+|[^\"'#\n\[\]{} \t\r]+",
    re.DOTALL,
)


def _tables(text: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Give the tables of a text: path, start of the header, end of the last line that says something.

    Comments and empty lines after that belong to what follows.
    """
    headers = list(_headers(text))
    breaks = [match.start() for match in re.finditer("\n", text)]
    for number, (start, header_end) in enumerate(headers):
        limit = headers[number + 1][0] if number + 1 < len(headers) else len(text)
        end = header_end
        for token in _TOML_TOKEN.finditer(text, header_end, limit):
            if not token[0].startswith("#") and not token[0].isspace():
                end = token.end()
        # A comment on the last line belongs to it.
        line = bisect_right(breaks, end - 1)
        stop = breaks[line] if line < len(breaks) else len(text)
        yield _path(text[start:header_end]), start, min(len(text[:stop].rstrip("\r")), limit)


def _headers(text: str) -> Iterator[tuple[int, int]]:
    depth, fresh, opened = 0, True, -1
    for token in _TOML_TOKEN.finditer(text):
        word = token[0]
        if word == "[" and depth == 0 and fresh:
            opened = token.start()
        depth += (word in "[{") - (word in "]}")
        if word == "]" and depth == 0 and opened >= 0:
            yield opened, token.end()
            opened = -1
        if word == "\n":
            fresh = True
        elif not word.isspace() and word != "\ufeff":
            fresh = False


def _path(header: str) -> tuple[str, ...]:
    """Read a header's keys as TOML reads them."""
    data = tomllib.loads(header + "\n")
    path: list[str] = []
    while isinstance(data, dict) and data:
        name = next(iter(data))
        path.append(name)
        inner = data[name]
        data = inner[0] if isinstance(inner, list) else inner
    return tuple(path)
