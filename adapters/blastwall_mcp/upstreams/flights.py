"""What is in flight to a server, and what the server asks or tells in the middle of it."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import mcp_types as types
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError

from blastwall_mcp.upstreams.offered import FEATURES, Offered

MOST_ASKED = 32
"""Questions that a server may put at once in the middle of a request."""

_SEVERITIES = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Asker(Protocol):
    """Asks the client something for a server. Raises `MCPError` when the server gets no answer."""

    async def __call__(self, method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
        """Ask; `key` is the server's own name for the question, or one made for it."""
        ...


OnMessage = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Flight:
    """One request to a server, from its first word to its last.

    Attributes:
        asker: Answers what the server asks meanwhile.
        on_progress: Hears how far it is.
        on_message: Hears the server's log messages meanwhile.
        level: The least severe ones that it wants.
        limit_s: How long the server may take, not counting what it waits for answers.
        setting: What in the policy says so.

    """

    asker: Asker | None
    on_progress: ProgressFnT | None
    on_message: OnMessage | None
    level: str
    limit_s: float
    setting: str
    asked: int = 0
    _clock: asyncio.Timeout | None = None
    _left_s: float = 0.0
    _held: int = 0
    _pushed: set["asyncio.Task[Any]"] = field(default_factory=set)

    def clock(self) -> asyncio.Timeout:
        """Give the time limit of one exchange."""
        self._clock = asyncio.timeout(self.limit_s)
        return self._clock

    async def log(self, params: dict[str, Any]) -> None:
        """Hear a log message, if it is severe enough."""
        if self.on_message is not None and severity(params.get("level")) >= severity(self.level):
            await self.on_message(params)

    async def push(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask what a server of the legacy era wants to know now. It ends with the request."""
        if self.asker is None:
            raise unasked(method)
        self.asked += 1
        task = asyncio.ensure_future(self.asker(method, params, f"ask-{self.asked}"))
        self._pushed.add(task)
        try:
            with self._waiting():
                return await task
        finally:
            self._pushed.discard(task)
            task.cancel()

    def land(self) -> None:
        """End everything that was asked for it."""
        for task in self._pushed:
            task.cancel()
        self._clock = None

    @contextmanager
    def _waiting(self) -> Generator[None]:
        """Stop the clock of a server that waits for somebody else."""
        now = asyncio.get_running_loop().time
        self._held += 1
        if self._held == 1 and self._clock is not None and (when := self._clock.when()) is not None:
            self._left_s = when - now()
            self._clock.reschedule(None)
        try:
            yield
        finally:
            self._held -= 1
            if self._held == 0 and self._clock is not None and not self._clock.expired():
                self._clock.reschedule(now() + self._left_s)


def severity(level: Any) -> int:
    """Give the rank of a log level; one that nobody knows counts as the least."""
    return _SEVERITIES.index(level) if level in _SEVERITIES else 0


def unasked(method: str) -> MCPError:
    """Say that nobody answers this here."""
    return MCPError(types.INVALID_REQUEST, f"nobody answers {method} here")


async def nobody(method: str, params: dict[str, Any], key: str) -> dict[str, Any]:
    """Answer nothing."""
    raise unasked(method)


class Improper(Exception):
    """What a server asks for is not what it may ask for. The message says why, in our own words."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a modern server wants before it goes on."""

    questions: Mapping[str, tuple[str, dict[str, Any]]]
    state: str | None

    @classmethod
    def of(cls, result: Mapping[str, Any], offered: Offered) -> "Round":
        """Read an `InputRequiredResult`.

        Raises:
            Improper: it is none, or asks for what this client does not do.

        """
        asked, state = result.get("inputRequests") or {}, result.get("requestState")
        if not isinstance(asked, dict) or not isinstance(state, str | None) or not (asked or state):
            raise Improper("asked for input in a way that can't be read")
        if len(asked) > MOST_ASKED:
            raise Improper(f"asked more than {MOST_ASKED} questions at once")
        return cls({key: _question(one, offered) for key, one in asked.items()}, state)

    async def answered(self, asker: Asker) -> dict[str, Any]:
        """Ask everything at once; give what the next request carries.

        Raises:
            MCPError: one question gets no answer.

        """
        found: dict[str, Any] = {}

        async def ask(key: str, method: str, params: dict[str, Any]) -> None:
            found[key] = await asker(method, params, key)

        try:
            # Not asyncio's group: that of 3.11 leaves its task marked as cancelled when one of them fails.
            async with anyio.create_task_group() as group:
                for key, (method, params) in self.questions.items():
                    group.start_soon(ask, key, method, params)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        responses = {key: found[key] for key in self.questions}
        return ({"inputResponses": responses} if responses else {}) | (
            {} if self.state is None else {"requestState": self.state}
        )


def _question(one: Any, offered: Offered) -> tuple[str, dict[str, Any]]:
    method = one.get("method") if isinstance(one, dict) else None
    params = (one.get("params") or {}) if isinstance(one, dict) else None
    if not isinstance(method, str) or not isinstance(params, dict):
        raise Improper("asked for input in a way that can't be read")
    if method not in FEATURES or not offered.covers(method, params):
        raise Improper(f"asked for {method:.40} in the middle of the call, which it was not offered")
    return method, params
