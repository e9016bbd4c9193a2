"""The first thing a TLS client says, read strictly and no further than the name it asks for. Pure."""

from dataclasses import dataclass

from blastwall.egress import spelling

MOST = 1 << 15
"""Longest ClientHello, with its records' headers."""

_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ENCRYPTED_HELLO = 0xFE0D
_RECORD_HEAD, _MESSAGE_HEAD = 5, 4


class NoHello(Exception):
    """These bytes are not the start of a TLS connection. The message is safe for models."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What matters of a ClientHello: the name asked for, if any, and whether it may hide another one."""

    name: str | None
    encrypted: bool


def read(data: bytes) -> Hello | None:
    """Read a ClientHello; None while it is incomplete.

    Raises:
        NoHello: when it is none, or is malformed.

    """
    message = _message(data)
    if message is None:
        if len(data) >= MOST:
            raise NoHello("the TLS handshake does not come to its end")
        return None
    try:
        return _hello(_Reader(message))
    except (IndexError, UnicodeDecodeError):
        raise NoHello("the TLS handshake is malformed") from None


def against(hello: Hello, host: str) -> str:
    """Say why a ClientHello does not fit the host that was asked for, or ""."""
    if hello.encrypted:
        return "the TLS handshake may hide another name (encrypted client hello): turn that off"
    return named(hello, host)


def named(hello: Hello, host: str) -> str:
    """Do the same where TLS ends at the gate, and nothing can hide behind the name."""
    if spelling.is_address(host):
        return "" if hello.name is None else f"the TLS handshake asks for a name, and not for {host}"
    if hello.name is None:
        return "the TLS handshake names no host (SNI)"
    return "" if spelling.host(hello.name) == host else f"the TLS handshake asks for another host than {host}"


def _message(data: bytes) -> bytes | None:
    """Put the first handshake message together from its records."""
    message, at = b"", 0
    while len(data) - at >= _RECORD_HEAD:
        _check_record(data[at : at + _RECORD_HEAD])
        length = int.from_bytes(data[at + 3 : at + _RECORD_HEAD])
        at += _RECORD_HEAD
        message += data[at : at + length]
        at += length
        whole = _whole(message)
        if whole and len(message) >= whole:
            return message[_MESSAGE_HEAD:whole]
    _check_record(data[at:])
    return None


def _whole(message: bytes) -> int:
    """Give the length of the message with its head; 0 while that is not known."""
    if message and message[0] != _CLIENT_HELLO:
        raise NoHello("this is no TLS handshake of a client")
    if len(message) < _MESSAGE_HEAD:
        return 0
    whole = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD])
    if whole > MOST:
        raise NoHello("the TLS handshake is too long")
    return whole


def _check_record(head: bytes) -> None:
    """Look at as much of a record's head as there is."""
    if (head[:1] or b"\x16") != b"\x16" or (head[1:2] or b"\x03") != b"\x03":
        raise NoHello("only TLS may go through a tunnel there")
    if len(head) == _RECORD_HEAD and not 1 <= int.from_bytes(head[3:]) <= 1 << 14:
        raise NoHello("the TLS handshake is malformed")


class _Reader:
    """Takes things off the front; IndexError when there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise IndexError
        taken, self._at = self._data[self._at : end], end
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> "_Reader":
        return _Reader(self.take(self.number(size)))


def _hello(reader: _Reader) -> Hello:
    reader.take(2 + 32)
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.vector(size)
    found: dict[int, _Reader] = {}
    if not reader.done:
        extensions = reader.vector(2)
        while not extensions.done:
            kind, body = extensions.number(2), extensions.vector(2)
            if kind in found:
                raise IndexError
            found[kind] = body
    if not reader.done:
        raise IndexError
    named = found.get(_SERVER_NAME)
    return Hello(None if named is None else _name(named), _ENCRYPTED_HELLO in found)


def _name(extension: _Reader) -> str:
    """Read the one name of the extension; more than one, or another kind, is malformed."""
    names = extension.vector(2)
    kind, name = names.number(1), names.vector(2)
    if kind or not names.done or not extension.done:
        raise IndexError
    return name.rest().decode("ascii")
