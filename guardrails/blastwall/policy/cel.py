"""A rule's `when: {cel: ...}`: one CEL expression over a call, compiled by the optional Rust engine.

The engine is fast, and some of what it can be asked for is not: its lists are copied whole, so that
`l.map(x, l)` takes half a minute over 1,000 members. Therefore the bounds below, and these refusals: `map`
and `filter` (a rule wants a yes or a no: `all`, `exists` and `exists_one` give it), a macro inside a macro,
`+` and `matches` inside a macro, and a pattern that is not written out. The slowest expression that we could
still write takes 50 ms over the largest arguments, an ordinary one 20 microseconds.
"""

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from blastwall.policy import truth
from blastwall.policy.truth import Truth
from blastwall.values import ToolCall

MAX_LENGTH = 400
"""Longest expression, in characters."""

MAX_VALUES = 128
"""Most values in a call's arguments, members of lists and objects included. More is UNKNOWN."""

MAX_TEXT = 1 << 16
"""Longest canonical text of a call. A longer one is UNKNOWN."""

NOT_INSTALLED = "a CEL condition needs its engine: pip install 'blastwall[cel]'"

_VARIABLES = frozenset({"args", "tool", "connector"})
_TYPES = frozenset(
    {"bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"}
    | {"duration", "timestamp"}
)
_MACROS = frozenset({"all", "exists", "exists_one"})
_LISTS = frozenset({"map", "filter"})
_FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "type", "dyn"}
    | {"int", "uint", "double", "string", "bytes", "duration", "timestamp"}
    | {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)


def compiled(text: str) -> Callable[[ToolCall], Truth]:
    """Compile an expression over `args`, `tool` and `connector`.

    What it gives says YES or NO. An expression that fails (an argument that is not there, a type that does
    not fit), that gives anything but true or false, or that would have to read too much, is UNKNOWN.

    Raises:
        ValueError: with a plain message, when it is no expression, asks for what is refused here, or the
            engine is not installed.

    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters: write several rules")
    engine = _engine()
    program = _program(engine, text)
    tokens = [token for token in _tokens(text) if token.kind != "space"]
    _allow(tokens, program, engine)

    def holds(call: ToolCall) -> Truth:
        if len(call.canonical) > MAX_TEXT or _many(call.arguments):
            return Truth.UNKNOWN
        given = {"args": call.arguments, "tool": call.tool, "connector": call.connector}
        try:
            result = program.execute(given)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  # a panic of the engine is no Exception
            return Truth.UNKNOWN
        return truth.of(result) if isinstance(result, bool) else Truth.UNKNOWN

    return holds


def _engine() -> Any:
    try:
        return importlib.import_module("cel")
    except ImportError:
        raise ValueError(NOT_INSTALLED) from None


def _program(engine: Any, text: str) -> Any:
    try:
        return engine.compile(text)
    except ValueError as error:
        raise ValueError(_said(str(error), text)) from None


_AT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_FOUND = re.compile(r"(?:mismatched|extraneous) input '(.+?)' expecting|unsupported syntax:? '(.+)'")


def _said(error: str, text: str) -> str:
    """Say a mistake of syntax in words; the parser's own list what it would have taken instead."""
    at = _AT.search(error)
    if at is None:
        return "this is no CEL expression"
    line, column, said = at.groups()
    where = f"line {line}, column {column} of the expression"
    found = _FOUND.search(said)
    if "token recognition error" in said:
        return f"{where}: this text is never closed, or no sign of CEL: {_line(text, int(line), int(column))}"
    if found is None:
        return f"{where}: this is no CEL expression"
    what = found[1] or found[2]
    return f"{where}: it ends too early" if what == "<EOF>" else f"{where}: {what!r} can't stand here"


def _line(text: str, line: int, column: int) -> str:
    return repr(text.split("\n")[line - 1][column - 1 :][:20])


class _Token(NamedTuple):
    kind: str
    text: str
    line: int
    column: int

    def refused(self, why: str) -> ValueError:
        return ValueError(f"line {self.line}, column {self.column} of the expression: {why}")


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
      | (?P<string>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|\"[^\"\r\n]*\"|'[^'\r\n]*')
          | [bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}
              |\"(?:\\.|[^\"\\\r\n])*\"|'(?:\\.|[^'\\\r\n])*'))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        before = text[: found.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        yield _Token(str(found.lastgroup), found[0], line, column)


def _allow(tokens: list[_Token], program: Any, engine: Any) -> None:
    """Refuse what costs too much, and what can only ever be UNKNOWN."""
    bound = set(_bound(tokens))
    _known("variable", set(program.variables()) - bound - _TYPES, _VARIABLES)
    named = {name for name in program.functions() if name.isidentifier()}
    _known("function", named - _MACROS - _LISTS, _FUNCTIONS)
    for pattern in _patterns(tokens):
        try:
            engine.compile(f'"".matches({pattern.text})').execute({})
        except RuntimeError:
            raise pattern.refused("this is no pattern of Rust's regular expressions") from None


def _known(kind: str, used: Iterable[str], known: frozenset[str]) -> None:
    for name in sorted(set(used) - known):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else f" (there are {', '.join(sorted(known))})"
        raise ValueError(f"no {kind} {name!r}{meant}")


def _bound(tokens: list[_Token]) -> Iterator[str]:
    """Give the names that macros bind, and refuse what costs too much."""
    for at, inside in enumerate(_inside(tokens)):
        why = _REFUSED_INSIDE.get(tokens[at].text) if inside else None
        if why and (tokens[at].text == "+" or _method(tokens, at)):
            raise tokens[at].refused(f"`{tokens[at].text}` inside a macro is refused: {why}")
        if tokens[at].text in _LISTS and _method(tokens, at):
            why = "`all`, `exists` and `exists_one` say yes or no"
            raise tokens[at].refused(f"`{tokens[at].text}` is refused: {why}")
        if tokens[at].text in _MACROS and _method(tokens, at):
            yield _variable(tokens[at + 2])


_REFUSED_INSIDE = {
    "+": "it copies its lists for every member",
    "matches": "write `args: {name: {pattern: ...}}`",
    **dict.fromkeys(_MACROS, "it costs too much"),
}


def _inside(tokens: list[_Token]) -> Iterator[bool]:
    """Say of each token whether it stands between the parentheses of a macro."""
    depth = macro = 0
    for at, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        macro = macro if depth >= macro else 0
        yield macro > 0
        if not macro and token.text in _MACROS and _method(tokens, at):
            macro = depth + 1


def _method(tokens: list[_Token], at: int) -> bool:
    """Say whether a method is called here."""
    before, after = tokens[at - 1 : at], tokens[at + 1 : at + 2]
    return tokens[at].kind == "name" and [t.text for t in (*before, *after)] == [".", "("]


def _variable(name: _Token) -> str:
    if name.text in _VARIABLES:
        raise name.refused(f"{name.text!r} is the call's own: give the macro's variable another name")
    return name.text


def _patterns(tokens: list[_Token]) -> Iterator[_Token]:
    for at, token in enumerate(tokens):
        if token.text == "matches" and _method(tokens, at):
            pattern, closing = tokens[at + 2], tokens[at + 3 :][:1]
            if pattern.kind != "string" or [t.text for t in closing] != [")"]:
                raise token.refused("write the pattern of `matches` out: one from the call could be anything")
            yield pattern


def _many(arguments: Mapping[str, Any]) -> bool:
    """Say whether there are more values than may be looked at."""
    room = MAX_VALUES
    left: list[Any] = [arguments]
    while left:
        value = left.pop()
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
        room -= len(inner)
        if room < 0:
            return True
        left.extend(inner)
    return False
