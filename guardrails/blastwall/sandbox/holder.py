"""Descriptors for bubblewrap: what it is handed by number shows in no command line, and can't be swapped."""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import assert_never

from blastwall.errors import BackendError
from blastwall.sandbox.mounts import Kind, Mount

Bind = Callable[[Mount], list[str]]
"""Gives the bubblewrap arguments that put one mount in its place."""


class Holder:
    """Opens descriptors, and closes them with the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.descriptors: list[int] = []
        self.status = os.memfd_create("status")
        stack.callback(os.close, self.status)

    def hold(self, descriptor: int) -> str:
        """Hold a descriptor that is ours by now."""
        self._stack.callback(os.close, descriptor)
        self.descriptors.append(descriptor)
        return str(descriptor)

    def report(self) -> str:
        """Hold one way to write into the status file, for one bubblewrap, which closes it.

        Our own is never passed on: what reached the command would let it forge how it ended.
        """
        return self.hold(os.dup(self.status))

    def content(self, name: str, data: bytes) -> str:
        """Hold data to be read from the start."""
        held = self.hold(os.memfd_create(name))
        os.pwrite(int(held), data, 0)
        return held

    def words(self, words: Iterable[str]) -> str:
        """Hold arguments: by descriptor, nothing of them shows in /proc/PID/cmdline.

        Raises:
            BackendError: when a word holds a NUL, which would end it and begin another.

        """
        encoded = [os.fsencode(word) for word in words]
        if any(b"\0" in word for word in encoded):
            raise BackendError("the sandbox profile holds a NUL character: take it out of its `env`")
        return self.content("arguments", b"".join(word + b"\0" for word in encoded))

    def path(self, path: str) -> str:
        """Hold a path as it is now. Whoever swaps it for another afterwards swaps nothing for us.

        Raises:
            BackendError: when it is swapped already.

        """
        try:
            held = self.hold(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        except OSError as error:
            raise BackendError(f"{path} can't be opened: {error.strerror}") from None
        if os.readlink(f"/proc/self/fd/{held}") != path or stat.S_ISLNK(os.fstat(int(held)).st_mode):
            raise BackendError(f"{path} was swapped for something else")
        return held


def pinned(holder: Holder) -> Bind:
    """Give a way to mount that holds every path of the caller's as it is now."""

    def bind(mount: Mount) -> list[str]:
        match mount.kind:
            case Kind.READ | Kind.WRITE:
                option = "--bind" if mount.kind is Kind.WRITE else "--ro-bind"
                if mount.ours:
                    return [f"{option}-fd", holder.path(mount.source), mount.target]
                return [option, mount.source, mount.target]
            case Kind.SYMLINK:
                return ["--symlink", mount.source, mount.target]
            case Kind.EMPTY_FOLDER:
                return ["--size", "4096", "--tmpfs", mount.target, "--remount-ro", mount.target]
            case Kind.EMPTY_FILE:
                return ["--perms", "0444", "--ro-bind-data", holder.content("empty", b""), mount.target]
            case _:
                assert_never(mount.kind)

    return bind
