"""Servers inside a sandbox: their own, or a second instance that a rule asks for."""

import json
import os
import signal
import time
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.adapters.mcp.rig import (
    ERAS,
    NEEDS_SANDBOX,
    alive,
    behind,
    box,
    call,
    descendants,
    eventually,
    policy,
    proxied,
    result_of,
)
from tests.adapters.mcp.test_processes import speak, started
from tests.core.egress.sites import SECRET, needed, running

from blastwall.errors import BackendError
from blastwall.sandbox import lease
from blastwall.values import Profile, Server
from blastwall_mcp.upstreams.stdio import spawn

pytestmark = NEEDS_SANDBOX


async def where(client: Client, tool: str = "good__where") -> Any:
    result = await result_of(client, tool, {})
    assert not result.is_error, result.content
    return result.structured_content


@ERAS
async def test_a_server_in_its_own_sandbox_cannot_write_outside(mode, tmp_path):
    open_ = policy(tmp_path, {"good": behind("good.py", tmp_path)})
    async with proxied(open_, mode) as client:
        assert (await where(client))["writes"]
    (tmp_path / "written").unlink()
    connector = behind("good.py", tmp_path, sandbox="box", env={"SECRET": "given"})
    boxed = policy(tmp_path, {"good": connector}, sandboxes=box(tmp_path))
    async with proxied(boxed, mode) as client:
        inside = await where(client)
    assert not inside["writes"]
    assert inside["secret"] == "given"
    assert not (tmp_path / "written").exists()


async def test_a_rule_routes_a_call_to_a_second_instance_in_its_sandbox(tmp_path):
    rules = [
        {"id": "free", "effect": "allow", "tools": ["where_else"]},
        {"id": "boxed", "effect": "allow", "tools": ["where"], "sandbox": "box"},
    ]
    file = policy(tmp_path, {"good": behind("good.py", tmp_path, rules=rules)}, sandboxes=box(tmp_path))
    async with proxied(file) as client:
        free = await where(client, "good__where_else")
        first, second = await where(client), await where(client)
    assert free["writes"]
    assert not first["writes"]
    assert first == second, "one instance serves all calls of a profile"
    assert first["instance"] != free["instance"]


async def test_a_rule_with_the_sandbox_of_the_server_needs_no_second_instance(tmp_path):
    rules = [
        {"id": "boxed", "effect": "allow", "tools": ["where"], "sandbox": "box"},
        {"id": "plain", "effect": "allow", "tools": ["where_else"]},
    ]
    connector = behind("good.py", tmp_path, rules=rules, sandbox="box")
    async with proxied(policy(tmp_path, {"good": connector}, sandboxes=box(tmp_path))) as client:
        assert await where(client) == await where(client, "good__where_else")


async def test_no_sandbox_of_the_wanted_strength_means_no_call(tmp_path):
    rules = [{"id": "vm", "effect": "allow", "tools": ["*"], "sandbox": "strong"}]
    file = policy(
        tmp_path,
        {"good": behind("good.py", tmp_path, rules=rules)},
        sandboxes={"strong": {"strength": "vm"}},
    )
    missing = (
        "import shutil\nwhich = shutil.which\n"
        "shutil.which = lambda name, *a, **k: None if name.startswith('qemu') else which(name, *a, **k)"
    )
    async with proxied(file, before=missing) as client:
        failed, text = await call(client, "good__delete_all")
    assert failed
    assert "sandbox-unavailable" in text
    assert "apt-get install" in text
    assert not (tmp_path / "deleted").exists()


PLAIN = r"""
import json, os, sys, urllib.error, urllib.request

def ask(url):
    headers = {"Authorization": "Bearer " + os.environ.get("API_TOKEN", "")}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20).read().decode()
    except urllib.error.URLError as error:
        return "REFUSED " + str(error)

def where(_):
    return json.dumps([os.getcwd(), os.path.exists("/tmp/left"), open("/tmp/left", "w").close()])

def keep(text):
    with open("kept", "w") as file: file.write(text)
    return "kept"

TOOLS = {"ask": ask, "where": where, "keep": keep, "fine": where}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
for line in sys.stdin:
    message = json.loads(line)
    match message.get("method"):
        case "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                      "serverInfo": {"name": "plain", "version": "1"}}
        case "tools/list":
            result = {"tools": [{"name": name, "inputSchema": SCHEMA} for name in TOOLS]}
        case "tools/call":
            params = message["params"]
            text = TOOLS[params["name"]](params["arguments"].get("text", ""))
            result = {"content": [{"type": "text", "text": text}]}
        case _:
            result = None
    if "id" in message:
        error = {"error": {"code": -32601, "message": "no"}}
        answer = error if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""
"""A server that needs nothing but Python's standard library."""

STRENGTHS = pytest.mark.parametrize(
    ("strength", "program"),
    [("os", "bwrap"), ("container", "runsc"), ("vm", "qemu-system-x86_64")],
    ids=["os", "container", "vm"],
)


@pytest.fixture
def plain(tmp_path):
    """Gives the policy of one such server in a sandbox with a workspace, a network and a credential."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    folder = tmp_path / "workspace"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)

    def make(site, strength, **changes):
        box = {
            "strength": strength,
            "workspace": "workspace",
            "memory_mb": 256,
            "network": [{"host": "api.test", "ports": [site.port], "addresses": ["127.0.0.1"]}],
            "credentials": ["api"],
            **changes,
        }
        server = {"command": "python3", "args": ["-I", "-u", "-c", PLAIN], "sandbox": "box", "start_s": 90}
        rules = [{"id": "all", "effect": "allow", "tools": ["*"]}]
        credential = {"file": "secret", "hosts": ["api.test"], "variable": "API_TOKEN"}
        return policy(
            tmp_path,
            {"it": {"server": server, "rules": rules}},
            sandboxes={"box": box},
            credentials={"api": credential},
        )

    return make


@STRENGTHS
async def test_a_whole_server_inside_with_its_workspace_its_network_and_its_credential(
    strength, program, plain, tmp_path
):
    needed(program)
    with running() as site:
        async with proxied(plain(site, strength)) as client:
            assert await call(client, "it__keep", text="words") == (False, "kept")
            failed, said = await call(client, "it__where")
            assert (failed, json.loads(said)[:2]) == (False, [str(tmp_path / "workspace"), False])
            assert json.loads((await call(client, "it__where"))[1])[1], "it lives as long as the proxy"
            _, allowed = await call(client, "it__ask", text=f"http://api.test:{site.port}/a")
            _, refused = await call(client, "it__ask", text=f"http://evil.test:{site.port}/b")
    assert (tmp_path / "workspace" / "kept").read_text() == "words"
    assert [request.header("authorization") for request in site.asked] == [[f"Bearer {SECRET}"]]
    assert "blastwall-placeholder-api-" in allowed
    assert refused.startswith("REFUSED")
    log = (tmp_path / "state" / "audit.jsonl").read_text()
    assert SECRET not in allowed + refused + log
    assert log.count('"egress"') >= 2


@STRENGTHS
def test_nothing_of_it_is_left_when_the_proxy_is_killed(strength, program, plain, tmp_path):
    needed(program)
    with running() as site, started(plain(site, strength)) as proxy:
        assert "content" in speak(proxy)["result"]
        below = descendants(proxy.pid)
        assert len(below) >= len(["a reaper", "a gate", "the sandbox", "the server"])
        os.kill(proxy.pid, signal.SIGKILL)
        proxy.wait()
        eventually(lambda: not any(map(alive, below)))
    eventually(lambda: not list(lease.folder().glob(f"owners/{proxy.pid}-*")))
    assert list((tmp_path / "workspace").iterdir()) == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_machine_that_boots_does_not_hold_up_the_others(cancelled):
    """Its start takes seconds; meanwhile the event loop serves the others. And who gives up leaves nothing."""
    story = []

    @contextmanager
    def late(*_):
        time.sleep(0.6)
        story.append("there")
        try:
            if not cancelled:
                raise BackendError("no machine")
            yield
        finally:
            story.append("gone")

    async def start():
        async with spawn("it", Server(("true",)), Profile("box"), late):
            pass

    async with anyio.create_task_group() as group:

        async def failing():
            with pytest.raises(BackendError, match="no machine"):
                await start()

        group.start_soon(start if cancelled else failing)
        began = time.monotonic()
        for _ in range(10):
            await anyio.sleep(0.01)
        assert time.monotonic() - began < 0.5
        if cancelled:
            group.cancel_scope.cancel()
    while story[-1:] != ["gone"]:  # noqa: ASYNC110  # a thread says it
        await anyio.sleep(0.01)
    assert story == ["there", "gone"]
