"""JSON-RPC with one other side over two pipes, in raw JSON objects: who waits for what, and who is told.

It knows nothing of MCP but its two notifications about requests, `cancelled` and `progress`. It takes the
place of mcp's own dispatcher, at half of its time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import anyio
import anyio.abc
import mcp_types as types
from mcp.shared.dispatcher import (
    CallOptions,
    OnNotify,
    OnNotifyIntercept,
    OnRequest,
    ProgressFnT,
    coerce_request_id,
    run_notify_intercept,
)
from mcp.shared.exceptions import MCPError

from blastwall_mcp.wire.channel import Closed
from blastwall_mcp.wire.context import CANCELLED, PROGRESS, Context, is_number, marked, token_of
from blastwall_mcp.wire.lines import (
    MAX_LINE,
    Answer,
    Broken,
    Failure,
    Id,
    Message,
    Notice,
    Request,
    Splitter,
    TooLong,
    is_id,
    line,
    message,
)
from blastwall_mcp.wire.pipes import Carrier, Pipes

MAX_NOISE = 1000
"""Lines in a row that are no message, such as stray prints, before the connection is given up."""

MAX_REQUESTS = 256
"""Requests of the other side that are worked on at once. Those beyond are refused."""

MAX_NOTICES = 1024
"""Notifications of the other side that are worked on at once. Those beyond are dropped."""

MAX_UNREAD = 4 * MAX_LINE
"""Bytes that wait to be read by the other side before the connection is given up."""

LEFT_S = 0.5
"""How long what the other side wrote before it closed its input is still read."""

CLOSING_S = 5.0
"""How long requests that are cancelled at the end are waited for."""

BUSY = -32000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pending:
    """A request of ours."""

    answer: asyncio.Future[dict[str, Any] | MCPError]
    on_progress: ProgressFnT | None


@dataclass(slots=True)
class _Working:
    """A request of the other side."""

    context: Context
    task: "asyncio.Task[None]"


class Wire:
    """A connection with one other side (mcp's `Dispatcher`).

    Attributes:
        ended: Set when nothing more will come.
        fault: Why it ended, when the other side broke the framing rather than closing the pipe.
        pipes: What carries it.

    """

    headed = False

    pipes: Carrier

    def __init__(self, peer: str) -> None:
        """Be carried by nothing yet; `peer` names the other side in the log."""
        self.ended = anyio.Event()
        self.fault = ""
        self._peer = peer
        self._splitter = Splitter()
        self._noise = 0
        self._last_id = 0
        self._pending: dict[Id, _Pending] = {}
        self._working: dict[Id, _Working] = {}
        self._notices: set[asyncio.Task[None]] = set()
        self._dropping = False
        self._early: list[bytes] | None = []
        self._on_request: OnRequest
        self._on_notify: OnNotify
        self._intercept: OnNotifyIntercept | None = None

    # --- What leaves --------------------------------------------------------------------------------------

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the other side something and give its result. A cancelled caller cancels its work.

        Raises:
            MCPError: it refused, or the answer can't be read.
            Closed: the connection is.
            ValueError: the id that `opts` gives is in use.

        """
        opts = opts or {}
        number = self._number(opts.get("request_id"))
        pending = _Pending(asyncio.get_running_loop().create_future(), opts.get("on_progress"))
        sent: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method}
        if params := marked(params, number) if pending.on_progress else params:
            sent["params"] = params
        self._write(sent)
        self._pending[number] = pending
        try:
            answer = await self._answer(pending, opts.get("timeout"))
        except TimeoutError:
            self._abandon(number, opts, "timed out")
            raise MCPError(types.REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        except asyncio.CancelledError:
            if not pending.answer.done() or pending.answer.cancelled():
                self._abandon(number, opts, "caller cancelled")
            raise
        finally:
            del self._pending[number]
        if isinstance(answer, MCPError):
            raise answer
        return answer

    async def _answer(self, pending: _Pending, limit_s: float | None) -> dict[str, Any] | MCPError:
        if self.ended.is_set():
            return Closed()
        if limit_s is None:
            await self.pipes.drained()
            return await pending.answer
        async with asyncio.timeout(limit_s):
            await self.pipes.drained()
            return await pending.answer

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Tell the other side something; nothing happens if it is gone."""
        sent: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            sent["params"] = params
        with suppress(MCPError):
            self._write(sent)
            await self.pipes.drained()

    def _number(self, wanted: Id | None) -> Id:
        if wanted is not None:
            if wanted in self._pending:
                raise ValueError(f"request id {wanted!r} is in use")
            return wanted
        self._last_id += 1
        while self._last_id in self._pending:
            self._last_id += 1
        return self._last_id

    def _abandon(self, number: Id, opts: CallOptions, reason: str) -> None:
        if opts.get("cancel_on_abandon", True):
            params = {"requestId": number, "reason": reason}
            with suppress(MCPError):
                self._write({"jsonrpc": "2.0", "method": CANCELLED, "params": params})

    def _write(self, sent: dict[str, Any]) -> None:
        if not self.pipes.writable:
            raise Closed
        try:
            data = line(sent)
        except (ValueError, TypeError, RecursionError):
            raise MCPError(types.INTERNAL_ERROR, "what would be sent has no form in JSON") from None
        if self.pipes.write(data) > MAX_UNREAD:
            self._end("it does not read what is written to it")

    # --- What arrives -------------------------------------------------------------------------------------

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Handle what the other side sends until it ends. Its open requests are cancelled then."""
        self._on_request, self._on_notify = on_request, on_notify
        self._intercept = on_notify_intercept
        task_status.started()
        try:
            early, self._early = self._early or [], None
            for data in early:
                self.received(data)
            self.pipes.resume()
            await self.ended.wait()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close both pipes once what was written is through, and end what is worked on."""
        self._end()
        self.pipes.close_source()
        tasks = {working.task for working in self._working.values()} | self._notices
        tasks.discard(asyncio.current_task())
        for task in tasks:
            task.cancel()
        if tasks:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks, timeout=CLOSING_S)
        self.pipes.close_sink()

    def received(self, data: bytes) -> None:
        """Take what the pipe gives."""
        if self._early is not None:
            return self._early.append(data)
        try:
            lines = self._splitter.feed(data)
        except TooLong:
            return self._end(f"it sent a message of more than {MAX_LINE >> 20} MiB")
        for one in lines:
            if self.ended.is_set():
                return None
            self._take(message(one))
        return None

    def over(self) -> None:
        """Take word that nothing more will come."""
        self._end()

    def unheard(self) -> None:
        """Give up soon on an other side that no longer listens; what it wrote before is still read."""
        asyncio.get_running_loop().call_later(LEFT_S, self._end)

    def _take(self, arrived: Message | None) -> None:
        if arrived is None or isinstance(arrived, Broken):
            self._skip(arrived)
            return
        self._noise = 0
        match arrived:
            case Answer(number, result):
                self._resolve(number, result)
            case Failure(number, code, text, data):
                self._resolve(number, MCPError(code, text, data))
            case Request():
                self._serve(arrived)
            case Notice(method, params):
                self._hear(method, params)

    def _resolve(self, number: Id, answer: dict[str, Any] | MCPError) -> None:
        """Give an answer to who waits for it. One that nobody asked for, or a second one, is dropped."""
        pending = self._pending.get(number) or self._pending.get(coerce_request_id(number))
        if pending is not None and not pending.answer.done():
            pending.answer.set_result(answer)

    def _skip(self, broken: Broken | None) -> None:
        if broken is not None:
            self._refuse(broken.id, types.INVALID_REQUEST, "this is no request")
        if self._noise == 0:
            log.warning("%s wrote a line that is no JSON-RPC message; such lines are skipped", self._peer)
        self._noise += 1
        if self._noise > MAX_NOISE:
            self._end(f"it wrote {MAX_NOISE} lines in a row that are no JSON-RPC messages")

    def _serve(self, request: Request) -> None:
        if request.id in self._working:
            self._refuse(request.id, types.INVALID_REQUEST, "there is an open request of this id")
        elif len(self._working) >= MAX_REQUESTS:
            self._refuse(request.id, BUSY, f"there are {MAX_REQUESTS} open requests: wait for some of them")
        else:
            context = Context(self, request.id, token_of(request.params))
            task = asyncio.get_running_loop().create_task(self._answered(context, request))
            self._working[request.id] = _Working(context, task)
            # Not in the task: one that is cancelled before its first turn never gets one.
            task.add_done_callback(lambda _: self._working.pop(request.id))

    def _hear(self, method: str, params: dict[str, Any] | None) -> None:
        if method == CANCELLED:
            self._cancel((params or {}).get("requestId"))
        elif method == PROGRESS:
            self._progressed(params or {})
        if not run_notify_intercept(self._intercept, method, params) and method not in (CANCELLED, PROGRESS):
            self._attend(lambda: self._on_notify(Context(self, None, None), method, params))

    def _cancel(self, number: Any) -> None:
        if not is_id(number):
            return
        working = self._working.get(number) or self._working.get(coerce_request_id(number))
        if working is not None:
            working.context.cancel_requested.set()
            working.task.cancel()

    def _progressed(self, params: dict[str, Any]) -> None:
        token, progress = params.get("progressToken"), params.get("progress")
        if not is_id(token) or not is_number(progress):
            return
        pending = self._pending.get(coerce_request_id(token))
        if pending is None or pending.answer.done() or (report := pending.on_progress) is None:
            return
        total, words = params.get("total"), params.get("message")
        total = total if is_number(total) else None
        words = words if isinstance(words, str) else None
        self._attend(lambda: report(progress, total, words))

    # --- What is worked on --------------------------------------------------------------------------------

    async def _answered(self, context: Context, request: Request) -> None:
        """Answer a request. One that was cancelled is never answered, as the specification wants it."""
        answer = await self._outcome(context, request)
        context.open = False
        if not context.cancelled:
            try:
                self._write({"jsonrpc": "2.0", "id": request.id, **answer})
            except MCPError as error:
                self._refuse(request.id, error.code, error.message)
            await self.pipes.drained()

    async def _outcome(self, context: Context, request: Request) -> dict[str, Any]:
        try:
            return {"result": await self._on_request(context, request.method, request.params)}
        except asyncio.CancelledError:
            return _refusal(types.CONNECTION_CLOSED, "Connection closed")
        except MCPError as error:
            return _refusal(error.code, error.message, error.data)
        except Exception:  # what went wrong inside is nobody's business outside
            log.exception("a request for %.80r broke", request.method)
            return _refusal(types.INTERNAL_ERROR, "Internal error")

    def _refuse(self, number: Id, code: int, text: str) -> None:
        with suppress(MCPError):
            self._write({"jsonrpc": "2.0", "id": number, **_refusal(code, text)})

    def _attend(self, handler: Callable[[], Awaitable[None]]) -> None:
        """Let a notification be handled, unless too many are."""
        if len(self._notices) >= MAX_NOTICES:
            if not self._dropping:
                log.warning(
                    "%s sends notifications faster than they can be handled; some are lost", self._peer
                )
            self._dropping = True
            return
        self._dropping = False
        task = asyncio.get_running_loop().create_task(_attended(handler))
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    def _end(self, fault: str = "") -> None:
        """Take nothing more, and let nobody wait for an answer."""
        if self.ended.is_set():
            return
        self.fault = fault
        self.ended.set()
        self.pipes.release()
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_result(Closed())


async def connect(source: IO[bytes], sink: IO[bytes], peer: str) -> Wire:
    """Speak JSON-RPC over a pair of pipes, without a thread in between. Nothing is read before `run`."""
    wire = Wire(peer)
    wire.pipes = pipes = Pipes(wire)
    await pipes.open(source, sink)
    return wire


def _refusal(code: int, text: str, data: Any = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": text} | ({} if data is None else {"data": data})}


async def _attended(handler: Callable[[], Awaitable[None]]) -> None:
    try:
        await handler()
    except Exception:  # one notification must not end the connection
        log.exception("a notification broke")
