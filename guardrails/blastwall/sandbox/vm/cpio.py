"""An initramfs archive ("newc" cpio), written without root: owners are mere numbers in it."""

import stat
from collections.abc import Mapping

from blastwall.sandbox.vm.erofs import FOLDER, File


def archive(files: Mapping[str, File]) -> bytes:
    """Give the archive of these files; the keys are absolute paths, and missing folders are made."""
    folders = {path[:at]: FOLDER for path in files for at in range(1, len(path)) if path[at] == "/"}
    entries = [*sorted({**folders, **files}.items()), ("TRAILER!!!", File(0))]
    return b"".join(_entry(path.lstrip("/"), number, file) for number, (path, file) in enumerate(entries, 1))


def _entry(path: str, number: int, file: File) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(file.mode) else 1
    fields = (number, file.mode, 0, 0, links, 0, len(file.data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % value for value in fields) + name
    return _padded(head) + _padded(file.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
