"""What mutation testing itself promises: real mistakes, every pure module, and no explanation of nothing."""

import ast
from pathlib import Path

import pytest
import yaml
from tests.mutation.mutants import mutants

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORE = ROOT / "guardrails" / "blastwall"
LISTED = yaml.safe_load((HERE / "modules.yaml").read_text(encoding="utf-8"))
EXPLAINED = yaml.safe_load((HERE / "explained.yaml").read_text(encoding="utf-8")) or []
PURE = ("advice", "policy", "provenance", "screening")


def made(source):
    return {mutant.name for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "mistake"),
    [
        ("a < b", "a < b -> a <= b"),
        ("a in b", "a in b -> a not in b"),
        ("a and b", "a and b -> a or b"),
        ("not a", "not a -> a"),
        ("a + b", "a + b -> a - b"),
        ("f(1)", "1 -> 2"),
        ("f(True)", "True -> False"),
        ("f('x')", "'x' -> 'xXX'"),
        ("min(a)", "min(a) -> max(a)"),
        ("t.startswith(a)", "t.startswith(a) -> t.endswith(a)"),
        ("a if b else c", "a if b else c -> a if not b else c"),
        ("[a for a in b if a]", "[a for a in b if a] -> [a for a in b]"),
        ("def f():\n    return a", "return a -> return None"),
        ("def f():\n    raise a", "raise a -> pass"),
        ("for a in b:\n    continue", "continue -> break"),
    ],
)
def test_a_mistake_is_made(source, mistake):
    assert mistake in made(source)


@pytest.mark.parametrize(
    "source",
    [
        "'''Text.'''",
        "def f():\n    '''Text.'''",
        "a: int | None",
        "def f(a: int | None) -> int | None: ...",
        "@decorated(1)\ndef f(): ...",
        "a = 'two words'",
        "assert_never(a)",
        "__all__ = ['a']",
        "def f():\n    return None",
    ],
)
def test_what_is_never_mutated(source):
    assert made(source) == set()


def test_a_mutant_differs_from_its_module_in_one_place():
    source = "def f(a):\n    if a < 1 and a > -5:\n        return a + 1\n    return 0\n"
    found = list(mutants(source))
    assert len(found) > 8
    for mutant in found:
        changed = ast.unparse(mutant.tree()).splitlines()
        original = ast.unparse(ast.parse(source)).splitlines()
        assert sum(a != b for a, b in zip(changed, original, strict=True)) == 1
        assert mutant.where == "f"
        assert mutant.inside


def test_every_module_of_the_pure_rooms_is_listed_with_tests_that_exist():
    modules = {
        ".".join(file.relative_to(CORE).with_suffix("").parts)
        for room in PURE
        for file in (CORE / room).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert modules <= set(LISTED)
    for module, tests in LISTED.items():
        assert (CORE / (module.replace(".", "/") + ".py")).exists(), module
        assert all((ROOT / test.partition("::")[0]).exists() for test in tests), module


@pytest.mark.parametrize("entry", EXPLAINED, ids=lambda entry: f"{entry['module']}: {entry['mutant']}")
def test_what_is_explained_could_still_happen(entry):
    """An explanation of a mutant that is no longer there explains nothing."""
    source = (CORE / (entry["module"].replace(".", "/") + ".py")).read_text(encoding="utf-8")
    assert (entry["in"], entry["mutant"]) in {(mutant.where, mutant.name) for mutant in mutants(source)}
    assert len(entry["why"]) > 20
