"""A draft as the text of a policy file, with a comment on where each part comes from."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from blastwall.errors import PolicyError, Problem
from blastwall.imports.draft import STRICTNESS, Connector, Draft, Rule, Server


def written(draft: Draft) -> str:
    """Write the policy.

    Raises:
        PolicyError: when there is nothing in it.

    """
    if not draft.connectors:
        message = f"nothing of {draft.of} is left to make a policy of"
        raise PolicyError([*draft.notes, Problem("the import", 0, 0, "", message)])
    lines = [*_head(draft)]
    for connector in draft.connectors.values():
        lines += _lines(connector, asking=draft.asking)
    return "\n".join(lines) + "\n"


def counted(draft: Draft) -> str:
    """Say how many things could not be carried over."""
    return f"{len(draft.notes)} thing{'s' if len(draft.notes) != 1 else ''}"


def _head(draft: Draft) -> Iterator[str]:
    yield f"# Imported from {remark(draft.of)}. Deny beats ask beats allow, and silence denies."
    if draft.notes:
        yield f"# {counted(draft)} could not be carried over unchanged:"
        for note in draft.notes:
            yield f"#   {remark(str(note))}"
    yield "version: 1"
    if draft.asking:
        yield "defaults: {unknown_tool: ask}  # as there: what no rule speaks of is asked for"
    yield "connectors:"


def _lines(connector: Connector, *, asking: bool) -> Iterator[str]:
    yield f"  # {remark(connector.origin)}"
    yield f"  {connector.name}:"
    if connector.directory is not None:
        yield f"    directory: {scalar(connector.directory)}"
    if connector.server is not None:
        yield "    server:"
        yield from (f"      {line}" for line in _server(connector.server))
    rules = connector.settled(asking=asking)
    yield "    rules:" if rules else "    rules: []"
    numbers = dict.fromkeys(STRICTNESS, 0)
    for rule in rules:
        numbers[rule.effect] += 1
        yield from (f"      {line}" for line in _rule(rule, numbers[rule.effect]))


def _server(server: Server) -> Iterator[str]:
    yield f"command: {scalar(server.command)}"
    if server.args:
        yield f"args: {_list(server.args)}"
    if server.env:
        yield "env: {" + ", ".join(f"{scalar(k)}: {scalar(v)}" for k, v in server.env) + "}"
    if server.call_s is not None:
        yield f"call_s: {server.call_s:g}"


def _rule(rule: Rule, number: int) -> Iterator[str]:
    yield from (f"# {remark(origin)}" for origin in rule.origins)
    yield f"- id: {rule.effect}-{number}"
    yield f"  effect: {rule.effect}"
    yield f"  tools: {_list(rule.tools)}"
    if rule.args:
        yield "  args:"
    for name, demands in rule.args:
        yield f"    {scalar(name)}:"
        yield from (f"      {key}: {_value(value)}" for key, value in demands)
    if rule.otherwise:
        yield f"  otherwise: {rule.otherwise}"


def _value(value: Any) -> str:
    return _list(value) if isinstance(value, list | tuple) else scalar(value)


def _list(values: Sequence[Any]) -> str:
    return "[" + ", ".join(map(scalar, values)) + "]"


_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_MEANT_OTHERWISE = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def scalar(value: Any) -> str:
    """Write a scalar so that it is read back as it was, by any reader of YAML."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _MEANT_OTHERWISE:
        return value
    width = 1 << 30  # lines are not broken
    text: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=width)
    return text.rstrip("\n")


def remark(text: str) -> str:
    """Make a text one line that can stand in a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)
