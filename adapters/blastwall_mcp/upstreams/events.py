"""Server-sent events: cut from a stream, with a bound on each."""

from dataclasses import dataclass

from blastwall_mcp.wire.channel import Closed
from blastwall_mcp.wire.lines import MAX_LINE

_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Event:
    """One event."""

    name: str = "message"
    data: bytes = b""


class Events:
    """Reads a stream of events.

    Attributes:
        last_id: The id of the last event that had one.
        retry_s: How long the server wants us to wait before we connect again.

    """

    def __init__(self) -> None:
        """Have read nothing yet."""
        self.last_id = ""
        self.retry_s = 1.0
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._began = False

    def feed(self, piece: bytes) -> list[Event]:
        """Give the events that end in this piece.

        Raises:
            Closed: one is too long.

        """
        self._pieces.append(piece)
        self._waiting += len(piece)
        if b"\n" in piece or b"\r" in piece or not self._began:
            lines = self._lines(b"".join(self._pieces))
        else:
            lines = []
        found = [event for line in lines if (event := self._line(line)) is not None]
        if self._size + self._waiting > MAX_LINE:
            raise Closed(f"it sent an event of more than {MAX_LINE >> 20} MiB")
        return found

    def _lines(self, text: bytes) -> list[bytes]:
        """Cut off the lines that are complete."""
        if not self._began and len(text) >= len(_BOM):
            text, self._began = text.removeprefix(_BOM), True
        held = text[-1:] if text.endswith(b"\r") else b""  # perhaps the first half of a line's end
        text = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._pieces, self._waiting = [rest + held], len(rest) + len(held)
        return lines

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatched()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data.append(value)
                self._size += len(value) + 1
            case b"event":
                self._name = value[:100].decode(errors="replace")
            case b"id" if b"\0" not in value and len(value) <= 1024 and value.isascii():
                self.last_id = value.decode()
            case b"retry" if value.isdigit() and len(value) < 9:
                self.retry_s = int(value) / 1000
        return None

    def _dispatched(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        return Event(name or "message", b"\n".join(data)) if data else None
