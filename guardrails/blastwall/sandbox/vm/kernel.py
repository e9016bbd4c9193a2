"""The guest's kernel, out of a Debian package: found installed or downloaded, unpacked without root."""

import gzip
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from blastwall.errors import SandboxUnavailable

PACKAGE = "linux-image-amd64"
"""The kernel with 9p; the one for clouds lacks it."""

_FIX = f"install a kernel that has 9p: apt-get install {PACKAGE}; or let apt reach its mirror"
_DOWNLOAD_S = 600
_MODINFO = re.compile(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One packaged kernel: its compressed image, and the folder with its modules."""

    version: str
    image: Path
    modules: Path


def installed(root: Path = Path("/")) -> Kernel | None:
    """Find the newest kernel below a root that has 9p and that we may read."""
    found = []
    for image in root.glob("boot/vmlinuz-*"):
        version = image.name.removeprefix("vmlinuz-")
        for top in ("lib/modules", "usr/lib/modules"):
            modules = root / top / version / "kernel"
            if os.access(image, os.R_OK) and any(modules.glob("fs/9p/9p.ko*")):
                found.append(Kernel(version, image, modules))
    return max(found, key=lambda kernel: _order(kernel.version), default=None)


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def download(into: Path, wanted: Iterable[str]) -> None:
    """Download the packaged kernel with apt, which checks its signature, and keep of it what a guest needs.

    Args:
        into: An empty folder, in which `installed` finds it afterwards.
        wanted: The modules that are needed.

    Raises:
        SandboxUnavailable: when there is no apt here, or it can't get the package.

    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SandboxUnavailable(f"no sandbox: no kernel with 9p is installed, and no apt; {_FIX}")
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".download-") as folder:
        _command(["apt-get", "--quiet", "download", _newest()], folder)
        package = next(Path(folder).glob("*.deb"), None)
        if package is None:
            raise SandboxUnavailable(f"no sandbox: apt downloaded no kernel; {_FIX}")
        _command(["dpkg-deb", "-x", package.name, "unpacked"], folder)
        found = installed(Path(folder, "unpacked"))
        if found is None:
            raise SandboxUnavailable(f"no sandbox: {package.name} holds no kernel with 9p; {_FIX}")
        kept = into / "lib" / "modules" / found.version / "kernel" / "fs" / "9p"
        kept.mkdir(parents=True)
        for name, data in modules(found, wanted):
            (kept / f"{name}.ko").write_bytes(data)
        (into / "boot").mkdir()
        shutil.copy(found.image, into / "boot")


def _newest() -> str:
    """Give the package that the always-newest one stands for."""
    said = _command(["apt-cache", "depends", "--important", PACKAGE], "/")
    named = re.search(r"Depends: (linux-image-\d\S*-amd64)\s", said + "\n")
    if named is None:
        raise SandboxUnavailable(f"no sandbox: apt knows no {PACKAGE}; run apt-get update, or {_FIX}")
    return named[1]


def _command(argv: list[str], folder: str) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_S,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise SandboxUnavailable(f"no sandbox: {argv[0]} took longer than {_DOWNLOAD_S} s; {_FIX}") from None
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SandboxUnavailable(f"no sandbox: {argv[0]} failed for the guest's kernel ({why}); {_FIX}")
    return done.stdout


def uncompressed(image: bytes) -> bytes:
    """Give the ELF kernel inside a bzImage: QEMU starts it directly, and an emulated CPU unpacks nothing.

    Raises:
        SandboxUnavailable: when it is packed in a way that the standard library can't undo.

    """
    for magic, unpack in ((b"\xfd7zXZ\0", _unxz), (b"\x1f\x8b\x08", _ungzip), (b"\x28\xb5\x2f\xfd", _unzstd)):
        for start in _places(image, magic):
            kernel = unpack(image[start:])
            if kernel.startswith(b"\x7fELF"):
                return kernel
    raise SandboxUnavailable(f"no sandbox: this kernel is packed in an unknown way; {_FIX}")


def _places(data: bytes, magic: bytes) -> Iterator[int]:
    at = data.find(magic)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1)


def _unxz(data: bytes) -> bytes:
    try:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(data)
    except lzma.LZMAError:
        return b""


def _ungzip(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(data)
    except zlib.error:
        return b""


def _unzstd(data: bytes) -> bytes:
    program = shutil.which("zstd")
    if program is None:
        return b""
    # The kernel is followed by other bytes, which zstd complains about after it has given the kernel.
    return subprocess.run([program, "-dc"], input=data, capture_output=True, check=False).stdout


def modules(kernel: Kernel, wanted: Iterable[str]) -> list[tuple[str, bytes]]:
    """Give these modules and all that they need, each after what it needs.

    What the kernel has built in is no file, and left out.
    """
    files = {_name(file): file for file in sorted(kernel.modules.rglob("*.ko*"))}
    loaded: dict[str, bytes] = {}

    def load(name: str) -> None:
        if name in loaded or name not in files:
            return
        data = _read(files[name])
        needs = _MODINFO.search(data)
        for other in needs[1].decode().split(",") if needs else ():
            load(other.replace("-", "_"))
        loaded[name] = data

    for name in wanted:
        load(name)
    return list(loaded.items())


def _name(file: Path) -> str:
    return file.name.partition(".ko")[0].replace("-", "_")


def _read(file: Path) -> bytes:
    data = file.read_bytes()
    match file.suffix:
        case ".xz":
            return lzma.decompress(data)
        case ".gz":
            return gzip.decompress(data)
        case ".zst":
            return _unzstd(data)
        case _:
            return data
