"""The page on this machine to which the browser comes back from a login."""

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import AuthorizationCodeResult

from blastwall.errors import BackendError

PATH = "/callback"

HEAD_S = 5.0
"""How long a browser may take for one request."""

_PAGE = b"You are logged in, or not: the terminal says which. This window can be closed."


class Callback:
    """Waits for the browser, at a port that nobody knows before."""

    def __init__(self) -> None:
        """Listen to nobody yet."""
        self._came: asyncio.Future[AuthorizationCodeResult]
        self._server: asyncio.Server
        self.url = ""

    async def __aenter__(self) -> Self:
        self._came = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=8192)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{PATH}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._came.cancel()

    async def result(self) -> AuthorizationCodeResult:
        """Give what the browser brought.

        Raises:
            BackendError: it brought a refusal.

        """
        return await self._came

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError, OSError):
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
                found = self._take(head.split(b"\r\n", 1)[0].decode("latin-1"))
                status, page = ("200 OK", _PAGE) if found else ("404 Not Found", b"")
                fixed = "content-type: text/plain\r\ncache-control: no-store\r\nconnection: close"
                told = f"HTTP/1.1 {status}\r\n{fixed}\r\ncontent-length: {len(page)}\r\n\r\n"
                writer.write(told.encode() + page)
                await writer.drain()
        writer.close()

    def _take(self, first: str) -> bool:
        method, _, rest = first.partition(" ")
        where = urlsplit(rest.partition(" ")[0])
        asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        if method != "GET" or where.path != PATH or not asked.keys() & {"code", "error"}:
            return False
        if self._came.done():
            return True
        if "error" in asked:
            why = "".join(c for c in asked["error"][:60] if c.isascii() and (c.isalnum() or c == "_"))
            self._came.set_exception(BackendError(f"the login was refused ({why})"))
        else:
            found = AuthorizationCodeResult(
                code=asked.get("code", ""), state=asked.get("state"), iss=asked.get("iss")
            )
            self._came.set_result(found)
        return True
