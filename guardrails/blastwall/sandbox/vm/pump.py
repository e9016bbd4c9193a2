"""Moves everything between a machine and the pipes of its commands, in the one thread that it has."""

import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable

from blastwall.errors import BackendError
from blastwall.sandbox.running import Running
from blastwall.sandbox.vm.channel import Frame, Frames, Malformed, code, grant, spell
from blastwall.sandbox.vm.command import Command
from blastwall.sandbox.vm.wire import EXITED, KILL, READY, START, TAKEN

DYING_S = 5.0
"""Longest wait for a killed command to be gone; then the machine goes."""
_CHUNK = 1 << 18
_TAIL = 2048
"""Bytes of the console and of QEMU's complaints that are kept."""
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_Handler = Callable[[], None]


class Gone(Exception):
    """QEMU ended."""


class Pump:
    """One machine's traffic. All but `ask` belongs to the machine's thread."""

    def __init__(self, host: socket.socket, ready: _Handler) -> None:
        """Take over the host's end of the port.

        Args:
            host: A connected socket.
            ready: Called once the guest takes commands.

        """
        host.setblocking(False)
        self._host = host
        self._tell_ready: _Handler | None = ready
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._requests: deque[_Handler] = deque()
        self._selector = selectors.DefaultSelector()
        self._frames = Frames()
        self._sending = bytearray()
        self._commands: dict[int, Command] = {}
        self._doomed: dict[int, float] = {}
        self._closing = False
        self.console = b""
        """What the machine said last. It is the guest's word, and QEMU's."""

    def ask(self, work: _Handler) -> None:
        """Have the machine's thread do something: the only thing that another thread may call."""
        self._requests.append(work)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Serve no more."""
        self._closing = True

    # --- The loop -------------------------------------------------------------------------------------

    def serve(self, running: Running, first: bytes) -> None:
        """Serve until `stop`.

        Args:
            running: QEMU.
            first: What to send first.

        Raises:
            Malformed: when the guest says what it may not.
            Gone: when QEMU ended.
            BackendError: when a command can't be killed.

        """
        self._selector.register(self._wake, _READ, self._work)
        self._selector.register(running.fileno(), _READ, self._gone)
        for stream in (running.stdout, running.stderr):
            self._selector.register(stream, _READ, lambda stream=stream: self._listen(stream.fileno()))
        self._selector.register(self._host, _READ, self._hear)
        self._send(first)
        while not self._closing:
            for key, events in self._selector.select(self._patience_s()):
                if key.fd in self._selector.get_map():  # one before may have ended it
                    self._serve_one(key, events)

    def _serve_one(self, key: selectors.SelectorKey, events: int) -> None:
        if key.fileobj is self._host and events & _WRITE:
            self._flush()
        if key.fileobj is not self._host or events & _READ:
            key.data()

    def end(self, why: BackendError | None) -> None:
        """End every command that is left, and let go of everything. Nobody may ask any more."""
        while self._requests:
            self._requests.popleft()()
        for command in self._commands.values():
            command.end(-9, why)
        self._commands.clear()
        self._selector.close()
        self._host.close()
        os.close(self._wake)

    def _work(self) -> None:
        os.eventfd_read(self._wake)
        while self._requests:
            self._requests.popleft()()

    def _gone(self) -> None:
        raise Gone

    def _listen(self, descriptor: int) -> None:
        data = os.read(descriptor, _CHUNK)
        self.console = (self.console + data)[-_TAIL:]
        if not data:
            self._selector.unregister(descriptor)

    def _patience_s(self) -> float | None:
        if not self._doomed:
            return None
        left = min(self._doomed.values()) - time.monotonic()
        if left <= 0:
            raise BackendError("a command in the virtual machine can't be killed")
        return left

    # --- Towards the guest ----------------------------------------------------------------------------

    def begin(self, command: Command, request: bytes) -> None:
        """Start a command."""
        self._commands[command.stream] = command
        self._sending += spell(START, command.stream, request)
        if command.inlet.pipe >= 0:
            self._selector.register(command.inlet.pipe, _READ, lambda: self._feed(command))
            self._flush()
        else:
            self._feed(command)  # in one piece with the start: a guest that is woken twice takes longer

    def kill(self, command: Command) -> None:
        """Kill a command. One that doesn't die takes the machine along."""
        if command.stream in self._commands and command.stream not in self._doomed:
            self._doomed[command.stream] = time.monotonic() + DYING_S
            self._send(spell(KILL, command.stream))

    def _feed(self, command: Command) -> None:
        pipe = command.inlet.pipe
        while command.inlet.hungry:
            self._send(command.inlet.take(command.stream))
            if command.inlet.pipe >= 0:
                break  # one piece at a time: there may be nothing more to read
        if pipe >= 0 and not command.inlet.hungry:
            self._forget(pipe)

    def _send(self, data: bytes) -> None:
        self._sending += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._sending:
                del self._sending[: self._host.send(self._sending)]
        except BlockingIOError:
            pass
        except OSError:
            self._sending.clear()  # QEMU is gone, and will be found to be
        wanted = _READ | (_WRITE if self._sending else 0)
        if self._selector.get_key(self._host).events != wanted:
            self._selector.modify(self._host, wanted, self._hear)

    def _forget(self, descriptor: int) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    # --- From the guest -------------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            data = self._host.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(self._host)  # QEMU is about to end
            return
        for frame in self._frames.feed(data):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.kind == READY:
            self._take_ready(frame)
            return
        command = self._commands.get(frame.stream)
        if command is None:
            raise Malformed("word of a command that does not run")
        if frame.kind == EXITED:
            self._end(command, code(frame.payload))
        elif frame.kind == TAKEN:
            command.inlet.taken(frame.payload)
            self._resume(command)
        else:
            command.outlets[frame.kind].add(frame.payload)
            self._pour(command, frame.kind)

    def _take_ready(self, frame: Frame) -> None:
        if self._tell_ready is None or frame.stream:
            raise Malformed("ready once more")
        tell, self._tell_ready = self._tell_ready, None
        tell()

    def _resume(self, command: Command) -> None:
        pipe = command.inlet.pipe
        if pipe < 0:
            self._feed(command)
        elif pipe not in self._selector.get_map():
            self._selector.register(pipe, _READ, lambda: self._feed(command))

    def _pour(self, command: Command, kind: int) -> None:
        outlet = command.outlets[kind]
        pipe = outlet.pipe
        due = outlet.pour()
        if due and command.stream in self._commands:
            self._send(grant(command.stream, due))
        if not outlet.full:
            self._forget(pipe) if pipe >= 0 else None
        elif pipe not in self._selector.get_map():
            self._selector.register(pipe, _WRITE, lambda: self._pour(command, kind))

    def _end(self, command: Command, status: int) -> None:
        del self._commands[command.stream]
        self._doomed.pop(command.stream, None)
        if command.inlet.pipe >= 0:
            self._forget(command.inlet.pipe)
        command.end(status)
