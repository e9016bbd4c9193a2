"""Texts of client files as people and programs write them, made up by Hypothesis."""

import json
from random import Random

from hypothesis import strategies as st

NAMES = ("files", "git", "mail", "a b", "é", "x.y", 'q"t', "deep")
GAPS = [
    "",
    "",
    " ",
    "\n",
    "\n  ",
    "\n\t",
    "\n\n    ",
    '// a remark, with { and " in it\n',
    "/* [ */",
    "/* two\n lines */ ",
]
LEAVES = (None, True, 0, -2.5, 500, "", "x", "// no", "}", '"', "é\\", "a,]")


def _value(random, depth=0):
    kind = random.randrange(4) if depth < 3 else 2
    if kind == 0:
        return {name: _value(random, depth + 1) for name in random.sample(NAMES, random.randrange(3))}
    if kind == 1:
        return [_value(random, depth + 1) for _ in range(random.randrange(3))]
    return random.choice(LEAVES)


def _gap(random):
    return "".join(random.choices(GAPS, k=random.randrange(3)))


def jsonc(random, value):
    """Write a value with spaces, remarks and trailing commas anywhere they may be."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        inner = [
            ("" if key is None else f"{_gap(random)}{json.dumps(key)}{_gap(random)}:")
            + f"{_gap(random)}{jsonc(random, item)}{_gap(random)}"
            for key, item in items
        ]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        return (
            opening + ",".join(inner) + random.choice(["", ","] if inner else [""]) + _gap(random) + closing
        )
    return json.dumps(value, ensure_ascii=random.random() < 0.5)


@st.composite
def files(draw):
    """Make a client's file: its text, its data and the servers to take."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    taken = draw(st.sets(st.sampled_from(names), min_size=1))
    random = Random(draw(st.integers(0, 1 << 32)))
    servers = {
        name: {"command": _value(random), "env": _value(random)} if random.random() < 0.8 else {}
        for name in names
    }
    items = [("theme", _value(random)), ("mcpServers", servers), ("history", _value(random))]
    random.shuffle(items)
    data = dict(items)
    text = _gap(random) + jsonc(random, data) + _gap(random)
    text = text.replace("\n", "\r\n") if random.random() < 0.3 else text
    return ("\ufeff" if random.random() < 0.3 else "") + text, data, taken


@st.composite
def tomls(draw):
    """Make a Codex file: its text and the servers to take."""
    names = draw(
        st.lists(st.sampled_from(("files", "git", "mail", "a b")), min_size=1, max_size=4, unique=True)
    )
    taken = draw(st.sets(st.sampled_from(names), min_size=1))
    random = Random(draw(st.integers(0, 1 << 32)))
    text = random.choice(["", 'model = "o"\n', "# top\n\nnotes = '''\n[mcp_servers.no]\n'''\n"])
    for name in names:
        quoted = f'"{name}"' if " " in name else name
        text += f"[mcp_servers.{quoted}]{random.choice(['', '  # why'])}\n"
        text += random.choice(['command = "c"\n', 'command = "c" # d\nargs = [\n "[a]", # x\n\n "b",\n]\n'])
        if random.random() < 0.5:
            text += f'\n[mcp_servers.{quoted}.env]\nKEY = """\n[other]\nx"""\n'
        text += random.choice(["", "\n", "\n# a remark [x]\n", "\n\n# one\n\n"])
        if random.random() < 0.5:
            text += f"[projects.{name.replace(' ', '')}]\ntrust = true\n{random.choice(['', chr(10)])}"
    text = text.rstrip("\n") if random.random() < 0.3 else text
    return text.replace("\n", "\r\n") if random.random() < 0.3 else text, taken
