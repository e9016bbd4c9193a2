"""Imports of files that are written down in a test."""

import json

from tests.core.imports.sources import DIRECTORY, HOME, resolve

from blastwall.imports import TRANSLATORS, Given, Surroundings, written

AROUND = Surroundings(DIRECTORY, HOME, resolve)


def given(name, content, path=None):
    """Give a file; data is written as JSON."""
    text = content if isinstance(content, str | bytes) else json.dumps(content, ensure_ascii=False)
    return Given(name, path or f"{DIRECTORY}/{name}", text if isinstance(text, bytes) else text.encode())


def draft(product, *files):
    """Draft from pairs of names and contents."""
    return TRANSLATORS[product]([given(*file) for file in files], AROUND)


def notes(made):
    """Give the remarks as they are printed."""
    return [str(note) for note in made.notes]


def rules(made, name):
    """Give a connector's rules: effect, tools, demands."""
    connector = next(each for each in made.connectors.values() if each.name == name)
    return [
        (rule.effect, list(rule.tools), {key: dict(demand) for key, demand in rule.args})
        for rule in connector.settled(asking=made.asking)
    ]


def text(product, *files):
    """Give the policy."""
    return written(draft(product, *files))


def toml(rules):
    """Write rules of Gemini CLI."""
    written_ = ("".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items()) for rule in rules)
    return "".join(f"[[rule]]\n{rule}" for rule in written_)
