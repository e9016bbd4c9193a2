"""Runs inside the guest, as a user of its own: carries connections to 127.0.0.1:3128 over the second port.

Whatever it does, the gate outside decides; taking it over is worth no more than connecting to it.
"""

import os
import selectors
import socket

from blastwall.egress.mux import LARGEST, MOST_STREAMS, Frame, Frames, Kind, Streams, frame, window

PORT = 3128
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_CHUNK = 1 << 16


def listener() -> socket.socket:
    """Listen where the proxy variables point to."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", PORT))
    found.listen(MOST_STREAMS)
    found.setblocking(False)
    return found


class Tunnel:
    """Serves all connections of one machine."""

    def __init__(self, port: int, listening: socket.socket) -> None:
        """Take over the port and the listening socket."""
        os.set_blocking(port, False)
        self._port = port
        self._sending = bytearray()
        self._listening = listening
        self._selector = selectors.DefaultSelector()
        self._frames = Frames()
        self._streams = Streams(opens=True)
        self._connections: dict[int, socket.socket] = {}
        self._waiting: dict[int, bytearray] = {}
        self._ending: set[int] = set()

    def serve(self) -> None:
        """Serve until the port is closed."""
        self._selector.register(self._listening, _READ, 0)
        self._selector.register(self._port, _READ, 0)
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._listening:
                    self._accept()
                elif key.fileobj == self._port:
                    self._exchange(events)
                elif key.data in self._connections:
                    self._move(key.data, events)

    def _exchange(self, events: int) -> None:
        if events & _WRITE:
            self._flush()
        if events & _READ:
            self._hear(os.read(self._port, _CHUNK))

    def _say(self, data: bytes) -> None:
        """Send it, or keep it: to wait here would be to wait for a gate that may wait for us."""
        self._sending += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._sending:
                del self._sending[: os.write(self._port, self._sending[:_CHUNK])]
        except BlockingIOError:
            pass
        self._selector.modify(self._port, _READ | (_WRITE if self._sending else 0), 0)

    def _accept(self) -> None:
        if len(self._connections) >= MOST_STREAMS:
            self._watch_listener(on=False)
            return
        connection, _ = self._listening.accept()
        connection.setblocking(False)
        stream = self._streams.open()
        self._connections[stream], self._waiting[stream] = connection, bytearray()
        self._say(frame(Kind.OPEN, stream))
        self._watch(stream)

    def _watch_listener(self, *, on: bool) -> None:
        if on is not (self._listening in self._selector.get_map()):
            if on:
                self._selector.register(self._listening, _READ, 0)
            else:
                self._selector.unregister(self._listening)

    def _watch(self, stream: int) -> None:
        """Wait for what may happen next: bytes that we have credit for, and room for those that wait."""
        connection, state = self._connections[stream], self._streams.alive.get(stream)
        able = state is not None and not state.said_eof and state.credit > 0
        events = (_READ if able else 0) | (_WRITE if self._waiting[stream] or stream in self._ending else 0)
        known = connection in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(connection)
        elif known:
            self._selector.modify(connection, events, stream)
        else:
            self._selector.register(connection, events, stream)

    def _move(self, stream: int, events: int) -> None:
        try:
            if events & _READ:
                self._read(stream)
            if events & _WRITE:
                self._write(stream)
        except BlockingIOError:
            pass
        except OSError:
            self._reset(stream)
        if stream in self._connections:
            self._settle(stream)

    def _read(self, stream: int) -> None:
        state = self._streams.alive[stream]
        data = self._connections[stream].recv(min(LARGEST, state.credit))
        if data:
            self._streams.sent(stream, len(data))
            self._say(frame(Kind.DATA, stream, data))
        else:
            self._streams.ended(stream)
            self._say(frame(Kind.EOF, stream))

    def _write(self, stream: int) -> None:
        waiting = self._waiting[stream]
        size = self._connections[stream].send(waiting) if waiting else 0
        del waiting[:size]
        if size and stream in self._streams.alive:
            self._streams.granted(stream, size)
            self._say(window(stream, size))
        if not waiting and stream in self._ending:
            self._ending.discard(stream)
            self._connections[stream].shutdown(socket.SHUT_WR)

    def _settle(self, stream: int) -> None:
        """Close a connection that is over both ways; wait for the others."""
        if stream not in self._streams.alive and not self._waiting[stream] and stream not in self._ending:
            self._close(stream)
        else:
            self._watch(stream)

    def _hear(self, data: bytes) -> None:
        if not data:
            raise EOFError("the gate is gone")
        for heard in self._frames.feed(data):
            if self._streams.heard(heard) and heard.stream in self._connections:
                self._take(heard)

    def _take(self, heard: Frame) -> None:
        match heard.kind:
            case Kind.DATA:
                self._waiting[heard.stream] += heard.data
            case Kind.EOF:
                self._ending.add(heard.stream)
            case Kind.RESET:  # what came before it is still delivered
                self._ending.discard(heard.stream)
            case _:
                pass
        self._settle(heard.stream)

    def _reset(self, stream: int) -> None:
        if stream in self._streams.alive:
            self._streams.reset(stream)
            self._say(frame(Kind.RESET, stream))
        self._close(stream)

    def _close(self, stream: int) -> None:
        connection = self._connections.pop(stream)
        if connection in self._selector.get_map():
            self._selector.unregister(connection)
        connection.close()
        del self._waiting[stream]
        self._ending.discard(stream)
        self._watch_listener(on=True)
