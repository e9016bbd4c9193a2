"""A Python function in a sandbox: the function goes in by pickle, JSON comes out."""

import base64
import builtins
import contextlib
import functools
import json
import os
import pwd
import re
import site
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from blastwall.errors import BackendError, BlastwallError
from blastwall.frozen import Json, NotJson, freeze, thaw
from blastwall.sandbox.launch import launch
from blastwall.sandbox.mounts import within, workspace_inside
from blastwall.sandbox.packages import PACKAGES
from blastwall.sandbox.process import Completed, Launch, run
from blastwall.values import Profile, Strength

_WORKER = Path(__file__).with_name("_worker.py").read_text(encoding="utf-8")
_MOST_WORDS = 4000
"""Longest type name and message of an exception that is kept."""

_REGISTRY = threading.Lock()
"""cloudpickle's list of modules to take by value is global."""

_OURS = ("blastwall.functions",)
"""What of blastwall itself runs inside: by value, since importing it there would cost more than it holds."""

_EVERYBODYS = (
    "/ /app /bin /dev /etc /home /lib /opt /proc /run /sbin /srv /sys /tmp /usr /usr/local /usr/src /var"
).split()
"""Folders whose names tell nothing about this machine."""


class ToolRaised(BlastwallError):
    """The function failed inside. Its words are the tool's output: screen them before anybody reads them."""

    def __init__(self, type_name: str, message: str) -> None:
        """Keep both, as the sandbox told them."""
        self.type_name, self.message = (
            text[:_MOST_WORDS].encode(errors="replace").decode() for text in (type_name, message)
        )
        super().__init__(f"{self.type_name}: {self.message}")


def call(
    function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile, *, launch: Launch = launch
) -> Json:
    """Call `function(**arguments)` in a sandbox made for this one call.

    Functions of installed packages are imported inside; all others go in by value, with the globals that
    they use. Of this Python only its own files and its installed packages can be read there. Dates, sets,
    dataclasses, pydantic models and the like come out as pydantic's JSON form of them.

    Args:
        function: What to call. An async one is awaited inside.
        arguments: JSON.
        profile: What it may touch. Its `preload` is imported first.
        launch: How the sandbox is started.

    Raises:
        ToolRaised: when the function raised.
        SandboxUnavailable: when no such sandbox can be had here. Nothing ran.
        BackendError: when the function can't go in, or what came out is no result.

    """
    stdin = request(function, arguments, profile)
    return result(run(command(profile), profile, stdin=stdin, read=shown(profile), launch=launch), profile)


async def acall(
    function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile, *, launch: Launch = launch
) -> Json:
    """Do what `call` does, awaited; cancellation kills the sandbox."""
    from blastwall.sandbox.process_async import arun  # noqa: PLC0415  # asyncio costs 60 ms to import

    stdin = request(function, arguments, profile)
    done = await arun(command(profile), profile, stdin=stdin, read=shown(profile), launch=launch)
    return result(done, profile)


def command(profile: Profile, useful: Iterable[str] = ()) -> list[str]:
    """Give the command that waits for a request inside, with `useful` modules imported if they are there."""
    setup = {"path": _path(profile), "useful": list(useful), "preload": profile.preload}
    python = "python3" if _is_guest(profile) else sys.executable
    # -I: no environment variables, no user site, no working directory on the path.
    return [python, "-I", "-c", _WORKER, json.dumps(setup)]


def _is_guest(profile: Profile) -> bool:
    """Say whether it is a machine's own Python that runs there, with what the machine's image holds."""
    return profile.strength is Strength.VM


def shown(profile: Profile) -> tuple[Path, ...]:
    """Give what has to be readable inside for a Python tool."""
    return () if _is_guest(profile) else python_paths()


@functools.cache
def python_paths() -> tuple[Path, ...]:
    """Give this interpreter's own folders, and nothing of what happens to be on sys.path beside them."""
    named = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()}
    folders = {folder for folder in named if os.path.isdir(folder)}  # Debian names some that are not there
    real = set(map(os.path.realpath, folders))
    return tuple(Path(folder) for folder in sorted(real | folders) if not folder.startswith("/usr/"))


def request(function: Callable[..., Any], arguments: Mapping[str, Any], profile: Profile) -> bytes:
    """Give what the worker reads: one line.

    Raises:
        BackendError: when the function or its arguments can't go in.

    """
    try:
        plain = thaw(freeze(arguments))
    except NotJson as error:
        raise BackendError(f"these arguments can't go into a sandbox: {error}") from None
    try:
        with _by_value(profile):
            pickled = cloudpickle.dumps(function)
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise BackendError(
            f"the function {name} can't go into a sandbox: {type(error).__name__} when pickling it;"
            " it must not hold open files, locks or clients"
        ) from error
    body = {"function": base64.b64encode(pickled).decode(), "arguments": plain, "path": _path(profile)}
    return json.dumps(body).encode() + b"\n"


def _readable(profile: Profile) -> tuple[str, ...]:
    return (*map(str, python_paths()), "/usr", *map(os.path.realpath, profile.read))


def _path(profile: Profile) -> list[str]:
    """Give where modules are looked for inside. What one call may write, the next one must not import."""
    if _is_guest(profile):
        return []
    readable = _readable(profile)
    closed = () if profile.workspace is None else (os.path.realpath(profile.workspace),)
    places = {entry: os.path.realpath(entry) for entry in sys.path if entry}
    return [entry for entry, real in places.items() if within(real, readable) and not within(real, closed)]


@contextmanager
def _by_value(profile: Profile) -> Iterator[None]:
    """Pickle by value whatever comes from modules that can't be imported inside."""
    with _REGISTRY:
        before = cloudpickle.list_registry_pickle_by_value()
        outside = [module for module in _loaded() if not _importable(module, profile)]
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


def _importable(module: ModuleType, profile: Profile) -> bool:
    if module.__name__ in _OURS:
        return False
    if _is_guest(profile):
        top = module.__name__.partition(".")[0]
        return top in sys.stdlib_module_names or top in PACKAGES
    return _lies(module.__dict__["__file__"], _readable(profile))


@functools.lru_cache(maxsize=1 << 14)
def _lies(file: str, readable: tuple[str, ...]) -> bool:
    return within(os.path.realpath(file), readable)


def result(done: Completed, profile: Profile) -> Json:
    """Read what the worker answered, believing nothing of it.

    Raises:
        ToolRaised: when the function raised.
        BackendError: when there is no result.

    """
    if done.timed_out:
        raise BackendError(
            f"the tool was stopped after {profile.timeout_s:g} s, its limit in {profile.name!r}"
        )
    try:
        match json.loads(done.stdout):
            case {"returned": value}:
                return freeze(value)
            case {"raised": [str(type_name), str(message)]}:
                raise ToolRaised(*(without_paths(text, profile) for text in (type_name, message)))
            case {"missing": [str(module), str(type_name)]} if module in profile.preload:
                raise BackendError(_not_preloaded(module, type_name, profile))
            case {"unfit": True}:
                raise BackendError("the tool returned something that has no JSON form")
            case _:
                raise BackendError("the sandbox gave something that is no result")
    except NotJson:
        raise BackendError("the sandbox gave a result that is not plain JSON") from None
    except (ValueError, RecursionError):
        raise BackendError(_no_answer(done, profile)) from None


def _not_preloaded(module: str, type_name: str, profile: Profile) -> str:
    known = isinstance(getattr(builtins, type_name, None), type)  # no other words from there
    return (
        f"the profile {profile.name!r} preloads {module!r}, which can't be imported inside"
        f" ({type_name if known else 'it raises'}): install it, let `read` show it, or take it off `preload`"
    )


def _no_answer(done: Completed, profile: Profile) -> str:
    if len(done.stdout) == profile.output_kb << 10:
        return f"the tool's result is larger than {profile.output_kb} KiB, its limit in {profile.name!r}"
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return (
        f"the tool gave no result ({ended}): it may have met a limit of profile {profile.name!r}"
        " (memory, processes, files), or Python could not start inside"
    )


# --- What an error must not tell ----------------------------------------------------------------------


def without_paths(text: str, profile: Profile) -> str:
    """Put a neutral form in the place of what a tool's error tells about this machine.

    Inside, paths are those of the host. A tool that wants to tell them can still spell them otherwise: this
    keeps honest errors from telling a model where things lie here, and who lives here.
    """
    places = _places(profile)
    paths = "|".join(re.escape(path) for path in sorted(places, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{paths})(?![\w-])", lambda found: places[found[0]], text)


def _places(profile: Profile) -> dict[str, str]:
    """Give the folders to hide, and what stands for each; the later one wins."""
    python = {
        *map(str, python_paths()),
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    }
    python |= {sys.prefix, sys.base_prefix}
    sources = {entry for entry in sys.path if entry and not within(os.path.realpath(entry), python)}
    homes = {str(Path.home())}
    with contextlib.suppress(KeyError):  # not everybody has an account
        homes.add(pwd.getpwuid(os.geteuid()).pw_dir)
    with contextlib.suppress(OSError):  # it may be gone
        sources.add(os.getcwd())
    workspaces = {workspace_inside(profile), str(profile.workspace or "")}
    named = {"<source>": sources, "~": homes, "<python>": python, "<workspace>": workspaces}
    return {
        path: name
        for name, folders in named.items()
        for folder in folders
        if os.path.isabs(folder)
        for path in (os.path.normpath(folder), os.path.realpath(folder))
        if path not in _EVERYBODYS
    }
