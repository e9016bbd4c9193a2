"""A slow and obviously right tracer of whole values: it looks through everything, every time."""

import re

from tests.core.provenance.sessions import EXTERNAL, FIELDS, TYPED

from blastwall.provenance.normal import folded, normalised, plain, tokens

TOKEN = re.compile(r"\w+(?:(?:[-./\\@+]+|(?<=\d)[:,'](?=\d))\w+)*")


def said(prompt, value):
    """Say whether a prompt holds a value, neither of whose ends lies inside a word."""
    text, wanted = plain(prompt), plain(value)
    inside = {i for word in TOKEN.finditer(text) for i in range(word.start() + 1, word.end())}
    starts = (i for i in range(len(text)) if text.startswith(wanted, i))
    return any(i not in inside and i + len(wanted) not in inside for i in starts)


def holds(text, value, read):
    """Say whether the words of a value stand in a text in a row, with others beside them."""
    words, wanted = tokens(read(text)), tokens(read(value))
    rows = (words[i : i + len(wanted)] for i in range(len(words) - len(wanted) + 1))
    return bool(wanted) and words != wanted and any(row == wanted for row in rows)


def trace(prompts, outputs, value):
    """Give whether the user said it, and the labels of the places that hold it, with `True` for a mention."""
    found = {"said" for prompt in prompts if said(prompt, value)}
    for output in outputs:
        for leaf in FIELDS.leaves(output):
            if normalised(str(leaf.value)) == normalised(value):
                found.add((leaf.label, False))
            elif leaf.label.integrity is not TYPED:
                outside = leaf.label.integrity is EXTERNAL
                exact = outside or " ".join(tokens(plain(value))) == plain(value)
                if exact and holds(str(leaf.value), value, folded if outside else plain):
                    found.add((leaf.label, True))
    return found
