"""A server over streamable HTTP, in both eras: a request is a POST, and the rest is its answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, cast

import anyio
import mcp_types as types
from mcp.shared.dispatcher import (
    CallOptions,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
    coerce_request_id,
    run_notify_intercept,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER

from blastwall.errors import BackendError
from blastwall_mcp.upstreams.events import Events
from blastwall_mcp.upstreams.exchanges import Response, Unconnected
from blastwall_mcp.upstreams.posts import EVENTS, JSON, SESSION, Posts
from blastwall_mcp.wire.channel import Closed, Options, SessionLost
from blastwall_mcp.wire.context import CANCELLED, INITIALIZED, PROGRESS, Context, is_number, marked, token_of
from blastwall_mcp.wire.lines import (
    Answer,
    Failure,
    Id,
    Message,
    Notice,
    Request,
    is_id,
    line,
    message,
    refusal,
)

MAX_REQUESTS = 32
"""Requests of a legacy server that are worked on at once. Those beyond are refused."""

MAX_RESUMED = 10
"""How often a stream that a legacy server broke is asked for the rest."""

LONGEST_RETRY_S = 10.0

TOLD_S = 10.0
"""How long a server may take to accept what needs no answer."""

ENDING_S = 2.0


log = logging.getLogger(__name__)


class HttpChannel:
    """A connection with a server, as far as HTTP has any.

    Attributes:
        ended: Set when nothing more can be asked here.
        fault: Why.

    """

    headed = True

    def __init__(self, peer: str, posts: Posts) -> None:
        """Ask nothing yet."""
        self.ended = anyio.Event()
        self.fault = ""
        self._peer = peer
        self._posts = posts
        self._last_id = 0
        self._asked: dict[Id, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_request: OnRequest | None = None
        self._on_notify: OnNotify | None = None
        self._intercept: OnNotifyIntercept | None = None

    # --- What leaves --------------------------------------------------------------------------------------

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the server something.

        Raises:
            MCPError: it refused, or its answer can't be read.
            Closed: there is no answer.
            BackendError: it must not be asked, or wants another proof of who we are.

        """
        options = cast("Options", opts or {})
        self._last_id += 1
        number = options.get("request_id", self._last_id)
        sent: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method}
        if params := marked(params, number) if "on_progress" in options else params:
            sent["params"] = params
        try:
            async with asyncio.timeout(options.get("timeout")):
                found = await self._answer(number, method, _written(sent), options)
        except TimeoutError:
            self._abandon(number, options)
            raise MCPError(types.REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        except asyncio.CancelledError:
            self._abandon(number, options)
            raise
        except Unconnected as error:
            self._end(f"it can't be reached ({error.why})")
            raise
        if isinstance(found, Failure):
            raise MCPError(found.code, found.message, found.data)
        return found.result

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Tell the server something. The modern era has nothing to tell."""
        headers = dict((opts or {}).get("headers", {}))
        if MCP_METHOD_HEADER in headers:
            return
        self._posts.version = headers.get(MCP_PROTOCOL_VERSION_HEADER, self._posts.version)
        await self._tell({"method": method} | ({} if params is None else {"params": params}))
        if method == INITIALIZED and self._posts.session:
            self._spawn(self._heard_alone())

    async def _tell(self, told: dict[str, Any]) -> None:
        body = _written({"jsonrpc": "2.0", **told})
        try:
            async with asyncio.timeout(TOLD_S), self._posts.post(body, {}) as response:
                if response.status >= 400:
                    log.info("%s refused a message with HTTP status %d", self._peer, response.status)
        except (TimeoutError, Closed):
            log.info("%s did not take a message", self._peer)

    def _abandon(self, number: Id, options: Options) -> None:
        """Cancel the work for a request. A modern server reads that from the end of the exchange itself."""
        if not _modern(options) and options.get("cancel_on_abandon", True):
            params = {"requestId": number, "reason": "caller cancelled"}
            self._spawn(self._tell({"method": CANCELLED, "params": params}))

    # --- One request --------------------------------------------------------------------------------------

    async def _answer(self, number: Id, method: str, body: bytes, opts: Options) -> Answer | Failure:
        async with self._posts.post(body, opts.get("headers", {})) as response:
            if method == "initialize" and response.status == 200:
                self._posts.session = response.header(SESSION)
            if response.status != 200 or response.kind not in (JSON, EVENTS):
                return await self._unusual(response, number)
            if response.kind == JSON:
                return _answering(message(await self._posts.body(response)), number) or _malformed(number)
            events = Events()
            found = await self._streamed(response, events, number, opts)
        while found is None:
            found = await self._resumed(events, number, opts)
        return found

    async def _streamed(
        self, response: Response, events: Events, number: Id | None, opts: Options
    ) -> Answer | Failure | None:
        """Read a stream until it brings the answer, or ends."""
        async for piece in response.pieces():
            for event in events.feed(piece):
                arrived = message(await self._posts.clean(event.data)) if event.name == "message" else None
                if number is not None and (found := _answering(arrived, number)):
                    response.enough()
                    return found
                await self._take(arrived, number, opts)
        return None

    async def _resumed(self, events: Events, number: Id, opts: Options) -> Answer | Failure | None:
        """Ask for the rest of a stream that ended before the answer, as legacy servers allow."""
        if not events.last_id or _modern(opts):
            raise Closed("its stream ended without an answer")
        for _ in range(MAX_RESUMED):
            await asyncio.sleep(min(events.retry_s, LONGEST_RETRY_S))
            async with self._posts.get(events.last_id) as response:
                if response.status != 200 or response.kind != EVENTS:
                    raise Closed("its stream ended without an answer")
                if found := await self._streamed(response, events, number, opts):
                    return found
        raise Closed("its stream ended without an answer, again and again")

    async def _unusual(self, response: Response, number: Id) -> Failure:
        """Read a refusal."""
        if response.status == 404 and self._posts.session:
            self._end("its session ended")
            raise SessionLost("its session ended")
        body = await self._posts.body(response) if response.kind == JSON else b""
        if (told := refusal(body, number)) is not None:
            return told
        if response.status == 404:
            return Failure(number, types.METHOD_NOT_FOUND, "Not Found")
        if 300 <= response.status < 400:
            raise BackendError(
                f"{self._peer} redirects elsewhere: write the URL of the server itself as `url`"
            )
        if response.status == 429 or response.status >= 500:
            raise Closed(f"it answered with HTTP status {response.status}")
        if response.status < 300:
            return _malformed(number)
        return Failure(number, types.INTERNAL_ERROR, f"HTTP status {response.status}")

    # --- What the server says of its own accord -----------------------------------------------------------

    async def run(
        self, on_request: OnRequest, on_notify: OnNotify, on_notify_intercept: OnNotifyIntercept | None = None
    ) -> None:
        """Handle what the server sends, until it ends."""
        self._on_request, self._on_notify = on_request, on_notify
        self._intercept = on_notify_intercept
        try:
            await self.ended.wait()
        finally:
            await self.aclose()

    async def _heard_alone(self) -> None:
        """Keep the stream open on which a legacy server says what is about no request."""
        events = Events()
        while not self.ended.is_set():
            try:
                async with self._posts.get(events.last_id) as response:
                    if response.status != 200 or response.kind != EVENTS:
                        return  # it has none
                    await self._streamed(response, events, None, {})
            except Closed:
                pass
            except BackendError:
                return
            await asyncio.sleep(max(0.1, min(events.retry_s, LONGEST_RETRY_S)))

    async def _take(self, arrived: Message | None, number: Id | None, opts: Options) -> None:
        if isinstance(arrived, Notice):
            await self._hear(arrived, number, opts)
        elif isinstance(arrived, Request):
            handler = opts.get("on_request", self._on_request)
            if handler is None or len(self._asked) >= MAX_REQUESTS or arrived.id in self._asked:
                refusal = {"code": types.INVALID_REQUEST, "message": "this is not answered now"}
                self._spawn(self._tell({"id": arrived.id, "error": refusal}))
                return
            task = self._asked[arrived.id] = self._spawn(self._served(arrived, handler))
            task.add_done_callback(lambda _: self._asked.pop(arrived.id))

    async def _served(self, request: Request, handler: OnRequest) -> None:
        context = Context(self, request.id, token_of(request.params))
        try:
            answer: dict[str, Any] = {"result": await handler(context, request.method, request.params)}
        except MCPError as error:
            told = {} if error.data is None else {"data": error.data}
            answer = {"error": {"code": error.code, "message": error.message, **told}}
        except Exception:  # what went wrong inside is nobody's business outside
            log.exception("a request for %.80r broke", request.method)
            answer = {"error": {"code": types.INTERNAL_ERROR, "message": "Internal error"}}
        finally:
            context.open = False
        await self._tell({"id": request.id, **answer})

    async def _hear(self, notice: Notice, number: Id | None, opts: Options) -> None:
        """Let a notification be handled before the next thing on its stream is read."""
        params = notice.params or {}
        if notice.method == CANCELLED:
            asked = params.get("requestId")
            if is_id(asked) and (task := self._asked.get(asked)):
                task.cancel()
        elif notice.method == PROGRESS:
            await _contained(lambda: _progressed(params, number, opts))
        elif not run_notify_intercept(self._intercept, notice.method, notice.params):
            handler = opts.get("on_notify", self._on_notify)
            if handler is not None:
                context = Context(self, None, None)
                await _contained(lambda: handler(context, notice.method, notice.params))

    # --- The end ------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """End everything, the server's session too."""
        first = not self.ended.is_set()
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            if first and self._posts.session:
                await _contained(self._posts.forget)
            self._end("")
            if tasks:
                await asyncio.wait(tasks, timeout=ENDING_S)
        self._posts.close()

    def _end(self, fault: str) -> None:
        if not self.ended.is_set():
            self.fault = fault
            self.ended.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _written(sent: dict[str, Any]) -> bytes:
    try:
        return line(sent)
    except (ValueError, TypeError, RecursionError):
        raise MCPError(types.INTERNAL_ERROR, "what would be sent has no form in JSON") from None


def _answering(arrived: Message | None, number: Id) -> Answer | Failure | None:
    """Give the answer to this request, and to no other."""
    if isinstance(arrived, Answer | Failure) and coerce_request_id(arrived.id) == coerce_request_id(number):
        return arrived
    return None


def _modern(opts: Options) -> bool:
    return MCP_METHOD_HEADER in opts.get("headers", {})


def _malformed(number: Id) -> Failure:
    return Failure(number, types.INTERNAL_ERROR, "malformed answer")


async def _progressed(params: Mapping[str, Any], number: Id | None, opts: Options) -> None:
    report, progress, total = opts.get("on_progress"), params.get("progress"), params.get("total")
    token, words = params.get("progressToken"), params.get("message")
    if report is None or not is_number(progress) or not is_id(token) or number is None:
        return
    if coerce_request_id(token) == coerce_request_id(number):
        await report(progress, total if is_number(total) else None, words if isinstance(words, str) else None)


async def _contained(handler: Callable[[], Awaitable[None]]) -> None:
    try:
        await handler()
    except Exception:  # one message must not end the connection
        log.exception("a message of a server broke")
