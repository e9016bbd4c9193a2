"""Attacks that are no program but a test: marked with their number, so that none of the list goes missing."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from blastwall.sandbox.escape.attacks import attacks


@dataclass(frozen=True, slots=True)
class Item:
    """One attack that a test makes."""

    item: int
    name: str
    group: str


def item(number: int, name: str, group: str) -> Callable[[Any], Any]:
    """Mark a test as the one that makes an attack of the list. Give it literals: they are read from the source."""
    return pytest.mark.escape(Item(number, name, group))


def items() -> tuple[Item, ...]:
    """Find all of them, without importing any test."""
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    found = [each for file in files for each in _in(ast.parse(file.read_text("utf-8")))]
    return tuple(sorted(found, key=lambda each: (each.item, each.name)))


def groups() -> dict[tuple[int, str], str]:
    """Give the group of every attack, program or test, by number and name."""
    programs = {(attack.item, attack.name): attack.group for attack in attacks()}
    return programs | {(each.item, each.name): each.group for each in items()}


def _in(tree: ast.Module) -> Iterator[Item]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "item":
                    yield Item(*(ast.literal_eval(argument) for argument in call.args))
