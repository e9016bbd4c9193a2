"""What the machine's thread makes of a guest's messages: each has one place, and out of it is the end."""

import contextlib
import os
import socket

import pytest

from blastwall.errors import BackendError
from blastwall.sandbox.vm import wire
from blastwall.sandbox.vm.channel import Frame, Malformed, spell
from blastwall.sandbox.vm.command import Command
from blastwall.sandbox.vm.pump import Gone, Pump


class Qemu:
    """Something that runs and says nothing."""

    def __init__(self):
        self.ended, self._end = os.pipe()
        self.pipes = [os.pipe() for _ in range(2)]
        self.stdout, self.stderr = (os.fdopen(read, "rb") for read, _ in self.pipes)

    def fileno(self):
        return self.ended

    def close(self):
        self.stdout.close()
        self.stderr.close()
        for end in (self.ended, self._end, *(write for _, write in self.pipes)):
            os.close(end)


@pytest.fixture
def told():
    return []


@pytest.fixture
def guest():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def pump(guest, told):
    found = Pump(guest[0], lambda: told.append("ready"))
    yield found
    found.end(None)


@pytest.fixture
def qemu():
    with contextlib.closing(Qemu()) as found:
        yield found


def begun(pump, stdin=b""):
    command = Command(1, stdin, lambda _: None)
    pump._selector.register(pump._host, 1)
    pump.begin(command, b"{}")
    return command


def test_ready_is_said_once(pump, told):
    pump._take(Frame(wire.READY, 0, b""))
    assert told == ["ready"]
    with pytest.raises(Malformed, match="once more"):
        pump._take(Frame(wire.READY, 0, b""))


def test_ready_is_said_of_no_command(pump):
    with pytest.raises(Malformed):
        pump._take(Frame(wire.READY, 1, b""))


@pytest.mark.parametrize("kind", [wire.OUTPUT, wire.ERRORS, wire.EXITED, wire.TAKEN])
def test_word_of_a_command_that_does_not_run(pump, kind):
    with pytest.raises(Malformed, match="does not run"):
        pump._take(Frame(kind, 7, wire.CODE.pack(0)))


def test_word_of_a_command_that_ended(pump):
    command = begun(pump)
    pump._take(Frame(wire.EXITED, 1, wire.CODE.pack(3)))
    assert command.wait() == 3
    with pytest.raises(Malformed, match="does not run"):
        pump._take(Frame(wire.OUTPUT, 1, b"late"))
    command.close()


def test_input_is_taken_once(pump):
    command = begun(pump, b"abc")
    pump._take(Frame(wire.TAKEN, 1, wire.CODE.pack(3)))
    with pytest.raises(Malformed, match="never sent"):
        pump._take(Frame(wire.TAKEN, 1, wire.CODE.pack(1)))
    pump._end(command, 0)
    command.close()


def test_a_command_is_told_why_its_machine_is_gone(guest):
    pump = Pump(guest[0], lambda: None)
    command = begun(pump)
    pump.end(BackendError("the machine burned"))
    with pytest.raises(BackendError, match="burned"):
        command.wait()
    command.close()


def test_the_end_of_qemu_and_its_last_words(pump, qemu):
    os.write(qemu.pipes[1][1], b"x" * 5000 + b"no more")
    os.write(qemu._end, b"!")
    with pytest.raises(Gone):
        pump.serve(qemu, b"")
    assert len(pump.console) in (0, 2048)


def test_what_comes_in_pieces_is_served(pump, qemu, guest, told):
    guest[1].sendall(spell(wire.READY, 0) + wire.HEAD.pack(0, 0, 0))
    with pytest.raises(Malformed, match="type 0"):
        pump.serve(qemu, b"first")
    assert told == ["ready"]
    assert guest[1].recv(10) == b"first"


def test_it_stops_when_it_is_asked_to(pump, qemu):
    pump.ask(pump.stop)
    pump.serve(qemu, b"")
