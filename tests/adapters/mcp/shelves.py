"""Servers that only list: what the catalogue needs of an upstream, without a process."""

import json
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.paths import resolve
from blastwall.policy import parse
from blastwall_mcp.catalogue.catalogue import Catalogue
from blastwall_mcp.upstreams.pages import Listing as Whole

REAL = json.loads(Path(__file__).with_name("real_servers.json").read_text(encoding="utf-8"))
"""What public servers list: `everything+all` to a client that can do everything, the others to a bare one."""

EVERYTHING = [
    {"id": "tools", "effect": "allow", "tools": ["*"]},
    {
        "id": "messages",
        "effect": "allow",
        "messages": ["resources/*", "prompts/*", "completion/*", "logging/*"],
    },
]


class Listing:
    """A server that gives the lists it was made with, and counts how often it is asked."""

    def __init__(self, tools=(), prompts=(), resources=(), templates=(), **more):
        self.lists = {
            "tools": list(tools),
            "prompts": list(prompts),
            "resources": list(resources),
            "resourceTemplates": list(templates),
        }
        self.version = 1
        self.instructions = more.pop("instructions", "")
        self.info = more.pop("info", {"name": "listing", "version": "1.0"})
        self.capabilities = more.pop("capabilities", {"tools": {}, "prompts": {}, "resources": {}})
        self.down = more.pop("down", "")
        self.ttl_ms = more.pop("ttl_ms", 0)
        self.up = True
        self.asked = []
        self.started = 0
        assert not more

    async def ensure(self):
        self.started += 1
        if self.down:
            raise BackendError(self.down)

    async def listing(self, method, key):
        self.asked.append(method)
        return Whole(list(self.lists[key]), self.ttl_ms)

    def turn(self, **lists):
        """List something else from now on, and say so."""
        self.lists |= {key: list(items) for key, items in lists.items()}
        self.version += 1


def real(name):
    found = REAL[name]
    return Listing(
        found["tools"],
        found["prompts"],
        found["resources"],
        found["resourceTemplates"],
        instructions=found["instructions"],
        capabilities=found["capabilities"],
        info=found["info"],
    )


def tool(name, description="Does it.", **more):
    return {"name": name, "description": description, "inputSchema": {"type": "object"}} | more


def policy(connectors, folder, **blocks):
    """Compile a policy; a connector without rules permits everything."""
    for connector in connectors.values():
        connector.setdefault("rules", EVERYTHING)
    document = {"version": 1, "defaults": {"state": {"directory": str(folder / "state")}}}
    content = json.dumps(document | {"connectors": connectors} | blocks).encode()
    return parse(content, file="it.yaml", directory=folder, state=folder / "state", resolve=resolve)


def catalogue(servers, folder, connectors=None, **blocks):
    """Put servers behind a catalogue, everything permitted unless said otherwise."""
    connectors = connectors or {}
    wanted = {name: {"server": {"command": "it"}} | connectors.get(name, {}) for name in servers}
    compiled = policy(wanted, folder, **blocks)
    return Catalogue(lambda: compiled, servers)


async def names(of, kind="tools", version=None):
    key = {"resources": "uri", "templates": "uriTemplate"}.get(kind, "name")
    return [item[key] for item in await of.listing(kind, version)]
