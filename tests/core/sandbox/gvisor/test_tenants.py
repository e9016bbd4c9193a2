"""Two sessions at once: what one has is out of the other's reach. Each attempt works at home first."""

import json
import os
import uuid
from contextlib import ExitStack
from dataclasses import replace

import pytest

from blastwall.sandbox import process
from blastwall.sandbox.gvisor.session import Container

PYTHON = "/usr/bin/python3"

HOLD = """
import os, socket, sys, time
mark, workspace = sys.argv[1:]
for path in ("/tmp/of-" + mark, "/dev/shm/of-" + mark, os.environ["HOME"] + "/secret", workspace + "/secret"):
    with open(path, "w") as file: file.write(mark)
listener = socket.create_server(("127.0.0.1", 4444))
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\0" + mark); abstract.listen()
named = socket.socket(socket.AF_UNIX); named.bind("/tmp/socket-" + mark); named.listen()
print("there", flush=True)
time.sleep(300)
"""

REACH = """
import glob, json, os, socket, sys
mark, workspace = json.load(sys.stdin)
found = []
def attempt(name, do):
    try:
        if do(): found.append(name)
    except OSError:
        pass
def holds(path):
    with open(path, "rb") as file: return mark.encode() in file.read()
def anywhere(pattern):
    for path in glob.glob(pattern):
        if str(os.getpid()) not in path.split("/") and "self" not in path:
            try:
                if holds(path): return True
            except OSError:
                pass
def connects(*arguments):
    with socket.socket(*arguments[:-1]) as one:
        one.settimeout(2); one.connect(arguments[-1]); return True
attempt("tmp", lambda: holds("/tmp/of-" + mark))
attempt("shm", lambda: holds("/dev/shm/of-" + mark))
attempt("home", lambda: holds(os.environ["HOME"] + "/secret"))
attempt("workspace", lambda: holds(workspace + "/secret"))
attempt("process", lambda: anywhere("/proc/[0-9]*/cmdline"))
attempt("environment", lambda: anywhere("/proc/[0-9]*/environ"))
attempt("root", lambda: anywhere("/proc/[0-9]*/root/tmp/of-*"))
attempt("tcp", lambda: connects(socket.AF_INET, ("127.0.0.1", 4444)))
attempt("abstract", lambda: connects(socket.AF_UNIX, "\\0" + mark))
attempt("named", lambda: connects(socket.AF_UNIX, "/tmp/socket-" + mark))
gate = b""
try:
    with socket.create_connection(("127.0.0.1", 3128), 2) as one: gate = one.recv(20)
except OSError:
    pass
print(json.dumps([found, gate.decode(), os.environ.get("TOKEN")]))
"""


@pytest.fixture(params=["two gates", "one gate"])
def tenants(request, tmp_path, profile, gates):
    """Two containers, and a program in the second that holds what the first is after."""
    mark = uuid.uuid4().hex
    with ExitStack() as stack:
        containers = []
        for name in ("A", "B"):
            workspace = tmp_path / name
            workspace.mkdir()
            owner = profile.workspace.stat()
            workspace.chmod(0o777)
            if owner.st_uid != workspace.stat().st_uid:
                os.chown(workspace, owner.st_uid, owner.st_gid)
            gate = gates(name) if name == "B" or request.param == "two gates" else None
            env = (("PRIVATE", mark),) if name == "B" else ()
            own = replace(profile, workspace=workspace, env=env)
            containers.append(stack.enter_context(Container(own, gate=gate)))
        workspace = str(tmp_path / "B")
        held = stack.enter_context(containers[1].start([PYTHON, "-c", HOLD, mark, workspace], stdin=b""))
        assert held.stdout.readline() == b"there\n"
        yield (*containers, json.dumps([mark, workspace]).encode())


def reach(container, aims):
    def launch(argv, profile, *, stdin, read):
        return container.start(argv, stdin=stdin, read=read)

    done = process.run([PYTHON, "-c", REACH], container._profile, stdin=aims, launch=launch)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_what_one_session_has_is_out_of_the_others_reach(tenants, request):
    attacker, victim, aims = tenants
    found, gate, token = reach(victim, aims)
    # Sockets are of the network that both commands of the victim share, and files of its container.
    assert {*found} >= {"tmp", "shm", "home", "workspace", "process", "environment", "named"}
    assert "tcp" in found
    assert (gate, token) == ("B", "PLACEHOLDER-OF-B")
    found, gate, token = reach(attacker, aims)
    assert found == []
    mine = ("A", "PLACEHOLDER-OF-A") if "two gates" in request.node.name else ("", None)
    assert (gate, token) == mine


def test_a_signal_does_not_cross(tenants):
    """Whatever numbers the first one tries, the second one's program lives."""
    attacker, victim, aims = tenants

    def launch(argv, profile, *, stdin, read):
        return attacker.start(argv, stdin=stdin, read=read)

    code = (
        "import os\n"
        "for pid in range(2, 400):\n"
        "    try: os.kill(pid, 9) if pid != os.getpid() else None\n"
        "    except OSError: pass\n"
        "print('done')\n"
    )
    process.run([PYTHON, "-c", code], attacker._profile, launch=launch)
    assert "process" in reach(victim, aims)[0]
