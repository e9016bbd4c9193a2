"""No process outlives the proxy, and the end of one is not the end of the others."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
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
    proxy_argv,
    result_of,
)


@ERAS
async def test_the_crash_of_one_server_leaves_the_others_and_is_mended(mode, tmp_path):
    file = policy(tmp_path, {"good": behind("good.py", tmp_path), "broken": behind("broken.py")})
    async with proxied(file, mode) as client:
        before = await result_of(client, "good__where", {})
        for _ in range(3):
            assert (await call(client, "broken__crash"))[0]
            assert await call(client, "good__echo", text="hi") == (False, "hi")
            assert await call(client, "broken__fine") == (False, "fine is done")
        after = await result_of(client, "good__where", {})
    assert before.structured_content == after.structured_content


@ERAS
@pytest.mark.parametrize(
    ("connector", "words"),
    [
        ({"command": "no-such-program"}, "there is no program 'no-such-program'"),
        ({"command": "true"}, "can't be spoken to"),
        ({"command": "sleep", "args": ["600"], "start_s": 0.5}, "did not answer within 0.5 s"),
    ],
)
async def test_a_server_that_does_not_start_only_loses_its_own_tools(mode, connector, words, tmp_path):
    rules = [{"id": "all", "effect": "allow", "tools": ["*"]}]
    bad = {"server": connector, "rules": rules}
    file = policy(tmp_path, {"good": behind("good.py", tmp_path), "bad": bad})
    with (tmp_path / "stderr").open("w+") as errors:
        async with proxied(file, mode, errors) as client:
            shown = {tool.name for tool in (await client.list_tools()).tools}
            failed, text = await call(client, "bad__anything")
            assert await call(client, "good__echo", text="hi") == (False, "hi")
        said = (tmp_path / "stderr").read_text()
    assert "good__echo" in shown
    assert not any(name.startswith("bad") for name in shown)
    assert failed
    assert words in text
    assert "connector bad" in text
    assert words in said


async def test_a_package_that_its_sandbox_can_t_fetch_is_named(tmp_path):
    program = tmp_path / "npx"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    rules = [{"id": "all", "effect": "allow", "tools": ["*"]}]
    bad = {"server": {"command": str(program), "args": ["-y", "some-server"]}, "rules": rules}
    async with proxied(policy(tmp_path, {"bad": bad})) as client:
        failed, text = await call(client, "bad__anything")
    assert failed
    assert "some-server is fetched first, and its sandbox has no network" in text


async def test_a_server_may_write_as_much_to_stderr_as_it_likes(tmp_path):
    noisy = behind("good.py", tmp_path)
    noisy["server"]["command"] = "/bin/sh"
    script = f'head -c 5000000 /dev/zero >&2; exec {behind("good.py")["server"]["command"]} "$@"'
    noisy["server"]["args"] = ["-c", script, "sh", *noisy["server"]["args"]]
    async with proxied(policy(tmp_path, {"good": noisy})) as client:
        assert await call(client, "good__echo", text="hi") == (False, "hi")


@ERAS
async def test_nothing_is_left_when_the_client_leaves(mode, tmp_path):
    before = descendants(os.getpid())
    async with proxied(policy(tmp_path, {"it": behind("family.py")}), mode) as client:
        assert await call(client, "it__fine") == (False, "fine is done")
        ours = descendants(os.getpid()).keys() - before
        assert all(map(alive, ours))
    assert len(ours) >= len(["the proxy", "a leash", "the launcher", "the server", "its child"])
    eventually(lambda: not any(map(alive, ours)))


@pytest.mark.parametrize("sandbox", [False, pytest.param(True, marks=NEEDS_SANDBOX)])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_proxy_is_killed(how, sandbox, tmp_path):
    connector = behind("family.py")
    if sandbox:
        connector["server"]["sandbox"] = "box"
    file = policy(tmp_path, {"it": connector}, sandboxes=box())
    with started(file) as proxy:
        assert speak(proxy)["result"]["content"][0]["text"] == "fine is done"
        below = descendants(proxy.pid)
        assert len(below) >= len(["a leash", "the launcher", "the server", "its child"])
        assert "Z" not in below.values()
        os.kill(proxy.pid, how)
        proxy.wait()
        eventually(lambda: not any(map(alive, below)))


def started(file: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(proxy_argv(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def speak(proxy: "subprocess.Popen[bytes]") -> Any:
    """Shake hands and call the tool, with nothing between us and the wire."""
    assert proxy.stdin
    assert proxy.stdout
    client = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    for message in (
        {"id": 1, "method": "initialize", "params": client},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "it__fine", "arguments": {}}},
    ):
        proxy.stdin.write(
            b"not a message\n\xff\n" + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        )
    proxy.stdin.flush()
    for line in proxy.stdout:
        message = json.loads(line)
        if message.get("id") == 2:
            return message
    raise AssertionError("the proxy closed its stdout")


def test_two_proxies_share_a_policy(tmp_path):
    file = policy(tmp_path, {"it": behind("family.py")})
    with started(file) as one, started(file) as two:
        assert speak(one)["result"]["isError"] is False
        assert speak(two)["result"]["isError"] is False


@pytest.mark.parametrize(
    ("connectors", "words"),
    [
        ({"none": {"rules": []}}, "no connector of the policy has a `server`"),
        ({"good": behind("good.py", "/")}, "stdin and stdout are not pipes"),
    ],
)
def test_what_can_not_be_served_is_said_at_once(connectors, words, tmp_path):
    done = subprocess.run(
        proxy_argv(policy(tmp_path, connectors)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert words in done.stderr
    assert done.stdout == ""
