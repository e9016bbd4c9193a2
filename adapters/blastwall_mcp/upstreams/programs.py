"""The files that a server's program consists of, so that a sandbox that shows little else can run it."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SCRIPTS = frozenset({".py", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".mts", ".sh", ".rb", ".pl", ".jar"})
"""What arguments look like that are the program rather than what it works on."""

MOST_FOLLOWED = 4
"""How many programs lead to another: a script names its interpreter, which may be a script."""

_LONGEST_LINE = 256


def files(command: Sequence[str], directory: Path | None, path: str) -> tuple[Path, ...]:
    """Give the files and folders that a command needs to be read, where the system's own are there already.

    That is the program and its interpreter, with the Python environment or the `node_modules` that they lie
    in, and scripts among the arguments. No folder that holds a home is among them.

    Args:
        command: The program, then its arguments.
        directory: What its paths are relative to.
        path: Where programs are looked for.

    """
    here = directory or Path.cwd()
    scripts = [here / word for word in command[1:] if Path(word).suffix in SCRIPTS]
    found = [*_program(command[0], here, path, MOST_FOLLOWED)]
    for script in filter(Path.is_file, scripts):
        found += [*_around(script), *_interpreter(script, here, path, MOST_FOLLOWED)]
    return tuple(dict.fromkeys(one for one in found if not _is_systems(one)))


def _program(name: str, here: Path, path: str, left: int) -> Iterator[Path]:
    place = here / name if os.sep in name else Path(shutil.which(name, path=path) or "")
    if left and place.is_file():
        yield from _around(place)
        yield from _interpreter(place, here, path, left - 1)


def _around(file: Path) -> Iterator[Path]:
    """Give a file, and what it can't do without, under every name that it is reached by."""
    for one in dict.fromkeys((file, file.resolve())):
        yield one
        yield from (folder for folder in _homes(one) if not _is_open(folder))


def _homes(file: Path) -> Iterator[Path]:
    """Give the environments that a file belongs to."""
    root = file.parent.parent
    modules = [parent for parent in file.parents if parent.name == "node_modules"]
    if modules:
        yield modules[-1]
    if file.parent.name in ("bin", "Scripts"):
        about = root / "pyvenv.cfg"
        if about.is_file():
            yield root
            yield from _base(about)
        elif any(root.glob("lib/python3*")):
            yield root
    elif file.suffix in SCRIPTS and not modules:
        yield file.parent


def _base(about: Path) -> Iterator[Path]:
    """Give the Python that a virtual environment is made from."""
    for line in about.read_text(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home" and (home := Path(value.strip())).is_dir():
            yield from dict.fromkeys((home.parent, home.resolve().parent))


def _interpreter(file: Path, here: Path, path: str, left: int) -> Iterator[Path]:
    with file.open("rb") as opened:
        first = opened.readline(_LONGEST_LINE)
    words = first.removeprefix(b"#!").decode(errors="replace").split() if first.startswith(b"#!") else []
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    if words:
        yield from _program(words[0], here, path, left)


def _is_systems(file: Path) -> bool:
    return file.is_relative_to("/usr") or file.parent in (Path("/bin"), Path("/sbin"))


def _is_open(folder: Path) -> bool:
    """Say whether so much lies in a folder that it can't be shown for the sake of one program."""
    kept = (Path.home(), Path.home().resolve(), Path(tempfile.gettempdir()))
    return any(place.is_relative_to(folder) for place in kept)
