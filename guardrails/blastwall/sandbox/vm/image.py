"""The guest's disk and kernel, built without root from packages of the host, and kept in a cache."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blastwall.errors import SandboxUnavailable
from blastwall.sandbox.vm import contents, cpio, erofs, kernel

_BUILDERS = ("kernel.py", "contents.py", "erofs.py", "cpio.py", "image.py")
_MODULES = ("virtio_pci", "virtio_console", "virtio_blk", "crc32c_generic", "erofs", "9pnet_virtio", "9p")
_KERNELS = "kernel"

_APPLETS = ("hostname", "ifconfig", "insmod", "ln", "mkdir", "mount", "switch_root")
_INIT = """#!/bin/busybox sh
set -e
mount -t devtmpfs -o nosuid,noexec dev /dev
exec >/dev/console 2>&1
for module in /modules/*; do insmod "$module"; done
mount -t tmpfs -o nosuid,nodev,size=1m,mode=755 root /new
cd /new
mkdir dev proc sys run tmp image
mount --move /dev dev
mkdir -p dev/pts dev/shm
mount -t devpts -o nosuid,noexec,ptmxmode=666 pts dev/pts
mount -t proc -o nosuid,nodev,noexec,hidepid=invisible proc proc
mount -t sysfs -o nosuid,nodev,noexec,ro sys sys
mount -t cgroup2 -o nosuid,nodev,noexec group sys/fs/cgroup
mount -t tmpfs -o nosuid,nodev,size=4m,mode=755 run run
mount -t erofs -o nosuid,nodev,ro dev/vda image
{places}ln -s usr/bin bin
ln -s usr/bin sbin
ln -s usr/lib lib
ln -s usr/lib64 lib64
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
hostname sandbox
ifconfig lo 127.0.0.1 up
exec switch_root /new {python} -I -S -c '{start}'
"""


@dataclass(frozen=True, slots=True)
class Image:
    """What a machine is booted from. The folder and everything in it may be read by anybody."""

    folder: Path
    version: str

    @property
    def kernel(self) -> Path:
        """The uncompressed kernel."""
        return self.folder / "vmlinux"

    @property
    def initrd(self) -> Path:
        """Modules and the first program."""
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        """The read-only file system."""
        return self.folder / "disk"


def cache() -> Path:
    """Give the folder in which images are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "blastwall", "vm")


def image(modules: Mapping[str, bytes] | None = None) -> Image:
    """Give the image for this machine, built if there is none yet.

    Args:
        modules: The sources of what runs in the guest as root. Only tests give others, to be root there.

    Raises:
        SandboxUnavailable: when something that it is made of is missing. The message says what.

    """
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            return _built(folder, modules or contents.sources())
    except OSError as error:
        raise SandboxUnavailable(
            f"no sandbox: the guest's image can't be kept in {folder} ({error.strerror});"
            " set XDG_CACHE_HOME to a folder that you can write"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one build at a time; whoever waited finds the image ready."""
    with open(folder / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _built(folder: Path, modules: Mapping[str, bytes]) -> Image:
    found = kernel.installed() or kernel.installed(folder / _KERNELS)
    if found is None:
        with _replacing(folder / _KERNELS) as place:
            kernel.download(place, _MODULES)
        found = kernel.installed(folder / _KERNELS)
    assert found is not None  # noqa: S101  # or download() had complained
    built = Image(folder / _key(found, modules), found.version)
    if not built.folder.is_dir():
        with _replacing(built.folder) as place:
            _build(found, modules, Image(place, found.version))
    return built


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a folder that takes the target's place once it is complete."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as new:
        place = Path(new, target.name)
        place.mkdir()
        yield place
        shutil.rmtree(target, ignore_errors=True)
        place.rename(target)


def _key(found: kernel.Kernel, modules: Mapping[str, bytes]) -> str:
    """Give the digest of everything that goes in; files that packages own are told by size and time."""
    said = hashlib.sha256(repr(sorted(modules.items())).encode())
    for name in _BUILDERS:
        said.update(Path(__file__).with_name(name).read_bytes())
    own = (found.image, contents.busybox(), contents.interpreter(), Path(os.__file__))
    for file in (*own, *contents.packages().values()):
        status = file.stat()
        said.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    said.update(found.version.encode())
    return said.hexdigest()[:32]


def _build(found: kernel.Kernel, modules: Mapping[str, bytes], target: Image) -> None:
    target.kernel.write_bytes(kernel.uncompressed(found.image.read_bytes()))
    target.initrd.write_bytes(cpio.archive(_early(found)))
    with target.disk.open("wb") as disk:
        erofs.write(disk, contents.files(modules))
    for file in (target.kernel, target.initrd, target.disk):
        file.chmod(0o644)
    target.folder.chmod(0o755)


def _early(found: kernel.Kernel) -> dict[str, erofs.File]:
    """Give what is there before the disk is: a shell, the modules in their order, and the first program."""
    shown = "".join(f"mkdir -p .{place}\nmount --bind image{place} .{place}\n" for place in contents.places())
    start = f'import sys; sys.path.append("{contents.LIBRARY}"); from {contents.AGENT} import main; main()'
    init = _INIT.format(places=shown, python=contents.PYTHON, start=start)
    loaded = kernel.modules(found, _MODULES)
    return {
        "/init": erofs.regular(init.encode(), executable=True),
        "/bin/busybox": erofs.regular(contents.busybox().read_bytes(), executable=True),
        **{f"/bin/{applet}": erofs.symlink("busybox") for applet in _APPLETS},
        "/dev": erofs.FOLDER,
        "/new": erofs.FOLDER,
        **{f"/modules/{at:02}-{name}": erofs.regular(data) for at, (name, data) in enumerate(loaded)},
    }
