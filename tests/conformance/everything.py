"""A server that does all that the conformance suite asks for, in both eras. Behind the proxy it leaves its name off.

`python everything.py [--as CONNECTOR] [--http]`. The suite calls its tools and prompts by fixed names, `test_sampling`
for one. With `--as test` only those of `test_` are there, without that prefix: behind a connector called `test`, with
the separator `_`, they come out of the proxy under the names that the suite knows.
"""

import argparse
import hashlib
import hmac
import json
import secrets
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ServerMessageMetadata

Context = ServerRequestContext[Any, Any]
Raw = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
KEY = secrets.token_bytes(32)
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class NeedsInput(Exception):
    """A handler of the modern era can't go on before the client answers."""

    def __init__(self, inputs: Mapping[str, Raw], state: str) -> None:
        super().__init__(*inputs)
        self.result: Raw = {"resultType": "input_required", "inputRequests": dict(inputs)}
        if state:
            self.result["requestState"] = sealed(state)


@dataclass
class Call:
    """One request: what it brought, and the ways to ask back."""

    server: "Everything"
    ctx: Context
    arguments: Raw
    answers: Raw = field(default_factory=dict)
    state: str = ""

    @property
    def modern(self) -> bool:
        return self.ctx.protocol_version == types.LATEST_PROTOCOL_VERSION

    def can(self, feature: str) -> bool:
        capabilities = self.ctx.session.client_capabilities
        return capabilities is not None and getattr(capabilities, feature) is not None

    async def ask(self, inputs: Mapping[str, Raw], state: str = "") -> Raw:
        """Ask the client for several things at once; give its answers by their keys."""
        if self.modern:
            if any(not isinstance(self.answers.get(key), dict) for key in inputs):
                raise NeedsInput(inputs, state)
            return self.answers
        return {key: await self._pushed(request) for key, request in inputs.items()}

    async def _pushed(self, request: Raw) -> Raw:
        typed, answer = PUSHED[request["method"]]
        related = ServerMessageMetadata(related_request_id=self.ctx.request_id)
        message = typed.model_validate(request, by_name=False)
        result = await self.ctx.session.send_request(message, answer, metadata=related)
        dumped: Raw = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return dumped

    async def log(self, words: str, level: types.LoggingLevel = "info") -> None:
        if self.modern or LEVELS.index(level) >= LEVELS.index(self.server.level):
            await self.ctx.session.send_log_message(level, words, "everything", self.ctx.request_id)


PUSHED: dict[str, tuple[Any, Any]] = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult),
}
Handler = Callable[[Call], Awaitable[Raw]]


def sealed(state: str) -> str:
    return f"{state}.{hmac.digest(KEY, state.encode(), 'sha256').hex()}"


def unsealed(token: str) -> str:
    state, _, seal = token.rpartition(".")
    if not hmac.compare_digest(
        seal.encode(), hmac.digest(KEY, state.encode(), hashlib.sha256).hex().encode()
    ):
        raise MCPError(types.INVALID_PARAMS, "this requestState is not one of ours")
    return state


def form(message: str, properties: Raw, *required: str) -> Raw:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sample(prompt: str, tokens: int = 100) -> Raw:
    said = {"role": "user", "content": {"type": "text", "text": prompt}}
    return {"method": "sampling/createMessage", "params": {"messages": [said], "maxTokens": tokens}}


ROOTS: Raw = {"method": "roots/list", "params": {}}
STRING = {"type": "string"}
NAME = form("What is your name?", {"name": STRING}, "name")


def text(words: str) -> Raw:
    return {"type": "text", "text": words}


def image() -> Raw:
    return {"type": "image", "data": PNG, "mimeType": "image/png"}


def embedded(uri: str, words: str, kind: str = "text/plain") -> Raw:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


def done(*content: Raw) -> Raw:
    return {"content": list(content)}


def told(*content: Raw) -> Handler:
    async def tell(_: Call) -> Raw:
        return done(*content)

    return tell


async def logging_tool(call: Call) -> Raw:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await call.log(words)
        await anyio.sleep(0.05)
    return done(text("three lines were logged"))


async def failing(_: Call) -> Raw:
    return done(text("This tool intentionally returns an error for testing")) | {"isError": True}


async def with_progress(call: Call) -> Raw:
    for progress in (0, 50, 100):
        await call.ctx.session.report_progress(progress, 100)
        await anyio.sleep(0.05)
    return done(text("all the way"))


async def sampling(call: Call) -> Raw:
    answer = (await call.ask({"reply": sample(call.arguments["prompt"])}))["reply"]
    return done(text(f"LLM response: {answer['content']['text']}"))


async def elicitation(call: Call) -> Raw:
    fields = {"username": STRING | {"description": "User's response"}, "email": STRING | {"format": "email"}}
    asked = form(call.arguments["message"], fields, "username", "email")
    return done(text(f"User response: {json.dumps((await call.ask({'reply': asked}))['reply'])}"))


def eliciting(properties: Raw) -> Handler:
    async def elicit(call: Call) -> Raw:
        answer = (await call.ask({"reply": form("Please fill this in", properties)}))["reply"]
        content = json.dumps(answer.get("content"))
        return done(text(f"Elicitation completed: action={answer['action']}, content={content}"))

    return elicit


DEFAULTS: Raw = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
OPTIONS = ["option1", "option2", "option3"]
TITLED = [
    {"const": f"value{i}", "title": f"{nth} Option"} for i, nth in enumerate(("First", "Second", "Third"), 1)
]
ENUMS: Raw = {
    "untitledSingle": {"type": "string", "enum": OPTIONS},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}


async def reconnection(call: Call) -> Raw:
    if call.ctx.close_sse_stream is not None:
        await call.ctx.close_sse_stream()
    await anyio.sleep(0.1)
    return done(text("the stream was closed meanwhile"))


async def missing_capability(call: Call) -> Raw:
    if not call.can("sampling"):
        wanted: Raw = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "this tool needs sampling", wanted)
    return done(text("the client can sample"))


async def greeted(call: Call) -> Raw:
    answer = (await call.ask({"user_name": NAME}))["user_name"]
    return done(text(f"Hello, {answer.get('content', {}).get('name')}!"))


async def sampled(call: Call) -> Raw:
    question = sample("What is the capital of France?")
    return done(text((await call.ask({"capital_question": question}))["capital_question"]["content"]["text"]))


async def rooted(call: Call) -> Raw:
    return done(text(json.dumps((await call.ask({"client_roots": ROOTS}))["client_roots"]["roots"])))


async def confirmed(call: Call) -> Raw:
    await call.ask({"confirm": form("Please confirm", {"ok": {"type": "boolean"}}, "ok")}, "waiting")
    return done(text("state-ok" if call.state == "waiting" or not call.modern else "state-missing"))


async def many(call: Call) -> Raw:
    wanted: dict[str, Raw] = {
        "user_name": NAME,
        "greeting": sample("Generate a greeting", 50),
        "client_roots": ROOTS,
    }
    return done(text(json.dumps(sorted(await call.ask(wanted, "many")))))


async def rounds(call: Call) -> Raw:
    """Ask for a name, then for a colour. What was said in the first round travels in the state."""
    if call.state.startswith("name="):
        answer = await call.ask({"step2": COLOUR}, call.state)
        return done(text(f"{call.state}, {answer['step2'].get('content')}"))
    answer = await call.ask({"step1": form("Step 1: What is your name?", {"name": STRING}, "name")}, "begun")
    state = f"name={answer['step1'].get('content', {}).get('name')}"
    if call.modern:
        raise NeedsInput({"step2": COLOUR}, state)
    second = await call.ask({"step2": COLOUR})
    return done(text(f"{state}, {second['step2'].get('content')}"))


COLOUR = form("Step 2: What is your favorite color?", {"color": STRING}, "color")


async def as_able(call: Call) -> Raw:
    """Ask only for what the client says it can do."""
    wanted: dict[str, Raw] = {"elicitation": NAME, "sampling": sample("Say something"), "roots": ROOTS}
    able = {f"need_{feature}": request for feature, request in wanted.items() if call.can(feature)}
    return done(text(json.dumps(sorted(await call.ask(able)) if able else [])))


async def tools_changed(call: Call) -> Raw:
    call.server.turned = not call.server.turned
    await call.server.bus.publish(ToolsListChanged())
    if not call.modern:
        await call.ctx.session.send_tool_list_changed()
    return done(text("the list of tools changed"))


async def prompts_changed(call: Call) -> Raw:
    await call.server.bus.publish(PromptsListChanged())
    if not call.modern:
        await call.ctx.session.send_prompt_list_changed()
    return done(text("the list of prompts changed"))


async def resource_changed(call: Call) -> Raw:
    await call.server.bus.publish(ResourceUpdated(WATCHED))
    if not call.modern and WATCHED in call.server.watched:
        await call.ctx.session.send_resource_updated(WATCHED)
    return done(text("the watched resource changed"))


@dataclass(frozen=True)
class Tool:
    about: str
    run: Handler
    properties: Raw = field(default_factory=dict)
    schema: Raw | None = None

    def listed(self, name: str) -> Raw:
        plain = {"type": "object", "properties": self.properties, "required": list(self.properties)}
        return {"name": name, "description": self.about, "inputSchema": self.schema or plain}


TWENTY_TWELVE: Raw = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": STRING, "city": STRING},
        }
    },
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
MIXED = (
    text("Multiple content types test:"),
    image(),
    embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
)
TOOLS: dict[str, Tool] = {
    "test_simple_text": Tool("Say a sentence", told(text("This is a simple text response for testing."))),
    "test_image_content": Tool("Show a pixel", told(image())),
    "test_audio_content": Tool("Play silence", told({"type": "audio", "data": WAV, "mimeType": "audio/wav"})),
    "test_embedded_resource": Tool(
        "Embed", told(embedded("test://embedded-resource", "This is an embedded resource content."))
    ),
    "test_multiple_content_types": Tool("Show three kinds", told(*MIXED)),
    "test_tool_with_logging": Tool("Log three lines", logging_tool),
    "test_logging_tool": Tool("Log three lines too", logging_tool),
    "test_error_handling": Tool("Fail", failing),
    "test_tool_with_progress": Tool("Report progress", with_progress),
    "test_sampling": Tool("Ask the client's model", sampling, {"prompt": STRING}),
    "test_elicitation": Tool("Ask the user", elicitation, {"message": STRING}),
    "test_elicitation_sep1034_defaults": Tool("Ask with defaults", eliciting(DEFAULTS)),
    "test_elicitation_sep1330_enums": Tool("Ask with choices", eliciting(ENUMS)),
    "test_streaming_elicitation": Tool("Ask while the answer streams", greeted),
    "test_reconnection": Tool("Close the stream meanwhile", reconnection),
    "test_missing_capability": Tool("Need a client that samples", missing_capability),
    "test_trigger_tool_change": Tool("Add or remove a tool", tools_changed),
    "test_trigger_prompt_change": Tool("Say that prompts changed", prompts_changed),
    "test_trigger_resource_change": Tool("Say that a resource changed", resource_changed),
    "test_input_required_result_elicitation": Tool("Ask for a name", greeted),
    "test_input_required_result_sampling": Tool("Ask for a capital", sampled),
    "test_input_required_result_list_roots": Tool("Ask for the roots", rooted),
    "test_input_required_result_request_state": Tool("Ask for a word of consent", confirmed),
    "test_input_required_result_multiple_inputs": Tool("Ask for three things", many),
    "test_input_required_result_multi_round": Tool("Ask twice", rounds),
    "test_input_required_result_tampered_state": Tool("Ask for consent, and mind the state", confirmed),
    "test_input_required_result_capabilities": Tool("Ask for what the client can", as_able),
    "test_custom_headers": Tool(
        "Want a header",
        told(text("it came with its header")),
        {"region": STRING | {"x-mcp-header": "Region"}},
    ),
    "json_schema_2020_12_tool": Tool(
        "Tool with JSON Schema 2020-12 features", told(text("it fits")), schema=TWENTY_TWELVE
    ),
}
TURNED = {"test_turned_up": Tool("Be here at times", told(text("still here")))}


async def embedding(call: Call) -> Raw:
    resource = embedded(call.arguments["resourceUri"], "Embedded resource content for testing.")
    return messages(resource, text("Please process the embedded resource above."))


async def with_arguments(call: Call) -> Raw:
    first, second = (call.arguments[name] for name in ("arg1", "arg2"))
    return messages(text(f"Prompt with arguments: arg1='{first}', arg2='{second}'"))


async def with_context(call: Call) -> Raw:
    asked = form("What context should the prompt use?", {"context": STRING}, "context")
    answer = (await call.ask({"user_context": asked}))["user_context"]
    return messages(text(f"Use this context: {answer.get('content', {}).get('context')}"))


def messages(*content: Raw) -> Raw:
    return {"messages": [{"role": "user", "content": block} for block in content]}


def prompting(*content: Raw) -> Handler:
    async def give(_: Call) -> Raw:
        return messages(*content)

    return give


PROMPTS: dict[str, tuple[Handler, tuple[str, ...]]] = {
    "test_simple_prompt": (prompting(text("This is a simple prompt for testing.")), ()),
    "test_prompt_with_arguments": (with_arguments, ("arg1", "arg2")),
    "test_prompt_with_embedded_resource": (embedding, ("resourceUri",)),
    "test_prompt_with_image": (prompting(image(), text("Please analyze the image above.")), ()),
    "test_input_required_result_prompt": (with_context, ()),
}
WATCHED = "test://watched-resource"
RESOURCES: dict[str, Raw] = {
    "test://static-text": {
        "mimeType": "text/plain",
        "text": "This is the content of the static text resource.",
    },
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    WATCHED: {"mimeType": "text/plain", "text": "This one may change."},
}
TEMPLATE = ("test://template/", "/data")


def read(uri: str) -> Raw:
    before, after = TEMPLATE
    if uri in RESOURCES:
        return {"uri": uri, **RESOURCES[uri]}
    if uri.startswith(before) and uri.endswith(after) and (name := uri[len(before) : -len(after)]):
        said = json.dumps({"id": name, "templateTest": True, "data": f"Data for ID: {name}"})
        return {"uri": uri, "mimeType": "application/json", "text": said}
    raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})


def kept(**result: list[Raw]) -> Raw:
    """Say how long a client may keep a result; one of the era before is not told."""
    return {"resultType": "complete", "ttlMs": 1000, "cacheScope": "public", **result}


class Everything:
    """The handlers, over the tables above."""

    def __init__(self, connector: str = "") -> None:
        self.prefix = f"{connector}_" if connector else ""
        self.bus = InMemorySubscriptionBus()
        self.level = "debug"
        self.turned = False
        self.watched: set[str] = set()

    def server(self) -> Server[Any]:
        talks = self.prefix in ("", "test_")
        # The SDK takes results as they go over the wire too, which its types don't say.
        tools: Raw = {"on_list_tools": self.list_tools, "on_call_tool": self.call_tool}
        more: Raw = {
            "on_list_prompts": self.list_prompts,
            "on_get_prompt": self.get_prompt,
            "on_list_resources": self.list_resources,
            "on_list_resource_templates": self.list_templates,
            "on_read_resource": self.read_resource,
            "on_subscribe_resource": self.subscribe,
            "on_unsubscribe_resource": self.unsubscribe,
            "on_completion": self.complete,
            "on_set_logging_level": self.set_level,
        }
        return Server(
            "everything",
            version="1",
            instructions="A server to try things on.",
            get_tool_input_schema=self.schema,
            on_subscriptions_listen=ListenHandler(self.bus),
            **tools,
            **(more if talks else {}),
        )

    def known(self, table: Mapping[str, Any]) -> Raw:
        return {
            name.removeprefix(self.prefix): row for name, row in table.items() if name.startswith(self.prefix)
        }

    def tools(self) -> Mapping[str, Tool]:
        return self.known(TOOLS | TURNED if self.turned else TOOLS)

    def schema(self, name: str) -> Raw | None:
        tool = self.tools().get(name)
        return tool.listed(name)["inputSchema"] if tool else None

    async def list_tools(self, *_: Any) -> Raw:
        return kept(tools=[tool.listed(name) for name, tool in self.tools().items()])

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> Raw:
        tool = self.tools().get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await self.run(tool.run, ctx, params.arguments or {})

    async def run(self, handler: Handler, ctx: Context, arguments: Raw) -> Raw:
        given = ctx.params or {}
        state = given.get("requestState")
        call = Call(self, ctx, arguments, given.get("inputResponses") or {}, unsealed(state) if state else "")
        try:
            return {"resultType": "complete", **await handler(call)}
        except NeedsInput as needed:
            return needed.result

    async def list_prompts(self, *_: Any) -> Raw:
        prompts = [
            {
                "name": name,
                "description": f"The prompt {name}",
                "arguments": [{"name": argument, "required": True} for argument in arguments],
            }
            for name, (_, arguments) in self.known(PROMPTS).items()
        ]
        return kept(prompts=prompts)

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> Raw:
        prompt = self.known(PROMPTS).get(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
        return await self.run(prompt[0], ctx, dict(params.arguments or {}))

    async def list_resources(self, *_: Any) -> Raw:
        kinds = [(uri, content["mimeType"]) for uri, content in RESOURCES.items()]
        described = {"description": "Something to read"}
        return kept(resources=[{"uri": u, "name": u[7:], "mimeType": kind, **described} for u, kind in kinds])

    async def list_templates(self, *_: Any) -> Raw:
        template = {"uriTemplate": "{id}".join(TEMPLATE), "name": "data", "mimeType": "application/json"}
        return kept(resourceTemplates=[template])

    async def read_resource(self, _: Context, params: types.ReadResourceRequestParams) -> Raw:
        return kept(contents=[read(str(params.uri))])

    async def subscribe(self, _: Context, params: types.SubscribeRequestParams) -> Raw:
        self.watched.add(str(params.uri))
        return {}

    async def unsubscribe(self, _: Context, params: types.UnsubscribeRequestParams) -> Raw:
        self.watched.discard(str(params.uri))
        return {}

    async def complete(self, _: Context, params: types.CompleteRequestParams) -> Raw:
        offered = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
        return {
            "resultType": "complete",
            "completion": {"values": offered, "total": len(offered), "hasMore": False},
        }

    async def set_level(self, _: Context, params: types.SetLevelRequestParams) -> Raw:
        self.level = params.level
        return {}


class Memory(EventStore):
    """What a client that lost its stream may ask for again."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        since = int(last_event_id)
        if not 0 < since <= len(self.events):
            return None
        stream = self.events[since - 1][0]
        for number, (of, message) in enumerate(self.events[since:], since + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as", dest="connector", default="")
    parser.add_argument("--http", action="store_true")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # logging and roots are of the era before
    server = Everything(chosen.connector).server()
    if not chosen.http:
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
        return
    app = server.streamable_http_app(event_store=Memory(), retry_interval=500)
    # With the protocol named, asyncio sends small answers at once.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listening])


if __name__ == "__main__":
    anyio.run(main)
