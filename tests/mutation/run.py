"""Mutation testing of the pure rooms: `python tests/mutation/run.py [module ...]`.

Every mutant of a module runs against the tests that are named for it in `modules.yaml`, in a process of its own
that ends with it. A mutant that no test notices must be explained in `explained.yaml`; else this gives 1.

The tests are collected once, and run once to see which of them calls which function. A mutant inside of a function
is made in a fork of that process, by putting its code in the place of the function's, and meets the tests that call
it, the quickest first. One of a constant or of a class, and one of a function that was called before the tests ran, is
tried with all tests in a process that loads the module anew.
"""

import argparse
import importlib
import importlib.machinery
import importlib.util
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper, partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest
import yaml

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2] / part) for part in ("", "guardrails", "adapters")]

from tests.mutation.mutants import Mutant, mutants

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PRELOADED = ("pydantic", "hypothesis", "re2", "yaml", "idna", "msgspec", "jsonschema_rs")
OPTIONS = ("-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
MEMORY = 3 << 30
SLACK_S = 20.0
OUT_OF_TIME = -1


def path_of(module: str) -> Path:
    """Give the file of a module of the core."""
    return ROOT / "guardrails" / "blastwall" / (module.replace(".", "/") + ".py")


def forked(work: Callable[[], int], seconds: float) -> int:
    """Work in a process of its own and give its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            code = work()
        finally:
            os._exit(code)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return OUT_OF_TIME


# --- a mutant of a module that is loaded already ---------------------------------------------------------


class Collected:
    """A pytest plugin: in the place of running the collected tests once, it runs them once for each mutant."""

    def __init__(self, module: str, chosen: list[Mutant]) -> None:
        self.module, self.chosen = module, chosen
        self.doubtful: list[Mutant] = []
        self.survivors: list[Mutant] = []
        self.early: set[str] = set()
        self.limit = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Fork for every mutant."""
        sys.setprofile(None)
        callers = self.callers(session)
        if callers is None:
            return True
        loaded = sys.modules[f"blastwall.{self.module}"]
        for mutant in self.chosen:
            code = compile(mutant.tree(), str(path_of(self.module)), "exec") if mutant.inside else None
            function = outermost(loaded, code, mutant.where) if code else ""
            items = callers.get(function, [])
            if not code or not function:
                self.doubtful.append(mutant)
            elif not items or forked(partial(met_by, session, items, loaded, code), self.limit) == 0:
                (self.doubtful if function in self.early else self.survivors).append(mutant)
        return True

    def callers(self, session: pytest.Session) -> dict[str, list[pytest.Item]] | None:
        """Run the tests as they are; give those that call each function, the quickest first. None if one fails."""
        with tempfile.NamedTemporaryFile() as found:
            began = time.monotonic()
            if forked(lambda: profiled(session, str(path_of(self.module)), Path(found.name)), 900) != 0:
                return None
            self.limit = (time.monotonic() - began) * 4 + SLACK_S
            calls: list[tuple[float, list[str]]] = yaml.safe_load(Path(found.name).read_bytes())
        callers: dict[str, list[pytest.Item]] = {}
        for i in sorted(range(len(calls)), key=lambda i: calls[i][0]):
            for name in calls[i][1]:
                callers.setdefault(name, []).append(session.items[i])
        return callers


def profiled(session: pytest.Session, path: str, found: Path) -> int:
    """Run the collected tests and write, for each, how long it took and which functions of the file it called."""
    calls: list[list[object]] = []
    called: set[str] = set()

    note_calls(path, called)
    for i, item in enumerate(session.items):
        forget()
        called.clear()
        began = time.monotonic()
        run_all(session, [item, *session.items[i + 1 : i + 2]], only=1)
        calls.append([time.monotonic() - began, sorted(called)])
    sys.setprofile(None)
    found.write_text(yaml.safe_dump(calls), encoding="utf-8")
    return int(session.testsfailed > 0)


def note_calls(path: str, called: set[str]) -> None:
    """From now on, keep the names of the functions of a file that are called."""

    def seen(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == path:
            called.add(frame.f_code.co_qualname.partition(".<locals>")[0])

    threading.setprofile(seen)
    sys.setprofile(seen)


def run_all(session: pytest.Session, items: list[pytest.Item], only: int | None = None) -> int:
    """Run tests (the first ones of them `only`) until one fails; give 1 if one does."""
    for item, after in list(zip(items, [*items[1:], None], strict=True))[:only]:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if session.testsfailed:
            return 1
    return 0


def functions(scope: Any, module: str) -> Iterator[FunctionType]:
    """Give the functions of a module, those of its classes too."""
    for value in list(vars(scope).values()):
        for found in (
            value,
            *(getattr(value, name, None) for name in ("fget", "__func__", "__wrapped__", "func")),
        ):
            if isinstance(found, FunctionType) and found.__module__ == module:
                yield found
        if isinstance(value, type) and value.__module__ == module and value is not scope:
            yield from functions(value, module)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Give the code of every function that is made when a module is loaded."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            if "<locals>" not in constant.co_qualname:
                yield from codes(constant)


def met_by(session: pytest.Session, items: list[pytest.Item], module: ModuleType, code: CodeType) -> int:
    """Run tests against a mutant; give 1 if one fails."""
    replace(module, code)
    return run_all(session, items)


def outermost(module: ModuleType, code: CodeType, where: str) -> str:
    """Give the name of the function that a mutant is in; none if that can't be given another code."""
    outer = [f for f in functions(module, module.__name__) if (where + ".").startswith(f.__qualname__ + ".")]
    new = [c for c in codes(code) if outer and c.co_qualname == outer[0].__qualname__]
    return outer[0].__qualname__ if len({id(f) for f in outer}) == 1 and len(new) == 1 else ""


def replace(module: ModuleType, code: CodeType) -> None:
    """Give every function of a module its mutated code."""
    new = {found.co_qualname: found for found in codes(code)}
    for function in functions(module, module.__name__):
        mutated = new.get(function.__qualname__)
        if mutated is not None and len(mutated.co_freevars) == len(function.__code__.co_freevars):
            function.__code__ = mutated
    forget()


def forget() -> None:
    """Empty the caches of the package: what they hold, an earlier test has called for."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "blastwall":
            for value in vars(module).values():
                if isinstance(value, _lru_cache_wrapper):
                    value.cache_clear()


# --- a mutant of what a module makes when it is loaded ----------------------------------------------------


class Spoilt(importlib.machinery.SourceFileLoader):
    """Gives one module with a mistake in it, in this process only."""

    def __init__(self, module: str, mutant: Mutant) -> None:
        super().__init__(f"blastwall.{module}", str(path_of(module)))
        self.mutant = mutant

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Speak for this module only."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        """Compile the mutant."""
        return compile(self.mutant.tree(), self.path, "exec")


def anew(tests: list[str], module: str, mutant: Mutant) -> int:
    """Load the mutant in the place of its module, and run the tests."""
    sys.meta_path.insert(0, Spoilt(module, mutant))
    return int(pytest.main([*tests, *OPTIONS]))


# --- the whole -------------------------------------------------------------------------------------------


def measured(module: str, tests: list[str], chosen: list[Mutant]) -> list[Mutant]:
    """Give the mutants that no test notices."""
    collected = Collected(module, chosen)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.close(reader)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            note_calls(str(path_of(module)), collected.early)
            code = int(pytest.main([*tests, *OPTIONS], plugins=[collected]))
            doubtful, sure = (
                [chosen.index(m) for m in some] for some in (collected.doubtful, collected.survivors)
            )
            os.write(writer, yaml.safe_dump([code, collected.limit, doubtful, sure]).encode())
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answer:
        found = yaml.safe_load(answer.read())
    os.waitpid(pid, 0)
    if not found or found[1] == 0:
        raise SystemExit(f"{module}: its tests can't be run: {' '.join(tests)}")
    _, limit, doubtful, sure = found
    survivors = [i for i in doubtful if forked(partial(anew, tests, module, chosen[i]), limit) == 0]
    return [chosen[i] for i in sorted(survivors + sure)]


def explained(module: str) -> set[tuple[str, str]]:
    """Give the survivors of a module that are explained."""
    entries = yaml.safe_load((HERE / "explained.yaml").read_text(encoding="utf-8")) or []
    return {(entry["in"], entry["mutant"]) for entry in entries if entry["module"] == module}


def report(module: str, tests: list[str], some: list[Mutant], every: int) -> int:
    """Run the mutants of one module, print the survivors and give the number of those unexplained."""
    began = time.monotonic()
    survivors = measured(module, tests, some)
    known = explained(module)
    new = [mutant for mutant in survivors if (mutant.where, mutant.name) not in known]
    for mutant in new:
        say(f"  survives: {module}:{mutant.line} in {mutant.where or 'the module'}: {mutant.name}")
    took = time.monotonic() - began
    killed = len(some) - len(survivors)
    say(f"{module}: {killed} of {len(some)} killed ({every} mutants), {len(new)} unexplained, {took:.0f} s")
    return len(new)


def say(line: str) -> None:
    """Print, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Mutate the modules that are named, or all, and give 1 if a survivor is not explained."""
    listed = yaml.safe_load((HERE / "modules.yaml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(listed))
    parser.add_argument("--where", help="only the mutants inside of this function")
    parser.add_argument("--sample", type=int, help="only so many mutants of each module, by chance")
    parser.add_argument("--list", action="store_true", help="count the mutants and run none")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        importlib.import_module(name)
    settings = importlib.import_module("hypothesis").settings
    settings.register_profile("mutation", derandomize=True, deadline=None, database=None, max_examples=60)
    settings.load_profile("mutation")
    unexplained = 0
    for module in chosen.modules:
        every = list(mutants(path_of(module).read_text(encoding="utf-8")))
        if chosen.list:
            say(f"{module}: {len(every)} mutants")
            continue
        within = [mutant for mutant in every if chosen.where in (None, mutant.where)]
        some = random.Random(0).sample(within, min(chosen.sample or len(within), len(within)))
        unexplained += report(module, listed[module], some, len(every))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
