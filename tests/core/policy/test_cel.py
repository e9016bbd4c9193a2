"""CEL conditions: a yes, a no, or not to be decided; and nothing that takes long."""

import importlib
import re
import time
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blastwall.policy import cel
from blastwall.policy.cel import MAX_LENGTH, MAX_TEXT, MAX_VALUES, compiled
from blastwall.policy.truth import Truth
from blastwall.values import ToolCall

ARGUMENTS = {
    "amount": 5,
    "rate": 5.5,
    "name": "Dana",
    "to": ["a@corp.example", "b@corp.example"],
    "note": None,
    "urgent": True,
    "deep": {"kind": "x", "list": [[1], [2]]},
    "big": 2**62,
}


def says(text, **arguments):
    return compiled(text)(ToolCall.of("bank", "pay", arguments or ARGUMENTS))


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("args.amount < 100.0", Truth.YES),
        ("args.amount < 5", Truth.NO),
        ("args.amount == 5.0", Truth.YES),
        ("args.rate > 5 && args.rate < 6", Truth.YES),
        ('tool == "pay" && connector == "bank"', Truth.YES),
        ('tool == "read"', Truth.NO),
        ('args.to.all(x, x.endsWith("@corp.example"))', Truth.YES),
        ('args.to.exists(x, x.startsWith("b"))', Truth.YES),
        ('args.to.exists_one(x, x.contains("@"))', Truth.NO),
        ("size(args.to) <= 2 && args.to.size() > 1", Truth.YES),
        ('"a@corp.example" in args.to', Truth.YES),
        ('args["name"].matches("^D[a-z]+$")', Truth.YES),
        ("has(args.amount) && !has(args.absent)", Truth.YES),
        ("has(args.deep.kind) && args.deep.list[1][0] == 2", Truth.YES),
        ("args.note == null", Truth.YES),
        ("args.urgent", Truth.YES),
        ("type(args.urgent) == bool && type(args.amount) == int", Truth.YES),
        ('args.amount > 3 ? args.name == "Dana" : false', Truth.YES),
        ('args.name == "Dana" || args.absent == 1', Truth.YES),
        ("args.to.all(x, true) && args.to.all(x, x != args.name)", Truth.YES),
        ('timestamp("2026-01-31T00:00:00Z").getFullYear() == 2026', Truth.YES),
        ("// a comment with map(x, y)\ntrue", Truth.YES),
        (r'args.name != "l.map(x, \") + matches("', Truth.YES),
        (r"""args.name != r'l.map(x, \' && args.name != '''it's.map('''""", Truth.YES),
        # Not to be decided:
        ("args.absent == 1", Truth.UNKNOWN),
        ('args.name == "x" || args.absent == 1', Truth.UNKNOWN),
        ("args.amount", Truth.UNKNOWN),
        ("args.name", Truth.UNKNOWN),
        ("args.note", Truth.UNKNOWN),
        ("args.to", Truth.UNKNOWN),
        ('args.name < 5 || args.name == "x"', Truth.UNKNOWN),
        ("args.big * args.big > 1", Truth.UNKNOWN),
        ("args.amount / 0 == 1", Truth.UNKNOWN),
        ("args.to[9] == ''", Truth.UNKNOWN),
        ("args.name.all(x, true)", Truth.UNKNOWN),
        ("timestamp(args.name) == timestamp(args.name)", Truth.UNKNOWN),
    ],
)
def test_what_an_expression_says_of_a_call(text, truth):
    assert says(text) is truth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "line 1, column 4 of the expression: it ends too early"),
        ("", "line 1, column 1 of the expression: it ends too early"),
        ("args.amount < 1 &&\n  b c", "line 2, column 5 of the expression: 'c' can't stand here"),
        (
            "args.name == 'x",
            'line 1, column 14 of the expression: this text is never closed, or no sign of CEL: "\'x"',
        ),
        ("args.?name == 1", "line 1, column 5 of the expression: '.?' can't stand here"),
        ("amount < 5", "no variable 'amount' (there are args, connector, tool)"),
        ("arg.amount < 5", "no variable 'arg'; did you mean 'args'?"),
        ("x == 1 || args.to.all(y, true)", "no variable 'x' (there are args, connector, tool)"),
        ('args.name.startswith("D")', "no function 'startswith'; did you mean 'startsWith'?"),
        ("now() > args.amount", "no function 'now' (there are bytes, contains, double, "),
        (
            "args.to.map(x, x) == []",
            "line 1, column 9 of the expression: `map` is refused: `all`, `exists` and `exists_one` say yes or no",
        ),
        ("args.to . filter (x, true) == []", "column 11 of the expression: `filter` is refused"),
        (
            "args.to.all(x,\n args.to.exists(y, x == y))",
            "line 2, column 10 of the expression: `exists` inside a macro is refused: it costs too much",
        ),
        ("args.to.all(x, (x + x) == '')", "column 19 of the expression: `+` inside a macro is refused"),
        ("args.to.all(x, x.matches('a'))", "`matches` inside a macro is refused: write `args: {name:"),
        ("args.to.all(args, true)", "column 13 of the expression: 'args' is the call's own"),
        ("args.name.matches(args.note)", "write the pattern of `matches` out: one from the call could be"),
        ("args.name.matches('a' + args.note)", "write the pattern of `matches` out"),
        ("args.name.matches('(?=a)')", "column 19 of the expression: this is no pattern of Rust's regular"),
        ("args.name.matches('(')", "column 19 of the expression: this is no pattern of Rust's regular"),
        ("true" + " " * MAX_LENGTH, "longer than 400 characters: write several rules"),
    ],
)
def test_a_mistake_in_an_expression_is_told_in_words(text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        compiled(text)
    assert "<input>" not in str(caught.value)


def test_what_follows_a_macro_is_outside_of_it():
    assert says("args.to.all(x, size(x) > 1) && args.amount + 1 == 6 && args.to.exists(x, true)") is Truth.YES


def test_deep_expressions_are_mistakes_or_answers_and_never_more():
    for opening, closing in ("()", "[]", ("!(", ")"), ("size(", ")")):
        for depth in (10, 90, 190):
            try:
                says(opening * depth + "true" + closing * depth)
            except ValueError as error:
                assert "expression" in str(error) or "longer than" in str(error)


@pytest.mark.parametrize(
    ("arguments", "truth"),
    [
        ({"l": [1] * (MAX_VALUES - 1)}, Truth.YES),
        ({"l": [1] * MAX_VALUES}, Truth.UNKNOWN),
        ({"l": [], "m": {str(i): [] for i in range(MAX_VALUES)}}, Truth.UNKNOWN),
        ({"l": [], "m": [[[[1]] * 20] * 20]}, Truth.UNKNOWN),
        ({"l": [], "s": "x" * (MAX_TEXT - 200)}, Truth.YES),
        ({"l": [], "s": "x" * MAX_TEXT}, Truth.UNKNOWN),
    ],
)
def test_arguments_that_are_too_large_are_not_looked_at(arguments, truth):
    assert says("args.l.all(x, x == 1)", **arguments) is truth


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("args.l.all(x, {})", {"l": [*range(MAX_VALUES - 1)]}),
        ("args.m.all(x, {})", {"m": {str(i): i for i in range(MAX_VALUES - 1)}}),
        ("args.l.all(x, {})", {"l": [*range(100)], "s": "a" * 60_000}),
    ],
)
@pytest.mark.parametrize("part", ["args.l==args.l", "x in args.l", "args.m==args.m", "!args.s.contains('b')"])
def test_the_slowest_expressions_are_fast_enough(text, arguments, part):
    text = text.replace("{}", "&&".join([part] * 50)[: MAX_LENGTH - 40].rpartition("&&")[0])
    holds = compiled(text)
    call = ToolCall.of("c", "t", {"l": [], "m": {}, "s": ""} | arguments)
    start = time.process_time()
    holds(call)
    assert time.process_time() - start < 2  # a tenth of this on a quiet machine


def test_what_is_refused_would_have_been_slow():
    """The control: the same engine, without the refusals, over a list no larger than a page of results."""
    engine = importlib.import_module("cel")
    program = engine.compile("args.l.map(x, args.l).size() > 0")
    start = time.process_time()
    program.execute({"args": {"l": list(range(300))}})
    slow = time.process_time() - start
    start = time.process_time()
    engine.compile("args.l.all(x, x >= 0)").execute({"args": {"l": list(range(300))}})
    assert slow > 100 * (time.process_time() - start)


def test_without_the_engine_the_mistake_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(cel.importlib, "import_module", missing)
    with pytest.raises(
        ValueError, match=r"^a CEL condition needs its engine: pip install 'blastwall\[cel\]'$"
    ):
        compiled("true")


class Panic(BaseException):
    """What a Rust panic is in Python: no Exception."""


class Engine:
    """An engine that does as it is told."""

    def __init__(self, error):
        self.error = error

    def compile(self, text):
        if isinstance(self.error, ValueError):
            raise self.error
        return self

    def variables(self):
        return []

    functions = variables

    def execute(self, given):
        raise self.error


@pytest.mark.parametrize("error", [Panic(), RuntimeError(), MemoryError()])
def test_an_engine_that_fails_decides_nothing(monkeypatch, error):
    monkeypatch.setattr(cel.importlib, "import_module", lambda name: Engine(error))
    assert says("true") is Truth.UNKNOWN


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_user_who_stops_the_program_stops_it(monkeypatch, error):
    monkeypatch.setattr(cel.importlib, "import_module", lambda name: Engine(error()))
    with pytest.raises(error):
        says("true")


@pytest.mark.parametrize("said", ["something new", "ERROR: <input>:1:1: something new"])
def test_a_mistake_that_the_parser_words_anew_is_still_a_mistake(monkeypatch, said):
    monkeypatch.setattr(cel.importlib, "import_module", lambda name: Engine(ValueError(said)))
    with pytest.raises(ValueError, match=r"this is no CEL expression$"):
        compiled("true")


def test_one_condition_serves_many_threads():
    holds = compiled("args.amount == 5")
    found = []
    threads = [Thread(target=lambda: found.append(holds(ToolCall.of("c", "t", ARGUMENTS)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Truth.YES] * 8


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
parts = st.sampled_from(
    "args tool connector . a b [ ] ( ) { } 0 1 -1 2.5 \"x\" 'y' == != < in && || ! + - * / % ? : , size matches all"
    ' exists exists_one map x null true has int string type timestamp duration r\'\\d\' """ // \n'.split(" ")
)


@settings(max_examples=400)
@given(st.lists(parts, max_size=14).map("".join), st.dictionaries(st.sampled_from("ab"), values))
def test_whatever_is_written_is_an_answer_or_a_mistake_in_words(text, arguments):
    try:
        holds = compiled(text)
    except ValueError as error:
        assert "ERROR" not in str(error)
    else:
        assert holds(ToolCall.of("c", "t", arguments)) in Truth


@given(values, values)
def test_comparing_whatever_is_in_a_call_never_fails_badly(a, b):
    for sign in ("==", "<", "in", "+"):
        assert says(f"(args.a {sign} args.b) == true", a=a, b=b) in Truth
