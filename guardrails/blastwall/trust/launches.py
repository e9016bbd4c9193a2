"""What is started when a server is: the program, the script that it runs, the package that is fetched for it.

Nothing is executed to find that out: interpreters, scripts and packages are told by their files alone.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from blastwall.frozen import Json
from blastwall.profiles import Server
from blastwall.trust.packages import package

_INTERPRETER = re.compile(
    r"(?:python|pypy|node|nodejs|deno|bun|ruby|perl|php|(?:ba|da|z|k)?sh)[0-9.]*(?:\.exe)?"
)
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*")
_TAKES_VALUE = frozenset(("-r", "--require", "--import", "--loader", "-X", "-W"))
"""Options of interpreters that take the next word with them."""

_LIBRARIES = ("site-packages", "dist-packages")
_CONSOLE = re.compile(rb"#!(/[^\n]*python[0-9.]*)\n.*?^from ([\w.]+) import ", re.DOTALL | re.MULTILINE)
_HEAD = 4096
_BLOCK = 1 << 20


Mark = tuple[int, ...] | None
"""Which file it is and when it last changed; None where there is none."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started, and the content of what is.

    Attributes:
        told: All of it, as a definition that can be pinned.
        files: The files that it was told from, each as it was before it was read.

    """

    told: Mapping[str, Json]
    files: tuple[tuple[Path, Mark], ...] = ()

    def stands(self) -> bool:
        """Say whether none of the files has changed since: for the price of a look at each."""
        return all(_mark(file) == mark for file, mark in self.files)


def launch(server: Server) -> Launch:
    """Look at how a server is started.

    Raises:
        OSError: a file that is there can't be read.

    """
    if not server.command:
        return Launch({"url": server.url})
    told: dict[str, Json] = {"command": tuple(server.command)}
    found = _program(server)
    if found is None:
        return Launch(told | {"program": None})
    files = [(found, _mark(found))]
    program = Path(os.path.realpath(found))
    told |= {"program": str(program), "sha256": _hash(program, files)}
    name, words = found.name, server.command[1:]
    if (fetched := package(server.command)) is not None:
        return Launch(told | {"package": fetched.spec, "exact": fetched.pinned}, tuple(files))
    entry = _entry(found, words, server.directory) if _INTERPRETER.fullmatch(name) else _script(program)
    if entry is not None and entry != program:
        told |= {"entry": str(entry), "entry_sha256": _hash(entry, files)}
    if entry is not None and (manifest := _manifest(entry)):
        files.append((manifest, _mark(manifest)))
        told["version"] = _version(manifest)
    return Launch(told, tuple(files))


def _program(server: Server) -> Path | None:
    """Find the program as the system does when it starts one."""
    name = server.command[0]
    if "/" in name:
        file = Path(server.directory or ".", name)
        return file if file.is_file() else None
    path = dict(server.env).get("PATH") or os.environ.get("PATH") or os.defpath
    found = shutil.which(name, path=path)
    return Path(os.path.abspath(found)) if found else None


def _entry(program: Path, words: Sequence[str], directory: Path | None) -> Path | None:
    """Find the script or module that an interpreter runs."""
    rest = iter(words)
    for word in rest:
        if word == "-m" and _PYTHON.fullmatch(program.name):
            return _module(program, next(rest, ""), directory)
        if word in ("-c", "-e", "--eval"):
            return None  # the code itself is among the words
        if word in _TAKES_VALUE:
            next(rest, None)
        elif not word.startswith("-") and word not in ("run", "exec"):
            script = Path(os.path.realpath(Path(directory or ".", word)))
            return script if script.is_file() else None
    return None


def _script(program: Path) -> Path:
    """Give what a program that pip wrote imports; it is never written anew itself. Any other is its own."""
    with program.open("rb") as stream:
        start = stream.read(_HEAD)
    wrapped = _CONSOLE.match(start)
    if wrapped is None:
        return program
    interpreter, module = Path(wrapped[1].decode(errors="replace")), wrapped[2].decode()
    return _module(interpreter, module, None) or program


def _module(program: Path, module: str, directory: Path | None) -> Path | None:
    if not re.fullmatch(r"\w+(?:\.\w+)*", module):
        return None
    relative = Path(*module.split("."))
    for place in _places(program, directory):
        for name in ("__main__.py", "__init__.py"):
            if (file := place / relative / name).is_file():
                return Path(os.path.realpath(file))
        if (file := place / relative.with_suffix(".py")).is_file():
            return Path(os.path.realpath(file))
    return None


def _places(program: Path, directory: Path | None) -> Iterator[Path]:
    """Give where a Python looks for modules: where it starts, its environment, and what that is based on."""
    if directory is not None:
        yield directory
    for prefix in (program.parent.parent, Path(os.path.realpath(program)).parent.parent):
        for library in sorted(prefix.glob("lib/python3*")):
            yield from (*(library / name for name in _LIBRARIES), library)
        yield from sorted(prefix.glob("local/lib/python3*/dist-packages"))


def _manifest(entry: Path) -> Path | None:
    """Find the file that says which version of its package a script is from."""
    for folder in entry.parents:
        if (file := folder / "package.json").is_file():
            return file
        if folder.parent.name in _LIBRARIES:
            name = folder.name.replace("_", "[-_.]")
            return next(iter(sorted(folder.parent.glob(f"{name}-*.dist-info/METADATA"))), None)
    return None


def _version(manifest: Path) -> str | None:
    """Read which version that is."""
    text = manifest.read_bytes()[:_BLOCK].decode(errors="replace")
    if manifest.name == "METADATA":
        found = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE)
        return found[1] if found else None
    try:
        version = json.loads(text).get("version")
    except (ValueError, AttributeError, RecursionError):
        return None
    return version if isinstance(version, str) else None


def _hash(file: Path, files: list[tuple[Path, Mark]]) -> str:
    mark = _mark(file)
    files.append((file, mark))
    return _hashed(file, mark)


@lru_cache(maxsize=64)
def _hashed(file: Path, _mark: Mark) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _mark(file: Path) -> Mark:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev
