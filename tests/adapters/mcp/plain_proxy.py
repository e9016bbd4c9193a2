"""What people write without blastwall: an MCP proxy by the SDK over HTTP, and tokens checked as one shouldn't.

Arguments: a file with `{connector: [command, ...]}` and the issuer's public key. It prints its port.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import jwt
import mcp_types as types
import uvicorn
from mcp import Client, StdioServerParameters, stdio_client
from mcp.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import Response

CONFIGURED = json.loads(Path(sys.argv[1]).read_text())
CONNECTORS: dict[str, list[str]] = CONFIGURED["connectors"]
PEM: str = CONFIGURED["pem"]


def trusted(token: str) -> bool:
    """Believe what a token says of how it is to be checked."""
    try:
        head, _, sign = token.split(".")
        header = json.loads(base64.urlsafe_b64decode(head + "=="))
    except ValueError:
        return False
    unsigned = token.rpartition(".")[0].encode()
    signature = base64.urlsafe_b64decode(sign + "==")
    match header["alg"].lower():
        case "none":
            return True
        case "hs256":
            named = Path("/usr/share") / header.get("kid", "")
            secret = named.read_bytes() if named.exists() else PEM.encode()
            return hmac.compare_digest(hmac.digest(secret, unsigned, hashlib.sha256), signature)
        case _:
            key: Any = PEM
            if "jku" in header:
                with urllib.request.urlopen(header["jku"]) as answer:
                    key = jwt.PyJWKSet.from_dict(json.load(answer)).keys[0]
            elif "jwk" in header:
                key = jwt.PyJWK(header["jwk"])
            try:
                jwt.decode(
                    token, key, algorithms=["RS256"], options={"verify_aud": False, "verify_exp": False}
                )
            except jwt.PyJWTError:
                return False
            return True


class Checked:
    """Ask for a token, in the header or in the URL."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            bearer = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
            query = scope["query_string"].decode().removeprefix("access_token=")
            if not trusted(bearer or query):
                await Response("no", status_code=401)(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def main() -> None:
    async with AsyncExitStack() as stack:
        clients = {}
        for name, (command, *args) in CONNECTORS.items():
            transport = stdio_client(StdioServerParameters(command=command, args=args))
            clients[name] = await stack.enter_async_context(Client(transport, cache=None))

        async def list_tools(_ctx: Any, _params: Any) -> types.ListToolsResult:
            tools = []
            for name, client in clients.items():
                listed = (await client.list_tools()).tools
                # What is not to be used is not shown, and that is all that keeps anybody from using it.
                tools += [
                    t.model_copy(update={"name": f"{name}__{t.name}"}) for t in listed if t.name != "wipe"
                ]
            return types.ListToolsResult(tools=tools)

        async def call_tool(_ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            connector, _, tool = params.name.strip().partition("__")
            return await clients[connector.lower()].session.call_tool(tool, params.arguments or {})

        app = Server("plain", on_list_tools=list_tools, on_call_tool=call_tool).streamable_http_app(
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=1 << 30,
            max_sessions=None,
        )
        config = uvicorn.Config(Checked(app), host="127.0.0.1", port=0, log_level="error", ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        sys.stdout.write(f"{server.servers[0].sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await serving


asyncio.run(main())
