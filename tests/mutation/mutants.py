"""Small mistakes, made one at a time: what a module would be if its author had slipped.

Not mutated: documentation, type annotations, decorators, and texts with a space in them, which are for people and
which other tests hold word by word. A `return False` does not become a `return None`: mypy refuses it.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sorted": "list",
    "startswith": "endswith",
    "endswith": "startswith",
    "strip": "lstrip",
    "partition": "rpartition",
    "rpartition": "partition",
    "fullmatch": "match",
    "union": "intersection",
}
_TYPES = ("annotation", "returns", "decorator_list", "type_params", "bases")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        where: The class and function that it is in.
        inside: Whether it is inside of a function's body, so that the module can be loaded before it is made.
        line: Its line.
        before, after: The piece of code, as it is and as it would be.
        tree: The whole module with the mistake in it.

    """

    where: str
    inside: bool
    line: int
    before: str
    after: str
    tree: Callable[[], ast.Module]

    @property
    def name(self) -> str:
        """The same without the line, which moves when something else changes."""
        return f"{self.before} -> {self.after}"


Change = Callable[[ast.AST], ast.AST]
"""Makes the mistake in a copy of a node."""


def mutants(source: str) -> Iterator[Mutant]:
    """Give every mutant of a module."""
    module = ast.parse(source)
    nodes = list(_nodes(module, ""))
    for number, (node, where, inside) in enumerate(nodes):
        for change in _changes(node):
            before, after = ast.unparse(node), ast.unparse(change(copy.deepcopy(node)))
            if before == after:
                continue

            def tree(number: int = number, change: Change = change) -> ast.Module:
                whole = copy.deepcopy(module)
                target = next(found for i, (found, *_) in enumerate(_nodes(whole, "")) if i == number)
                _Replace(target, change(copy.deepcopy(target))).visit(whole)
                return ast.fix_missing_locations(whole)

            yield Mutant(where, inside, node.lineno, _short(before), _short(after), tree)  # type: ignore[attr-defined]


def _short(code: str) -> str:
    return " ".join(code.split())[:120]


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().generic_visit(node)


def _nodes(node: ast.AST, where: str, inside: bool = False) -> Iterator[tuple[ast.AST, str, bool]]:
    """Give every node that can be mutated, the function that it is in, and whether it is in one."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    if isinstance(node, ast.expr | ast.stmt):
        yield node, where, inside
    for name, value in ast.iter_fields(node):
        if name in _TYPES:
            continue
        within = inside or (name == "body" and isinstance(node, ast.FunctionDef))
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _documentation(child):
                yield from _nodes(child, where, within)


def _documentation(node: ast.AST) -> bool:
    """Say whether nothing of a node ever runs."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Expr) and ast.unparse(node).startswith("assert_never("):
        return True
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__slots__")


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=ops):
            yield from (_operator(i) for i in range(len(ops)) if type(ops[i]) in SWAPS)
        case ast.BoolOp() | ast.BinOp() | ast.AugAssign() if type(node.op) in SWAPS:
            yield lambda n: _with(n, op=SWAPS[type(n.op)]())  # type: ignore[attr-defined]
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield lambda n: n.operand  # type: ignore[attr-defined]
        case ast.Constant(value=value):
            yield from _constants(value)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in NAMES:
            yield _renamed
        case _:
            yield from _flow(node)


def _flow(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            yield lambda n: _with(n, test=ast.UnaryOp(ast.Not(), n.test))  # type: ignore[attr-defined]
        case ast.Return(value=ast.expr() as value) if not _nothing(value):
            yield lambda n: _with(n, value=ast.Constant(None))
        case ast.Expr() | ast.Raise():
            yield lambda n: ast.copy_location(ast.Pass(), n)
        case ast.Continue():
            yield lambda n: ast.copy_location(ast.Break(), n)
        case ast.Break():
            yield lambda n: ast.copy_location(ast.Continue(), n)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from (_unfiltered(i) for i, part in enumerate(node.generators) if part.ifs)
        case _:
            pass


def _nothing(value: ast.expr) -> bool:
    """Say whether a value counts as false anyway, so that it is the type checker who tells it from None."""
    return ast.unparse(value) in ("None", "False", "0", "''", "()", "[]", "{}")


def _operator(i: int) -> Change:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Compare)
        node.ops[i] = SWAPS[type(node.ops[i])]()  # type: ignore[call-overload]
        return node

    return change


def _unfiltered(i: int) -> Change:
    def change(node: ast.AST) -> ast.AST:
        node.generators[i].ifs = []  # type: ignore[attr-defined]
        return node

    return change


def _constants(value: object) -> Iterator[Change]:
    if isinstance(value, bool):
        yield lambda n: ast.copy_location(ast.Constant(not value), n)
    elif isinstance(value, int | float):
        yield lambda n: ast.copy_location(ast.Constant(value + 1), n)
    elif isinstance(value, str) and " " not in value:
        yield lambda n: ast.copy_location(ast.Constant(f"{value}XX"), n)


def _renamed(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Call)
    if isinstance(node.func, ast.Name):
        node.func.id = NAMES[node.func.id]
    elif isinstance(node.func, ast.Attribute):
        node.func.attr = NAMES[node.func.attr]
    return node


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node
