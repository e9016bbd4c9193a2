"""Proposed rules as the text of a policy file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from blastwall.advice.learn import Learned, Proposal
from blastwall.frozen import canonical

_MOST = 5
"""Records that are named one by one in a comment."""

_FIRST = "Nothing of it is in force: read each rule, and copy what is right."


def document(
    log: Path, found: Learned, records: Mapping[str, list[str]], folders: Mapping[str, Path | None]
) -> Iterator[str]:
    """Write proposals as a policy file, line by line.

    Args:
        log: Where they come from.
        found: The proposals.
        records: The trusted records that they speak of.
        folders: Where the relative paths of a connector start, if somewhere.

    """
    yield f"# Proposed from {quoted(str(log))}. {_FIRST}"
    if found.permitted:
        yield f"# {found.permitted} calls are permitted already."
    yield from map(_left, left_out(found))
    if not found.proposals:
        return
    yield "version: 1"
    if records:
        yield "trusted_records:"
        yield from (f"  {quoted(name)}: {flowed(entries)}" for name, entries in records.items())
    yield "connectors:"
    for connector in dict.fromkeys(each.connector for each in found.proposals):
        yield f"  {quoted(connector)}:"
        if folder := folders.get(connector):
            yield f"    directory: {quoted(str(folder))}"
        yield "    rules:"
        for each in found.proposals:
            yield from _rule(each) if each.connector == connector else ()


def left_out(found: Learned) -> list[dict[str, Any]]:
    """List the calls that no proposal is for."""
    return [
        {"call": name, "why": why, "count": len(records), "records": list(records)}
        for (name, why), records in sorted(found.left_out.items())
    ]


def _left(left: Mapping[str, Any]) -> str:
    named = f"{quoted(left['call'])} ({_numbers(left['records'])})"
    return f"# Left out: {left['count']} of {named}: {quoted(left['why'])}"


def _numbers(records: Sequence[int]) -> str:
    return ", ".join(map(str, records[:_MOST])) + (", ..." if len(records) > _MOST else "")


def _rule(each: Proposal) -> Iterator[str]:
    yield f"      # {each.calls} {'call' if each.calls == 1 else 'calls'}"
    if each.why:
        yield f"      # It asks: {quoted(each.why)}"
    for argument, records in each.doubts.items():
        yield f"      # LOOK TWICE: outside text chose {quoted(argument)} in records {_numbers(records)}"
    mark = "- "
    for key, value in each.rule.items():
        if isinstance(value, Mapping):
            yield f"      {mark}{key}:"
            yield from (f"          {quoted(name)}: {flowed(inner)}" for name, inner in value.items())
        else:
            yield f"      {mark}{key}: {flowed(value)}"
        mark = "  "


def flowed(value: Any) -> str:
    """Write a value as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key)}: {flowed(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flowed, value)) + "]"
    return quoted(value) if isinstance(value, str) else canonical(value)


def quoted(text: str) -> str:
    """Write text as YAML: plain where it can be nothing else, in quotes where it could."""
    if text.isascii() and text[:1].isalpha() and text.replace("_", "").replace("-", "").isalnum():
        if text.lower() not in _WORDS:
            return text
    return '"' + "".join(map(_escaped, text)) + '"'


_WORDS = ("true", "false", "null")


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
