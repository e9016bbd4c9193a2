"""YAML text to plain data that remembers where everything stood."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1 << 18
"""Largest policy file, in bytes. Policies are hundreds of lines; a parser bomb is more."""

MAX_DEPTH = 24
"""Deepest nesting; a policy's own blocks end at 9."""

Loc = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong at a place in the data."""

    loc: Loc
    message: str
    place: Place | None = None


@dataclass(slots=True)
class Source:
    """Plain data, with the line and column (from 1) of every key and value in it."""

    data: Any = None
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Give the place of a key or value, or of the nearest thing around it."""
        if key and loc in self.keys:
            return self.keys[loc]
        while loc not in self.values and loc:
            loc = loc[:-1]
        return self.values.get(loc, (1, 1))


class _Core(yaml.SafeLoader):
    """YAML 1.2's core schema: `no`, `on` and dates are text, as they look."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own shape


for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]{1,30}|0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30})\Z", list("-+0123456789")),
    ("float", r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\Z", list("-+0123456789.")),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read(text: str) -> Source:
    """Read one YAML document. What is wrong with it is in `mistakes`; `data` is then what could be read."""
    source = Source()
    try:
        source.mistakes.extend(_forbidden(text))
        node = None if source.mistakes else yaml.compose(text, Loader=_Core)
    except yaml.MarkedYAMLError as error:
        source.mistakes.append(_syntax(error))
        return source
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        source.mistakes.append(Mistake((), f"the character U+{error.character:04X} is not allowed", place))
        return source
    if node is not None:
        source.data = _value(node, (), source)
    return source


def _syntax(error: yaml.MarkedYAMLError) -> Mistake:
    problem = error.problem or ""
    unclosed = "end of stream" in problem or "stream end" in problem
    mark = error.context_mark if unclosed else error.problem_mark
    meaning = next(
        (said for fragment, said in _SYNTAX if fragment in problem), f"this is not YAML: {problem}"
    )
    return Mistake((), meaning, (mark.line + 1, mark.column + 1) if mark else None)


_SYNTAX = (
    ("found another document", "a policy is one document: take this `---` out"),
    ("character '\\t'", "a tab can't stand here: indent with spaces"),
    ("that cannot start any token", "text that starts like this belongs in quotes"),
    ("but found '<block", "this is not indented like the lines above it"),
    ("end of stream", "this quote is never closed"),
    ("stream end", "this bracket is never closed"),
    (
        "mapping values are not allowed",
        "a second `key:` on one line: text with a colon belongs in quotes",
    ),
)
"""What PyYAML's own words mean to the user."""


def _forbidden(text: str) -> Iterator[Mistake]:
    depth = 0
    for token in yaml.scan(text, Loader=_Core):
        place = (token.start_mark.line + 1, token.start_mark.column + 1)
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
            kind = type(token).__name__.removesuffix("Token").lower()
            yield Mistake((), f"a YAML {kind} is not allowed here: write it out", place)
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            # The time that PyYAML takes for brackets grows with the square of their depth.
            yield Mistake((), f"nested deeper than {MAX_DEPTH} levels", place)
            return


_OPENING = (
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)


def _value(node: yaml.Node, loc: Loc, source: Source) -> Any:
    source.values[loc] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, loc, source)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*loc, i), source) for i, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, loc: Loc, source: Source) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            source.mistakes.append(Mistake(loc, "a key must be plain text", place))
            continue
        key = key_node.value
        if key in data:
            first = source.keys[(*loc, key)][0]
            source.mistakes.append(
                Mistake((*loc, key), f"this key stands twice, first on line {first}", place)
            )
            continue
        source.keys[(*loc, key)] = place
        data[key] = _value(value_node, (*loc, key), source)
    return data


def _scalar(node: yaml.Node) -> Any:
    text = node.value
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        case "float":
            return float(text)
        case _:
            return text
