"""Many connections over one channel: the wire, its rules, and the gate at its end."""

import contextlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.egress.sites import allow, reply
from tests.core.egress.test_gate import opened

from blastwall.egress import mux
from blastwall.egress.mux import Frame, Frames, Kind, Malformed, Streams

__all__ = ["opened"]

FRAMES = st.one_of(
    st.builds(lambda s: mux.frame(Kind.OPEN, s), st.integers(1, 9)),
    st.builds(lambda s, d: mux.frame(Kind.DATA, s, d), st.integers(1, 9), st.binary(min_size=1, max_size=50)),
    st.builds(lambda s: mux.frame(Kind.EOF, s), st.integers(1, 9)),
    st.builds(lambda s: mux.frame(Kind.RESET, s), st.integers(1, 9)),
    st.builds(mux.window, st.integers(1, 9), st.integers(1, mux.MOST_CREDIT)),
)


@given(st.lists(FRAMES), st.integers(1, 40))
def test_frames_survive_any_cut(spelled, size):
    data = b"".join(spelled)
    whole = list(Frames().feed(data))
    frames = Frames()
    cut = [frame for at in range(0, len(data), size) for frame in frames.feed(data[at : at + size])]
    assert whole == cut
    assert len(whole) == len(spelled)


@given(st.binary(max_size=200))
def test_bytes_are_frames_or_malformed(data):
    rules = Streams(opens=False)
    try:
        for frame in Frames().feed(data):
            rules.heard(frame)
    except Malformed:
        pass
    assert len(rules.alive) <= mux.MOST_STREAMS


@pytest.mark.parametrize(
    "data",
    [
        "00 00 0000 00000001",
        "06 00 0000 00000001",
        "01 01 0000 00000001",
        "01 00 0000 00000000",
        "01 00 0001 00000001",
        "02 00 0000 00000001",
        "02 00 8001 00000001",
        "03 00 0001 00000001",
        "05 00 0003 00000001",
        "05 00 0004 00000001 00000000",
        "05 00 0004 00000001 01000001",
    ],
)
def test_what_is_no_frame(data):
    with pytest.raises(Malformed):
        list(Frames().feed(bytes.fromhex(data)))


def heard(*frames, opens=False):
    rules = Streams(opens=opens)
    return rules, [rules.heard(frame) for frame in frames]


OPEN = Frame(Kind.OPEN, 1)


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(Kind.OPEN, 2)],
        [OPEN, OPEN],
        [Frame(Kind.DATA, 1, b"x")],
        [OPEN, Frame(Kind.EOF, 1), Frame(Kind.DATA, 1, b"x")],
        [OPEN, Frame(Kind.EOF, 1), Frame(Kind.EOF, 1)],
        [OPEN, *[Frame(Kind.DATA, 1, bytes(mux.LARGEST))] * 9],
        [OPEN, Frame(Kind.WINDOW, 1, credit=mux.MOST_CREDIT)],
        [OPEN, Frame(Kind.RESET, 2)],
    ],
)
def test_what_may_not_come(frames):
    with pytest.raises(Malformed):
        heard(*frames)


def test_the_machine_s_side_is_not_opened_to():
    with pytest.raises(Malformed):
        heard(OPEN, opens=True)
    rules = Streams(opens=True)
    assert (rules.open(), rules.open()) == (1, 2)
    rules.sent(1, 10)
    assert rules.alive[1].credit == mux.WINDOW - 10


def test_what_is_gone_is_ignored():
    rules, meant = heard(
        OPEN, Frame(Kind.RESET, 1), Frame(Kind.DATA, 1, b"x"), Frame(Kind.WINDOW, 1, credit=1)
    )
    assert meant == [True, True, False, False]
    assert rules.alive == {}


def test_one_stream_too_many():
    opens = [Frame(Kind.OPEN, number) for number in range(1, mux.MOST_STREAMS + 2)]
    rules, meant = heard(*opens)
    assert meant == [True] * mux.MOST_STREAMS + [False]
    rules.reset(1)
    assert rules.heard(Frame(Kind.OPEN, mux.MOST_STREAMS + 2))


def test_a_stream_ends_when_both_halves_do():
    rules, _ = heard(OPEN)
    rules.ended(1)
    assert 1 in rules.alive
    rules.heard(Frame(Kind.EOF, 1))
    assert rules.alive == {}


class Machine:
    """The machine's side of a channel, in a thread."""

    def __init__(self, gate):
        self.sock = socket.socket(fileno=gate.tunnel())
        self.rules, self.lock = Streams(opens=True), threading.Condition()
        self.data, self.ended, self.closed = {}, set(), False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        frames = Frames()
        with contextlib.suppress(OSError):
            while data := self.sock.recv(65536):
                with self.lock:
                    for frame in frames.feed(data):
                        self._heard(frame)
                    self.lock.notify_all()
        with self.lock:
            self.closed = True
            self.lock.notify_all()

    def _heard(self, frame):
        self.rules.heard(frame)
        if frame.kind is Kind.DATA:
            self.data[frame.stream] += frame.data
            if frame.stream in self.rules.alive:
                self.rules.granted(frame.stream, len(frame.data))
                self.sock.sendall(mux.window(frame.stream, len(frame.data)))
        elif frame.kind in (Kind.EOF, Kind.RESET):
            self.ended.add(frame.stream)

    def open(self):
        with self.lock:
            number = self.rules.open()
            self.data[number] = b""
            self.sock.sendall(mux.frame(Kind.OPEN, number))
        return number

    def send(self, number, data):
        while data:
            with self.lock:
                self.lock.wait_for(
                    lambda: number not in self.rules.alive or self.rules.alive[number].credit, 10
                )
                size = min(len(data), mux.LARGEST, self.rules.alive[number].credit)
                self.rules.sent(number, size)
                self.sock.sendall(mux.frame(Kind.DATA, number, data[:size]))
            data = data[size:]

    def until(self, true):
        with self.lock:
            assert self.lock.wait_for(true, 20)


@pytest.fixture
def machine(opened, site):
    gate, _ = opened(allow("api.test", site, upload_kb=1 << 20))
    machine = Machine(gate)
    yield machine
    machine.sock.shutdown(socket.SHUT_RDWR)
    machine.sock.close()


def test_requests_over_a_channel(machine, site):
    numbers = [machine.open() for _ in range(20)]
    for number in numbers:
        place = f"api.test:{site.port}"
        machine.send(
            number,
            f"GET http://{place}/{number} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode(),
        )
    machine.until(lambda: machine.ended >= set(numbers))
    assert all(b"200 OK" in machine.data[number] for number in numbers)
    assert {asked.path for asked in site.asked} == {f"/{number}" for number in numbers}


def test_more_than_a_window_both_ways(machine, site):
    site.answer = lambda handler, asked: reply(handler, asked.body)
    body = bytes(range(256)) * 8192
    number = machine.open()
    head = (
        f"POST http://api.test:{site.port}/ HTTP/1.1\r\nHost: api.test:{site.port}\r\nConnection: close\r\n"
    )
    machine.send(number, f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    machine.send(number, body)
    machine.until(lambda: number in machine.ended)
    assert machine.data[number].endswith(body)


def test_a_stream_that_is_given_up(machine, site):
    number = machine.open()
    machine.send(number, b"GET http://api")
    with machine.lock:
        machine.rules.reset(number)
        machine.sock.sendall(mux.frame(Kind.RESET, number))
    other = machine.open()
    machine.send(other, b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    machine.until(lambda: other in machine.ended or b"403" in machine.data[other])
    assert b"403" in machine.data[other]
    assert site.asked == []


@pytest.mark.parametrize(
    "said", [b"garbage!garbage!", mux.frame(Kind.OPEN, 7), mux.frame(Kind.DATA, 9, b"x")]
)
def test_what_is_malformed_ends_the_channel(machine, said):
    number = machine.open()
    machine.sock.sendall(said)
    machine.until(lambda: machine.closed)
    assert number == 1
