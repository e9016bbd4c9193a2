"""What a machine is booted from: built without root, the same from the same, and complete or not there."""

import gzip
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import blastwall
from blastwall.errors import SandboxUnavailable
from blastwall.sandbox.packages import PACKAGES
from blastwall.sandbox.vm import contents, cpio, erofs, image, kernel

NOBODY = 65534


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A cache of our own, and a small kernel package that is installed below a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "root"
    make_kernel(root, "6.1.0-9-amd64")
    real = kernel.installed
    monkeypatch.setattr(kernel, "installed", lambda top=root: real(top))
    return root


def make_kernel(root, version, pack=lzma.compress):
    modules = root / "lib" / "modules" / version / "kernel"
    needs = {
        "fs/9p/9p": "9pnet",
        "net/9pnet": "",
        "net/9pnet_virtio": "9pnet,virtio",
        "drivers/virtio": "",
        "fs/erofs": "",
    }
    for name, depends in needs.items():
        file = modules / f"{name}.ko"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x7fELF\0depends=" + depends.encode() + b"\0name=x\0")
    (root / "boot").mkdir(exist_ok=True)
    (root / "boot" / f"vmlinuz-{version}").write_bytes(
        b"MZ setup" + pack(b"\x7fELF kernel " + version.encode()) + b"tail"
    )


# --- The kernel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress], ids=["xz", "gzip"])
def test_the_kernel_is_unpacked(tmp_path, pack):
    make_kernel(tmp_path, "1", pack)
    found = kernel.installed(tmp_path)
    assert kernel.uncompressed(found.image.read_bytes()) == b"\x7fELF kernel 1"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_the_kernel_is_unpacked_from_zstd(tmp_path):
    packed = subprocess.run(["zstd", "-c"], input=b"\x7fELF kernel", capture_output=True, check=True).stdout
    assert kernel.uncompressed(b"MZ" + packed + b"tail") == b"\x7fELF kernel"


def test_a_kernel_that_is_packed_otherwise():
    with pytest.raises(SandboxUnavailable, match="apt-get install linux-image-amd64"):
        kernel.uncompressed(b"MZ \xfd7zXZ\0 not really, \x1f\x8b\x08 neither")


def test_the_newest_kernel_that_has_9p(tmp_path):
    assert kernel.installed(tmp_path) is None
    for version in ("6.1.0-9-amd64", "6.1.0-10-amd64"):
        make_kernel(tmp_path, version)
    make_kernel(tmp_path, "7.0-cloud")
    (tmp_path / "lib/modules/7.0-cloud/kernel/fs/9p/9p.ko").unlink()
    assert kernel.installed(tmp_path).version == "6.1.0-10-amd64"


def test_modules_come_after_what_they_need(tmp_path):
    make_kernel(tmp_path, "1")
    xz = tmp_path / "lib/modules/1/kernel/net/9pnet.ko"
    xz.with_suffix(".ko.xz").write_bytes(lzma.compress(xz.read_bytes()))
    xz.unlink()
    found = kernel.modules(kernel.installed(tmp_path), ["9pnet_virtio", "9p", "built_in"])
    assert [name for name, _ in found] == ["9pnet", "virtio", "9pnet_virtio", "9p"]
    assert all(data.startswith(b"\x7fELF") for _, data in found)


def test_without_a_kernel_and_without_apt(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable, match="no apt; install a kernel that has 9p: apt-get install"):
        kernel.download(tmp_path / "kernel", ["9p"])


def test_apt_that_knows_no_kernel(tmp_path, monkeypatch):
    for program, code in (("apt-get", "exit 0"), ("dpkg-deb", "exit 0"), ("apt-cache", "exit 0")):
        (tmp_path / program).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxUnavailable, match="run apt-get update"):
        kernel.download(tmp_path / "kernel", ["9p"])
    (tmp_path / "apt-cache").write_text("#!/bin/sh\necho E: no such package >&2; exit 100\n")
    with pytest.raises(SandboxUnavailable, match=r"apt-cache failed .*E: no such package"):
        kernel.download(tmp_path / "kernel", ["9p"])


# --- The cache -----------------------------------------------------------------------------------------


def test_the_same_is_built_once(fake):
    first = image.image()
    before = first.disk.stat().st_ino
    assert image.image() == first
    assert first.disk.stat().st_ino == before
    assert first.kernel.read_bytes() == b"\x7fELF kernel 6.1.0-9-amd64"
    assert first.folder.stat().st_mode & 0o777 == 0o755
    assert {file.name: file.stat().st_mode & 0o777 for file in first.folder.iterdir()} == dict.fromkeys(
        ("vmlinux", "initrd", "disk"), 0o644
    )
    assert not [entry for entry in first.folder.parent.iterdir() if entry.name.startswith(".new")]


def test_what_goes_in_decides_what_comes_out(fake):
    first = image.image()
    sources = contents.sources()
    second = image.image({**sources, contents.AGENT: sources[contents.AGENT] + b"\n"})
    make_kernel(fake, "6.1.0-10-amd64")
    third = image.image()
    assert len({first.folder, second.folder, third.folder}) == 3


def test_two_builders_at_once_build_once(fake, monkeypatch):
    built = []
    monkeypatch.setattr(image, "_build", lambda *arguments: built.append(arguments))
    threads = [threading.Thread(target=image.image) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing(fake, monkeypatch):
    def fails(*_):
        raise SandboxUnavailable("no sandbox: for this test")

    monkeypatch.setattr(image.contents, "files", fails)
    with pytest.raises(SandboxUnavailable, match="for this test"):
        image.image()
    assert [entry.name for entry in image.cache().iterdir()] == [".lock"]


def test_a_cache_that_can_not_be_written(fake, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SandboxUnavailable, match="set XDG_CACHE_HOME"):
        image.image()


def test_busybox_has_to_be_there_and_static(monkeypatch, tmp_path):
    for found in (None, "/usr/bin/env"):
        monkeypatch.setattr("shutil.which", lambda *_, found=found, **__: found)
        with pytest.raises(SandboxUnavailable, match="apt-get install busybox-static"):
            contents.busybox()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user shows it by every other test")
def test_building_needs_no_root(open_folder):
    """From the kernel's package to the image, as nobody."""
    make_kernel(open_folder / "cache" / "blastwall" / "vm" / "kernel", "6.1.0-9-amd64")
    for path in (open_folder / "cache", *(open_folder / "cache").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    library = open_folder / "library"
    for package in (blastwall, msgspec):
        shutil.copytree(Path(package.__file__).parent, library / package.__name__)
    for place, file in contents.packages().items():
        (library / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, library / place)
    code = f"""
import os, sys
sys.path.append({str(library)!r})
os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
from blastwall.sandbox.vm import image
print(image.image().folder)
"""
    environment = {"XDG_CACHE_HOME": str(open_folder / "cache"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [a_python_for_everybody(), "-I", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip(), "disk").stat().st_uid == NOBODY


@pytest.fixture
def open_folder():
    """pytest's own are closed to everybody else."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def a_python_for_everybody():
    """Our own, unless it lies in somebody's home."""
    ours = contents.interpreter()
    closed = any(not parent.stat().st_mode & 0o001 for parent in ours.parents)
    return "/usr/bin/python3" if closed else ours


# --- What the guest has --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files():
    return contents.files(contents.sources())


def test_the_guest_has_the_packages_that_tools_need(files):
    names = set(files)
    for package in PACKAGES:
        assert any(f"/{package}/__init__.py" in name or f"/{package}.py" in name for name in names), package
    (native,) = [name for name in names if "/pydantic_core/" in name and name.endswith(".so")]
    assert any("libgcc_s" in name for name in names), f"what {native} needs"


def test_a_package_that_is_not_here(monkeypatch):
    contents.packages.cache_clear()
    monkeypatch.setattr(contents, "PACKAGES", ("no_such_package",))
    with pytest.raises(SandboxUnavailable, match="no_such_package is missing"):
        contents.packages()
    contents.packages.cache_clear()


def test_the_guest_has_a_shell_python_and_cloudpickle(files):
    names = set(files)
    assert {"/usr/bin/busybox", "/usr/bin/sh", "/usr/bin/python3", "/usr/lib64/ld-linux-x86-64.so.2"} <= names
    for module in ("json/__init__.py", "cloudpickle/cloudpickle.py", "json/__pycache__/__init__.cpython-"):
        assert any(module in name for name in names), module


def test_the_guest_has_nothing_of_ours_but_its_agent(files):
    own = [name for name in files if "/blastwall/" in name]
    assert sorted(Path(name).name for name in own) == [
        "_agent.pyc",
        "_furnish.pyc",
        "_spare.pyc",
        "_tunnel.pyc",
        "mux.pyc",
        "wire.pyc",
    ]
    assert not any("site-packages" in name or "dist-packages" in name for name in files)
    assert not any(name.startswith(("/home", "/etc/shadow", "/etc/ssh")) for name in files)


def test_the_guest_has_no_setuid_program(files):
    assert not any(file.mode & 0o7022 for file in files.values() if not file.mode & 0o120000 == 0o120000)


# --- The formats ---------------------------------------------------------------------------------------


def entries(disk):
    """Read an image back, by the same description."""
    (magic,) = struct.unpack_from("<I", disk, 1024)
    assert magic == 0xE0F5E1E2
    (root,) = struct.unpack_from("<H", disk, 1024 + 14)

    def inode(number):
        at = 4096 + number * 32
        _, _, mode, _, size, _, block = struct.unpack_from("<HHHHIII", disk, at)
        return mode, disk[block * 4096 : block * 4096 + size]

    def walk(number, path):
        mode, data = inode(number)
        yield path or "/", mode, data
        if mode & 0o170000 != 0o040000:
            return
        for start in range(0, len(data), 4096):
            block = data[start : start + 4096]
            (first,) = struct.unpack_from("<H", block, 8)
            heads = [struct.unpack_from("<QHBB", block, at) for at in range(0, first, 12)]
            ends = [head[1] for head in heads[1:]] + [len(block)]
            for (child, at, kind, _), end in zip(heads, ends, strict=True):
                name = block[at:end].rstrip(b"\0").decode()
                assert kind == {0o100000: 1, 0o040000: 2, 0o120000: 7}[inode(child)[0] & 0o170000]
                if name not in (".", ".."):
                    yield from walk(child, f"{path}/{name}")

    return {path: (mode, data) for path, mode, data in walk(root, "")}


NAMES = st.text("abcdefgh.-_é", min_size=1, max_size=40).filter(lambda name: name not in (".", ".."))
DATA = st.binary(max_size=9000)


@given(st.dictionaries(NAMES, DATA, max_size=40), st.dictionaries(NAMES, DATA, max_size=200))
def test_a_disk_holds_what_was_put_in(few, many):
    files = {f"/top/{name}": erofs.regular(data) for name, data in few.items()}
    files |= {f"/many/below/{name}": erofs.regular(data, executable=True) for name, data in many.items()}
    files["/link"] = erofs.symlink("top/somewhere")
    disk = Disk()
    erofs.write(disk, files)
    found = entries(bytes(disk.data))
    assert {path: found[path] for path in files} == {
        path: (file.mode, file.data) for path, file in files.items()
    }
    names = [path for path, (mode, _) in found.items() if mode & 0o170000 == 0o040000]
    assert set(names) >= {"/"} | ({"/many", "/many/below"} if many else set())


class Disk:
    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data


def test_an_archive_is_one(tmp_path):
    data = cpio.archive(
        {"/init": erofs.regular(b"#!/bin/sh\n", executable=True), "/a/b/c": erofs.symlink("d")}
    )
    busybox = contents.busybox()
    subprocess.run([busybox, "cpio", "-id"], input=data, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
    assert os.readlink(tmp_path / "a" / "b" / "c") == "d"
