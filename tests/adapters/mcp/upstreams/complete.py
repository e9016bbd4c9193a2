"""A server with everything that MCP knows, on mcp's low-level class, in the era that its client speaks.

Argument: a folder, where its tools leave marks.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError

MODERN = "2026-07-28"
FORM = {"type": "object", "properties": {"name": {"type": "string"}}}
ASKS: dict[str, Any] = {
    "name": types.ElicitRequest(
        params=types.ElicitRequestFormParams(message="your name?", requested_schema=FORM)
    ),
    "words": types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(
            messages=[types.SamplingMessage(role="user", content=types.TextContent(text="say a word"))],
            max_tokens=10,
        )
    ),
    "roots": types.ListRootsRequest(),
}
folder = Path(sys.argv[1])
bus = InMemorySubscriptionBus()
Context = ServerRequestContext[Any, Any]


def text(words: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=words)], **more)


def words_of(name: str, answer: Any) -> str:
    match name:
        case "name":
            return f"{answer.action} {(answer.content or {}).get('name')}"
        case "words":
            return f"{answer.model} {answer.content.text}"
        case _:
            return ",".join(str(root.uri) for root in answer.roots)


async def asked(ctx: Context, params: Any, *names: str) -> Any:
    """Ask in the way of the era, for all of it at once where that has a way."""
    if ctx.protocol_version == MODERN:
        given = params.input_responses or {}
        if missing := [name for name in names if name not in given]:
            requests = {name: ASKS[name] for name in missing}
            return types.InputRequiredResult(input_requests=requests, request_state=f"wants {missing}")
        return [words_of(name, given[name]) for name in names]
    return [words_of(name, await pushed(ctx, name)) for name in names]


async def pushed(ctx: Context, name: str) -> Any:
    match name:
        case "name":
            return await ctx.session.elicit_form("your name?", FORM, related_request_id=ctx.request_id)
        case "words":
            wanted = ASKS["words"].params
            return await ctx.session.create_message(
                wanted.messages, max_tokens=10, related_request_id=ctx.request_id
            )
        case _:
            return await ctx.session.list_roots()


def asking(*names: str) -> Callable[[Context, Any], Awaitable[Any]]:
    async def tool(ctx: Context, params: Any) -> Any:
        found = await asked(ctx, params, *names)
        return found if isinstance(found, types.InputRequiredResult) else text("; ".join(found))

    return tool


async def echo(ctx: Context, params: Any) -> Any:
    return text("hi", structured_content={"meta": dict(ctx.meta or {})}, _meta={"example.org/own": 1})


async def fail(ctx: Context, params: Any) -> Any:
    raise MCPError(-32050, "no such luck", {"why": ["bad", "day"]})


async def log(ctx: Context, params: Any) -> Any:
    await ctx.session.send_log_message("debug", "quiet", related_request_id=ctx.request_id)
    await ctx.session.send_log_message("error", "loud", related_request_id=ctx.request_id)
    return text("logged")


async def touch(ctx: Context, params: Any) -> Any:
    uri = "file:///a"
    if ctx.protocol_version == MODERN:
        await bus.publish(ResourceUpdated(uri))
        await bus.publish(ToolsListChanged())
    else:
        await ctx.session.send_resource_updated(uri)
        await ctx.session.send_tool_list_changed()
    return text("touched")


async def slow(ctx: Context, params: Any) -> Any:
    (folder / "started").touch()
    try:
        await anyio.sleep(60)
    except BaseException:
        (folder / "cancelled").touch()
        raise


TOOLS: dict[str, Callable[[Context, Any], Awaitable[Any]]] = {
    "echo": echo,
    "fail": fail,
    "name": asking("name"),
    "words": asking("words"),
    "roots": asking("roots"),
    "all": asking("name", "words", "roots"),
    "log": log,
    "touch": touch,
    "slow": slow,
}


async def list_tools(ctx: Context, params: Any) -> Any:
    return types.ListToolsResult(tools=[types.Tool(name=n, input_schema={"type": "object"}) for n in TOOLS])


async def call_tool(ctx: Context, params: Any) -> Any:
    return await TOOLS[params.name](ctx, params)


async def list_resources(ctx: Context, params: Any) -> Any:
    resources = [types.Resource(name=name, uri=f"file:///{name}") for name in ("a", "secret")]
    return types.ListResourcesResult(resources=resources, ttl_ms=60_000)


async def list_templates(ctx: Context, params: Any) -> Any:
    template = types.ResourceTemplate(name="notes", uri_template="note://{id}/text")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read(ctx: Context, params: Any) -> Any:
    content = types.TextResourceContents(uri=params.uri, text=f"what is in {params.uri}")
    return types.ReadResourceResult(contents=[content], ttl_ms=5000, cache_scope="public")


async def subscribe(ctx: Context, params: Any) -> Any:
    return types.EmptyResult()


async def list_prompts(ctx: Context, params: Any) -> Any:
    prompts = [
        types.Prompt(name=name, arguments=[types.PromptArgument(name="who")]) for name in ("greet", "ask")
    ]
    return types.ListPromptsResult(prompts=prompts)


async def get_prompt(ctx: Context, params: Any) -> Any:
    who = (params.arguments or {}).get("who", "you")
    if params.name == "ask":
        found = await asked(ctx, params, "name")
        if isinstance(found, types.InputRequiredResult):
            return found
        who = found[0]
    message = types.PromptMessage(role="user", content=types.TextContent(text=f"greet {who}"))
    return types.GetPromptResult(messages=[message])


async def complete(ctx: Context, params: Any) -> Any:
    of = getattr(params.ref, "name", None) or params.ref.uri
    values = [f"{of} {params.argument.value}"]
    return types.CompleteResult(completion=types.Completion(values=values))


async def set_level(ctx: Context, params: Any) -> Any:
    (folder / "level").write_text(params.level)
    return types.EmptyResult()


async def main() -> None:
    server = Server(
        "complete",
        instructions="ask me anything",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=subscribe,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
        on_set_logging_level=set_level,
    )
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


anyio.run(main)
