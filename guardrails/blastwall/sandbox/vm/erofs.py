"""A read-only file system image, written without root: EROFS, uncompressed, everything owned by root.

The layout is the kernel's own description of it (Documentation/filesystems/erofs.rst): a superblock at
1024, inodes of 32 bytes, sorted directory blocks, and data in whole blocks.
"""

import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

_BLOCK = 4096
_MAGIC = 0xE0F5E1E2
_SUPERBLOCK = 1024
_INODE = struct.Struct("<HHHHIIIIHHI")
_ENTRY = struct.Struct("<QHBB")
_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 7}


@dataclass(frozen=True, slots=True)
class File:
    """One file, folder or symlink: its mode, and its content or the symlink's text."""

    mode: int
    data: bytes = b""


FOLDER = File(stat.S_IFDIR | 0o755)


def symlink(text: str) -> File:
    """Give a symlink with this text."""
    return File(stat.S_IFLNK | 0o777, text.encode())


def regular(data: bytes, *, executable: bool = False) -> File:
    """Give a file that everybody may read."""
    return File(stat.S_IFREG | (0o755 if executable else 0o644), data)


@dataclass(slots=True)
class _Node:
    file: File
    children: dict[str, "_Node"] = field(default_factory=dict)
    number: int = 0
    block: int = 0


def write(out: BinaryIO, files: Mapping[str, File]) -> None:
    """Write an image of these files; the keys are absolute paths, and missing folders are made.

    The same files give the same bytes.
    """
    root = _tree(files)
    nodes = list(_walk(root))
    # Inodes start in block 1, and the number of an inode is its place there.
    for number, (node, _) in enumerate(nodes):
        node.number = number
    first = 1 + _blocks(len(nodes) * _INODE.size)
    contents = []
    for node, parent in nodes:
        content = _directory(node, parent) if stat.S_ISDIR(node.file.mode) else node.file.data
        node.block = first
        first += _blocks(len(content))
        contents.append(content)
    out.write(_superblock(len(nodes), first))
    out.write(
        _padded(
            b"".join(_inode(node, len(content)) for (node, _), content in zip(nodes, contents, strict=True))
        )
    )
    for content in contents:
        out.write(_padded(content))


def _tree(files: Mapping[str, File]) -> _Node:
    root = _Node(FOLDER)
    for path, file in sorted(files.items()):
        *folders, name = path.strip("/").split("/")
        node = root
        for folder in folders:
            node = node.children.setdefault(folder, _Node(FOLDER))
        node.children.setdefault(name, _Node(file)).file = file
    return root


def _walk(node: _Node, parent: _Node | None = None) -> Iterator[tuple[_Node, _Node]]:
    yield node, parent or node
    for _, child in sorted(node.children.items()):
        yield from _walk(child, node)


def _directory(node: _Node, parent: _Node) -> bytes:
    """Give a directory's blocks: in each, the entries and then their names, sorted over all of them."""
    children = [(name.encode(), child) for name, child in node.children.items()]
    entries = sorted([(b".", node), (b"..", parent), *children], key=lambda entry: entry[0])
    blocks = []
    for block in _packed(entries):
        offset = len(block) * _ENTRY.size
        heads, names = b"", b""
        for name, child in block:
            kind = _TYPES[stat.S_IFMT(child.file.mode)]
            heads += _ENTRY.pack(child.number, offset + len(names), kind, 0)
            names += name
        blocks.append(heads + names)
    return b"".join([*map(_padded, blocks[:-1]), blocks[-1]])


def _packed(entries: Iterable[tuple[bytes, _Node]]) -> Iterator[list[tuple[bytes, _Node]]]:
    block: list[tuple[bytes, _Node]] = []
    size = 0
    for entry in entries:
        need = _ENTRY.size + len(entry[0])
        if size + need > _BLOCK:
            yield block
            block, size = [], 0
        block.append(entry)
        size += need
    yield block


def _inode(node: _Node, size: int) -> bytes:
    links = 1
    if stat.S_ISDIR(node.file.mode):
        links = 2 + sum(stat.S_ISDIR(child.file.mode) for child in node.children.values())
    return _INODE.pack(0, 0, node.file.mode, links, size, 0, node.block, node.number + 1, 0, 0, 0)


def _superblock(inodes: int, blocks: int) -> bytes:
    head = struct.pack("<IIIBBHQQIIII", _MAGIC, 0, 0, 12, 0, 0, inodes, 0, 0, blocks, 1, 0)
    return (bytes(_SUPERBLOCK) + head).ljust(_BLOCK, b"\0")


def _blocks(size: int) -> int:
    return -(-size // _BLOCK)


def _padded(data: bytes) -> bytes:
    return data.ljust(_blocks(len(data)) * _BLOCK, b"\0")
