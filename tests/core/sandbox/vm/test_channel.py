"""The frames of a guest, as the host reads them: anything that it would not say ends it."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.sandbox.vm import wire
from blastwall.sandbox.vm.channel import Frame, Frames, Inlet, Malformed, Outlet, code, spell

GOOD = [
    Frame(wire.READY, 0, b""),
    Frame(wire.OUTPUT, 1, b"x"),
    Frame(wire.ERRORS, 2, bytes(wire.CHUNK)),
    Frame(wire.EXITED, 1, wire.CODE.pack(0)),
    Frame(wire.TAKEN, 1, wire.CODE.pack(7)),
]
BAD = {
    "of no type": wire.HEAD.pack(0, 0, 0),
    "what only the host says": wire.HEAD.pack(wire.CONFIGURE, 0, 2) + b"{}",
    "a start": wire.HEAD.pack(wire.START, 1, 2) + b"{}",
    "ready with words": wire.HEAD.pack(wire.READY, 0, 1),
    "empty output": wire.HEAD.pack(wire.OUTPUT, 1, 0),
    "too much output": wire.HEAD.pack(wire.OUTPUT, 1, wire.CHUNK + 1),
    "endless output": wire.HEAD.pack(wire.ERRORS, 1, (1 << 32) - 1),
    "a short end": wire.HEAD.pack(wire.EXITED, 1, 3),
    "a long end": wire.HEAD.pack(wire.EXITED, 1, 5),
    "text": b"HTTP/1.1 200 OK\r\n",
}


def spelled(frames):
    return b"".join(spell(frame.kind, frame.stream, frame.payload) for frame in frames)


@given(st.lists(st.sampled_from(GOOD), max_size=8), st.integers(1, 70000))
def test_messages_in_pieces_of_any_size(frames, size):
    reader, data = Frames(), spelled(frames)
    found = [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])]
    assert found == frames


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_message(data):
    """By its head alone: nothing is kept waiting for a payload that can't come."""
    reader = Frames()
    assert list(reader.feed(spelled(GOOD[:2]))) == GOOD[:2]
    with pytest.raises(Malformed):
        list(reader.feed(data))


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for_but_never_more_than_one_message(data):
    reader = Frames()
    try:
        list(reader.feed(data))
    except Malformed:
        return
    assert len(reader._buffer) <= wire.HEAD.size + wire.CHUNK


def test_the_two_sides_have_no_message_in_common():
    host = {wire.CONFIGURE, wire.START, wire.INPUT, wire.KILL, wire.CREDIT}
    guest = {wire.READY, wire.OUTPUT, wire.ERRORS, wire.EXITED, wire.TAKEN}
    numbers = {value for name, value in vars(wire).items() if name.isupper() and isinstance(value, int)}
    assert numbers - {wire.CHUNK, wire.WINDOW} == host | guest
    assert not host & guest


def test_codes():
    assert [code(wire.CODE.pack(number)) for number in (0, 1, 137, 255)] == [0, 1, 137, 255]
    for number in (256, 1 << 31):
        with pytest.raises(Malformed):
            code(wire.CODE.pack(number))


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            continue


def test_an_output_is_granted_what_was_read(pipe):
    read, write = pipe
    outlet = Outlet(wire.OUTPUT, write)
    outlet.add(bytes(wire.CHUNK))
    due = outlet.pour()
    assert due == wire.GRANT.pack(wire.OUTPUT, wire.CHUNK)
    outlet.add(b"more")
    assert outlet.pour() == b""  # the pipe is full
    assert outlet.full
    assert len(os.read(read, wire.CHUNK)) == wire.CHUNK
    outlet.end()
    assert os.read(read, 10) == b"more"
    assert os.read(read, 10) == b""


def test_no_more_output_than_was_asked_for(pipe):
    outlet = Outlet(wire.OUTPUT, pipe[1])
    for _ in range(wire.WINDOW // wire.CHUNK):
        outlet.add(bytes(wire.CHUNK))
    with pytest.raises(Malformed, match="room"):
        outlet.add(b"x")


def test_small_outputs_are_granted_in_sum(pipe):
    outlet = Outlet(wire.OUTPUT, pipe[1])
    grants = []
    for _ in range(64):
        outlet.add(bytes(1024))
        grants.append(outlet.pour())
        os.read(pipe[0], 1024)
    assert [grant for grant in grants if grant] == [wire.GRANT.pack(wire.OUTPUT, wire.CHUNK)]


def test_no_output_after_the_end(pipe):
    outlet = Outlet(wire.OUTPUT, pipe[1])
    outlet.end()
    with pytest.raises(Malformed):
        outlet.add(b"x")


def test_output_that_nobody_reads_is_dropped(pipe):
    read, write = pipe
    outlet = Outlet(wire.OUTPUT, write)
    os.close(read)
    outlet.add(bytes(wire.CHUNK))
    assert outlet.pour() == wire.GRANT.pack(wire.OUTPUT, wire.CHUNK)
    assert not outlet.full


def test_input_ends_where_the_credit_does():
    inlet = Inlet(bytes(wire.WINDOW + 10))
    sent = []
    while inlet.hungry:
        sent.append(len(inlet.take(1)) - wire.HEAD.size)
    assert sent == [wire.CHUNK] * 4
    inlet.taken(wire.CODE.pack(100))
    assert inlet.hungry
    assert inlet.take(1) == spell(wire.INPUT, 1, bytes(10))
    assert inlet.take(1) == spell(wire.INPUT, 1)
    assert not inlet.hungry


def test_nobody_takes_input_that_was_never_sent():
    inlet = Inlet(b"abc")
    inlet.take(1)
    inlet.taken(wire.CODE.pack(3))
    with pytest.raises(Malformed, match="never sent"):
        inlet.taken(struct.pack(">I", 1))
