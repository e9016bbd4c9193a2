"""What the guest has: busybox, this Python with its library and a few packages, an agent, and no more."""

import functools
import importlib.util
import marshal
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

from blastwall.errors import SandboxUnavailable
from blastwall.sandbox.packages import PACKAGES
from blastwall.sandbox.vm.erofs import File, regular, symlink

LIBRARY = "/usr/lib/blastwall"
_ROOM = "blastwall.sandbox.vm"
_MODULES = ("wire", "_agent", "_furnish", "_spare", "_tunnel")
AGENT = f"{_ROOM}._agent"
PYTHON = "/usr/bin/python3"
_LOADER = "/lib64/ld-linux-x86-64.so.2"
_LEFT_OUT = re.compile(
    r"/(tests?|idlelib|idle_test|lib2to3|turtledemo|tkinter|ensurepip|pydoc_data|config-[^/]*|site-packages"
    r"|dist-packages|__pycache__)(/|$)"
)
GIVEN = ("/etc/passwd", "/etc/group", "/etc/hosts")
"""Files that each machine is given, below /run."""
_UNCHECKED = struct.pack("<IQ", 1, 0)
"""A .pyc that is never compared with its source (PEP 552): the image keeps no times."""
_MERGED = re.compile(r"/(bin|sbin|lib|lib64)/")
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def interpreter() -> Path:
    """Give the Python that the guest gets: this one's own installation, never a virtual environment.

    A function that is pickled by value can be read by the same version only.
    """
    return Path(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))


def busybox() -> Path:
    """Find busybox.

    Raises:
        SandboxUnavailable: when there is none that needs no libraries.

    """
    found = shutil.which("busybox", path="/usr/bin:/bin:/usr/local/bin")
    if found is None or b"/ld-linux" in Path(found).read_bytes()[:4096]:
        raise SandboxUnavailable(
            "no sandbox: a static busybox is missing, the guest's shell;"
            " install it: apt-get install busybox-static"
        )
    return Path(found)


def files(modules: Mapping[str, bytes]) -> dict[str, File]:
    """Give everything that the guest's read-only image holds, by its absolute path."""
    found = {**_shell(), **_etc(), **dict(_python()), **_programs(modules)}
    return {_merged(path): file for path, file in found.items()}


def sources() -> dict[str, bytes]:
    """Give the sources of what runs in a guest as root, by their modules' names."""
    here = Path(__file__).parent
    found = {f"{_ROOM}.{name}": here / f"{name}.py" for name in _MODULES}
    found["blastwall.egress.mux"] = here.parents[1] / "egress" / "mux.py"
    return {name: path.read_bytes() for name, path in found.items()}


def _programs(modules: Mapping[str, bytes]) -> dict[str, File]:
    """Give these modules, in packages that have no `__init__`: nothing else of ours is in the guest."""
    return {
        f"{LIBRARY}/{name.replace('.', '/')}.pyc": regular(_pyc(source, name))
        for name, source in modules.items()
    }


def places() -> tuple[str, ...]:
    """Give the folders of the image that the guest's own root shows."""
    prefix = str(interpreter().parent.parent)
    return ("/usr", "/etc") if prefix.startswith("/usr") else ("/usr", "/etc", prefix)


def _merged(path: str) -> str:
    """Put into /usr what the guest reaches by symlinks such as /lib."""
    return f"/usr{path}" if _MERGED.match(path) else path


def _shell() -> dict[str, File]:
    program = busybox()
    said = subprocess.run([program, "--list"], capture_output=True, text=True, check=True, timeout=10)
    found = {f"/usr/bin/{name}": symlink("busybox") for name in said.stdout.split()}
    return {**found, "/usr/bin/busybox": regular(program.read_bytes(), executable=True)}


def _etc() -> dict[str, File]:
    texts = {
        "/etc/hostname": "sandbox\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    found = {path: regular(text.encode()) for path, text in texts.items()}
    # Who the ordinary user is, only the host knows, when it starts the machine.
    found |= {path: symlink(f"/run{path}") for path in GIVEN}
    if os.access(_CERTIFICATES, os.R_OK):
        found[_CERTIFICATES] = regular(Path(_CERTIFICATES).read_bytes())
        found["/usr/lib/ssl/cert.pem"] = symlink(_CERTIFICATES)
    return found


def _python() -> Iterator[tuple[str, File]]:
    program, library = interpreter(), Path(os.__file__).parent
    yield str(program), regular(program.read_bytes(), executable=True)
    if str(program) != PYTHON:
        yield PYTHON, symlink(str(program))
    native = [program]
    for file in sorted(library.rglob("*")):
        if _LEFT_OUT.search(str(file)[len(str(library)) :]) or not file.is_file():
            continue
        yield from _module(str(file), file.read_bytes())
        native += [file] if file.suffix == ".so" else []
    for place, file in packages().items():
        yield from _module(f"{library}/{place}", file.read_bytes())
        native += [file] if file.suffix == ".so" else []
    for needed in sorted({path for file in native for path in _libraries(file)}):
        yield needed, regular(Path(needed).read_bytes(), executable=True)


@functools.cache
def packages() -> dict[str, Path]:
    """Give the files of the packages beside the standard library, by where they lie on Python's path."""
    found: dict[str, Path] = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin:
            raise SandboxUnavailable(f"no sandbox: the Python package {name} is missing: install it")
        top = Path(spec.origin)
        files = sorted(top.parent.rglob("*.*")) if spec.submodule_search_locations else [top]
        above = top.parents[1] if spec.submodule_search_locations else top.parent
        found |= {
            str(file.relative_to(above)): file
            for file in files
            if file.suffix in (".py", ".so") and not _LEFT_OUT.search(f"/{file.relative_to(above)}")
        }
    return found


def _module(path: str, data: bytes) -> Iterator[tuple[str, File]]:
    yield path, regular(data)
    if path.endswith(".py"):
        try:
            yield cache_from_source(path), regular(_pyc(data, path))
        except SyntaxError:
            return  # some files are there to be wrong


def _pyc(source: bytes, path: str) -> bytes:
    return MAGIC_NUMBER + _UNCHECKED + marshal.dumps(compile(source, path, "exec", dont_inherit=True))


def _libraries(file: Path) -> set[str]:
    """Give where the loader finds what a program or library needs, and the loader."""
    said = subprocess.run([_LOADER, "--list", file], capture_output=True, text=True, check=False, timeout=10)
    return {_LOADER, *re.findall(r"=> (/\S+)", said.stdout)}
