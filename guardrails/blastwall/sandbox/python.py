"""A Python function in a sandbox: the function goes in by pickle, JSON comes out."""

import base64
import functools
import json
import os
import site
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from blastwall.errors import BackendError, BlastwallError
from blastwall.frozen import Json, NotJson, freeze, thaw
from blastwall.sandbox.mounts import within
from blastwall.sandbox.process import Completed, run
from blastwall.values import Profile

_WORKER = Path(__file__).with_name("_worker.py").read_text(encoding="utf-8")
_MOST_WORDS = 4000
"""Longest type name and message of an exception that is kept."""

_REGISTRY = threading.Lock()
"""cloudpickle's list of modules to take by value is global."""


class ToolRaised(BlastwallError):
    """The function failed inside. Its words are the tool's output: screen them before anybody reads them."""

    def __init__(self, type_name: str, message: str) -> None:
        """Keep both, as the sandbox told them."""
        self.type_name, self.message = (
            text[:_MOST_WORDS].encode(errors="replace").decode() for text in (type_name, message)
        )
        super().__init__(f"{self.type_name}: {self.message}")


def call(function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile) -> Json:
    """Call `function(**arguments)` in a sandbox made for this one call.

    Functions of installed packages are imported inside; all others go in by value, with the globals that
    they use. Of this Python only its own files and its installed packages can be read there. Dates, sets,
    dataclasses, pydantic models and the like come out as pydantic's JSON form of them.

    Raises:
        ToolRaised: when the function raised.
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the function can't go in, or what came out is no result.

    """
    request = _request(function, arguments, profile)
    return _result(run(_command(), profile, stdin=request, read=python_paths()), profile)


async def acall(function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile) -> Json:
    """Do what `call` does, awaited; cancellation kills the sandbox."""
    from blastwall.sandbox.process_async import arun  # noqa: PLC0415  # asyncio costs 60 ms to import

    request = _request(function, arguments, profile)
    return _result(await arun(_command(), profile, stdin=request, read=python_paths()), profile)


def _command() -> list[str]:
    # -I: no environment variables, no user site, no working directory on the path.
    return [sys.executable, "-I", "-c", _WORKER]


@functools.cache
def python_paths() -> tuple[Path, ...]:
    """Give this interpreter's own folders, and nothing of what happens to be on sys.path beside them."""
    named = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()}
    folders = {folder for folder in named if os.path.isdir(folder)}  # Debian names some that are not there
    real = set(map(os.path.realpath, folders))
    return tuple(Path(folder) for folder in sorted(real | folders) if not folder.startswith("/usr/"))


def _request(function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile) -> bytes:
    try:
        plain = thaw(freeze(arguments))
    except NotJson as error:
        raise BackendError(f"these arguments can't go into a sandbox: {error}") from None
    readable = (*map(str, python_paths()), "/usr", *map(os.path.realpath, profile.read))
    # What may be written inside must not be imported by the next call.
    closed = () if profile.workspace is None else (os.path.realpath(profile.workspace),)
    places = {entry: os.path.realpath(entry) for entry in sys.path if entry}
    path = [entry for entry, real in places.items() if within(real, readable) and not within(real, closed)]
    try:
        with _by_value(readable):
            pickled = cloudpickle.dumps(function)
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise BackendError(
            f"the function {name} can't go into a sandbox: {type(error).__name__} when pickling it;"
            " it must not hold open files, locks or clients"
        ) from error
    body = {"function": base64.b64encode(pickled).decode(), "arguments": plain, "path": path}
    return json.dumps(body).encode()


@contextmanager
def _by_value(readable: tuple[str, ...]) -> Iterator[None]:
    """Pickle by value whatever comes from modules that can't be imported inside."""
    with _REGISTRY:
        before = cloudpickle.list_registry_pickle_by_value()
        outside = [module for module in _loaded() if not _importable(module.__dict__["__file__"], readable)]
        taken = [module for module in outside if module.__name__ not in before]
        for module in taken:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in taken:
                cloudpickle.unregister_pickle_by_value(module)


def _loaded() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        # Straight from its dictionary: some modules do work when asked for an attribute.
        known = module.__dict__ if isinstance(module, ModuleType) else {}
        if name != "__main__" and known.get("__name__") == name and isinstance(known.get("__file__"), str):
            yield module


@functools.lru_cache(maxsize=1 << 14)
def _importable(file: str, readable: tuple[str, ...]) -> bool:
    return within(os.path.realpath(file), readable)


def _result(done: Completed, profile: Profile) -> Json:
    if done.timed_out:
        raise BackendError(
            f"the tool was stopped after {profile.timeout_s:g} s, its limit in {profile.name!r}"
        )
    try:
        answer = json.loads(done.stdout)
        match answer:
            case {"returned": value}:
                return freeze(value)
            case {"raised": [str(type_name), str(message)]}:
                raise ToolRaised(type_name, message)
            case {"unfit": True}:
                raise BackendError("the tool returned something that has no JSON form")
            case _:
                raise BackendError("the sandbox gave something that is no result")
    except NotJson:
        raise BackendError("the sandbox gave a result that is not plain JSON") from None
    except (ValueError, RecursionError):
        raise BackendError(_no_answer(done, profile)) from None


def _no_answer(done: Completed, profile: Profile) -> str:
    if len(done.stdout) == profile.output_kb << 10:
        return f"the tool's result is larger than {profile.output_kb} KiB, its limit in {profile.name!r}"
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return (
        f"the tool gave no result ({ended}): it may have met a limit of profile {profile.name!r}"
        " (memory, processes, files), or Python could not start inside"
    )
