"""Servers over HTTP on loopback: mcp's own, and one that answers with whatever bytes a test wants."""

import asyncio
import json
import socket
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

from blastwall.values import Server


@asynccontextmanager
async def serving(build: Callable[[int], Any]) -> AsyncGenerator[str]:
    """Serve an ASGI application, built for the port that it gets; give its origin."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build(port), log_level="error", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server._serve([listening]))  # serve() would take the signals of the test run
    while not server.started:  # noqa: ASYNC110  # it has no event for that
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def served(app: Any) -> AbstractAsyncContextManager[str]:
    """Serve an ASGI application; give its origin."""
    return serving(lambda _port: app)


def at(url: str, **fields: Any) -> Server:
    """Give the server behind a URL."""
    given: dict[str, Any] = {"url": url, "transport": "http", "start_s": 5.0, "call_s": 5.0}
    return Server(**given | fields)


def ordinary() -> MCPServer:
    """Give a server of mcp's own, which speaks both eras."""
    server = MCPServer("ordinary", instructions="be kind")

    @server.tool()
    def echo(text: str) -> str:
        return text

    @server.tool()
    async def step(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "half")
        return "stepped"

    @server.tool()
    async def log(ctx: Context) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the newest specification calls logging old
            await ctx.info("a word")
        return "logged"

    @server.resource("test://a")
    def resource() -> str:
        return "the text"

    return server


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


@dataclass
class Crooked:
    """A server by hand. Attributes: what it was asked, and how many connections it had."""

    answer: Callable[["Crooked", Asked, asyncio.StreamWriter], Awaitable[None]]
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ", 2)
                headers = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in lines if one)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.asked.append(Asked(method, target, headers, body))
                await self.answer(self, self.asked[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(
    writer: asyncio.StreamWriter,
    value: Any,
    status: str = "200 OK",
    kind: str = "application/json",
    **headers: str,
) -> None:
    """Write one answer with a length."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    more = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    writer.write(head.encode() + body)


def stream(writer: asyncio.StreamWriter, *events: Any, end: bool = True) -> None:
    """Write an answer that is a stream of events, each a message or bytes."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    for event in events:
        writer.write(event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n")
    if end:
        writer.close()


DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
}
TOOLS = [
    {
        "name": "act",
        "inputSchema": {
            "type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        },
    }
]


def greeted(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> bool:
    """Answer what every modern server is asked; say whether it was that."""
    results = {"server/discover": DISCOVERED, "tools/list": {"tools": TOOLS}}
    if (method := asked.json.get("method")) not in results:
        return False
    reply(writer, {"jsonrpc": "2.0", "id": asked.json["id"], "result": results[method]})
    return True


@asynccontextmanager
async def crooked(
    answer: Callable[[Crooked, Asked, asyncio.StreamWriter], Awaitable[None] | None],
    greet: bool = True,
    **options: Any,
) -> AsyncGenerator[Crooked]:
    """Serve by hand: a modern server whose tool calls are answered by `answer`."""

    async def all_of_it(server: Crooked, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if greet and greeted(server, asked, writer):
            return
        done = answer(server, asked, writer)
        if done is not None:
            await done

    found = Crooked(all_of_it)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(found.serve, sock=sock, **options)
    scheme = "https" if options.get("ssl") else "http"
    found.url = f"{scheme}://127.0.0.1:{sock.getsockname()[1]}/mcp"
    try:
        yield found
    finally:
        server.close()
