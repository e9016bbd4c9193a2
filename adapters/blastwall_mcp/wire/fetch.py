"""Small JSON documents from places that the policy names: bounded, never redirected, never from inside."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any

import h11

from blastwall.egress.networks import Unreachable
from blastwall.egress.resolve import Resolver
from blastwall.errors import BackendError
from blastwall_mcp.wire.places import Place, addresses, dial, is_loopback, place

LARGEST = 512 * 1024
"""Bytes of a document that are read; a longer one is refused."""

TIME_S = 5.0
"""How long all of one document may take, the name's resolution included."""

_CHUNK = 1 << 16

Headers = tuple[tuple[str, str], ...]


class Fetcher:
    """Asks for documents. What it connects to was resolved once and checked, and is not asked for again."""

    def __init__(self, *, private: bool = False, context: ssl.SSLContext | None = None) -> None:
        """Open nothing yet.

        Args:
            private: Whether addresses that are not of the public internet may be asked, and those of this
                machine even without TLS.
            context: Whom to trust; the system's authorities by default.

        """
        self._private = private
        self._context = context or ssl.create_default_context()
        self._resolver = Resolver()

    async def get(self, url: str) -> Any:
        """Get a document.

        Raises:
            BackendError: there is none to be had; it names the host and says why.

        """
        return await self._ask("GET", url, (), b"")

    async def post(self, url: str, form: bytes, headers: Headers) -> Any:
        """Send a form and get the answer; raises like `get`."""
        sent = (*headers, ("Content-Type", "application/x-www-form-urlencoded"))
        return await self._ask("POST", url, sent, form)

    async def _ask(self, method: str, url: str, headers: Headers, body: bytes) -> Any:
        where = place(url)
        try:
            async with asyncio.timeout(TIME_S):
                context = self._context if where.scheme == "https" else None
                reader, writer = await dial(where, await self._addresses(where), context)
                try:
                    data = await _exchange(reader, writer, *_request(where, method, headers, body))
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise BackendError(f"{where.host} gave no answer within {TIME_S:g} s") from None
        except (OSError, Unreachable, h11.RemoteProtocolError, ssl.CertificateError) as error:
            raise BackendError(f"{where.host} can't be asked: {error}") from None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise BackendError(f"{where.host} answered with something that is no JSON") from None

    async def _addresses(self, where: Place) -> tuple[str, ...]:
        found = await addresses(where, self._resolver, inside=self._private)
        if where.scheme != "https" and not all(map(is_loopback, found)):
            raise Unreachable("without TLS, only this machine may be asked")
        return found


def _request(where: Place, method: str, headers: Headers, body: bytes) -> tuple[h11.Connection, bytes]:
    fixed = [
        ("Host", where.authority),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
        *headers,
        *([("Content-Length", str(len(body)))] if body else []),
    ]
    talk = h11.Connection(h11.CLIENT)
    events = (
        h11.Request(method=method, target=where.target, headers=fixed),
        h11.Data(data=body),
        h11.EndOfMessage(),
    )
    return talk, b"".join(talk.send(event) or b"" for event in events)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: h11.Connection, request: bytes
) -> bytes:
    writer.write(request)
    await writer.drain()
    body = bytearray()
    while True:
        match talk.next_event():
            case h11.NEED_DATA:
                talk.receive_data(await reader.read(_CHUNK))
            case h11.Response(status_code=status, headers=headers):
                _check_head(status, dict(headers))
            case h11.Data(data=data):
                body += data
                if len(body) > LARGEST:
                    raise Unreachable(f"the answer is longer than {LARGEST >> 10} KiB")
            case h11.EndOfMessage():
                return bytes(body)
            case h11.ConnectionClosed() | h11.PAUSED:
                raise Unreachable("the answer ended early")
            case _:
                pass  # an interim response


def _check_head(status: int, headers: Mapping[bytes, bytes]) -> None:
    """Take a plain 200 and nothing else: a redirect would lead to where nobody checked."""
    if status != 200:
        raise Unreachable(f"it answered with HTTP status {status}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Unreachable("the answer is compressed, and that was not asked for")
