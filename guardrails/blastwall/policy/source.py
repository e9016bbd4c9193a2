"""YAML text to plain data that remembers where everything stood."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1 << 18
"""Largest policy file, in bytes. Policies are hundreds of lines; a parser bomb is more."""

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
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", list("-+0123456789")),
    ("float", r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\Z", list("-+0123456789.")),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)  # type: ignore[no-untyped-call]


def read(text: str) -> Source:
    """Read one YAML document. What is wrong with it is in `mistakes`; `data` is then what could be read."""
    source = Source()
    try:
        source.mistakes.extend(_forbidden(text))
        node = None if source.mistakes else yaml.compose(text, Loader=_Core)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        source.mistakes.append(Mistake((), f"this is not YAML: {error.problem or error.context}", place))
        return source
    except yaml.YAMLError as error:
        source.mistakes.append(Mistake((), f"this is not YAML: {error}".splitlines()[0], (1, 1)))
        return source
    except RecursionError:
        source.mistakes.append(Mistake((), "nested too deeply", (1, 1)))
        return source
    if node is not None:
        source.data = _value(node, (), source)
    return source


def _forbidden(text: str) -> Iterator[Mistake]:
    for token in yaml.scan(text, Loader=_Core):
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
            mark = token.start_mark
            kind = type(token).__name__.removesuffix("Token").lower()
            yield Mistake(
                (), f"a YAML {kind} is not allowed here: write it out", (mark.line + 1, mark.column + 1)
            )


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
