"""Runs inside the guest as its first process: starts commands as an ordinary user, and says how they end.

It talks to the host in frames over a virtio-serial port that only root can open: a byte of type, a stream,
a length, a payload. What a command writes arrives here by pipes and leaves as the payload of frames, so that
no byte of it can be taken for one. It knows five messages, and none of them changes what the machine is.
"""

import json
import os
import selectors
import signal
from typing import Any

from blastwall.sandbox.vm._furnish import CGROUPS, furnish, port, write
from blastwall.sandbox.vm._spare import Spare
from blastwall.sandbox.vm.wire import (
    CHUNK,
    CODE,
    CONFIGURE,
    CREDIT,
    ERRORS,
    EXITED,
    GRANT,
    HEAD,
    INPUT,
    KILL,
    OUTPUT,
    READY,
    START,
    TAKEN,
    WINDOW,
)

_IDLE_S = 0.05
"""How long nothing happens before the next command is prepared: until then the last one has the processor."""


class Command:
    """One command that runs, and how much of its output the host still has room for."""

    def __init__(self, spare: Spare) -> None:
        self.spare = spare
        self.status: int | None = None
        self.credit = {OUTPUT: WINDOW, ERRORS: WINDOW}
        self.outputs = {OUTPUT: spare.stdout, ERRORS: spare.stderr}
        self.input = bytearray()
        self.fed = False
        self.killed = False


class Agent:
    """Serves one host until the machine is gone."""

    def __init__(self, host: int) -> None:
        self._host = host
        self._received = bytearray()
        self._selector = selectors.DefaultSelector()
        self._commands: dict[int, Command] = {}
        self._config: dict[str, Any] = {}
        self._spare: Spare | None = None

    def serve(self) -> None:
        """Serve for ever."""
        died, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(died, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._host, selectors.EVENT_READ, lambda _: self._hear())
        self._selector.register(died, selectors.EVENT_READ, self._reap)
        while True:
            idle = None if self._spare or not self._config else _IDLE_S
            events = self._selector.select(idle)
            for key, _ in events:
                if key.fd in self._selector.get_map():
                    key.data(key.fd)
            if not events:
                _sweep()
                self._spare = Spare(self._config)

    def _hear(self) -> None:
        self._received += os.read(self._host, CHUNK)
        while len(self._received) >= HEAD.size:
            kind, stream, length = HEAD.unpack_from(self._received)
            if len(self._received) < HEAD.size + length:
                return
            payload = bytes(self._received[HEAD.size : HEAD.size + length])
            del self._received[: HEAD.size + length]
            self._obey(kind, stream, payload)

    def _obey(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == CONFIGURE and not self._config:
            self._configure(json.loads(payload))
        elif kind == START and self._config and stream not in self._commands:
            self._start(stream, payload)
        elif kind in (INPUT, KILL, CREDIT):
            command = self._commands.get(stream)
            if command is not None:  # it may have ended while this was on its way
                self._tell(command, kind, stream, payload)
        else:
            raise ValueError(f"unknown message {kind}")

    def _tell(self, command: Command, kind: int, stream: int, payload: bytes) -> None:
        if kind == INPUT:
            self._feed(stream, command, payload)
        elif kind == CREDIT:
            self._more(stream, command, payload)
        else:
            command.killed = True
            _kill(command)

    def _say(self, kind: int, stream: int, payload: bytes = b"") -> None:
        data = memoryview(HEAD.pack(kind, stream, len(payload)) + payload)
        while data:
            data = data[os.write(self._host, data) :]

    def _configure(self, config: dict[str, Any]) -> None:
        furnish(config)
        self._config = config
        self._spare = Spare(config)
        self._say(READY, 0)

    def _start(self, stream: int, payload: bytes) -> None:
        spare, self._spare = self._spare or Spare(self._config), None
        self._commands[stream] = Command(spare)
        for kind in (OUTPUT, ERRORS):
            self._listen(stream, kind)
        spare.start(payload)

    def _listen(self, stream: int, kind: int) -> None:
        """Hear an output while the host has room for it."""
        pipe = self._commands[stream].outputs[kind]
        if pipe not in self._selector.get_map():
            self._selector.register(pipe, selectors.EVENT_READ, lambda _: self._forward(stream, kind))

    def _forward(self, stream: int, kind: int) -> None:
        command = self._commands[stream]
        pipe = command.outputs[kind]
        data = os.read(pipe, min(CHUNK, command.credit[kind]))
        if data:
            self._say(kind, stream, data)
            command.credit[kind] -= len(data)
            if command.credit[kind] == 0:
                self._selector.unregister(pipe)
            return
        self._selector.unregister(pipe)
        os.close(command.outputs.pop(kind))
        self._end(stream)

    def _more(self, stream: int, command: Command, payload: bytes) -> None:
        kind, size = GRANT.unpack(payload)
        if kind in command.outputs:
            command.credit[kind] += size
            self._listen(stream, kind)

    def _feed(self, stream: int, command: Command, payload: bytes) -> None:
        command.input += payload
        command.fed = command.fed or not payload
        pipe = command.spare.stdin
        if pipe < 0:  # it reads no more
            self._took(stream, command, len(command.input))
        elif not command.input:
            self._close_input(command)
        elif pipe not in self._selector.get_map():
            self._selector.register(pipe, selectors.EVENT_WRITE, lambda _: self._pour(stream))

    def _pour(self, stream: int) -> None:
        command = self._commands[stream]
        try:
            size = os.write(command.spare.stdin, command.input[:CHUNK]) if command.input else 0
        except BrokenPipeError:
            size, command.fed = len(command.input), True
        self._took(stream, command, size)
        if not command.input:
            self._selector.unregister(command.spare.stdin)
            if command.fed:
                self._close_input(command)

    def _took(self, stream: int, command: Command, size: int) -> None:
        del command.input[:size]
        if size:
            self._say(TAKEN, stream, CODE.pack(size))

    def _close_input(self, command: Command) -> None:
        if command.spare.stdin >= 0:
            if command.spare.stdin in self._selector.get_map():
                self._selector.unregister(command.spare.stdin)
            os.close(command.spare.stdin)
            command.spare.stdin = -1

    def _reap(self, wake: int) -> None:
        """Bury whoever died; the orphans of all commands are ours too."""
        os.read(wake, CHUNK)
        ended = dict(_dead())
        for stream, command in list(self._commands.items()):
            if command.spare.pid in ended:
                command.status = ended[command.spare.pid]
                _kill(command)  # what it started ends with it
                if command.killed:
                    self._cut(stream, command)
                self._end(stream)

    def _cut(self, stream: int, command: Command) -> None:
        """Close the outputs of a killed command: who had it killed may not read them."""
        for kind, pipe in list(command.outputs.items()):
            try:
                data = os.read(pipe, min(CHUNK, command.credit[kind]))
            except BlockingIOError:
                data = b""
            if data:
                self._say(kind, stream, data)
            if pipe in self._selector.get_map():
                self._selector.unregister(pipe)
            os.close(command.outputs.pop(kind))

    def _end(self, stream: int) -> None:
        """Tell the end of a command once it is dead and all that it wrote is told."""
        command = self._commands[stream]
        if command.status is None or command.outputs:
            return
        self._close_input(command)
        del self._commands[stream]
        self._say(EXITED, stream, CODE.pack(command.status))


def _kill(command: Command) -> None:
    # The group of a command that has ended may have been swept away before we were told of its end.
    write(f"{command.spare.group}/cgroup.kill", "1", missing_ok=True)


def _dead() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        code = os.waitstatus_to_exitcode(status)
        found.append((pid, 128 - code if code < 0 else code))


def _sweep() -> None:
    """Remove the groups of commands that are over. One with a dying process in it stays until next time."""
    for entry in list(os.scandir(f"{CGROUPS}/commands")):
        if entry.is_dir():
            try:
                os.rmdir(entry.path)
            except OSError:
                continue


def main() -> None:
    """Be the guest's first process. An exception here is a kernel panic, and the end of the machine."""
    Agent(port("commands")).serve()


if __name__ == "__main__":
    main()
