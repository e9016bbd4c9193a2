"""The gate's end of a byte channel out of a machine: each stream on it is a connection."""

import asyncio
from collections.abc import Callable

from blastwall.egress import mux
from blastwall.egress.mux import Frame, Kind
from blastwall.egress.streams import Closed, Pulse, SocketStream

_GIVE_BACK = mux.WINDOW // 4
"""Credit is given back in pieces of at least this many bytes."""


class MuxStream:
    """One stream of a channel."""

    def __init__(self, channel: "Channel", number: int) -> None:
        """Begin with nothing received."""
        self._channel, self._number = channel, number
        self._pieces: list[bytes] = []
        self._taken = 0
        self._ended = self._gone = False
        self._changed = asyncio.Event()
        self.pulse = Pulse()

    def heard(self, frame: Frame) -> None:
        """Take what came for it."""
        self.pulse.beat()
        match frame.kind:
            case Kind.DATA:
                self._pieces.append(frame.data)
            case Kind.EOF:
                self._ended = True
            case Kind.RESET:
                self._gone = True
            case _:
                pass  # the credit is in the channel's books
        self._changed.set()

    async def receive(self) -> bytes:
        """Wait for the next bytes."""
        while not self._pieces:
            if self._gone:
                raise Closed
            if self._ended:
                return b""
            await self._change()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._taken += len(data)
        if self._taken >= _GIVE_BACK and not self._ended:
            taken, self._taken = self._taken, 0
            await self._channel.grant(self._number, taken)
        return data

    async def send(self, data: bytes) -> None:
        """Pass bytes on, as the other side gives room."""
        view = memoryview(data)
        while view:
            while not (room := self._channel.room(self._number)) and not self._gone:
                await self._change()
            if self._gone:
                raise Closed
            piece = bytes(view[: min(room, mux.LARGEST)])
            view = view[len(piece) :]
            await self._channel.data(self._number, piece)
            self.pulse.beat()

    async def end(self) -> None:
        """Send no more."""
        await self._channel.eof(self._number)

    def close(self) -> None:
        """Give it up."""
        self._gone = True
        self._changed.set()
        self._channel.reset(self._number)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Channel:
    """Frames in, streams out."""

    def __init__(self, socket: SocketStream, accept: Callable[[MuxStream], None]) -> None:
        """Begin with no stream; `accept` is called with each one that is opened."""
        self._socket, self._accept = socket, accept
        self._rules = mux.Streams(opens=False)
        self._streams: dict[int, MuxStream] = {}
        self._waiting = bytearray()
        self._flushing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Read frames to the end, which a malformed one is too."""
        frames = mux.Frames()
        try:
            while data := await self._socket.receive():
                for frame in frames.feed(data):
                    self._heard(frame)
                await self._flush()
        except (Closed, mux.Malformed):
            pass
        finally:
            for number, stream in list(self._streams.items()):
                stream.heard(Frame(Kind.RESET, number))
            self._socket.close()

    def _heard(self, frame: Frame) -> None:
        known = self._rules.heard(frame)
        if frame.kind is not Kind.OPEN:
            if known and (stream := self._streams.get(frame.stream)) is not None:
                stream.heard(frame)
        elif known:
            self._streams[frame.stream] = MuxStream(self, frame.stream)
            self._accept(self._streams[frame.stream])
        else:
            self._waiting += mux.frame(Kind.RESET, frame.stream)

    def room(self, number: int) -> int:
        """Give how much may be sent; 0 for a stream that is gone."""
        stream = self._rules.alive.get(number)
        return stream.credit if stream is not None else 0

    async def data(self, number: int, piece: bytes) -> None:
        """Send a piece, for which there is room."""
        self._rules.sent(number, len(piece))
        self._waiting += mux.frame(Kind.DATA, number, piece)
        await self._flush()

    async def grant(self, number: int, size: int) -> None:
        """Let the other side send more."""
        if number in self._rules.alive:
            self._rules.granted(number, size)
            self._waiting += mux.window(number, size)
            await self._flush()

    async def eof(self, number: int) -> None:
        """End our half."""
        stream = self._rules.alive.get(number)
        if stream is not None and not stream.said_eof:
            self._rules.ended(number)
            self._waiting += mux.frame(Kind.EOF, number)
            await self._flush()

    def reset(self, number: int) -> None:
        """End both halves."""
        self._streams.pop(number, None)
        if number in self._rules.alive:
            self._rules.reset(number)
            self._waiting += mux.frame(Kind.RESET, number)
            task = asyncio.create_task(self._last_words())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _last_words(self) -> None:
        try:
            await self._flush()
        except Closed:
            pass

    async def _flush(self) -> None:
        async with self._flushing:
            if self._waiting:
                waiting, self._waiting = bytes(self._waiting), bytearray()
                await self._socket.send(waiting)
