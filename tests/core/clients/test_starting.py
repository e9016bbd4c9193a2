"""A server that is asked for its tools runs in a sandbox, and nothing that it says is waited for or believed."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from blastwall.clients import starting
from blastwall.clients.cached import cached
from blastwall.clients.servers import Configured
from blastwall.clients.starting import listed
from blastwall.errors import BackendError

NEEDS_SANDBOX = pytest.mark.skipif(
    shutil.which("bwrap") is None and not os.environ.get("CI"), reason="bubblewrap is not installed"
)
SCRIPT = str(Path(__file__).with_name("servers.py"))
HELLO = {"capabilities": {"tools": {}}, "instructions": "be kind"}


def server(*command, env=()):
    return Configured("cursor", "f", 1, "s", ("mcpServers",), "", "stdio", command, env)


def saying(**told):
    return server(sys.executable, SCRIPT, json.dumps({"initialize": HELLO} | told))


@NEEDS_SANDBOX
def test_tools_are_listed_page_by_page():
    pages = [[{"name": "a"}, "odd", {}], [{"name": "b", "title": "B"}]]
    found = listed(saying(**{"tools/list": pages}))
    assert found.tools == ({"name": "a"}, {"name": "b", "title": "B"})
    assert found.instructions == "be kind"


@NEEDS_SANDBOX
def test_a_server_without_tools():
    assert listed(saying(initialize={"capabilities": {}, "instructions": 7})).tools == ()


@NEEDS_SANDBOX
@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"silent": True}, "nothing came within 1 s"),
        ({"flood": True}, "it says more than 8 MiB"),
        ({"initialize": 7}, "it refuses initialize"),
        ({"tools/list": {"tools": 7}}, "it gave no list of tools"),
        ({"tools/list": [[{"name": "a"}] * 600], "endless": True}, "it lists more than 1000 tools"),
    ],
)
def test_a_server_that_does_not_answer(told, why, monkeypatch):
    monkeypatch.setattr(starting, "TIME_S", 1.0 if "silent" in told else 20.0)
    with pytest.raises(BackendError, match=why):
        listed(saying(**told))


@NEEDS_SANDBOX
def test_a_server_that_ends():
    with pytest.raises(BackendError, match="it ended. It had no network and none of your files"):
        listed(server("/bin/true"))
    with pytest.raises(BackendError, match="there is no program 'no-such-thing'"):
        listed(server("no-such-thing"))


@NEEDS_SANDBOX
def test_it_sees_no_files_and_no_network(tmp_path, monkeypatch):
    """The canary is in the home folder, which is no part of the sandbox, and neither is a network."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "canary").write_text("secret")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    code = f"""
import json, os, socket, sys
home = {str(tmp_path)!r}
try:
    reached = bool(socket.create_connection(("127.0.0.1", {port})))
except OSError:
    reached = False
name = [os.path.exists(home + "/canary"), reached, os.environ["HOME"] == home, os.environ["X"]]
answers = {{"initialize": {{"capabilities": {{"tools": {{}}}}}}, "tools/list": {{"tools": [{{"name": str(name)}}]}}}}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({{"id": message["id"], "result": answers[message["method"]]}}), flush=True)
"""
    found = listed(server(sys.executable, "-c", code, str(tmp_path), env=(("X", "y"),)))
    listener.close()
    assert found.tools == ({"name": "[False, False, False, 'y']"},)


def package(home, name, version, **described):
    folder = home / ".npm/_npx/0123" / "node_modules" / name
    folder.mkdir(parents=True)
    (folder / "run.js").write_text("")
    (folder / "package.json").write_text(json.dumps({"version": version, **described}))
    return str(folder / "run.js")


def test_what_npx_has_fetched_already(tmp_path):
    home = str(tmp_path)
    program = package(tmp_path, "@acme/one-mcp", "1.2.3", bin={"one-mcp": "run.js", "two": "run.js"})
    assert cached(["npx", "-y", "@acme/one-mcp@1.2.3", "--x"], home) == ("node", program, "--x")
    assert cached(["npx", "-y", "@acme/one-mcp"], home) == ("node", program)
    assert cached(["npx", "-y", "@acme/one-mcp@1.2.4"], home) is None
    assert cached(["npx", "-y", "@acme/other"], home) is None
    assert cached(["uvx", "mcp-server-git"], home) is None
    assert cached(["/opt/server"], home) is None


@pytest.mark.parametrize(
    "programs", [None, 7, {}, {"a": "run.js", "b": "run.js"}, "../../../../../secret", "no.js"]
)
def test_a_package_that_runs_nothing_certain(tmp_path, programs):
    (tmp_path / ".npm/_npx/0123/node_modules").mkdir(parents=True)
    (tmp_path / "secret").write_text("")
    package(tmp_path, "one", "1.2.3", bin=programs)
    assert cached(["npx", "one@1.2.3"], str(tmp_path)) is None


def test_names_that_lead_elsewhere(tmp_path):
    package(tmp_path, "one", "1.2.3", bin="run.js")
    for name in ("../one", "..", "@a/../one", "*"):
        assert cached(["npx", name], str(tmp_path)) is None
    (tmp_path / ".npm/_npx/0123/node_modules/one/package.json").write_text("[")
    assert cached(["npx", "one"], str(tmp_path)) is None
