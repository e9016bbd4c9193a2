"""What malicious servers try (`tests/attacks/mcp_servers`): it works against a bare client, and not here."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
import yaml
from mcp import Client, StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from tests.adapters.mcp.engines import ALL, Context
from tests.adapters.mcp.rig import UPSTREAMS, policy

from blastwall.guard import Guard
from blastwall_mcp.engine.clients import Client as Visitor
from blastwall_mcp.fronts.proxy import serving

CASES = [
    case
    for file in sorted((Path(__file__).parents[2] / "attacks" / "mcp_servers").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
STUCK_S = 3.0
"""How long a bare client waits before it counts as held up."""

PATIENCE_S = 20.0
"""How long anything may take behind blastwall on a busy machine; its own limits are far below."""

LIMITS = {"start_s": 4, "call_s": 1.5}
RULES: list[Any] = [
    {"id": "tools", "effect": "allow", "tools": ["*"]},
    {"id": "messages", "effect": "allow", "messages": ["resources/*", "prompts/get", "notifications/message"]},
    {"id": "asks", "effect": "allow", "messages": ["elicitation/create", "sampling/createMessage"], "budget": {"session": 3}},
    {"id": "roots", "effect": "allow", "messages": ["roots/list"], "budget": {"session": 3}},
]  # fmt: skip
ANSWERS = {
    "elicitation/create": {"action": "accept", "content": {}},
    "sampling/createMessage": {"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"},
    "roots/list": {"roots": [{"uri": "file:///srv/project"}]},
}
HONEST = {"have": {"tools": [{"name": "work", "inputSchema": {"type": "object"}}], "resources": [{"name": "notes", "uri": "good://notes"}]}}  # fmt: skip


class Seen:
    """What came of a case: all that the client was told and asked, and how each move ended."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.told: list[str] = []
        self.asked: list[str] = []
        self.ends: list[str] = []

    def tell(self, what: Any) -> None:
        self.told.append(json.dumps(what, ensure_ascii=False, default=str))

    def ask(self, method: str, params: Any) -> Any:
        self.asked.append(method)
        self.tell(params)
        return ANSWERS[method]

    async def heard(self, message: Any) -> None:
        if not isinstance(message, Exception):
            self.tell(message.model_dump(mode="json") if hasattr(message, "model_dump") else message)

    async def logged(self, params: types.LoggingMessageNotificationParams) -> None:
        await self.heard(params)

    def answering(self, method: str, model: Any) -> Any:
        async def answer(_ctx: Any, params: Any = None) -> Any:
            found = self.ask(method, params.model_dump(mode="json") if params else {})
            return model.model_validate(found)

        return answer

    def reached(self, goal: dict[str, Any]) -> bool:
        """Say whether the attacker has what it wanted."""
        match goal:
            case {"told": text}:
                return sum(text in told for told in self.told) > int(goal.get("more", 0))
            case {"asked": method}:
                return self.asked.count(method) > int(goal.get("more", 0))
            case {"server": method, "more": most}:
                lines = self.journal.read_text().splitlines() if self.journal.exists() else []
                return [json.loads(line).get("method") for line in lines].count(method) > int(most)
            case {"stuck": True}:
                return "stuck" in self.ends
            case {"down": True}:
                return self.ends[-1] != "result"
            case _:
                raise ValueError(goal)


async def play(case: dict[str, Any], seen: Seen, move: Any, limit_s: float) -> None:
    """Make the client's moves."""
    for step in case["moves"]:
        if "wait" in step:
            await asyncio.sleep(step["wait"])
            continue
        try:
            async with asyncio.timeout(step.get("within", limit_s)):
                seen.tell(await move(step))
            seen.ends.append("result")
        except TimeoutError:
            seen.ends.append("result" if "within" in step else "stuck")  # it was meant to be cancelled
        except MCPError as error:
            seen.tell([error.code, error.message, error.data])
            seen.ends.append(f"error {error.code}")
        except Exception as error:  # noqa: BLE001  # whatever a bare client makes of it
            seen.ends.append(type(error).__name__)


# --- Without blastwall --------------------------------------------------------------------------------


def spoken(script: dict[str, Any], journal: Path) -> list[str]:
    return [sys.executable, "-S", str(UPSTREAMS / "scripted.py"), json.dumps(script), str(journal)]


async def plain(case: dict[str, Any], folder: Path) -> Seen:
    """Let mcp's own client speak to the server."""
    seen = Seen(folder / "journal")
    command, *args = spoken(case["script"], seen.journal)

    with (folder / "errors").open("w") as errors:
        client = Client(
            stdio_client(StdioServerParameters(command=command, args=args), errlog=errors),
            mode="auto" if case["script"].get("era") == "modern" else "legacy",
            cache=None,
            message_handler=seen.heard,
            logging_callback=seen.logged,
            elicitation_callback=seen.answering("elicitation/create", types.ElicitResult),
            sampling_callback=seen.answering("sampling/createMessage", types.CreateMessageResult),
            list_roots_callback=seen.answering("roots/list", types.ListRootsResult),
        )
        limit_s = case.get("patience_s", STUCK_S)
        with anyio.move_on_after(limit_s * 4) as whole:
            try:
                async with client, asyncio.timeout(limit_s * 3):
                    await play(case, seen, lambda step: naive(client, step, seen), limit_s)
            except TimeoutError:
                seen.ends.append("stuck")
            except Exception as error:  # noqa: BLE001  # it could not even connect
                seen.ends.append(type(error).__name__)
        if whole.cancelled_caught:
            seen.ends.append("stuck")
    return seen


async def naive(client: Client, step: dict[str, Any], seen: Seen) -> Any:  # noqa: C901  # one for each move
    """Make one move as most clients do: believe the server."""
    match step:
        case {"list": kind}:
            found, cursor = [], None
            while True:
                page = await getattr(client, f"list_{kind}")(cursor=cursor)
                found += [item.model_dump(mode="json") for item in getattr(page, kind)]
                cursor = page.next_cursor
                if cursor is None:
                    return found
        case {"call": tool}:

            async def progress(progress: float, total: float | None, message: str | None) -> None:
                await seen.heard(message)

            result = await client.call_tool(tool, step.get("with", {}), progress_callback=progress)
            return result.model_dump(mode="json")
        case {"read": uri}:
            return (await client.read_resource(uri)).model_dump(mode="json")
        case {"prompt": name}:
            return (await client.get_prompt(name)).model_dump(mode="json")
        case {"instructions": _}:
            return client.instructions
        case _:
            raise ValueError(step)


# --- Behind it ----------------------------------------------------------------------------------------


class Told:
    """What a client is told beside its requests."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def notify(self, method: str, params: Any) -> None:
        self._seen.tell([method, params])

    async def send_raw_request(self, method: str, params: Any) -> Any:
        return self._seen.ask(method, params)


class Request(Context):
    """A request of our client."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(seen.ask)
        self._seen = seen

    async def notify(self, method: str, params: Any) -> None:
        self._seen.tell([method, params])

    async def progress(self, *step: Any) -> None:
        self._seen.tell(step)


@asynccontextmanager
async def guarded(case: dict[str, Any], folder: Path) -> AsyncGenerator[tuple[Seen, Any]]:
    """Put blastwall between a client and two servers: the case's own, and an honest one."""
    seen = Seen(folder / "journal")

    def server(script: dict[str, Any], journal: Path) -> dict[str, Any]:
        command, *args = spoken(script, journal)
        return {"command": command, "args": args, "sandbox": "none", **LIMITS}

    evil = {"server": server(case["script"], seen.journal), "rules": RULES} | case.get("connector", {})
    good = {"server": server(HONEST, folder / "good"), "rules": RULES}
    guard = Guard.from_file(policy(folder, {"evil": evil, "good": good}))
    with guard.session() as session:
        async with anyio.create_task_group() as tasks:
            async with serving(guard, session, tasks) as engine:
                client = Visitor("local", session, "2025-11-25", False, ALL, channel=Told(seen))
                hello = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": ALL,
                    "clientInfo": {"name": "c", "version": "1"},
                }
                seen.tell(await engine.request(client, Request(seen), "initialize", hello))
                await engine.opened(client)

                async def move(step: dict[str, Any]) -> Any:
                    return await engine.request(client, Request(seen), *asked_for(step))

                try:
                    yield seen, move
                finally:
                    await engine.closed(client)
            tasks.cancel_scope.cancel()


def asked_for(step: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    match step:
        case {"list": kind}:
            return f"{kind}/list", {}
        case {"call": tool}:
            name = tool if "__" in tool else f"evil__{tool}"
            return "tools/call", {
                "name": name,
                "arguments": step.get("with", {}),
                "_meta": {"progressToken": 1},
            }
        case {"read": uri}:
            return "resources/read", {"uri": uri}
        case {"prompt": name}:
            return "prompts/get", {"name": f"evil__{name}"}
        case {"instructions": _}:
            return "ping", {}  # they came with the handshake
        case _:
            raise ValueError(step)


# --- The two halves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_it_works_against_a_bare_client(case, tmp_path):
    seen = await plain(case, tmp_path)
    assert seen.reached(case["goal"]) is (case.get("plain") != "safe"), (seen.ends, seen.told)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_it_does_not_work_behind_blastwall(case, tmp_path):
    async with guarded(case, tmp_path) as (seen, move):
        await play(case, seen, move, PATIENCE_S)
        assert not seen.reached(case["goal"]), (seen.ends, seen.told)
        assert "stuck" not in seen.ends, seen.ends
        assert set(seen.ends) <= {"result", *(e for e in seen.ends if e.startswith("error "))}, seen.ends
        if "here" in case:
            assert any(case["here"] in told for told in seen.told), (seen.ends, seen.told)
        again = await move({"call": "good__work"})
        assert again["content"][0]["text"] == "ran work", again


def test_there_are_enough_cases_and_each_has_a_name_of_its_own():
    assert len(CASES) >= 60
    assert len({case["id"] for case in CASES}) == len(CASES)
