"""The engine with servers that are functions: no process, no pipe, and every step in the test's hand."""

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from tests.adapters.mcp.rig import behind, policy

from blastwall.guard import Guard
from blastwall_mcp.engine.clients import Client
from blastwall_mcp.engine.engine import Engine
from blastwall_mcp.upstreams.hooks import Hooks, Key, UpstreamError
from blastwall_mcp.upstreams.offered import NOTHING_OFFERED
from blastwall_mcp.upstreams.pages import Listing

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
VERSIONS = {"modern": "2026-07-28", "legacy": "2025-11-25"}
ALL: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}
MAY_ASK: list[Any] = [
    {"id": "tools", "effect": "allow", "tools": ["*"]},
    {"id": "ask", "effect": "allow", "messages": ["elicitation/create"], "budget": {"session": 50}},
    {"id": "sample", "effect": "allow", "messages": ["sampling/createMessage"], "budget": {"session": 50}},
    {"id": "roots", "effect": "allow", "messages": ["roots/list"]},
]
FORM = {"requestedSchema": {"type": "object", "properties": {}}}
Answering = Callable[..., Awaitable[Any]]


def text(words: object, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": str(words)}], **more}


class Back:
    """An upstream whose every request goes to one function, `(method, params, options)`."""

    def __init__(self, key: Key, hooks: Hooks, answering: Answering) -> None:
        self.key, self.connector = key, key.connector
        self.hooks, self.answering = hooks, answering
        self.version, self.instructions, self.info, self.modern = 1, "", {"name": "back"}, True
        self.capabilities: dict[str, Any] = {"tools": {}}
        self.lists: dict[str, list[Any]] = {"tools": [{"name": "do", "inputSchema": {"type": "object"}}]}
        self.told: list[Any] = []
        self.ttl_ms, self.up = 0, True

    async def ensure(self) -> None: ...

    async def listing(self, method: str, key: str) -> Listing:
        return Listing(self.lists.get(key, []), self.ttl_ms)

    async def request(self, method: str, params: Any, **options: Any) -> Any:
        return await self.answering(method, params, options)

    async def notify(self, *told: Any) -> None:
        self.told.append(told)

    async def subscribe(self, uri: str) -> None:
        if "secret" in uri:
            raise UpstreamError(-32002, "no")
        self.told.append(("subscribe", uri))

    async def unsubscribe(self, uri: str) -> None:
        self.told.append(("unsubscribe", uri))

    async def set_level(self, level: str) -> None:
        self.told.append(("level", level))


class Fakes:
    """A pool of them."""

    def __init__(self, hooks: Hooks, answering: Answering, setting: Callable[[Back], None]) -> None:
        self.made: dict[Key, Back] = {}
        self._hooks, self._answering, self._setting = hooks, answering, setting

    def upstream(
        self, connector: str, principal: str = "", offered: Any = NOTHING_OFFERED, profile: Any = None
    ) -> Back:
        key = Key(connector, principal, offered, profile)
        if key not in self.made:
            self.made[key] = Back(key, self._hooks, self._answering)
            self._setting(self.made[key])
        return self.made[key]


class Context:
    """A request of a client: what it was told and asked meanwhile. `answering` gives its answers."""

    def __init__(self, answering: Any = None) -> None:
        self.request_id = 7
        self.told: list[Any] = []
        self.asked: list[Any] = []
        self.steps: list[Any] = []
        self._answering = answering

    async def notify(self, method: str, params: Any) -> None:
        self.told.append((method, params))

    async def send_raw_request(self, method: str, params: Any) -> Any:
        self.asked.append((method, params))
        answer = self._answering(method, params) if callable(self._answering) else self._answering
        return await answer if isinstance(answer, Awaitable) else answer

    async def progress(self, *step: Any) -> None:
        self.steps.append(step)


class Desk:
    """An engine, with clients that have only to be named."""

    def __init__(self, guard: Guard, engine: Engine, session: Any) -> None:
        self.guard, self.engine, self.session = guard, engine, session
        self.fakes: Fakes

    def client(self, era: str = "modern", can: Any = None, principal: str = "local", **more: Any) -> Client:
        version = more.pop("version", VERSIONS[era])
        return Client(principal, self.session, version, era == "modern", can or {}, **more)

    async def ask(self, client: Client, method: str, context: Any = None, **params: Any) -> Any:
        if client.modern and "_meta" not in params:
            params["_meta"] = {
                types.PROTOCOL_VERSION_META_KEY: client.version,
                types.CLIENT_CAPABILITIES_META_KEY: dict(client.capabilities),
            }
        return await self.engine.request(client, context or Context(), method, params)

    async def do(self, client: Client, context: Any = None, **params: Any) -> Any:
        return await self.ask(client, "tools/call", context, **{"name": "it__do", "arguments": {}} | params)

    async def fails(self, client: Client, method: str = "tools/call", **params: Any) -> MCPError:
        with pytest.raises(MCPError) as caught:
            await (
                self.do(client, **params) if method == "tools/call" else self.ask(client, method, **params)
            )
        return caught.value

    def records(self) -> list[Any]:
        log = self.guard.policy.state.audit_path
        return [json.loads(line) for line in log.read_text().splitlines()]


@asynccontextmanager
async def desk(folder: Any, answering: Answering, rules: Any = None, setting: Any = None, **blocks: Any):
    """Give an engine for one connector, `it`, whose server is a function."""
    connector = behind("gone.py", rules=rules) | blocks.pop("connector", {})
    if wait_s := blocks.pop("wait_s", None):
        blocks["defaults"] = {
            "state": {"directory": str(folder / "state")},
            "approval": {"timeout_s": wait_s},
        }
    guard = Guard.from_file(policy(folder, {"it": connector}, **blocks))
    with guard.session() as session:
        found: list[Fakes] = []

        def pool(_servers: Any, hooks: Hooks) -> Any:
            found.append(Fakes(hooks, answering, setting or (lambda back: None)))
            return found[0]

        engine = Engine(guard, pool)
        made = Desk(guard, engine, session)
        made.fakes = found[0]
        try:
            yield made
        finally:
            await engine.close()
