"""HTTP/1.1 over a stream: h11, awaited."""

from typing import Any

import h11

from blastwall.egress.streams import Closed, Front, Stream

MOST_HEAD = 1 << 16
"""Longest head of a request or response."""


class _Sized:
    """As many bytes as it says, which nobody has to hold."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


class Peer:
    """One side of an HTTP connection."""

    def __init__(self, role: type[h11.CLIENT] | type[h11.SERVER], stream: Stream) -> None:
        """Begin with nothing said."""
        self.http = h11.Connection(role, max_incomplete_event_size=MOST_HEAD)
        self.stream = stream

    async def begun(self) -> None:
        """Wait until the other side has begun to say something, or has left."""
        if not self.http.trailing_data[0]:
            self.http.receive_data(await self.stream.receive())

    async def heard(self) -> Any:
        """Wait for the next event.

        Raises:
            h11.RemoteProtocolError: when it is none.

        """
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.stream.receive())
        return event

    async def say(self, event: Any) -> None:
        """Send an event.

        Raises:
            Closed: when it can't be said.

        """
        try:
            data = self.http.send(event)
        except h11.LocalProtocolError as error:
            raise Closed(str(error)) from None
        if data:
            await self.stream.send(data)

    def passes(self, size: int) -> None:
        """Note that so many bytes of a body are sent by somebody else.

        Raises:
            Closed: when it is not that long.

        """
        try:
            self.http.send_with_data_passthrough(h11.Data(data=_Sized(size)))  # type: ignore[arg-type]
        except h11.LocalProtocolError as error:
            raise Closed(str(error)) from None

    def again(self) -> bool:
        """Make ready for the next request, and say whether there can be one."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        return True

    def switched(self) -> Front:
        """Give the stream back, with what was read too much."""
        return Front(self.stream, self.http.trailing_data[0])
